"""The records a domain needs, and whether they are there: asked of a real resolver."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import dns.zone
import pytest
from tests.operator import unbound
from tests.operator.keykit import NOW, StillClock

from mailoperator import dkim, dnscheck
from mailoperator.dnscheck import DnsChecker, judge
from mailoperator.dnsrecords import MOST_BYTES, MOST_RECORDS, DnsInputs, Record, bounded, records

PAIR = dkim.make([], NOW)
NEXT = replace(PAIR, id="mp20270522")
INPUTS = DnsInputs("example.test", "mail.example.test", addresses=["192.0.2.7", "2001:db8::7"], dkim=[PAIR])


def test_records_of_a_domain() -> None:
    found = {(record.type, record.name): record.value for record in records(INPUTS)}
    assert found["A", "mail.example.test"] == "192.0.2.7"
    assert found["AAAA", "mail.example.test"] == "2001:db8::7"
    assert found["MX", "example.test"] == "10 mail.example.test."
    assert found["TXT", "example.test"] == "v=spf1 mx ~all"
    assert found["TXT", "_dmarc.example.test"].startswith("v=DMARC1; p=")
    assert found["TXT", "mp20261123r._domainkey.example.test"].startswith("v=DKIM1; k=rsa; p=MII")
    assert found["TXT", "mp20261123e._domainkey.example.test"].startswith("v=DKIM1; k=ed25519; p=")
    assert found["SRV", "_submissions._tcp.example.test"] == "0 1 465 mail.example.test."
    assert found["SRV", "_submission._tcp.example.test"] == "10 1 587 mail.example.test."
    assert found["SRV", "_imaps._tcp.example.test"] == "0 1 993 mail.example.test."
    assert found["SRV", "_pop3s._tcp.example.test"] == "10 1 995 mail.example.test."
    assert len(found) == 11


def test_records_follow_what_the_domain_says() -> None:
    asked = replace(
        INPUTS,
        addresses=["lb-1.cloud.test"],
        outbound=["198.51.100.0/24", "2001:db8::9"],
        protocols=["IMAP"],
        aliases=["alias.test"],
        dkim=[PAIR, NEXT],
    )
    found = {(record.type, record.name): record.value for record in records(asked)}
    assert found["CNAME", "mail.example.test"] == "lb-1.cloud.test."
    assert found["TXT", "example.test"] == "v=spf1 mx ip4:198.51.100.0/24 ip6:2001:db8::9 ~all"
    assert ("SRV", "_pop3s._tcp.example.test") not in found
    assert found["MX", "alias.test"] == "10 mail.example.test."
    assert found["CNAME", "mp20270522e._domainkey.alias.test"] == "mp20270522e._domainkey.example.test."
    assert not [record for record in records(replace(INPUTS, addresses=[])) if record.type in ("A", "AAAA", "CNAME")]


def test_a_policy_for_others_tls_has_records_of_its_own() -> None:
    def of(mode: str, hostname: str = "mail.example.test") -> dict[tuple[str, str], str]:
        asked = replace(INPUTS, mta_sts=mode, hostname=hostname, aliases=["alias.test"])
        return {(record.type, record.name): record.value for record in records(asked)}

    found = of("testing")
    assert found["CNAME", "mta-sts.example.test"] == found["CNAME", "mta-sts.alias.test"] == "mail.example.test."
    assert found["TXT", "_smtp._tls.example.test"] == "v=TLSRPTv1; rua=mailto:postmaster@example.test"
    ids = {of(*said)["TXT", "_mta-sts.example.test"] for said in (("testing",), ("enforce",), ("testing", "mx.test"))}
    assert len(ids) == 3 and all(id.startswith("v=STSv1; id=") for id in ids)
    assert ("TXT", "_mta-sts.example.test") not in of("")


def test_any_zone_takes_them() -> None:
    """As a person would paste them, texts cut into strings."""
    dns.zone.from_text(
        "\n".join(zone_lines(records(replace(INPUTS, dkim=[PAIR, NEXT])))), origin="test.", check_origin=False
    )


def test_a_status_has_room() -> None:
    many = records(replace(INPUTS, aliases=[f"{'a' * 60}.{number}.test" for number in range(50)]))
    kept = bounded(many)
    assert kept == many[: len(kept)] and len(kept) == MOST_RECORDS
    assert bounded([Record("TXT", "x", "v" * MOST_BYTES)]) == []


@pytest.mark.parametrize(
    ("record", "values", "answer"),
    [
        (Record("MX", "a", "10 mail.b."), ["20 other.", "10 MAIL.b."], "True"),
        (Record("MX", "a", "10 mail.b."), ["10 other."], "False"),
        (Record("MX", "a", "10 mail.b."), [], "False"),
        (Record("TXT", "a", "v=TLSRPTv1; rua=mailto:p@b"), ["v=TLSRPTv1; rua=https://r.test"], "True"),
        (Record("TXT", "a", "v=TLSRPTv1; rua=mailto:p@b"), ["v=TLSRPTv1;rua=mailto:p@b"] * 2, "False"),
        (Record("TXT", "a", "v=STSv1; id=1"), ["v=STSv1;id=1;"], "True"),
        (Record("TXT", "a", "v=STSv1; id=1"), ["v=STSv1; id=2"], "False"),
        (Record("MX", "a", "10 mail.b."), None, "Unknown"),
        (Record("TXT", "a", "v=spf1 mx ~all"), ["google-site=1", "v=spf1 a mx -all"], "True"),
        (Record("TXT", "a", "v=spf1 mx ~all"), ["v=spf1 +mx ?all"], "True"),
        (Record("TXT", "a", "v=spf1 mx ~all"), ["v=spf1 mx ~all", "v=spf1 -all"], "False"),
        (Record("TXT", "a", "v=spf1 mx ~all"), ["v=spf1 include:_spf.b ~all"], "Unknown"),
        (Record("TXT", "a", "v=spf1 mx ~all"), ["v=spf1 -all"], "False"),
        (Record("TXT", "a", "v=spf1 mx ~all"), [" "], "False"),
        (Record("TXT", "_dmarc.a", "v=DMARC1; p=none"), ["v=DMARC1; p=reject; pct=100"], "True"),
        (Record("TXT", "_dmarc.a", "v=DMARC1; p=none"), ["v=DMARC1; p=none", "v=DMARC1; p=none"], "False"),
        (Record("TXT", "s._domainkey.a", "v=DKIM1; k=rsa; p=AB"), ["v=DKIM1;k=rsa;p=A B;"], "True"),
        (Record("TXT", "s._domainkey.a", "v=DKIM1; k=rsa; p=AB"), ["v=DKIM1; k=rsa; p=CD"], "False"),
        (Record("CNAME", "mail.a", "lb.b."), ["192.0.2.1"], "True"),
        (Record("CNAME", "s._domainkey.a", "s._domainkey.b."), ["v=DKIM1; k=rsa; p=AB"], "True"),
        (Record("CNAME", "s._domainkey.a", "s._domainkey.b."), [], "False"),
    ],
)
def test_what_is_found_is_judged_by_what_it_does(record: Record, values: Sequence[str] | None, answer: str) -> None:
    assert judge(record, values) == answer


def zone_lines(found: Sequence[Record]) -> list[str]:
    lines = []
    for record in found:
        value = record.value
        if record.type == "TXT":
            value = " ".join(f'"{value[start : start + 255]}"' for start in range(0, len(value), 255))
        lines.append(f"{record.name}. 300 IN {record.type} {value}")
    return lines


@pytest.fixture(scope="module")
def resolver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Has what example.test needs, but for its POP3."""
    wanted = [record for record in records(INPUTS) if "_pop3s" not in record.name]
    with unbound.running(tmp_path_factory.mktemp("unbound"), zone_lines(wanted)) as address:
        yield address


