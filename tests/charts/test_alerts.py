"""Each alert fires when what it is about happens, says so in words, and is silent otherwise: by promtool."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.harness.need import need

ROOT = Path(__file__).parents[2]
RULES = ROOT / "charts" / "mailpod" / "files" / "alerts.yaml"
POD = 'job="n/mail", namespace="n", pod="mail-0", instance="10.0.0.1:18080"'
OTHER = 'job="n/mail", namespace="n", pod="mail-1", instance="10.0.0.2:18080"'
OPERATOR = 'job="system/operator", namespace="system", pod="operator-0", instance="10.0.0.3:8080"'
DOMAIN = f'{OPERATOR}, maildomain_namespace="n", maildomain="example"'


@dataclass(frozen=True)
class Case:
    """`series` in promtool's notation, one value an `interval`; it fires after `minutes`, with `labels` and `summary`.

    `quiet`: the same series as they are when all is well.
    """

    alert: str
    minutes: int
    series: dict[str, str]
    quiet: dict[str, str]
    labels: str
    summary: str
    interval: str = "1m"


_JOB = 'job="n/mail", namespace="n"'
_EACH = 'namespace="n", pod="mail-0", instance="10.0.0.1:18080"'
_SYSTEM = 'job="system/operator", namespace="system"'
CASES = [
    Case(
        "MailpodBucketDown",
        4,
        {f"mailpod_bucket_up{{{POD}}}": "1 0x20", f"mailpod_bucket_up{{{OTHER}}}": "1x21"},
        {f"mailpod_bucket_up{{{POD}}}": "1x21"},
        POD,
        "Pod mail-0 does not reach the bucket: mail waits at its senders, clients see nothing.",
    ),
    Case(
        "MailpodBucketSlow",
        20,
        {
            f'mailpod_bucket_request_duration_seconds_bucket{{{POD}, le="2.5"}}': "0x40",
            f'mailpod_bucket_request_duration_seconds_bucket{{{POD}, le="5"}}': "0+60x40",
            f'mailpod_bucket_request_duration_seconds_bucket{{{POD}, le="+Inf"}}': "0+60x40",
        },
        {
            f'mailpod_bucket_request_duration_seconds_bucket{{{POD}, le="0.5"}}': "0+60x40",
            f'mailpod_bucket_request_duration_seconds_bucket{{{POD}, le="+Inf"}}': "0+60x40",
        },
        _JOB,
        "The bucket of n/mail takes 4.975s for one request in a hundred: mail is as slow.",
    ),
    Case(
        "MailpodMessagesDeferred",
        30,
        {f'mailpod_messages_received_total{{{POD}, role="mx", outcome="deferred"}}': "0+60x60"},
        {
            f'mailpod_messages_received_total{{{POD}, role="mx", outcome="deferred"}}': "0x60",
            f'mailpod_messages_received_total{{{POD}, role="mx", outcome="accepted"}}': "0+60x60",
        },
        _EACH,
        "Pod mail-0 puts senders off (4xx) for a quarter of an hour.",
    ),
    Case(
        "MailpodQueueStuck",
        85,
        {f"mailpod_spool_due_timestamp_seconds{{{POD}}}": "600x100"},
        {  # somebody's "later" for hours, attempted when it is due
            f"mailpod_spool_due_timestamp_seconds{{{POD}}}": "0x10 9000+60x100",
            f"mailpod_spool_oldest_timestamp_seconds{{{POD}}}": "60x110",
        },
        _JOB,
        "An attempt of n/mail to deliver a queued message is 1h 15m 0s late.",
    ),
    Case(
        "MailpodMessagesUndelivered",
        10,
        {f'mailpod_spool_handouts_total{{{POD}, outcome="failed"}}': "0x5 1x20"},
        {
            f'mailpod_spool_handouts_total{{{POD}, outcome="failed"}}': "1x25",
            f'mailpod_spool_handouts_total{{{POD}, outcome="postponed"}}': "0+1x25",
        },
        _JOB,
        "Accepted messages of n/mail could not be delivered to some of their recipients.",
    ),
    Case(
        "MailpodOutboundDelayed",
        70,
        {
            f'mailpod_outbound_recipients_total{{{POD}, outcome="delayed"}}': "0+3x90",
            f'mailpod_outbound_recipients_total{{{POD}, outcome="relayed"}}': "0+1x90",
        },
        {
            f'mailpod_outbound_recipients_total{{{POD}, outcome="delayed"}}': "0+1x90",
            f'mailpod_outbound_recipients_total{{{POD}, outcome="relayed"}}': "0+3x90",
            f'mailpod_outbound_recipients_total{{{POD}, outcome="deferred"}}': "0+9x90",  # a greylist
        },
        _JOB,
        "Mail of n/mail does not get out: other servers are not reached, or all of them put it off.",
    ),
    Case(
        "MailpodNotSigned",
        30,
        {f'mailpod_dkim_signed_total{{{POD}, outcome="no_key"}}': "0+1x40"},
        {f'mailpod_dkim_signed_total{{{POD}, outcome="signed"}}': "0+1x40"},
        _JOB,
        "n/mail sends messages without a DKIM signature: others may not believe them.",
    ),
    Case(
        "MailpodDkimKeyWaits",
        170 * 60,
        {f'mailpod_dkim_next_key_timestamp_seconds{{{POD}, domain="example.org"}}': "60x180"},
        {
            f'mailpod_dkim_next_key_timestamp_seconds{{{POD}, domain="example.org"}}': "60x166 0x14",
            f'mailpod_dkim_next_key_timestamp_seconds{{{OTHER}, domain="example.com"}}': "0x180",
        },
        'domain="example.org"',
        "New DKIM keys of example.org wait for their records in the DNS since 7d 1h 59m 0s.",
        interval="1h",
    ),
    Case(
        "MailpodMemoryBudgetExhausted",
        15,
        {f"mailpod_budget_used_bytes{{{POD}}}": "95x30", f"mailpod_budget_limit_bytes{{{POD}}}": "100x30"},
        {f"mailpod_budget_used_bytes{{{POD}}}": "50x30", f"mailpod_budget_limit_bytes{{{POD}}}": "100x30"},
        POD,
        "Pod mail-0 has 95% of its memory for messages in use: SMTP answers 452, IMAP waits.",
    ),
    Case(
        "MailpodConnectionsRefused",
        30,
        {f'mailpod_connections_total{{{POD}, protocol="imap", outcome="refused"}}': "0+120x60"},
        {f'mailpod_connections_total{{{POD}, protocol="imap", outcome="accepted"}}': "0+120x60"},
        f'{_JOB}, protocol="imap"',
        "n/mail refuses 2 connections of imap a second.",
    ),
    Case(
        "MailpodSessionsCrash",
        5,
        {f'mailpod_session_crashes_total{{{POD}, protocol="imap"}}': "0x2 1x10"},
        {f'mailpod_session_crashes_total{{{POD}, protocol="imap"}}': "1x12"},
        f'{_EACH}, protocol="imap"',
        "Sessions of imap in pod mail-0 end by an error of ours: see its log.",
    ),
    Case(
        "MailpodLoginsAttacked",
        30,
        {f'mailpod_logins_total{{{POD}, protocol="smtp", outcome="failed"}}': "0+300x60"},
        {f'mailpod_logins_total{{{POD}, protocol="smtp", outcome="failed"}}': "0+6x60"},
        f'{_JOB}, protocol="smtp"',
        "5 log-ins a second fail by smtp at n/mail: somebody guesses passwords.",
    ),
    Case(
        "MailpodAccountsReadOnly",
        1,
        {f"mailpod_accounts_read_only{{{POD}}}": "2x5"},
        {f"mailpod_accounts_read_only{{{POD}}}": "0x5"},
        _EACH,
        "2 accounts are read-only in pod mail-0: their log in the bucket is damaged.",
    ),
    Case(
        "MailpodCertificateExpires",
        61,
        {f'mailpod_tls_certificate_expiry_timestamp_seconds{{{POD}, name="mail.example.org"}}': "600000x90"},
        {f'mailpod_tls_certificate_expiry_timestamp_seconds{{{POD}, name="mail.example.org"}}': "6000000x90"},
        'name="mail.example.org"',
        "The certificate of mail.example.org expires within a week.",
    ),
    Case(
        "MailpodOperatorNotLeading",
        12,
        {f"mailpod_operator_leading{{{OPERATOR}}}": "0x20"},
        {f"mailpod_operator_leading{{{OPERATOR}}}": "1x20"},
        _SYSTEM,
        "No operator of system/operator holds the Lease: changes to MailDomains and Mailboxes are not carried out.",
    ),
    Case(
        "MailpodOperatorFails",
        32,
        {f"mailpod_operator_failing{{{OPERATOR}}}": "3x40"},
        {f"mailpod_operator_failing{{{OPERATOR}}}": "3x20 0x20"},
        _SYSTEM,
        "3 objects cannot be reconciled for half an hour.",
    ),
    Case(
        "MailpodOperatorSweepLate",
        90,
        {f"mailpod_operator_sweep_timestamp_seconds{{{OPERATOR}}}": "0x100"},
        {f"mailpod_operator_sweep_timestamp_seconds{{{OPERATOR}}}": "0+60x100"},
        _SYSTEM,
        "The operator has not compared everything for 1h 30m 0s.",
    ),
    Case(
        "MailpodDirectoryFails",
        30,
        {f"mailpod_operator_directory_failures_total{{{OPERATOR}}}": "0+1x40"},
        {f"mailpod_operator_directory_failures_total{{{OPERATOR}}}": "7x40"},
        _SYSTEM,
        "A bucket fails the operator: new mailboxes and passwords do not reach its pods.",
    ),
    Case(
        "MailpodDomainNotReady",
        16,
        {f'mailpod_operator_domain_condition{{{DOMAIN}, condition="Ready"}}': "0x20"},
        {
            f'mailpod_operator_domain_condition{{{DOMAIN}, condition="Ready"}}': "1x20",
            f'mailpod_operator_domain_condition{{{DOMAIN}, condition="DNSReady"}}': "0x20",
        },
        f'{DOMAIN}, condition="Ready"',
        "MailDomain n/example is not ready for a quarter of an hour.",
    ),
    Case(
        "MailpodDnsRecordsMissing",
        61,
        {f'mailpod_operator_dns_records_missing{{{DOMAIN}, type="DKIM"}}': "2x70"},
        {f'mailpod_operator_dns_records_missing{{{DOMAIN}, type="DKIM"}}': "0x70"},
        'maildomain_namespace="n", maildomain="example", type="DKIM"',
        "2 DKIM records of MailDomain n/example are not in the DNS.",
    ),
    Case(
        "MailpodMailboxesNearQuota",
        61,
        {f"mailpod_operator_mailboxes_near_quota{{{DOMAIN}}}": "4x70"},
        {f"mailpod_operator_mailboxes_near_quota{{{DOMAIN}}}": "0x70"},
        DOMAIN,
        "4 mailboxes of MailDomain n/example hold nine tenths of their quota.",
    ),
]


def rules() -> dict[str, dict[str, Any]]:
    """The alerts by name."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def labels_of(text: str) -> dict[str, str]:
    return dict(re.findall(r'(\w+)="([^"]*)"', text))


