"""MTA-STS's two texts (RFC 8461 §3.1, §3.2)."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailpod.tlspolicy.sts import StsPolicy, parse_policy, parse_record

POLICY = b"version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\nmax_age: 604800\r\n"


@pytest.mark.parametrize(
    ("records", "found"),
    [
        (["v=STSv1; id=20160831085700Z;"], "20160831085700Z"),
        (["v=STSv1;id=a1"], "a1"),
        (["v=STSv1 ; id=a1 ; ext.x=some_value"], "a1"),
        (["v=spf1 -all", "v=STSv1; id=1;"], "1"),
        (["v=STSv1; id=1;", "v=STSv1; id=1;"], None),  # RFC 8461 §3.1: not one
        (["v=STSv1"], None),
        (["v=STSv1; id="], None),
        (["v=STSv1; id=1; id=2"], None),
        (["v=STSv1; id=a-b"], None),
        (["v=STSv1; nothing"], None),
        (["v=STSv1; id=" + "1" * 33], None),
        (["v=STSv2; id=1"], None),
        ([], None),
    ],
)
def test_record(records: list[str], found: str | None) -> None:
    assert parse_record([record.encode() for record in records]) == found


def test_policy() -> None:
    policy = parse_policy(POLICY)
    assert policy == StsPolicy("enforce", 604800, ("mail.example.com", "*.example.net"))
    assert policy.names("MAIL.example.com.") and policy.names("mx.example.net")
    assert not policy.names("example.net") and not policy.names("a.mx.example.net")


@pytest.mark.parametrize(
    "text",
    [
        POLICY.replace(b"\r\n", b"\n"),
        POLICY.rstrip(),
        POLICY.replace(b": ", b":\t "),
        POLICY.replace(b"\r\n", b"  \r\n"),
        POLICY + b"future_field: \xc3\xa9\r\n\r\n",
        POLICY + b"mode: none\r\n",  # of a repeated key the first counts
    ],
)
def test_policy_written_otherwise(text: bytes) -> None:
    assert parse_policy(text) == parse_policy(POLICY)


def test_policy_that_is_given_up_needs_no_hosts() -> None:
    assert parse_policy(b"version: STSv1\nmode: none\nmax_age: 86400\n").mode == "none"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"<html></html>",
        POLICY.replace(b"STSv1", b"STSv2"),
        POLICY.replace(b"enforce", b"Enforce"),
        POLICY.replace(b"604800", b"-1"),
        POLICY.replace(b"604800", b"99999999999"),
        POLICY.replace(b"mail.example.com", b"mail..example.com"),
        POLICY.replace(b"*.example.net", b"a.*.example.net"),
        POLICY.replace(b"mail.example.com", b"<mail.example.com>"),
        b"version: STSv1\nmode: enforce\nmax_age: 86400\n",
        POLICY + b"\xff\xfe: x\n",
        b"version: STSv1\nmode: enforce\nmax_age: 1\n" + b"mx: a.b\n" * 1001,
    ],
)
def test_policy_that_is_none(text: bytes) -> None:
    with pytest.raises(ValueError):
        parse_policy(text)


@given(st.lists(st.binary(max_size=80), max_size=3))
@example([b"v=STSv1;" + b"id=1;" * 9])
def test_any_record_is_read_or_is_none(records: list[bytes]) -> None:
    found = parse_record(records)
    assert found is None or 0 < len(found) <= 32


WORDS = st.sampled_from([b"version:", b"STSv1", b"mode:", b"enforce", b"max_age:", b"9", b"mx:", b"*.a", b"\r\n", b" "])


@given(st.lists(st.one_of(WORDS, st.binary(max_size=10))).map(b"".join))
def test_any_policy_is_read_or_refused(text: bytes) -> None:
    try:
        policy = parse_policy(text)
    except ValueError:
        return
    assert parse_policy("\n".join(policy.lines()).encode()) == policy
