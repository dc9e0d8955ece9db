"""Addresses as people write them, and the one form each is matched in."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailpod.addresses import Address, normalize, normalize_domain, normalize_local_part, untagged


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("Alice@Example.COM", ("alice", "example.com")),
        ("alice+Shop@example.com", ("alice+shop", "example.com")),
        ('"alice"@example.com', ("alice", "example.com")),
        ('"a b"@example.com', ("a b", "example.com")),
        (r'"a\"b\\c"@example.com', ('a"b\\c', "example.com")),
        ('"a@b"@example.com', ("a@b", "example.com")),
        ("ÄRGER@example.com", ("ärger", "example.com")),
        ("A\u0308@example.com", ("ä", "example.com")),
        ("ΟΔΟΣ@example.com", ("οδοσ", "example.com")),  # simple mapping: no final sigma
        ("straße@example.com", ("straße", "example.com")),  # lower case, not case folding
        ("\u0130@example.com", ("i", "example.com")),
        ("用户@例え.jp", ("用户", "xn--r8jz45g.jp")),
        ("a@BÜCHER.example", ("a", "xn--bcher-kva.example")),
        ("a@XN--BCHER-KVA.example", ("a", "xn--bcher-kva.example")),
        ("a@bücher。example", ("a", "xn--bcher-kva.example")),
        ("a@faß.example", ("a", "xn--fa-hia.example")),
        ("a@localhost", ("a", "localhost")),
        ("a@r3---x.example", ("a", "r3---x.example")),
    ],
)
def test_normalize(written: str, normal: tuple[str, str]) -> None:
    assert normalize(written) == normal


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("", "needs an @"),
        ("alice", "needs an @"),
        ("@example.com", "not a local part"),
        ('""@example.com', "empty"),
        ("a b@example.com", "quoted"),
        (".a@example.com", "quoted"),
        ("a..b@example.com", "quoted"),
        ('"a"b"@example.com', "quoted"),
        ('"a\x7f"@example.com', "not a local part"),
        ("a\x85@example.com", "control character"),
        ("a\ud800@example.com", "control character"),
        ("a" * 65 + "@example.com", "64 octets"),
        ("ü" * 33 + "@example.com", "64 octets"),
        ("a@", "not a domain"),
        ("a@exa mple.com", "not a domain"),
        ("a@a_b.example", "not a domain"),
        ("a@-a.example", "not a domain"),
        ("a@a..example", "not a domain"),
        ("a@xn--a.example", "not a domain"),
        ("a@example.com.", "dot"),
        ("a@" + "a" * 64 + ".example", "not a domain"),
        ("a@" + ".".join(["abcdefghi"] * 26), "253"),
        ("a" * 64 + "@" + ".".join(["abcdefghi"] * 20), "254"),
        ("a@[192.0.2.1]", "literal"),
    ],
)
def test_refused(written: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        normalize(written)


@given(st.text(max_size=80) | st.builds("{}@{}".format, st.text(max_size=40), st.text(max_size=40)))
@example("İ\u0307@example.com")
@example("a@\u3002")
def test_any_text_is_normal_or_refused(written: str) -> None:
    try:
        normal = normalize(written)
    except ValueError:
        return
    assert normalize(str(normal)) == normal
    assert unicodedata.is_normalized("NFC", normal.local)


@given(st.text(min_size=1, max_size=40))
@example("\u0345\u0130Σ")
def test_a_local_part_survives_quoting(text: str) -> None:
    try:
        local = normalize_local_part('"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"')
    except ValueError:
        return
    assert normalize(str(Address(local, "example.com"))).local == local


@given(st.text(max_size=60))
def test_a_domain_is_normal_once(text: str) -> None:
    try:
        domain = normalize_domain(text)
    except ValueError:
        return
    assert domain.isascii()
    assert normalize_domain(domain) == domain


def test_untagged() -> None:
    assert untagged("alice+shop+2024") == "alice"
    assert untagged("alice") is None
    assert untagged("+shop") is None
