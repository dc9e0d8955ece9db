"""dnsRecords and DNSReady of a MailDomain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mailoperator import dnscheck
from mailoperator.clusterkeys import ClusterKeys
from mailoperator.conditions import Condition
from mailoperator.dnscheck import DnsChecker, Resolves
from mailoperator.dnsrecords import DnsInputs, Record, bounded, records
from mailoperator.kube import Raw
from mailoperator.model import MailDomain

_ORDER: Final[dict[Resolves, int]] = {"False": 0, "Unknown": 1, "True": 2}


class ClusterDns:
    """`context.Dns`. `checker` None: records are told and not looked up."""

    def __init__(self, keys: ClusterKeys, checker: DnsChecker | None) -> None:
        self._keys, self._checker = keys, checker

    async def check(
        self, domain: MailDomain, host: MailDomain, addresses: Sequence[str]
    ) -> tuple[list[Raw], Condition]:
        """The records, those that are missing first, and the condition. Never raises."""
        wanted = records(
            DnsInputs(
                domain=domain.spec.domain_name,
                hostname=domain.hostname,
                aliases=domain.spec.alias_domains,
                addresses=addresses,
                outbound=host.spec.outbound.addresses if host.spec.outbound else (),
                dkim=self._keys.published(host, domain.spec.domain_name),
                protocols=domain.spec.mailbox_defaults.protocols,
                mta_sts=(domain.spec.mta_sts_policy or "").lower(),
            )
        )
        if self._checker is None:
            return [_raw(record, "Unknown") for record in bounded(wanted)], dnscheck.not_checked()
        found = await self._checker.check(wanted)
        ordered = sorted(zip(wanted, found, strict=True), key=lambda pair: _ORDER[pair[1]])
        resolves = dict(ordered)
        shown = bounded([record for record, _ in ordered])
        return [_raw(record, resolves[record]) for record in shown], dnscheck.condition(wanted, found)


def _raw(record: Record, resolves: Resolves) -> Raw:
    return {"type": record.type, "name": record.name, "value": record.value, "resolves": resolves}
