"""One mail transaction, as a state machine without I/O: what is sent next, given what was answered.

- `refused` and `accepted` name every recipient in the end; a reply that is not about one of them is about all.
- With PIPELINING everything up to DATA is one write (RFC 2920 §3.1); DATA may then get 354 although nobody was
  accepted, which needs an empty message to end.
- One that did not come to the final dot is reset: the server still has its sender, and would take the next one's
  recipients for that (RFC 5321 §4.1.1.2 and §4.1.4).
"""

from __future__ import annotations

from collections import deque
from enum import Enum

from mailpod.relay.capabilities import Capabilities
from mailpod.relay.envelope import Envelope
from mailpod.relay.replies import BadReply, Reply


class Step(Enum):
    """What a reply is awaited to."""

    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    CONTENT = "content"
    EMPTY = "no content"
    RESET = "RSET"


class Do(Enum):
    """What is next."""

    WAIT = "for the next reply"
    SEND = "`commands`"
    CONTENT = "the message and its final dot"
    EMPTY = "the final dot alone"
    END = "the transaction is over, the session can have another"


class Transaction:
    """`begin`, then `take` each reply, doing what it says."""

    def __init__(self, envelope: Envelope, offered: Capabilities, *, require_tls: bool = False) -> None:
        """Raises Unsuited."""
        envelope.check(offered)
        self.accepted: list[str] = []
        self.refused: dict[str, Reply] = {}
        self.answer: Reply | None = None
        """To the final dot."""
        self._pipelining = offered.pipelining
        self._recipients = envelope.recipients
        self._unsent = deque([(Step.MAIL, "", envelope.mail(offered, require_tls=require_tls))])
        self._unsent += [(Step.RCPT, recipient, envelope.rcpt(recipient, offered)) for recipient in self._recipients]
        self._unsent.append((Step.DATA, "", b"DATA\r\n"))
        self._awaited: deque[tuple[Step, str]] = deque()

    @property
    def step(self) -> Step:
        """What the next reply is to."""
        return self._awaited[0][0]

    def begin(self) -> bytes:
        return self._send()

    def take(self, reply: Reply) -> tuple[Do, bytes]:
        """The commands come with Do.SEND. Raises BadReply for one that cannot be."""
        step, recipient = self._awaited.popleft()
        if reply.code == 421:  # RFC 5321 §3.8: at any time; the connection is about to close
            self._refuse_all(reply)
            return Do.END, b""
        match step:
            case Step.MAIL:
                if not reply.positive:
                    self._refuse_all(reply)
            case Step.RCPT:
                if recipient not in self.refused:
                    self._recipient(recipient, reply)
            case Step.DATA:
                return self._data(reply)
            case Step.CONTENT:
                self.answer = reply
                return Do.END, b""
            case Step.EMPTY:
                return self._reset()
            case Step.RESET:
                if not reply.positive:
                    raise BadReply("RSET is refused")
                return Do.END, b""
        return self._next()

    def _recipient(self, recipient: str, reply: Reply) -> None:
        if reply.positive:
            self.accepted.append(recipient)
        else:
            self.refused[recipient] = reply

    def _data(self, reply: Reply) -> tuple[Do, bytes]:
        if reply.code == 354:
            self._awaited.append((Step.CONTENT if self.accepted else Step.EMPTY, ""))
            return Do.CONTENT if self.accepted else Do.EMPTY, b""
        if reply.positive:
            raise BadReply("a positive reply to DATA that is not 354")
        self._refuse_all(reply)
        return self._reset()

    def _next(self) -> tuple[Do, bytes]:
        if self._awaited:
            return Do.WAIT, b""
        if self.accepted or (self._unsent[0][0] is Step.RCPT and not self._all_refused):
            return Do.SEND, self._send()
        return self._reset()

    def _reset(self) -> tuple[Do, bytes]:
        self._awaited.append((Step.RESET, ""))
        return Do.SEND, b"RSET\r\n"

    @property
    def _all_refused(self) -> bool:
        return len(self.refused) == len(self._recipients)

    def _refuse_all(self, reply: Reply) -> None:
        """Everybody who was not refused for a reason of their own."""
        self.accepted.clear()
        self.refused = dict.fromkeys(self._recipients, reply) | self.refused

    def _send(self) -> bytes:
        count = len(self._unsent) if self._pipelining else 1
        sent = [self._unsent.popleft() for _ in range(count)]
        self._awaited += [(step, recipient) for step, recipient, _ in sent]
        return b"".join(command for _, _, command in sent)
