"""Signatures: the published vectors, what is signed, and what a real verifier makes of it."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.mailpod.dkim import vectors
from tests.mailpod.dkim.vectors import BODY, FIELDS
from tests.mailpod.dkim.verifier import Verifier

from mailpod.dkim.canonical import relaxed_body, relaxed_field, simple_body, simple_field
from mailpod.dkim.signing import SigningKey, signature_fields, signed_fields

RSA = SigningKey("mpr", "rsa-sha256", rsa.generate_private_key(65537, 2048))
ED25519 = SigningKey("mpe", "ed25519-sha256", ed25519.Ed25519PrivateKey.generate())
MESSAGE = b"\r\n".join([vectors.RECEIVED, *FIELDS.values(), b"", BODY])


def signed(message: bytes, *keys: SigningKey) -> bytes:
    return signature_fields(message, keys or (RSA, ED25519), domain="example.com", seconds=1_700_000_000) + message


def record(key: SigningKey) -> bytes:
    if isinstance(key.private, rsa.RSAPrivateKey):
        public = key.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    else:
        public = key.private.public_key().public_bytes_raw()
    return b"v=DKIM1; k=%b; p=%b" % (key.algorithm.partition("-")[0].encode(), base64.b64encode(public))


def verified(message: bytes) -> bool:
    """What dkimpy says of the RSA signature."""
    return bool(dkim.verify(message, dnsfunc=lambda name, timeout=5: record(RSA)))


def test_rfc_6376() -> None:
    body = BODY.replace(b"  ", b" ")  # erratum 3192: the message was signed with a single space there
    assert base64.b64encode(hashlib.sha256(simple_body(body)).digest()) == vectors.BODY_HASH
    data = b"".join(map(simple_field, [vectors.RECEIVED, *FIELDS.values()])) + vectors.RFC6376_FIELD
    assert base64.b64encode(vectors.RFC6376_KEY.sign(data)) == vectors.RFC6376_SIGNATURE


@pytest.mark.parametrize(
    ("key", "field", "signature"),
    [
        (vectors.RFC8463_ED25519_KEY, vectors.RFC8463_ED25519_FIELD, vectors.RFC8463_ED25519_SIGNATURE),
        (vectors.RFC8463_RSA_KEY, vectors.RFC8463_RSA_FIELD, vectors.RFC8463_RSA_SIGNATURE),
    ],
)
def test_rfc_8463(key: SigningKey, field: bytes, signature: bytes) -> None:
    assert base64.b64encode(hashlib.sha256(relaxed_body(BODY)).digest()) == vectors.BODY_HASH
    data = b"".join(map(relaxed_field, FIELDS.values())) + relaxed_field(field)[:-2]
    assert base64.b64encode(key.sign(data)) == signature


def test_the_fields() -> None:
    fields = signature_fields(MESSAGE, [RSA, ED25519], domain="example.com", seconds=1_700_000_000)
    head, tags = fields.split(b"\r\n\tb=")[0].decode().split("\r\n\tbh=")
    assert head.split("\r\n") == [
        "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.com;",
        "\ts=mpr; t=1700000000;",
        "\th=from:from:reply-to:subject:subject:date:date:to:to:cc:message-id:",
        "\tmessage-id;",
    ]
    assert tags.encode() == vectors.BODY_HASH + b";"
    assert [line[:40] for line in fields.decode().splitlines() if line[0] != "\t"] == [
        "DKIM-Signature: v=1; a=rsa-sha256; c=rel",
        "DKIM-Signature: v=1; a=ed25519-sha256; c",
    ]
    assert max(map(len, fields.splitlines())) < 80


def test_of_several_fields_the_lowest_is_first() -> None:
    """RFC 6376 §5.4.2."""
    names, text = signed_fields([b"To: one", b"X: no", b"TO : two", b"From: a@b"])
    assert names.count(b"to") == 3
    assert text == b"from:a@b\r\nto:two\r\nto:one\r\n"


@pytest.mark.parametrize(
    ("old", "new", "holds"),
    [
        (b"Received: ", b"Received: by a relay\r\nReceived: ", True),
        (b"dinner ready", b"dinner\r\n   ready", True),
        (b"lost the game.  Are", b"lost the game. Are", True),
        (b"Joe.\r\n", b"Joe.\t\r\n\r\n", True),
        (b"Subject: ", b"X-Spam: no\r\nSubject: ", True),
        (b"From: ", b"From: mallory@example.org\r\nFrom: ", False),
        (b"\r\n\r\nHi", b"\r\nFrom: mallory@example.org\r\n\r\nHi", False),
        (b"\r\n\r\nHi", b"\r\nReply-To: mallory@example.org\r\n\r\nHi", False),
        (b"\r\n\r\nHi", b"\r\nMessage-ID: <other>\r\n\r\nHi", False),
        (b"ready?", b"served?", False),
        (b"hungry", b"thirsty", False),
        (b"Joe.\r\n", b"Joe.\r\nP.S.\r\n", False),
    ],
)
def test_what_changes_on_the_way(old: bytes, new: bytes, holds: bool) -> None:
    changed = signed(MESSAGE, RSA).replace(old, new)
    assert changed != signed(MESSAGE, RSA)
    assert verified(changed) is holds


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"Subject", b"to", b"CC", b"X-A", b"References", b"List-Id", b"Content-Type"]),
            st.lists(st.sampled_from([b"a", b" ", b"\t", b"\r\n ", b":", b"\xc3\xa9"]), max_size=12).map(b"".join),
        ),
        max_size=8,
    ),
    st.lists(st.sampled_from([b"a", b" ", b"\t", b"\r\n", b".", b"\0", b"\xff"]), max_size=30).map(b"".join),
)
def test_any_message_verifies(fields: list[tuple[bytes, bytes]], body: bytes) -> None:
    lines = [b"%b:%b" % (name, value) for name, value in fields if value.strip(b" \t\r\n")]
    message = b"\r\n".join([b"From: a@example.com", *lines, b"", body + b"\r\n"])
    assert verified(signed(message, RSA))


def test_without_a_body_or_a_header() -> None:
    for message in (b"From: a@example.com\r\n\r\n", b"From: a@example.com\r\n"):
        assert verified(signed(message, RSA))
    assert b"h=from:reply-to:subject:date:to:cc;" in signature_fields(b"", [RSA], domain="a.example", seconds=0)


def test_the_tags_are_of_one_message() -> None:
    both = re.findall(rb"bh=([^;]+);", signed(MESSAGE))
    assert both == [vectors.BODY_HASH] * 2


@pytest.fixture(scope="module")
def verifier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Verifier]:
    with Verifier(
        tmp_path_factory.mktemp("verifier"), {key.selector: record(key).decode() for key in (RSA, ED25519)}
    ) as running:
        yield running


@pytest.mark.parametrize("keys", [[RSA], [ED25519], [RSA, ED25519]], ids=["RSA", "Ed25519", "both"])
def test_postfix_with_opendkim_takes_it(verifier: Verifier, keys: list[SigningKey]) -> None:
    whole = signed(MESSAGE, *keys)
    assert verifier.reply(whole).startswith("250 ")
    assert verifier.reply(whole.replace(b"hungry", b"thirsty")).startswith("550 ")
    assert verifier.reply(whole.replace(b"From: ", b"From: mallory@example.org\r\nFrom: ")).startswith("550 ")
    assert verifier.reply(MESSAGE).startswith("550 ")
