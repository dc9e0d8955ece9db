"""The other parts of the operator in memory: a directory, keys, DNS and passwords that remember what was asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from tests.operator.fakekube import FakeKube, Killed

from mailoperator import conditions as c
from mailoperator.build.inputs import BucketInputs
from mailoperator.conditions import Condition
from mailoperator.context import API, PasswordReport, StorageFailed, StorageReport, Usage
from mailoperator.leader import Leader
from mailoperator.model import Mailbox, MailDomain
from mailoperator.operator import Operator
from mailoperator.settings import OperatorSettings
from mailoperator.world import Key, World
from mailpod.clock import SystemClock
from mailpod.directory import DomainEntry, Entry

Raw: TypeAlias = dict[str, Any]


class FakePlane:
    """One bucket for all. Writes are counted with the API's, so that one number kills both."""

    def __init__(self, kube: FakeKube) -> None:
        self._kube = kube
        self.entries: dict[str, Entry] = {}
        self.closed: list[tuple[str, str]] = []
        self.condition = c.good(c.STORAGE_READY)
        self.compared = 0
        self.used: dict[str, Usage] = {}

    async def prepare(self, host: MailDomain) -> StorageReport:
        return StorageReport(self.condition, BucketInputs("mail", host.metadata.name))

    async def directory_keys(self) -> tuple[str, ...]:
        return ("A" * 43 + "=",)

    async def publish(
        self, host: MailDomain, entries: Sequence[Entry], living: Callable[[str], bool], planned: float
    ) -> list[tuple[str, str]]:
        self._check()
        conflicts = []
        for entry in entries:
            there = self.entries.get(_name(entry))
            if there is not None and there.owner != entry.owner and living(there.owner):
                conflicts.append((_name(entry), there.owner))
            elif there != entry:
                self._write(f"publish {_name(entry)}")
                self.entries[_name(entry)] = entry
        return conflicts

    async def withdraw(self, host: MailDomain, owner: str, entries: Sequence[Entry]) -> None:
        self._check()
        for name in [name for name, entry in self.entries.items() if entry.owner == owner]:
            self._write(f"withdraw {name}")
            del self.entries[name]

    async def compare(
        self,
        host: MailDomain,
        entries: Sequence[Entry],
        approved: str | None,
        living: Callable[[str], bool],
        planned: float,
    ) -> str | None:
        self._check()
        self.compared += 1
        return None

    async def close(self, host: MailDomain, domain: str, local: str, owner: str) -> None:
        self._check()
        if (local, domain) not in self.closed:
            self._write(f"close {local}@{domain}")
            self.closed.append((local, domain))

    async def usage(self, host: MailDomain, entries: Sequence[Entry]) -> Mapping[str, Usage]:
        return self.used

    def _check(self) -> None:
        if not self.condition.holds:
            raise StorageFailed(self.condition)

    def _write(self, what: str) -> None:
        if self._kube.die_after is not None and len(self._kube.log) >= self._kube.die_after:
            raise Killed
        self._kube.log.append(("bucket", what, ""))


class FakeParts:
    """Keys, DNS and passwords: all is well."""

    def __init__(self) -> None:
        self.forgotten: list[str] = []
        self.password = Condition(c.PASSWORD_READY, "True", c.AS_WANTED, "in Secret p")

    async def ensure(self, host: MailDomain, members: Sequence[MailDomain]) -> Mapping[Key, Condition]:
        return {domain.key: c.good(c.CERTIFICATE_READY) for domain in [host, *members]}

    def forget(self, host: str) -> None:
        self.forgotten.append(host)

    async def check(
        self, domain: MailDomain, host: MailDomain, addresses: Sequence[str]
    ) -> tuple[list[Raw], Condition]:
        return [], c.unknown(c.DNS_READY)

    async def report(self, mailbox: Mailbox) -> PasswordReport:
        return PasswordReport(self.password, "p", ("verifier",) if self.password.holds else ())


def make_operator(kube: FakeKube, plane: FakePlane, parts: FakeParts, **settings: Any) -> Operator:
    """A new process: nothing is remembered but what the API and the bucket hold."""
    made = OperatorSettings(pod_name="one", namespace="mailpod-system", sweep_seconds=3600, **settings)
    clock = SystemClock()
    leader = Leader(
        kube, namespace=made.namespace, name=made.lease_name, identity=made.pod_name, seconds=15, clock=clock
    )
    return Operator(
        kube, made, clock, leader=leader, world=World(), plane=plane, keys=parts, dns=parts, passwords=parts
    )


def domain(name: str, domain_name: str, **spec: Any) -> Raw:
    metadata = {"name": name, "namespace": "n"}
    return {"apiVersion": API, "kind": "MailDomain", "metadata": metadata, "spec": {"domainName": domain_name, **spec}}


def mailbox(name: str, of: str, **spec: Any) -> Raw:
    metadata = {"name": name, "namespace": "n"}
    return {"apiVersion": API, "kind": "Mailbox", "metadata": metadata, "spec": {"domainRef": {"name": of}, **spec}}


def _name(entry: Entry) -> str:
    return entry.name if isinstance(entry, DomainEntry) else entry.address
