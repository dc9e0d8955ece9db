"""DMARC: the tree walk, alignment, and what the author's domain wants (RFC 9989 §4)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.harness.zone import Zone

from mailpod.authres.dkim import Dkim
from mailpod.authres.dmarc import evaluate, organisational_domain, parse_record, walked
from mailpod.authres.spf import Spf

FAIL = Spf("fail", "bad.example")


def test_a_walk_is_at_most_eight_names() -> None:
    assert list(walked("mail.example.com")) == ["mail.example.com", "example.com", "com"]
    long = list(walked("a.b.c.d.e.f.g.h.i.j.mail.example.com"))
    assert long[:3] == ["a.b.c.d.e.f.g.h.i.j.mail.example.com", "g.h.i.j.mail.example.com", "h.i.j.mail.example.com"]
    assert len(long) == 8 and long[-1] == "com"


@pytest.mark.parametrize(
    ("domain", "organisation"),
    [
        ("a.mail.example.com", "example.com"),
        ("example.com", "example.com"),
        ("nothing.example.net", "nothing.example.net"),
        ("cust.bank", "cust.bank"),
        ("mail.cust.bank", "cust.bank"),
        ("bank", "bank"),
        ("x.branch.example.org", "branch.example.org"),
    ],
)
async def test_organisational_domain(domain: str, organisation: str) -> None:
    zone = Zone(
        '_dmarc.mail.example.com TXT "v=DMARC1; p=none"',
        '_dmarc.example.com TXT "v=DMARC1; p=none"',
        '_dmarc.bank TXT "v=DMARC1; p=reject; psd=y"',
        '_dmarc.branch.example.org TXT "v=DMARC1; p=none; psd=n"',
        '_dmarc.example.org TXT "v=DMARC1; p=none"',
    )
    assert await organisational_domain(zone.resolver(), domain) == organisation


@pytest.mark.parametrize(
    ("record", "spf", "signatures", "result"),
    [
        ("p=reject", Spf("pass", "example.com"), [], "pass"),
        ("p=reject", Spf("pass", "bounces.example.com"), [], "pass"),
        ("p=reject; aspf=s", Spf("pass", "bounces.example.com"), [], "fail"),
        ("p=reject", Spf("pass", "example.org"), [], "fail"),
        ("p=reject", Spf("softfail", "example.com"), [], "fail"),
        ("p=reject", FAIL, [Dkim("pass", "example.com")], "pass"),
        ("p=reject", FAIL, [Dkim("fail", "example.com"), Dkim("pass", "mail.example.com")], "pass"),
        ("p=reject; adkim=s", FAIL, [Dkim("pass", "mail.example.com")], "fail"),
        ("p=reject", FAIL, [Dkim("pass", "example.com.evil.example"), Dkim("policy", "example.com")], "fail"),
        ("p=reject", Spf("temperror", "example.com"), [], "temperror"),
        ("p=reject", Spf("temperror", "example.org"), [], "fail"),
        ("p=reject", FAIL, [Dkim("temperror", "example.com")], "temperror"),
        ("p=reject", FAIL, [Dkim("temperror", "evil.example")], "fail"),
        ("p=reject; nonsense; aspf=s; =; aspf=r", Spf("pass", "bounces.example.com"), [], "fail"),
    ],
)
async def test_alignment(record: str, spf: Spf, signatures: list[Dkim], result: str) -> None:
    zone = Zone(f'_dmarc.example.com TXT "v=DMARC1; {record}"')
    assert (await evaluate(zone.resolver(), "example.com", spf, signatures)).result == result


@pytest.mark.parametrize(
    ("author", "record", "wanted"),
    [
        ("example.com", "p=reject", "reject"),
        ("example.com", "p=quarantine", "quarantine"),
        ("example.com", "p=none", "none"),
        ("example.com", "p=reject; t=y", "quarantine"),
        ("example.com", "p=quarantine; t=y", "none"),
        ("example.com", "sp=reject", "none"),
        ("example.com", "p=nonsense", "none"),
        ("mail.example.com", "p=none; sp=reject", "reject"),
        ("mail.example.com", "p=reject; np=none", "reject"),
        ("gone.example.com", "p=none; np=reject", "reject"),
        ("gone.example.com", "p=reject; sp=none", "none"),
    ],
)
async def test_what_is_wanted(author: str, record: str, wanted: str) -> None:
    zone = Zone(f'_dmarc.example.com TXT "v=DMARC1; {record}"', "mail.example.com A 192.0.2.1")
    assert (await evaluate(zone.resolver(), author, FAIL, [])).wanted == wanted


async def test_a_foreign_dns_that_does_not_answer_leaves_the_policy_in_force() -> None:
    zone = Zone('_dmarc.example.com TXT "v=DMARC1; p=reject"')
    zone.failing |= {"_dmarc.evil.example", "_dmarc.example", "evil.example"}
    for spf in (Spf("temperror", "evil.example"), Spf("pass", "evil.example")):
        verdict = await evaluate(zone.resolver(), "example.com", spf, [Dkim("temperror", "evil.example")])
        assert (verdict.result, verdict.wanted) == ("fail", "reject")


async def test_none_and_temperror() -> None:
    zone = Zone('_dmarc.twice.example TXT "v=DMARC1; p=reject"', '_dmarc.twice.example TXT "v=DMARC1; p=none"')
    zone.failing.add("_dmarc.broken.example")
    for author, result in (("nowhere.example", "none"), ("twice.example", "none"), ("broken.example", "temperror")):
        assert (await evaluate(zone.resolver(), author, FAIL, [])).result == result


@given(st.binary(max_size=100) | st.text(max_size=60).map(lambda text: f"v=DMARC1; {text}".encode()))
def test_any_record(raw: bytes) -> None:
    policy = parse_record(raw, "example.com")
    assert policy is None or policy.policy in ("none", "quarantine", "reject")
