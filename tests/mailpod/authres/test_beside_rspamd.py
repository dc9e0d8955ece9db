"""Some hundred letters are judged by Mailpod and by Debian's rspamd over one resolver: where they differ is named."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.harness import rspamd
from tests.mailpod.authres.letters import DMARC, NOW, SIGNINGS, SPF, Letter, letters, zone
from tests.operator import unbound

from mailpod.authres.check import Arrival, check
from mailpod.authres.settings import AuthresSettings
from mailpod.clock import SystemClock
from mailpod.dns.resolver import Resolver
from mailpod.dns.settings import DnsSettings
from mailpod.rspamd.client import Rspamd
from mailpod.rspamd.protocol import request_headers
from mailpod.rspamd.settings import RspamdSettings
from mailpod.smtp.senders import author_domains

US = "mx.example.com"
CONFIG = 'dmarc {} spf {} dkim { time_jitter = 0; } milter_headers { use = ["authentication-results"]; }'

# What rspamd has otherwise, and the line by which Mailpod has it so
SPF_DIFFERS = {
    "two records": "RFC 7208 §4.5: more than one record is a permerror; rspamd takes one of them",
    "another version": "RFC 7208 §4.5: v=spf10 is no v=spf1; rspamd reads it as one",
    "a network that is none": "RFC 7208 §4.6: a syntax error anywhere is a permerror; rspamd goes on behind it",
    "an error after the match": "RFC 7208 §4.6: the record is read whole before any of it counts",
    "a mechanism that is none": "RFC 7208 §4.6: an unknown mechanism is a syntax error",
    "include of nothing": "RFC 7208 §5.2: an include of none is a permerror",
    "include of an error": "RFC 7208 §5.2: an include of a permerror is one",
    "itself": "RFC 7208 §4.6.4: more than ten terms that ask the DNS are a permerror",
    "eleven terms": "RFC 7208 §4.6.4",
    "nothing there three times": "RFC 7208 §4.6.4: more than two void look-ups are a permerror",
}
DKIM_DIFFERS = {
    "no key": "RFC 6376 §6.1.2, 3: PERMFAIL, no key; rspamd says none, which is for mail that is not signed (RFC 8601)",
    "a key revoked": "RFC 6376 §6.1.2, 7: must be treated as a failed signature check; rspamd says none",
    "two keys": "RFC 6376 §3.6.2.2: undefined; rspamd takes the one that comes first, which may be anybody's",
    "a key for sha1": "RFC 6376 §6.1.2, 6: PERMFAIL, inappropriate hash algorithm; rspamd does not look at h=",
    "a key not for mail": "RFC 6376 §3.6.1, s=: the record must be ignored; rspamd does not look at s=",
    "a key of another kind": "RFC 6376 §6.1.2, 8: PERMFAIL, inappropriate key algorithm; rspamd says none",
    "a key of another version": "RFC 6376 §3.6.1, v=: other versions must be discarded",
    "a key that is none": "RFC 6376 §6.1.2, 5: PERMFAIL, key syntax error; rspamd says none",
    "a record that is none": "RFC 6376 §6.1.2, 5",
    "expired": "RFC 6376 §3.5, x=: may be held invalid, which is RFC 8601's policy; rspamd drops the signature",
    "a subdomain may not": "RFC 6376 §3.6.1, t=s: i= and d= must be the same; rspamd does not look",
    "an agent elsewhere": "RFC 6376 §6.1.1: i= must be within d=, else PERMFAIL, domain mismatch",
    "From is not signed": "RFC 6376 §6.1.1: PERMFAIL; rspamd drops the signature",
    "half the body": "RFC 6376 §8.2: what follows the part that is signed can be anybody's; ours is policy",
    "more than the body": "RFC 6376 §3.5, l=: must not be larger than the body",
    "rsa-sha1": "RFC 8301 §3.1: must not be considered valid, and is policy here; rspamd drops the signature",
    "an algorithm that is none": "RFC 6376 §3.3: ignored; said as neutral (RFC 8601 §2.7.1), rspamd says nothing",
    "version 2": "RFC 6376 §6.1.1: PERMFAIL, incompatible version; rspamd drops the signature",
    "a canonical form that is none": "RFC 6376 §3.5, c=; rspamd drops the signature",
}
DMARC_DIFFERS = {
    "two records": "RFC 9989 §4.10: several are none; rspamd says permerror",
    "a policy that is none": "RFC 9989 §4.7: what is malformed is its default, p=none; rspamd says permerror",
}
ODD = {"two From fields": "RFC 9989 §11.5: nobody can say whose it is; permerror and Junk here, none with rspamd"}
EXPECTED = {
    *(f"SPF {name}" for name in SPF_DIFFERS),
    *(f"DKIM {name}" for name in DKIM_DIFFERS),
    *(f"DMARC {name}" for name in DMARC_DIFFERS),
    *ODD,
}
BY_CHANCE = {"DKIM two keys"}  # the one that comes first may be the right one


def said(field: bytes) -> dict[str, object]:
    """An Authentication-Results field: SPF's and DMARC's result, each signature's, and the policy that failed."""
    text = " ".join(field.decode().partition(":")[2].split())
    policies = re.findall(r"\((?:policy|p)=(\w+)\)", text)
    while (shorter := re.sub(r"\([^()]*\)", "", text)) != text:
        text = shorter
    found: dict[str, object] = {}
    signatures = []
    for part in text.split(";")[1:]:
        method, _, rest = part.strip().partition("=")
        properties = dict(word.split("=", 1) for word in rest.split() if "=" in word)
        if method == "dkim":
            signatures.append((rest.split()[0], properties.get("header.d", ""), properties.get("header.s", "")))
        else:
            found[method] = rest.split()[0]
    if found.get("dmarc") == "fail":
        found["policy"] = policies[-1]
    return {**found, "dkim": sorted(signatures)}


