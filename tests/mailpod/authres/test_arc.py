"""ARC: ValiMail's arc_test_suite (as in libmail-dkim-perl 1.20240923, unchanged), what we seal, and whom we believe."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dkim
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from tests.harness.zone import Zone

from mailpod.authres.arc import Arc, verify_chain, vouched
from mailpod.authres.arcsets import BadChain, chain_of, find_sets
from mailpod.authres.dkim import Verifier
from mailpod.authres.settings import AuthresSettings
from mailpod.dkim.sealing import Chain, arc_set
from mailpod.dkim.signing import SigningKey

SUITE = Path(__file__).with_name("arc_test_suite")
# rsa-sha1 and keys of 512 bits, which RFC 8301 took out
OUTDATED = {"as_fields_b_512", "ams_fields_a_sha1", "as_fields_a_sha1"}


def cases() -> Iterator[Any]:
    text = (SUITE / "arc-draft-validation-tests.yml").read_text("utf-8")
    for section in yaml.load_all(text, Loader=yaml.CSafeLoader):  # libyaml: a tenth of the time
        for name, test in section["tests"].items():
            yield pytest.param(section.get("txt-records") or {}, test, id=name)


def resolver_of(records: dict[str, str]) -> Any:
    zone = Zone()
    for name, text in records.items():
        whole = "".join(text.splitlines())
        zone.add(f"{name} TXT " + " ".join(f'"{whole[at : at + 200]}"' for at in range(0, len(whole), 200)))
    return zone.resolver()


@pytest.mark.parametrize(("records", "test"), list(cases()))
async def test_suite(records: dict[str, str], test: dict[str, Any], request: pytest.FixtureRequest) -> None:
    message = test["message"].replace("\n", "\r\n").encode()
    found = await verify_chain(Verifier(message, resolver_of(records), AuthresSettings(), 1e9))
    name = request.node.callspec.id
    wanted = "fail" if name in OUTDATED else (test["cv"] or "fail").strip().lower()
    assert found.result == wanted, (found.reason, test["description"])


KEY = SigningKey("sel", "rsa-sha256", rsa.generate_private_key(65537, 1024))
MAIL = b"DKIM-Signature: v=1; x\r\nFrom: Joe <joe@author.example>\r\nSubject: A  \tdinner\r\n\r\nHi.\r\n\r\n"
HOPS = ("one.example", "two.example", "three.example")
RESULTS = b"Authentication-Results: mx.%b;\r\n\tspf=pass smtp.mailfrom=x;\r\n\tdmarc=%b header.from=Author.example\r\n"
_PUBLIC = base64.b64encode(
    KEY.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
).decode()
RECORD = f"v=DKIM1; k=rsa; p={_PUBLIC}"


async def verified(message: bytes) -> Arc:
    zone = Zone(*(f'sel._domainkey.{hop} TXT "{RECORD[:200]}" "{RECORD[200:]}"' for hop in HOPS))
    return await verify_chain(Verifier(message, zone.resolver(), AuthresSettings(), 1e9))


async def sealed(message: bytes, *hops: str, dmarc: bytes = b"fail") -> bytes:
    """As `hops` hand it on, one after the other; the first says that DMARC passed."""
    for number, hop in enumerate(hops):
        found = await verified(message)
        assert found.next is not None
        results = RESULTS % (hop.encode(), dmarc if number else b"pass")
        chain = Chain(found.next, found.result, found.sealed, results)
        message = arc_set(message, chain, KEY, domain=hop, seconds=1e9) + message
    return message


async def test_what_we_seal_passes_here_and_with_dkimpy() -> None:
    message = await sealed(MAIL, *HOPS)
    found = await verified(message)
    assert (found.result, found.reason, found.next) == ("pass", "", 4)
    assert [one.signature.domain for one in found.sets] == [*HOPS]
    for count in range(1, 4):
        status, _, reason = dkim.arc_verify(await sealed(MAIL, *HOPS[:count]), dnsfunc=lambda *_, **__: RECORD.encode())
        assert status == dkim.CV_Pass, reason


async def test_a_broken_chain_is_sealed_as_such_and_ends() -> None:
    message = (await sealed(MAIL, *HOPS[:2])).replace(b"Hi.", b"Hi!")
    found = await verified(message)
    assert (found.result, found.reason, found.sets) == ("fail", "the body has changed", ())
    ended = await sealed(message, HOPS[2])
    assert ended.startswith(b"ARC-Seal: i=3; a=rsa-sha256; cv=fail; d=three.example;")
    found = await verified(ended)
    assert (found.result, found.reason, found.next) == ("fail", "the last hop found it broken", None)


async def test_a_chain_has_fifty_sets_at_most() -> None:
    first = await sealed(MAIL, HOPS[0])
    assert (await verified(first.replace(b"i=1;", b"i=50;"))).next is None
    found = await verified(first.replace(b"i=1;", b"i=51;"))
    assert (found.result, found.reason, found.next) == ("fail", "too many sets", None)


@pytest.mark.parametrize(
    ("dmarc", "trusted", "believed"),
    [
        (b"fail", HOPS, True),  # by what the first one saw
        (b"fail", HOPS[1:], False),
        (b"fail", (HOPS[0], HOPS[2]), False),
        (b"pass", HOPS[2:], True),
        (b"pass", HOPS[:2], False),
        (b"pass", (), False),
    ],
)
async def test_who_is_believed(dmarc: bytes, trusted: tuple[str, ...], believed: bool) -> None:
    found = await verified(await sealed(MAIL, *HOPS, dmarc=dmarc))
    assert vouched(found, "author.example", trusted) is believed
    assert not vouched(found, "other.example", trusted)
    assert not vouched(Arc("fail", sets=found.sets), "author.example", trusted)


@given(st.lists(st.tuples(st.sampled_from(["Seal", "Message-Signature", "Authentication-Results"]), st.binary())))
def test_any_fields_make_a_chain_or_none(fields: list[tuple[str, bytes]]) -> None:
    found = find_sets([f"ARC-{name}: i=1; ".encode() + value for name, value in fields])
    assert bool(found) is bool(fields)
    with contextlib.suppress(BadChain):
        assert len(chain_of(found)) == found.highest


@pytest.mark.parametrize(
    "value",
    [
        b'spf=fail smtp.mailfrom="x; dmarc=pass header.from=author.example"@y',
        b'spf=fail smtp.mailfrom="\\"; dmarc=pass header.from=author.example"@y',
        b"spf=fail (; dmarc=pass header.from=author.example)",
        b"spf=fail (((; dmarc=pass header.from=author.example)",
        b"dmarc=fail (; dmarc=pass) header.from=author.example",
        b"dmarc=pass header.from=author.example.evil.example",
    ],
)
async def test_what_only_looks_like_a_pass(value: bytes) -> None:
    results = b"Authentication-Results: mx.one.example;\r\n\t" + value + b"\r\n"
    message = arc_set(MAIL, Chain(1, "none", (), results), KEY, domain=HOPS[0], seconds=1e9) + MAIL
    found = await verified(message)
    assert found.result == "pass" and not vouched(found, "author.example", HOPS)
