"""One message for some recipients, as it is said to a server that offers this or that; no I/O.

What a server does not offer is left out, unless the message cannot do without it: then it is not sent (`Unsuited`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from mailpod.relay.capabilities import Capabilities
from mailpod.store.outbound import RecipientOptions, SpoolEntry

_NOTHING = RecipientOptions()


class Unsuited(Exception):
    """The server cannot take this message as it is, now or later. `status` is RFC 3463's."""

    def __init__(self, status: str, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


@dataclass(frozen=True)
class Envelope:
    """`recipients` are some of the entry's."""

    entry: SpoolEntry
    recipients: tuple[str, ...]
    message: bytes

    @cached_property
    def eightbit(self) -> bool:
        return not self.message.isascii()

    @cached_property
    def internationalized(self) -> bool:
        """Whether it needs SMTPUTF8 (RFC 6531 §3.2): for an address or a header field that is not ASCII."""
        if not self.entry.sender.isascii() or not all(recipient.isascii() for recipient in self.recipients):
            return True
        return self.entry.smtputf8 and self.eightbit and not self.message.partition(b"\r\n\r\n")[0].isascii()

    def check(self, offered: Capabilities) -> None:
        """Raises Unsuited."""
        if self.internationalized and not offered.smtputf8:
            raise Unsuited("5.6.7", "the server cannot take internationalized addresses (SMTPUTF8)")  # RFC 6531 §3.5
        if self.eightbit and not offered.eightbit:
            # RFC 6152 §3: not sent as it is. It is not rewritten either, which would break its signatures
            raise Unsuited("5.6.3", "the server takes only 7-bit messages (8BITMIME), and this one has 8-bit text")
        if offered.size and len(self.message) > offered.size:  # RFC 1870 §6.1
            raise Unsuited("5.3.4", f"the server takes at most {offered.size} octets, and this has {len(self.message)}")

    def mail(self, offered: Capabilities, *, require_tls: bool) -> bytes:
        """MAIL with its parameters."""
        words = [f"MAIL FROM:<{self.entry.sender}>"]
        if offered.size is not None:
            words.append(f"SIZE={len(self.message)}")
        if self.eightbit:
            words.append("BODY=8BITMIME")
        if self.internationalized:
            words.append("SMTPUTF8")
        if require_tls and offered.requiretls:
            words.append("REQUIRETLS")  # RFC 8689 §4.2.1
        if offered.dsn and self.entry.ret:
            words.append(f"RET={self.entry.ret}")
        if offered.dsn and self.entry.envid:
            words.append(f"ENVID={self.entry.envid}")
        return " ".join(words).encode() + b"\r\n"

    def rcpt(self, recipient: str, offered: Capabilities) -> bytes:
        """RCPT with its parameters."""
        words = [f"RCPT TO:<{recipient}>"]
        options = self.entry.options.get(recipient, _NOTHING)
        if offered.dsn and options.notify:  # RFC 3461 §5.2.1: passed on as they came
            words.append(f"NOTIFY={','.join(options.notify)}")
        if offered.dsn and options.orcpt:
            words.append(f"ORCPT={options.orcpt}")
        return " ".join(words).encode() + b"\r\n"

    def content(self) -> tuple[bytes, bytes]:
        """The message dot-stuffed (RFC 5321 §4.5.2), and the end of data. Copied only where it must change."""
        message = self.message
        if message.startswith(b"."):
            message = b"." + message
        if b"\r\n." in message:
            message = message.replace(b"\r\n.", b"\r\n..")
        return message, b".\r\n" if message.endswith(b"\r\n") or not message else b"\r\n.\r\n"
