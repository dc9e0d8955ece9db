"""What a reconciliation is given, and what it asks of the other parts: signatures, and nothing of their insides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol, TypeAlias

from mailoperator.build.inputs import BucketInputs
from mailoperator.conditions import Condition
from mailoperator.events import Events
from mailoperator.kube import MANAGER
from mailoperator.leader import Leader
from mailoperator.model import Mailbox, MailDomain
from mailoperator.rollouts import Rollouts
from mailoperator.settings import OperatorSettings
from mailoperator.world import Key, World
from mailpod.clock import Clock
from mailpod.directory import LATER, Entry

Raw: TypeAlias = dict[str, Any]
Job: TypeAlias = tuple[Literal["MailDomain", "Mailbox", "Directory"], Key]
"""What the queue holds: an object to reconcile, or a host whose whole directory is to be compared."""

API: Final = "mailpod.dev/v1alpha1"
PAUSED: Final = "mailpod.dev/paused"
RECONCILE_AT: Final = "mailpod.dev/reconcile-at"
APPROVE: Final = "mailpod.dev/approve-withdrawal"


class KubeApi(Protocol):
    """`Kube`, or a fake of it."""

    async def get(self, api_version: str, kind: str, namespace: str | None, name: str) -> Raw | None: ...
    async def list(self, api_version: str, kind: str, namespace: str | None, *, labels: str = "") -> list[Raw]: ...
    async def apply(self, obj: Raw, *, force: bool = True, manager: str = MANAGER) -> Raw: ...
    async def apply_status(self, obj: Raw) -> Raw: ...
    async def merge(self, obj: Raw, patch: Raw) -> Raw: ...
    async def create(self, obj: Raw) -> Raw: ...
    async def update(self, obj: Raw) -> Raw: ...
    async def delete(
        self, api_version: str, kind: str, namespace: str | None, name: str, *, uid: str | None = None
    ) -> None: ...
    async def event(self, regarding: Raw, *, type: Literal["Normal", "Warning"], reason: str, note: str) -> None: ...
    async def has_api(self, group_version: str, kind: str) -> bool: ...
    async def version(self) -> Raw: ...


class StorageFailed(Exception):
    """The bucket cannot be used now; `condition` says why."""

    def __init__(self, condition: Condition) -> None:
        super().__init__(condition.message)
        self.condition = condition


@dataclass(frozen=True, slots=True)
class StorageReport:
    """What became of a host's bucket; `bucket` is None where nothing can be said of it."""

    condition: Condition
    bucket: BucketInputs | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What an account holds; `damage`: why it is read-only."""

    bytes: int
    messages: int
    damage: str = ""


class Plane(Protocol):
    """The buckets of hosts and the directories in them. Each method may raise StorageFailed, and can be repeated."""

    async def prepare(self, host: MailDomain) -> StorageReport:
        """Bucket, probe and claim; cheap where all that is done."""

    async def directory_keys(self) -> tuple[str, ...]:
        """Public keys that pods trust: base64."""

    async def publish(
        self, host: MailDomain, entries: Sequence[Entry], living: Callable[[str], bool], planned: float
    ) -> list[tuple[str, str]]:
        """Bring these entries in line; addresses left alone since they are a living other's, and that one's uid.

        `planned`: Clock.elapsed before the first was looked at that the entries follow from. Whose were withdrawn, or
        closed, since then gets none.
        """

    async def withdraw(self, host: MailDomain, owner: str, entries: Sequence[Entry]) -> None:
        """Take back what `owner` published, and those of `entries` that are its."""

    async def compare(
        self,
        host: MailDomain,
        entries: Sequence[Entry],
        approved: str | None,
        living: Callable[[str], bool],
        planned: float,
    ) -> str | None:
        """Make the directory exactly that; the brake's words where it held (rule 34). What a `living` owner without
        entries has is left alone (rule 39). `planned` as in `publish`."""

    async def close(self, host: MailDomain, domain: str, local: str, owner: str) -> None:
        """End an account: refused at once, its purge recorded."""

    async def usage(self, host: MailDomain, entries: Sequence[Entry]) -> Mapping[str, Usage]:
        """What mailboxes hold, by the entry's address; those not read are left out."""


class Keys(Protocol):
    """Certificates, DKIM keys and the key Secrets that pods mount."""

    async def ensure(self, host: MailDomain, members: Sequence[MailDomain]) -> Mapping[Key, Condition]:
        """Pack all keys of a host's domains into its Secrets; CertificateReady of each domain. Raises ApiError."""

    def forget(self, host: str) -> None:
        """The host with this uid has gone."""


class Dns(Protocol):
    """The records that a domain should have."""

    async def check(
        self, domain: MailDomain, host: MailDomain, addresses: Sequence[str]
    ) -> tuple[list[Raw], Condition]:
        """dnsRecords of the status, and DNSReady. Never raises."""


@dataclass(frozen=True, slots=True)
class PasswordReport:
    """`verifiers` is empty where nobody can log in; `secret` is named in the status."""

    condition: Condition
    secret: str = ""
    verifiers: tuple[str, ...] = ()


class Passwords(Protocol):
    """Where a Mailbox's verifier comes from."""

    async def report(self, mailbox: Mailbox) -> PasswordReport:
        """Of the Secret that it refers to, or of one that is generated. Raises ApiError."""


@dataclass(slots=True)
class Context:
    """Everything of one operator."""

    kube: KubeApi
    world: World
    settings: OperatorSettings
    clock: Clock
    leader: Leader
    events: Events
    plane: Plane
    keys: Keys
    dns: Dns
    passwords: Passwords
    enqueue: Callable[[Job, float], None]
    """Look at a job again, in so many seconds."""
    see: Callable[[str | None, Raw], None]
    """Take in what a write of ours was answered with, as if a watch had told it: others may wait for it."""
    rollouts: Rollouts = field(default_factory=Rollouts)
    served: dict[Key, tuple[str, int]] = field(default_factory=dict)
    """Uid and generation of each MailDomain without pods of its own that has no children left from before."""
    current: set[Key] = field(default_factory=set)
    """Hosts all of whose pods are known to be of this installation's own image, and so to read what it writes."""
    certificates: dict[Key, Condition] = field(default_factory=dict)
    """CertificateReady of each MailDomain, as its host's reconciliation found it."""
    usage: dict[str, Usage] = field(default_factory=dict)
    """By a Mailbox's uid, as the last sweep found it (rule 2)."""
    brakes: dict[Key, str] = field(default_factory=dict)
    """Hosts whose comparison stopped, and its words."""

    def reads(self, host: Key) -> tuple[str, ...]:
        """Which later operations of the log every pod of a host is known to read."""
        return LATER if host in self.current else ()
