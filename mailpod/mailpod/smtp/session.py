"""What one connection and one transaction know, and which command is allowed when: one table."""

from __future__ import annotations

import asyncio
import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec
from aiosmtpd.smtp import Envelope, Session

from mailpod.net.peer import Peer
from mailpod.smtp.dsn import Reporting, original_recipient
from mailpod.smtp.replies import GREET_FIRST
from mailpod.store.outbound import Forwarded, RecipientOptions, SpoolEntry, with_forwards

if TYPE_CHECKING:
    from mailpod.auth.identity import Identity
    from mailpod.directory import DomainEntry, MailboxEntry, Reached
    from mailpod.net.budget import Budget


class State(enum.Enum):
    """Where a connection is between two commands."""

    CONNECTED = enum.auto()
    GREETED = enum.auto()
    MAIL = enum.auto()  # a sender, no recipient yet
    RCPT = enum.auto()  # at least one recipient
    CHUNKS = enum.auto()  # at least one BDAT or BURL


_ANY: Final = frozenset(State)
_GREETED: Final = _ANY - {State.CONNECTED}
_TRANSACTION: Final = frozenset({State.MAIL, State.RCPT})
_MESSAGE: Final = _TRANSACTION | {State.CHUNKS}


@dataclass(frozen=True, slots=True)
class Rule:
    """The states in which a command is allowed, and the reply in any other than CONNECTED."""

    states: frozenset[State]
    otherwise: str = "503 5.5.1 Not now"
    argument: bool | None = None  # must it have one; None: it may
    authenticated: bool = False  # on submission, only after AUTH


COMMANDS: Final[dict[str, Rule]] = {  # RFC 5321 §4.1.4
    "EHLO": Rule(_ANY, argument=True),
    "HELO": Rule(_ANY, argument=True),
    "LHLO": Rule(_ANY, argument=True),
    "STARTTLS": Rule(_ANY - _MESSAGE, "503 5.5.1 Not during a message", argument=False),
    "AUTH": Rule(frozenset({State.GREETED}), "503 5.5.1 Not during a message", argument=True),  # RFC 4954 §4
    "MAIL": Rule(frozenset({State.GREETED}), "503 5.5.1 Sender is already given", argument=True, authenticated=True),
    "RCPT": Rule(_TRANSACTION, "503 5.5.1 Need MAIL first", argument=True, authenticated=True),
    "DATA": Rule(_TRANSACTION, "503 5.5.1 Need MAIL and RCPT first", argument=False, authenticated=True),
    "BDAT": Rule(_ANY, argument=True),  # `BDAT` below, once its octets can be read
    "BURL": Rule(_MESSAGE, "503 5.5.1 Need MAIL and RCPT first", argument=True, authenticated=True),  # RFC 4468
    "RSET": Rule(_ANY, argument=False),
    "NOOP": Rule(_ANY),
    "QUIT": Rule(_ANY),
    "HELP": Rule(_ANY),
    "VRFY": Rule(_GREETED, argument=True, authenticated=True),
    "EXPN": Rule(_GREETED, argument=True, authenticated=True),
}
BDAT: Final = Rule(_MESSAGE, "503 5.5.1 Need MAIL and RCPT first", authenticated=True)
"""Of the message that a BDAT brings."""


def refusal(rule: Rule, state: State, argument: str, verb: str) -> str | None:
    """The reply with which a known command is refused before it runs, or None."""
    if state not in rule.states:
        return GREET_FIRST if state is State.CONNECTED else rule.otherwise
    if rule.argument is not None and bool(argument) is not rule.argument:
        return f"501 5.5.4 {verb} needs an argument" if rule.argument else f"501 5.5.4 {verb} takes no argument"
    return None


class MailSession(Session):
    """A connection, in aiosmtpd's terms."""

    def __init__(self, loop: asyncio.AbstractEventLoop, peer: Peer) -> None:
        super().__init__(loop)
        self.peer = peer.host
        self.client = peer
        self.identity: Identity | None = None
        self.tls: tuple[str, str] | None = None  # version and cipher
        self.failed_logins = 0
        self.blocklists_asked = False
        self.listed: str | None = None  # the blocklist that the client is on


