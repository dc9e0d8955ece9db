"""The openspf.org test suite for RFC 7208 (rfc7208-tests.yml, release 2014.04).

It is a part of pyspf 2.0.14, unchanged, under the Python Software Foundation License.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dns.rdata
import dns.rdataclass
import dns.rdatatype
import pytest
import yaml
from dns.rdtypes.ANY.TXT import TXT

from mailpod.authres.spf import check_host
from mailpod.clock import SystemClock
from mailpod.dns.answers import LookupFailed, NoData, NoSuchName
from mailpod.dns.resolver import Resolver
from mailpod.dns.settings import DnsSettings
from mailpod.dns.upstream import Found

SUITE = Path(__file__).with_name("rfc7208-tests.yml")


class SuiteZone:
    """The suite's zone data: a list of records a name, some of which time out."""

    def __init__(self, data: dict[Any, Any]) -> None:
        self._data = {str(name).lower(): records for name, records in data.items()}

    async def ask(self, name: str, type: str) -> Found:
        for _ in range(10):
            records = self._data.get(name)
            if records is None:
                raise NoSuchName(name)
            if "TIMEOUT" in records and not self._of(records, type):
                raise LookupFailed(name)
            if self._of(records, type) or not self._of(records, "CNAME"):
                break
            name = self._of(records, "CNAME")[0].rstrip(".").lower()
        found = self._of(records, type)
        if "TIMEOUT" in found:
            raise LookupFailed(name)
        if not found:
            raise NoData(name)
        return Found(tuple(filter(None, (_rdata(type, value) for value in found))), name, 60.0, False)

    def _of(self, records: list[Any], type: str) -> list[Any]:
        found = [
            value for record in records if isinstance(record, dict) for key, value in record.items() if key == type
        ]
        if type == "TXT" and not found:  # the suite writes SPF for records of both types
            found = [v for record in records if isinstance(record, dict) for k, v in record.items() if k == "SPF"]
        return [value for value in found if value != "NONE"]


def _rdata(type: str, value: Any) -> dns.rdata.Rdata | None:
    if type == "TXT":
        strings = [value] if isinstance(value, str) else value
        return TXT(dns.rdataclass.IN, dns.rdatatype.TXT, [string.encode("utf-8") for string in strings] or [b""])
    elif type == "MX":
        text = f"{value[0]} {value[1].rstrip('.')}." if value[1] else f"{value[0]} ."
    elif type in ("PTR", "CNAME"):
        text = f"{value.rstrip('.')}."
    else:
        text = value
    return dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.from_text(type), text)


def cases() -> Iterator[Any]:
    for section in yaml.safe_load_all(SUITE.read_text("utf-8")):
        for name, test in section["tests"].items():
            yield pytest.param(section["zonedata"], test, id=name)


@pytest.mark.parametrize(("zone", "test"), list(cases()))
async def test_suite(zone: dict[str, Any], test: dict[str, Any]) -> None:
    resolver = Resolver(DnsSettings(), SystemClock(), SuiteZone(zone))
    found = await check_host(resolver, test["host"], test.get("mailfrom") or "", test["helo"])
    wanted = test["result"] if isinstance(test["result"], list) else [test["result"]]
    assert found.result in wanted, found
