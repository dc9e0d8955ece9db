"""TLS reports: whom they go to, what they count, and how they look (RFC 8460)."""

from __future__ import annotations

import email
import email.policy
import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailpod.tlspolicy.failure import Failure
from mailpod.tlspolicy.policy import Policy, opportunistic
from mailpod.tlspolicy.report import Report, Sender, mailbox, parse_record
from mailpod.tlspolicy.tally import Failed, Seen, Tally, merged

STS = Policy("example", "sts", True, lines=("version: STSv1", "mode: enforce"), patterns=("*.example",))
EXPIRED = Failure("certificate-expired", "the certificate is valid until 2026-01-01 only")


@pytest.mark.parametrize(
    ("record", "places"),
    [
        ("v=TLSRPTv1; rua=mailto:reports@example.com", ("mailto:reports@example.com",)),
        ("v=TLSRPTv1;rua=https://a.example/v1?x=1 , mailto:b@c.d;", ("https://a.example/v1?x=1", "mailto:b@c.d")),
        ("v=TLSRPTv1; rua=http://a.example,ftp:x,mailto:no-address", ()),
        ("v=TLSRPTv1; rua=mailto:a@b%0d%0aBcc:x@y", ()),
        ("v=TLSRPTv2; rua=mailto:a@b.c", ()),
        ("v=TLSRPTv1", ()),
    ],
)
def test_record(record: str, places: tuple[str, ...]) -> None:
    assert parse_record([b"v=spf1 -all", record.encode()]) == places


def test_two_records_are_none() -> None:
    assert parse_record([b"v=TLSRPTv1; rua=mailto:a@b.c"] * 2) == ()


@given(st.lists(st.one_of(st.binary(max_size=60), st.binary(max_size=60).map(b"v=TLSRPTv1; rua=".__add__))))
def test_any_record_is_read(records: list[bytes]) -> None:
    for place in parse_record(records):
        address = mailbox(place)
        assert address is None or not set(address) & set("\r\n <>")


def test_sessions_add_up_by_policy_and_failure() -> None:
    tally = Tally(10)
    tally.add(STS, "mx.example", None)
    tally.add(STS, "mx.example", EXPIRED)
    tally.add(STS, "mx2.example", EXPIRED)
    tally.add(opportunistic("other.example"), "mx.other.example", None)
    first, taken = tally.take(), tally.take()
    assert taken == []
    [sts, other] = merged([*first, *first])
    assert (sts.type, sts.ok, sts.hosts) == ("sts", 2, ("*.example",))
    assert sts.failed == (
        Failed("certificate-expired", "mx.example", 2),
        Failed("certificate-expired", "mx2.example", 2),
    )
    assert other == Seen("other.example", "no-policy-found", ok=2)


def test_a_policy_that_cannot_be_had_is_a_failure_of_its_own() -> None:
    tally = Tally(10)
    tally.add(opportunistic("example", fault=Failure("sts-policy-fetch-error", "x")), "mx.example", None)
    assert tally.take() == [
        Seen("example", "no-policy-found", ok=1),
        Seen("example", "sts", failed=(Failed("sts-policy-fetch-error", "", 1),)),
    ]


def test_a_smarthost_and_what_is_too_much_are_not_counted() -> None:
    tally = Tally(1)
    tally.add(Policy("relay.example", "fixed", True), "relay.example", None)
    tally.add(STS, "mx.example", None)
    tally.add(opportunistic("one.too.many"), "mx.one.too.many", None)
    assert [seen.domain for seen in tally.take()] == ["example"]


REPORT = Report(
    Sender("ours.example", "postmaster@ours.example"),
    "example",
    "2026-11-25",
    [Seen("example", "sts", STS.lines, STS.patterns, 5, (Failed("certificate-expired", "mx.example", 2),))],
)


def test_json() -> None:
    """RFC 8460 §4.4."""
    assert json.loads(REPORT.json()) == {
        "organization-name": "ours.example",
        "date-range": {"start-datetime": "2026-11-25T00:00:00Z", "end-datetime": "2026-11-25T23:59:59Z"},
        "contact-info": "postmaster@ours.example",
        "report-id": "2026-11-25-example@ours.example",
        "policies": [
            {
                "policy": {
                    "policy-type": "sts",
                    "policy-string": ["version: STSv1", "mode: enforce"],
                    "policy-domain": "example",
                    "mx-host": ["*.example"],
                },
                "summary": {"total-successful-session-count": 5, "total-failure-session-count": 2},
                "failure-details": [
                    {
                        "result-type": "certificate-expired",
                        "failed-session-count": 2,
                        "receiving-mx-hostname": "mx.example",
                    }
                ],
            }
        ],
    }


def test_mail() -> None:
    """RFC 8460 §5.3."""
    message = email.message_from_bytes(REPORT.mail("r@example", 1764028800, 0.0), policy=email.policy.default)
    assert message["TLS-Report-Domain"] == "example" and message["TLS-Report-Submitter"] == "ours.example"
    assert message["TLS-Required"] == "No"
    assert message.get_content_type() == "multipart/report" and message.get_param("report-type") == "tlsrpt"
    _, attached = message.iter_parts()
    assert attached.get_content_type() == "application/tlsrpt+gzip"
    assert attached.get_filename() == "ours.example!example!1764028800!1764115199!2026-11-25.json.gz"
    assert gzip.decompress(attached.get_content()) == REPORT.json()