def kind(letter: Letter) -> str:
    return re.split("[,:] ", letter.what)[0] if letter.what.startswith(("SPF ", "DKIM ", "DMARC ")) else letter.what


def test_all_ways_are_asked_about() -> None:
    assert len(letters()) > 350
    assert set(SPF_DIFFERS) <= set(SPF) and set(DKIM_DIFFERS) <= set(SIGNINGS) and set(DMARC_DIFFERS) <= set(DMARC)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A resolver that has the letters' zones, and rspamd that asks it."""
    folder: Path = tmp_path_factory.mktemp("unbound")
    with (
        unbound.running(folder, zone(), zones=("example.", "2.0.192.in-addr.arpa."), refused=("failing.",)) as resolver,
        rspamd.running(
            filters="dkim,spf",
            plugins=("spf", "dmarc", "milter_headers"),
            resolver=resolver,
            suffixes=("com", "example", "failing"),
            more=CONFIG,
        ) as found,
    ):
        yield resolver, found.url


@pytest.mark.slow
async def test_mailpod_and_rspamd_agree_but_where_an_rfc_decides(servers: tuple[str, str]) -> None:
    resolver = Resolver(DnsSettings(resolver=servers[0]), SystemClock())
    client = Rspamd(RspamdSettings(url=servers[1]))
    slots = asyncio.Semaphore(8)

    async def judged(letter: Letter) -> tuple[dict[str, object], dict[str, object]]:
        async with slots:
            headers = request_headers(
                client=letter.client,
                helo=letter.helo,
                sender=letter.sender,
                recipients=["x@far.example"],
                queue_id="1",
                server=US,
            )
            opinion = await client.ask(letter.content, headers)
            authors = author_domains(letter.content)
            arrival = Arrival(letter.client, letter.helo, letter.sender, letter.content, authors)
            verdict = await check(arrival, resolver, AuthresSettings(), server=US, now=NOW)
            assert opinion is not None
            return said(verdict.field), said(opinion.fields)

    asked = letters()
    outcomes = await asyncio.gather(*map(judged, asked))
    await client.close()
    differ = {letter.what: pair for letter, pair in zip(asked, outcomes, strict=True) if pair[0] != pair[1]}
    kinds = {kind(letter) for letter in asked if letter.what in differ}
    unnamed = {what: pair for what, pair in differ.items() if not any(what.startswith(name) for name in EXPECTED)}
    assert unnamed == {}
    assert EXPECTED - kinds <= BY_CHANCE
    assert len(asked) - len(differ) > 280