@dataclass(slots=True)
class Recipient:
    """A mailbox that the message goes to, and the address that the client named for it; None: it is not here.

    `via` is the mailbox that sends the message on to one that is not here; `returning`: it is a notice about such.
    """

    entry: MailboxEntry | None
    named: str
    options: RecipientOptions
    via: MailboxEntry | None = None
    returning: bool = False
    forwarded: Forwarded | None = None

    def told(self, address: str) -> RecipientOptions:
        """The options, with what the client named where that is not `address`: notices are to say it."""
        if self.options.orcpt or self.named == address:
            return self.options
        return msgspec.structs.replace(self.options, orcpt=original_recipient(self.named))


class MailEnvelope(Envelope):
    """A transaction, in aiosmtpd's terms. `recipients` is by the mailbox's own address, so each is there once; one
    that is not here, by its own."""

    def __init__(self, budget: Budget) -> None:
        super().__init__()
        self.declared_size: int | None = None
        self.binary = False  # BODY=BINARYMIME
        self.require_tls = False  # RFC 8689
        self.chunks: bytearray | None = None  # by BDAT and BURL
        self.began = 0.0  # when the first chunk did
        self.spoilt = False  # a chunk was refused, so the message is
        self.enforced = True  # all recipients' domains want senders' policies enforced
        self.trusted: frozenset[str] | None = None  # ARC sealers whom all recipients' domains trust
        self.junk = False  # that is what the author's domain wants
        self.verified = False  # the reverse-path is not forged
        self.reporting = Reporting()
        self.recipients: dict[str, Recipient] = {}
        self.named: dict[str, Reached] = {}  # by the address that was accepted
        self.max_bytes: int | None = None  # the smallest limit of the recipients' domains
        self._budget = budget
        self.held = 0  # octets taken from the budget

    def entry(self, queue_id: str, user: str, now: float) -> SpoolEntry:
        """What the queue is told. `user` submitted the message; "": it came from another server."""
        told = {address: one.told(address) for address, one in self.recipients.items() if user or one.forwarded}
        forwards = {address: one.forwarded for address, one in self.recipients.items() if one.forwarded}
        entry = SpoolEntry(
            id=queue_id,
            sender=self.mail_from or "",
            recipients=tuple(self.recipients),
            created=now,
            options={address: options for address, options in told.items() if options != RecipientOptions()},
            envid=self.reporting.envid,
            ret=self.reporting.ret,
            smtputf8=self.smtp_utf8,
            requiretls=self.require_tls,
            user=user,
            verified=self.verified,
            folder=self.folder,
        )
        return with_forwards(entry, forwards)

    def heed(self, domain: DomainEntry) -> None:
        """A recipient is of this domain: what it wants holds, beside what the others' do."""
        self.max_bytes = min(self.max_bytes or domain.max_message_bytes, domain.max_message_bytes)
        self.enforced = self.enforced and domain.sender_policies == "enforce"
        sealers = frozenset(domain.trusted_sealers)
        self.trusted = sealers if self.trusted is None else self.trusted & sealers

    @property
    def elsewhere(self) -> bool:
        """Whether a recipient is not here."""
        return any(recipient.entry is None for recipient in self.recipients.values())

    @property
    def folder(self) -> str:
        """Where the message goes in each mailbox."""
        return "Junk" if self.junk else "INBOX"

    def hold(self, octets: int) -> bool:
        """Have at least so many octets of the budget; False when they are not free."""
        missing = octets - self.held
        if missing > 0:
            if not self._budget.try_take(missing):
                return False
            self.held = octets
        return True

    def spoil(self) -> None:
        """A chunk was refused: nothing of the message is kept."""
        self.spoilt, self.chunks = True, bytearray()
        self.release()

    def release(self) -> None:
        """Give back what is held. The transaction is over."""
        if self.held:
            self._budget.give(self.held)
            self.held = 0
