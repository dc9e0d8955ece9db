"""What a client asked for beyond plain IMAP4rev1: by ENABLE, or by a command that implies it (RFC 7162 §3.1)."""

from __future__ import annotations

from dataclasses import dataclass

from mailpod.errors import MailError


class UidRequired(MailError):
    """RFC 9586 §3: a message number once UIDONLY is enabled."""

    imap = ("BAD", "UIDREQUIRED")
    text = "Message numbers cannot be used once UIDONLY is enabled"


@dataclass(slots=True)
class Enabled:
    """Of one connection, for good (RFC 5161 §3.1). The session and its view share it."""

    condstore: bool = False
    qresync: bool = False
    uidonly: bool = False
    rev2: bool = False
    utf8: bool = False
    metadata: bool = False
    notify: bool = False  # NOTIFY was given

    @property
    def tells_uids(self) -> bool:
        """RFC 7162 §3.2.4: what tells of a change has the UID, whoever made it; RFC 9586 §3.3: it begins with it."""
        return self.condstore and not self.uidonly

    @property
    def utf8_names(self) -> bool:
        """Mailbox names are in UTF-8 (RFC 9051 §5.1, RFC 9755 §3), not in modified UTF-7."""
        return self.rev2 or self.utf8

    def enable(self, name: str) -> bool:
        """False for what is not known."""
        match name:
            case "CONDSTORE":
                self.condstore = True
            case "QRESYNC":
                self.condstore = self.qresync = True  # RFC 7162 §3.2.3: it enables CONDSTORE too
            case "UIDONLY":
                self.uidonly = True
            case "METADATA" | "METADATA-SERVER":
                self.metadata = True  # RFC 5464 §4.1: changes of others are told
            case "IMAP4REV2":
                self.rev2 = True
            case "UTF8=ACCEPT":
                self.utf8 = True
            case _:
                return False
        return True
