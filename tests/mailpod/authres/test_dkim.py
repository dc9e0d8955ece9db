"""DKIM signatures of what comes in: RFC 8463's example, ours, dkimpy's, and everything that is no pass."""

from __future__ import annotations

import base64
import contextlib
import re
from typing import Any

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st
from tests.harness.zone import Zone
from tests.mailpod.dkim import vectors

from mailpod.authres.dkim import Dkim, Verifier, parse_signature
from mailpod.authres.settings import AuthresSettings
from mailpod.authres.tags import BadTags, parse_tags

MAIL = (
    b"From: Joe <joe@example.com>\r\nTo: x@far.example\r\nSubject:  A  \tdinner\r\n\r\nHi.\r\n\r\nWe lost. \r\n\r\n\r\n"
)
KEY = rsa.generate_private_key(65537, 1024)
SETTINGS = AuthresSettings()


def pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def published(key: rsa.RSAPrivateKey, form: str = "spki", tags: str = "v=DKIM1; ") -> str:
    kinds = {"spki": serialization.PublicFormat.SubjectPublicKeyInfo, "pkcs1": serialization.PublicFormat.PKCS1}
    raw = base64.b64encode(key.public_key().public_bytes(serialization.Encoding.DER, kinds[form])).decode()
    text = f"{tags}p={raw}"
    return " ".join(f'"{text[at : at + 200]}"' for at in range(0, len(text), 200))


def signed(message: bytes = MAIL, **options: Any) -> bytes:
    """By dkimpy."""
    key = options.pop("key", KEY)
    chosen = {"include_headers": [b"from", b"to", b"subject"], **options}
    field: bytes = dkim.sign(message, b"sel", b"example.com", pem(key), **chosen)
    return field + message


async def verify(message: bytes, *records: str, now: float = 1e9, failing: str = "") -> list[Dkim]:
    zone = Zone(*records)
    zone.failing.add(failing)
    verifier = Verifier(message, zone.resolver(), SETTINGS, now)
    return [await verifier.verify(field) for field in verifier.signatures()]


async def outcome(message: bytes, record: str = "", **options: Any) -> tuple[str, str]:
    record = record or published(KEY)
    [found] = await verify(message, f"sel._domainkey.example.com TXT {record}", **options)
    return found.result, found.reason


@pytest.mark.parametrize("form", ["spki", "pkcs1"])
@pytest.mark.parametrize("canonical", [(b"simple", b"simple"), (b"relaxed", b"relaxed"), (b"simple", b"relaxed")])
async def test_what_dkimpy_signs_passes(form: str, canonical: tuple[bytes, bytes]) -> None:
    message = signed(canonicalize=canonical)
    assert await outcome(message, published(KEY, form)) == ("pass", "")
    assert await outcome(message + b"More.\r\n") == ("fail", "the body has changed")
    changed = message.replace(b"A  \tdinner", b"A  \tlunch")
    assert await outcome(changed) == ("fail", "the signature is not of these fields")


async def test_relaxed_lets_spaces_pass_and_a_second_from_not() -> None:
    message = signed(canonicalize=(b"relaxed", b"relaxed"))
    assert (await outcome(message.replace(b"A  \tdinner", b"A dinner")))[0] == "pass"
    assert (await outcome(message.replace(b"From: Joe", b"From: Eve <e@x>\r\nFrom: Joe")))[
        0
    ] == "pass"  # DMARC's matter
    assert (await outcome(message.replace(b"\r\n\r\nHi", b"\r\nFrom: Eve <e@x>\r\n\r\nHi")))[0] == "fail"


async def test_the_example_of_rfc_8463() -> None:
    ed25519 = vectors.RFC8463_ED25519_FIELD + vectors.RFC8463_ED25519_SIGNATURE + b"\r\n"
    old = vectors.RFC8463_RSA_FIELD + vectors.RFC8463_RSA_SIGNATURE + b"\r\n"
    message = ed25519 + old + b"".join(field + b"\r\n" for field in vectors.FIELDS.values()) + b"\r\n" + vectors.BODY
    private = vectors.RFC8463_RSA_KEY.private
    assert isinstance(private, rsa.RSAPrivateKey)
    raw = vectors.RFC8463_ED25519_KEY.private.public_key().public_bytes_raw()  # type: ignore[union-attr]
    found = await verify(
        message,
        f'brisbane._domainkey.football.example.com TXT "v=DKIM1; k=ed25519; p={base64.b64encode(raw).decode()}"',
        f"test._domainkey.football.example.com TXT {published(private)}",
    )
    assert [(one.result, one.algorithm) for one in found] == [("pass", "ed25519-sha256"), ("pass", "rsa-sha256")]


