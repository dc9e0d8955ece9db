"""An aggregate report is as RFC 9990 has it, whatever senders made up."""

from __future__ import annotations

import email
import email.policy
import gzip
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mailpod.authres.feedback import valid

from mailpod.authres.aggregate import Report
from mailpod.authres.check import Verdict
from mailpod.authres.counted import Published, Seen, Signed, Tally, merged, seen
from mailpod.authres.dkim import Dkim
from mailpod.authres.dmarc import Dmarc, Policy
from mailpod.authres.spf import Spf
from mailpod.daily import Sender

US = Sender("ours.example", "postmaster@ours.example")
POLICY = Published("a.example", "reject", "reject", "reject", "r", "s", testing=False)
ROW = Seen(
    POLICY, "192.0.2.1", "a.example", "bounces.a.example", "bounces.a.example", "softfail",
    (Signed("a.example", "s1", "pass"), Signed("b.example", "s2", "fail")), aligned_spf=False, aligned_dkim=True,
    applied="pass", count=3,
)  # fmt: skip


def test_xml() -> None:
    root = valid(Report(US, "2025-11-25", [ROW, msgspec.structs.replace(ROW, client="2001:db8::1")]).xml())

    def texts(path: str) -> list[str | None]:
        return [element.text for element in root.findall(path)]

    assert texts("report_metadata/org_name") == ["ours.example"]
    assert texts("report_metadata/date_range/*") == ["1764028800", "1764115199"]
    assert texts("policy_published/*") == ["a.example", "treewalk", "reject", "reject", "reject", "r", "s", "n"]
    assert texts("record/row/source_ip") == ["192.0.2.1", "2001:db8::1"]
    assert texts("record[1]/row/policy_evaluated/*") == ["pass", "pass", "fail"]
    assert texts("record[1]/identifiers/*") == ["a.example", "bounces.a.example"]
    assert texts("record[1]/auth_results/*/result") == ["pass", "fail", "softfail"]


def test_mail() -> None:
    told = Report(US, "2025-11-25", [ROW])
    message = email.message_from_bytes(told.mail("r@a.example", 1764200000), policy=email.policy.default)
    assert re.fullmatch(
        r"Report Domain: a\.example Submitter: ours\.example Report-ID: <2025-11-25\.0\.a\.example@ours\.example>",
        message["Subject"],
    )
    assert message["From"] == "postmaster@ours.example" and message["To"] == "r@a.example"
    words, attached = message.iter_parts()
    assert words.get_content_type() == "text/plain" and attached.get_content_type() == "application/gzip"
    assert attached.get_filename() == "ours.example!a.example!1764028800!1764115199.xml.gz"
    assert gzip.decompress(attached.get_content()) == told.xml()
    again = Report(US, "2025-11-25", [ROW], number=2)
    assert again.filename == "ours.example!a.example!1764028800!1764115199!2.xml.gz" and again.id != told.id


@given(sender=st.text(max_size=20), domain=st.text(max_size=20), selector=st.text(max_size=20))
def test_whatever_senders_make_up(sender: str, domain: str, selector: str) -> None:
    odd = msgspec.structs.replace(
        ROW, sender=sender, spf_domain=domain, signatures=(Signed(domain, selector, "policy"),)
    )
    valid(Report(US, "2025-11-25", [odd]).xml())


@pytest.mark.parametrize(
    ("dmarc", "applied", "told"),
    [
        ({"result": "pass", "policy": "reject", "spf": True}, "none", ("pass", "", True)),
        ({"result": "pass", "policy": "none", "spf": True}, "none", ("none", "", True)),
        ({"result": "fail", "wanted": "reject", "policy": "reject"}, "reject", ("reject", "", False)),
        ({"result": "fail", "wanted": "reject", "policy": "reject"}, "none", ("none", "local_policy", False)),
        ({"result": "fail", "wanted": "none", "policy": "none"}, "none", ("none", "", False)),
        (
            {"result": "fail", "wanted": "none", "policy": "reject", "vouched": True},
            "none",
            ("none", "trusted_forwarder", False),
        ),
        (
            {"result": "fail", "wanted": "quarantine", "policy": "reject", "testing": True},
            "quarantine",
            ("quarantine", "policy_test_mode", False),
        ),
    ],
)
def test_what_was_done(dmarc: dict[str, Any], applied: Any, told: tuple[str, str, bool]) -> None:
    record = Policy("a.example", "reject", "reject", "reject", testing=dmarc.pop("testing", False), reported=True)
    verdict = Verdict(b"", "none", Spf("pass", "a.example"), (), (Dmarc(domain="a.example", record=record, **dmarc),))
    found = seen(verdict, client="2001:DB8:0::1", sender="x@A.example", applied=applied)
    assert found is not None
    assert (found.applied, found.reason, found.aligned_spf) == told
    assert (found.client, found.sender) == ("2001:db8::1", "a.example")


def test_who_did_not_ask_is_not_counted() -> None:
    quiet = Policy("a.example", "reject", "reject", "reject")
    verdicts: list[tuple[Dmarc, ...]] = [
        (Dmarc("fail", "a.example", record=quiet),),
        (Dmarc("none", "a.example"),),
        (Dmarc("temperror", "a.example"),),
        (),
        (Dmarc("fail", "a.example", record=quiet), Dmarc("fail", "b.example", record=quiet)),
    ]
    for dmarc in verdicts:
        verdict = Verdict(b"", "none", Spf("none", "a.example"), (Dkim("permerror"),), dmarc)
        assert seen(verdict, client="192.0.2.1", sender="", applied="none") is None


def test_counts_add_up_and_are_bounded() -> None:
    tally = Tally(2)
    others = [msgspec.structs.replace(ROW, client=f"192.0.2.{n}", count=1) for n in (1, 2, 3)]
    for one in (ROW, *others):
        tally.add(one)
    taken = tally.take()
    assert sorted((one.client, one.count) for one in taken) == [("192.0.2.1", 4), ("192.0.2.2", 1)]
    assert tally.take() == []
    tally.give_back(taken)
    assert [one.count for one in merged([*tally.take(), *others])] == [5, 2, 1]
