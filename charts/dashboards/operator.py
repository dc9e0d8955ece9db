"""The operator: whether it works, keeps up, and what it finds wrong with MailDomains and Mailboxes."""

from __future__ import annotations

from typing import Final

from charts.dashboards.model import OPERATOR, RED, YELLOW, Dashboard, Row, graph, stat

DASHBOARD: Final = Dashboard(
    "mailpod-operator",
    "Mailpod: operator",
    "Reconciliations, the API server, the directories, and the state of MailDomains and Mailboxes.",
    (
        Row(
            "Now",
            (
                stat(
                    "Holds the Lease",
                    "1: one operator does. 0: nothing that changes is carried out; mail flows all the same.",
                    "none",
                    'sum(mailpod_operator_leading{job=~"$operator"})',
                    (1, "green"),
                    base=RED,
                ),
                stat(
                    "Waiting",
                    "Objects that wait to be reconciled, or are.",
                    "short",
                    'sum(mailpod_operator_queue{job=~"$operator"})',
                    (1000, YELLOW),
                ),
                stat(
                    "Failing",
                    "Objects whose last reconciliation failed; they are tried again, later each time.",
                    "short",
                    'sum(mailpod_operator_failing{job=~"$operator"})',
                    (1, YELLOW),
                    (10, RED),
                ),
                stat(
                    "Since the last sweep",
                    "In which everything is listed and compared: every five minutes unless set otherwise.",
                    "s",
                    'time() - max(mailpod_operator_sweep_timestamp_seconds{job=~"$operator"})',
                    (900, YELLOW),
                    (3600, RED),
                ),
                stat(
                    "Mailboxes not ready",
                    "kubectl get mailboxes says which, and why.",
                    "short",
                    'sum(mailpod_operator_mailboxes{job=~"$operator", ready!="True"})',
                    (1, YELLOW),
                ),
                stat(
                    "DNS records missing",
                    "Of all MailDomains: what stands first in status.dnsRecords. Mail may go elsewhere, or into spam.",
                    "short",
                    'sum(mailpod_operator_dns_records_missing{job=~"$operator"})',
                    (1, YELLOW),
                ),
            ),
        ),
        Row(
            "Its work",
            (
                graph(
                    "Reconciliations",
                    "By kind and outcome.",
                    "ops",
                    (
                        'sum by (kind, outcome) (rate(mailpod_operator_reconciled_total{job=~"$operator"}'
                        "[$__rate_interval]))",
                        "{{kind}} {{outcome}}",
                    ),
                ),
                graph(
                    "99 of 100 take at most",
                    "By kind. The bucket's and the API server's time is in it.",
                    "s",
                    (
                        "histogram_quantile(0.99, sum by (le, kind) (rate(mailpod_operator_reconcile_duration_seconds"
                        '_bucket{job=~"$operator"}[$__rate_interval])))',
                        "{{kind}}",
                    ),
                    steps=((10, YELLOW),),
                ),
                graph(
                    "Requests to the API server",
                    "By method and HTTP status; 0 is no answer.",
                    "reqps",
                    (
                        'sum by (method, status) (rate(mailpod_operator_api_requests_total{job=~"$operator"}'
                        "[$__rate_interval]))",
                        "{{method}} {{status}}",
                    ),
                ),
            ),
        ),
        Row(
            "Directories",
            (
                graph(
                    "Entries changed",
                    "Who may log in and get mail: written or withdrawn.",
                    "ops",
                    (
                        'sum by (what) (rate(mailpod_operator_directory_entries_total{job=~"$operator"}'
                        "[$__rate_interval]))",
                        "{{what}}",
                    ),
                ),
                graph(
                    "A change takes at most",
                    "99th percentile of the time to bring one owner's entries in line; pods see it within 10 s.",
                    "s",
                    (
                        "histogram_quantile(0.99, sum by (le) (rate(mailpod_operator_directory_publish_duration_"
                        'seconds_bucket{job=~"$operator"}[$__rate_interval])))',
                        "99 of 100",
                    ),
                    steps=((5, YELLOW),),
                ),
                graph(
                    "Failures",
                    "Attempts that a bucket failed: condition StorageReady says more.",
                    "ops",
                    (
                        'sum(rate(mailpod_operator_directory_failures_total{job=~"$operator"}[$__rate_interval]))',
                        "failures",
                    ),
                    steps=((0.01, YELLOW),),
                ),
            ),
        ),
        Row(
            "What it finds",
            (
                graph(
                    "MailDomains whose condition is not true",
                    "By condition: false or unknown. kubectl describe maildomain gives the reason.",
                    "short",
                    (
                        'sum by (condition) (mailpod_operator_domain_condition{job=~"$operator"} < bool 1)',
                        "{{condition}}",
                    ),
                ),
                graph(
                    "Mailboxes",
                    "By their condition Ready.",
                    "short",
                    ('sum by (ready) (mailpod_operator_mailboxes{job=~"$operator"})', "{{ready}}"),
                    stack=True,
                ),
                graph(
                    "DNS records",
                    "Of all MailDomains, by whether the DNS has them. Unknown: it did not answer the operator.",
                    "short",
                    ('sum by (resolves) (mailpod_operator_dns_records{job=~"$operator"})', "{{resolves}}"),
                    stack=True,
                ),
                graph(
                    "Missing DNS records, by type",
                    "DKIM: what we sign is not believed. MX: mail does not come.",
                    "short",
                    (
                        'sum by (type) (mailpod_operator_dns_records_missing{job=~"$operator"})',
                        "{{type}}",
                    ),
                ),
                graph(
                    "Mailboxes near their quota",
                    "Those that hold nine tenths of it.",
                    "short",
                    ('topk(10, mailpod_operator_mailboxes_near_quota{job=~"$operator"})', "{{maildomain}}"),
                ),
                graph(
                    "Its memory",
                    "Resident; it remembers every MailDomain and Mailbox.",
                    "bytes",
                    ('process_resident_memory_bytes{job=~"$operator"}', "{{pod}} {{instance}}"),
                ),
                graph(
                    "Its CPU",
                    "Seconds of CPU a second.",
                    "percentunit",
                    (
                        'rate(process_cpu_seconds_total{job=~"$operator"}[$__rate_interval])',
                        "{{pod}} {{instance}}",
                    ),
                ),
            ),
        ),
    ),
    (OPERATOR,),
)