def unit_test(case: Case, series: dict[str, str], expected: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "interval": case.interval,
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [
            {"eval_time": f"{case.minutes}m", "alertname": case.alert, "exp_alerts": expected},
        ],
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.alert)
def test_it_fires_and_else_is_silent(case: Case, tmp_path: Path) -> None:
    rule = rules()[case.alert]
    fired = {
        "exp_labels": labels_of(case.labels) | rule["labels"],
        "exp_annotations": {"summary": case.summary, "runbook_url": rule["annotations"]["runbook_url"]},
    }
    tests = [unit_test(case, case.series, [fired]), unit_test(case, case.quiet, [])]
    file = tmp_path / "tests.yaml"
    whole = {"rule_files": [str(RULES)], "evaluation_interval": case.interval, "tests": tests}
    file.write_text(yaml.safe_dump(whole))
    done = subprocess.run([need("promtool"), "test", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_has_a_case_and_a_page() -> None:
    pages = ROOT / "docs" / "runbooks"
    assert [case.alert for case in CASES] == list(rules())
    assert {page.stem for page in pages.glob("*.md")} - {"README"} == set(rules())
    for name, rule in rules().items():
        assert rule["annotations"]["runbook_url"] == f"RUNBOOKS/{name}.md"
        page = (pages / f"{name}.md").read_text()
        assert page.startswith(f"# {name}\n")
        assert [line for line in page.splitlines() if line.startswith("## ")] == ["## Look", "## Mend"]
