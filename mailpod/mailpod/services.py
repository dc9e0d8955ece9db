"""What every session is given: the pod's shared parts, built once by pod.py (or by a test)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from mailpod.authres.reporter import DmarcReporter, make_dmarc_reporter
from mailpod.clock import Clock
from mailpod.dkim.signer import Signer
from mailpod.dns.resolver import Resolver
from mailpod.net.follow import Followers
from mailpod.net.rates import Rates
from mailpod.queue.spool import Spool
from mailpod.quota.warner import QuotaWarner
from mailpod.retention.keeper import Retention
from mailpod.rspamd.client import Rspamd
from mailpod.rspamd.teacher import Teacher
from mailpod.store.shares import Shares
from mailpod.tlspolicy.making import Kept, make_reporter
from mailpod.tlspolicy.policies import TlsPolicies, make_policies
from mailpod.tlspolicy.reporter import Reporter

if TYPE_CHECKING:
    from mailpod.auth.authenticator import Authenticator
    from mailpod.auth.identity import Identity
    from mailpod.config import PodSettings
    from mailpod.directory import Directory
    from mailpod.net.budget import Budget
    from mailpod.net.hints import Hints
    from mailpod.net.limits import Connections
    from mailpod.net.registry import Registry
    from mailpod.net.tls import TlsContexts
    from mailpod.store import Store


class Urls(Protocol):
    """What URLs of messages open, to who submits: an IMAP server's part, which pod.py has done by ours."""

    async def octets(self, url: bytes, identity: Identity, room: int, hold: Callable[[int], bool]) -> bytes:
        """Raises UrlFailed, TrustRequired, TooBig, Busy, Unavailable."""


def _scratch() -> memoryview:
    return memoryview(bytearray(256 * 1024))


@dataclass(slots=True)
class Services:
    """One per pod, and per loop: nothing in it is for a second thread."""

    settings: PodSettings
    store: Store
    directory: Directory
    auth: Authenticator
    budget: Budget
    registry: Registry
    connections: Connections
    tls: TlsContexts
    clock: Clock
    pod_name: str
    draining: bool = False
    followers: Followers = field(default_factory=Followers, repr=False)
    """Accounts that sessions in IDLE watch."""
    signer: Signer = field(default_factory=Signer)
    """Signs what users submit."""
    hints: Hints | None = None
    """What pods tell each other, where they do."""
    urls: Urls | None = None
    """For BURL, which is not offered without."""
    scratch: memoryview = field(default_factory=_scratch, repr=False)
    """Where all connections' reads land before they are copied to the one they are for (see net/wire.py)."""
    spool: Spool = field(init=False, repr=False)
    """Messages for several mailboxes; the pod starts and stops it."""
    rates: Rates = field(init=False, repr=False)
    """How many recipients users write to."""
    client_rates: Rates | None = field(init=False, repr=False)
    """The same by a client's network, where that is limited."""
    rspamd: Rspamd = field(init=False, repr=False)
    """Asked about mail that comes in, where there is one."""
    teacher: Teacher = field(init=False, repr=False)
    """Tells it what users say is spam, and what is not."""
    resolver: Resolver = field(init=False, repr=False)
    """The DNS."""
    tls_policies: TlsPolicies = field(init=False, repr=False)
    """What TLS with other servers must be."""
    shares: Shares = field(init=False, repr=False)
    """Whose mailboxes an account might see."""
    dmarc_reports: DmarcReporter = field(init=False, repr=False)
    """Tells other domains what came in their name; the pod runs it."""
    tls_reports: Reporter = field(init=False, repr=False)
    """Tells other domains how TLS with them went; the pod runs it."""
    retention: Retention = field(init=False, repr=False)
    """Deletes what has been in a folder for too long; the pod runs it."""
    quota: QuotaWarner = field(init=False, repr=False)
    """Is told of what came into mailboxes, and warns users whose mailbox is nearly full."""

    def __post_init__(self) -> None:
        self.resolver = Resolver(self.settings.dns, self.clock)
        self.tls_policies = make_policies(self.settings.tls_policy, self.resolver, self.clock, Kept(self))
        self.spool = Spool(self)
        self.rspamd = Rspamd(self.settings.rspamd)
        self.teacher = Teacher(self.settings.rspamd, self.rspamd, self.store, self.clock)
        self.rates = Rates(self.settings.smtp.max_recipients_per_hour)
        per_client = self.settings.smtp.max_client_recipients_per_hour
        self.client_rates = Rates(per_client) if per_client else None
        self.shares = Shares(self.store)
        self.dmarc_reports = make_dmarc_reporter(self)
        self.tls_reports = make_reporter(self)
        self.retention = Retention(self)
        self.quota = QuotaWarner(self)
