"""Where a domain wants reports about it, and what places elsewhere say to that."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.harness.zone import Zone

from mailpod.authres.places import Place, places, wanted
from mailpod.dns.answers import DnsError


@pytest.mark.parametrize(
    ("rua", "found"),
    [
        ("mailto:a@b.example", [Place("a@b.example")]),
        ("MAILTO:a@b.example , mailto:c@d.example", [Place("a@b.example"), Place("c@d.example")]),
        ("mailto:a@b.example!10m", [Place("a@b.example", 10 << 20)]),
        ("mailto:a@b.example!500", [Place("a@b.example", 500)]),
        ("mailto:a@b.example!2K", [Place("a@b.example", 2048)]),
        ("mailto:a%21b@b.example?subject=x", [Place("a!b@b.example")]),
        ("https://b.example/reports, mailto:a@b.example", [Place("a@b.example")]),
        ("mailto:a@b.example!lots", []),
        ("mailto:a, mailto:@b, mailto:a@b c@d, a@b.example", []),
        ("mailto:a@b.example%0D%0ABcc:x@y.example", []),
        (",".join(f"mailto:a{n}@b.example" for n in range(9)), [Place(f"a{n}@b.example") for n in range(4)]),
    ],
)
def test_places(rua: str, found: list[Place]) -> None:
    assert list(places(rua)) == found


@given(st.text(max_size=80) | st.text("mailto:@.!%,ab01k", max_size=60))
def test_any_tag(rua: str) -> None:
    assert all(place.address.isprintable() and "@" in place.address for place in places(rua))


@pytest.mark.parametrize(
    ("records", "found"),
    [
        (['_dmarc.a.example TXT "v=DMARC1; rua=mailto:r@a.example"'], ["r@a.example"]),
        (['_dmarc.a.example TXT "v=DMARC1; rua=mailto:r@mail.a.example"'], ["r@mail.a.example"]),
        (['_dmarc.a.example TXT "v=DMARC1; p=none"'], []),
        (['_dmarc.a.example TXT "v=DMARC1; rua=mailto:r@far.example"'], []),
        (
            [
                '_dmarc.a.example TXT "v=DMARC1; rua=mailto:r@far.example, mailto:r@a.example"',
                'a.example._report._dmarc.far.example TXT "v=DMARC1"',
            ],
            ["r@far.example", "r@a.example"],
        ),
        (
            [
                '_dmarc.a.example TXT "v=DMARC1; rua=mailto:r@far.example"',
                'a.example._report._dmarc.far.example TXT "v=DMARC1; rua=mailto:other@far.example"',
            ],
            ["other@far.example"],
        ),
        (
            [
                '_dmarc.a.example TXT "v=DMARC1; rua=mailto:r@far.example"',
                'a.example._report._dmarc.far.example TXT "v=DMARC1; rua=mailto:victim@bank.example"',
            ],
            [],
        ),
        (
            [
                '_dmarc.a.example TXT "v=DMARC1; rua=mailto:r@far.example"',
                'a.example._report._dmarc.far.example TXT "yes please"',
            ],
            [],
        ),
    ],
)
async def test_who_is_elsewhere_must_agree(records: list[str], found: list[str]) -> None:
    zone = Zone(*records)
    assert [place.address for place in await wanted(zone.resolver(), "a.example")] == found


async def test_who_cannot_be_asked_has_not_agreed() -> None:
    zone = Zone('_dmarc.a.example TXT "v=DMARC1; rua=mailto:r@far.example, mailto:r@a.example"')
    zone.failing.add("a.example._report._dmarc.far.example")
    assert [place.address for place in await wanted(zone.resolver(), "a.example")] == ["r@a.example"]
    zone.failing.add("_dmarc.b.example")
    with pytest.raises(DnsError):
        await wanted(zone.resolver(), "b.example")