async def test_real_resolver_has_all_but_one(resolver: str) -> None:
    checker = DnsChecker(StillClock(), resolver=resolver)
    wanted = records(INPUTS)
    found = dict(zip(wanted, await checker.check(wanted), strict=True))
    missing = [record for record, resolves in found.items() if resolves != "True"]
    assert [record.name for record in missing] == ["_pop3s._tcp.example.test"]
    condition = dnscheck.condition(wanted, list(found.values()))
    assert (condition.type, condition.status, condition.reason) == ("DNSReady", "False", dnscheck.RECORDS_MISSING)
    assert "SRV _pop3s._tcp.example.test" in condition.message
    assert checker.resolves("example.test", PAIR)
    assert not checker.resolves("example.test", NEXT)


async def test_answers_are_remembered_and_missing_ones_less_long(resolver: str) -> None:
    clock = StillClock()
    checker = DnsChecker(clock, resolver=resolver)
    wanted = records(INPUTS)
    await checker.check([*wanted, *wanted])
    asked = checker.queries
    assert asked == len({(record.type, record.name) for record in wanted})
    await checker.check(wanted)
    assert checker.queries == asked
    clock.passed = 61
    await checker.check(wanted)
    assert checker.queries == asked + 1
    clock.passed = 901
    await checker.check(wanted)
    assert checker.queries == asked + 1 + asked


async def test_failure_is_not_absence(resolver: str) -> None:
    """Beyond its zones this resolver answers SERVFAIL; and one that is not there answers nothing."""
    wanted = [Record("MX", "elsewhere.example", "10 mail.elsewhere.example.")]
    assert await DnsChecker(StillClock(), resolver=resolver, timeout=2).check(wanted) == ["Unknown"]
    gone = DnsChecker(StillClock(), resolver="127.0.0.1:1", timeout=0.3)
    found = await gone.check(records(INPUTS))
    assert set(found) == {"Unknown"}
    condition = dnscheck.condition(records(INPUTS), found)
    assert (condition.status, condition.reason) == ("Unknown", dnscheck.RESOLVER_UNAVAILABLE)
    assert not gone.resolves("example.test", PAIR)


async def test_hundreds_of_domains_ask_a_few_at_a_time(resolver: str) -> None:
    checker = DnsChecker(StillClock(), resolver=resolver, at_once=8, entries=500)
    wanted = [record for n in range(100) for record in records(replace(INPUTS, domain=f"d{n}.test", addresses=[]))]
    found = await checker.check(wanted)
    assert set(found) == {"False"}
    assert len(checker._known) <= 500