@pytest.mark.parametrize(
    ("record", "result", "reason"),
    [
        ('"v=DKIM1; p="', "fail", "the key was revoked"),
        ('"v=DKIM1; p=!!!"', "permerror", "the key cannot be read"),
        ('"v=DKIM1; k=ed25519; p=aaaa"', "permerror", "the key is for another algorithm"),
        ('"v=DKIM2; p=aaaa"', "permerror", "the key's record is malformed"),
        ('"k=rsa"', "permerror", "the key's record is malformed"),
        (published(KEY, tags="v=DKIM1; h=sha1; "), "permerror", "the key is for another algorithm"),
        (published(KEY, tags="v=DKIM1; s=tlsrpt; "), "permerror", "the key is not for mail"),
        (published(KEY, tags="v=DKIM1; s=*; t=y:s; h=sha1:sha256; "), "pass", ""),
    ],
)
async def test_keys(record: str, result: str, reason: str) -> None:
    assert await outcome(signed(), record) == (result, reason)


async def test_a_key_that_is_not_there_and_one_that_cannot_be_looked_up() -> None:
    assert [found.result for found in await verify(signed(), "x.example TXT y")] == ["permerror"]
    [found] = await verify(signed(), failing="sel._domainkey.example.com")
    assert found.result == "temperror"
    name = "sel._domainkey.example.com TXT "
    [found] = await verify(signed(), name + published(KEY), name + '"v=DKIM1; p=aaaa"')
    assert found.reason == "there are several keys"


async def test_short_keys_and_old_hashes_are_no_pass() -> None:
    short = rsa.generate_private_key(65537, 1024)  # cryptography makes no shorter ones
    settings = AuthresSettings(min_rsa_bits=2048)
    zone = Zone(f"sel._domainkey.example.com TXT {published(short)}")
    message = signed(key=short)
    verifier = Verifier(message, zone.resolver(), settings, 1e9)
    found = await verifier.verify(verifier.signatures()[0])
    assert (found.result, found.reason) == ("policy", "a key of 1024 bits is not accepted")
    assert await outcome(message.replace(b"rsa-sha256", b"rsa-sha1"), published(short)) == (
        "policy",
        "the algorithm is not accepted",
    )


async def test_a_part_of_the_body_is_no_pass() -> None:
    whole = signed(length=True)
    assert b"l=" in whole
    assert (await outcome(whole))[0] == "pass"
    assert await outcome(whole + b"Added.\r\n") == ("policy", "only a part of the body is signed")


async def test_expired() -> None:
    field = re.sub(rb"s=sel;", b"s=sel; x=1000;", signed())
    assert await outcome(field, now=2000) == ("policy", "the signature has expired")


async def test_only_so_many_are_looked_at() -> None:
    message = signed()
    field = message[: message.index(b"From:")]
    assert len(Verifier(field * 50 + MAIL, Zone().resolver(), SETTINGS, 0).signatures()) == SETTINGS.max_signatures


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"v=1;", b"v=2;"),
        (b"v=1;", b""),
        (b"d=example.com;", b"d=example.com; d=example.org;"),
        (b"d=example.com;", b"d=-;"),
        (b"d=example.com;", b"d=example.com; i=joe@example.org;"),
        (b"h=from", b"h=x-from"),
        (b"s=sel;", b"s=sel; l=-1;"),
        (b"s=sel;", b"s=sel; c=loose/simple;"),
        (b"s=sel;", b"s=sel; q=http;"),
        (b"bh=", b"bh=\xff"),
    ],
)
async def test_malformed(old: bytes, new: bytes) -> None:
    message = signed(canonicalize=(b"simple", b"simple")).replace(b"c=simple/simple; ", b"")
    changed = message.replace(old, new, 1)
    assert changed != message
    assert (await outcome(changed))[0] == "permerror"


@given(st.binary(max_size=200))
def test_any_field_parses_or_is_refused(value: bytes) -> None:
    with contextlib.suppress(BadTags):
        parse_signature(b"DKIM-Signature:" + value)


@given(st.text(max_size=60))
def test_any_list_parses_or_is_refused(text: str) -> None:
    with contextlib.suppress(BadTags):
        assert all(parse_tags(text))
