"""Is mail flowing, and if not, where is it stuck? One look from the left, where mail comes in, to the bucket below."""

from __future__ import annotations

from typing import Final

from charts.dashboards.model import OPERATOR, PODS, RED, WHICH, YELLOW, Dashboard, Row, graph, stat

_DEFERRED: Final = (
    'sum(rate(mailpod_messages_received_total{job=~"$job", outcome="deferred"}[$__rate_interval]))'
    ' / (sum(rate(mailpod_messages_received_total{job=~"$job"}[$__rate_interval])) > 0)'
)
_AGE: Final = (
    'max((mailpod_spool_sweep_timestamp_seconds{job=~"$job"} - mailpod_spool_oldest_timestamp_seconds{job=~"$job"})'
    ' * (mailpod_spool_oldest_timestamp_seconds{job=~"$job"} > bool 0))'
)
_EXPIRY: Final = 'min(mailpod_tls_certificate_expiry_timestamp_seconds{job=~"$job"}) - time()'

DASHBOARD: Final = Dashboard(
    "mailpod-overview",
    "Mailpod: is mail flowing?",
    "Whether mail comes in, gets into mailboxes and reaches clients; and if not, where it is stuck.",
    (
        Row(
            "Now",
            (
                stat(
                    "Pods",
                    "Mail pods that Prometheus reaches. Fewer than replicas: see kubectl get pods.",
                    "none",
                    'sum(up{job=~"$job"})',
                    (1, "green"),
                    base=RED,
                ),
                stat(
                    "Bucket",
                    "1: every pod reaches the bucket. 0: mail waits at its senders and clients see nothing.",
                    "none",
                    'min(mailpod_bucket_up{job=~"$job"})',
                    (1, "green"),
                    base=RED,
                    link="mailpod-bucket",
                ),
                stat(
                    "Put off",
                    "Share of messages answered with 4xx: their senders try again. The bucket or the budget is why.",
                    "percentunit",
                    _DEFERRED,
                    (0.01, YELLOW),
                    (0.1, RED),
                    link="mailpod-mailflow",
                ),
                stat(
                    "Oldest in the queue",
                    "Age of the oldest accepted message that has not reached all its recipients, at the last look.",
                    "s",
                    _AGE,
                    (3600, YELLOW),
                    (14400, RED),
                    link="mailpod-mailflow",
                ),
                stat(
                    "Certificates",
                    "Time until the first certificate expires.",
                    "s",
                    _EXPIRY,
                    (7 * 86400, YELLOW),
                    (14 * 86400, "green"),
                    base=RED,
                ),
                stat(
                    "MailDomains not ready",
                    "By their condition Ready: kubectl get maildomains says why.",
                    "none",
                    'sum(mailpod_operator_domain_condition{job=~"$operator", condition="Ready"} < bool 1)',
                    (1, RED),
                    link="mailpod-operator",
                ),
            ),
        ),
        Row(
            "In",
            (
                graph(
                    "Messages by SMTP",
                    "What became of messages that were sent here: accepted (250), refused (5xx), deferred (4xx).",
                    "mps",
                    (
                        'sum by (outcome) (rate(mailpod_messages_received_total{job=~"$job"}[$__rate_interval]))',
                        "{{outcome}}",
                    ),
                    stack=True,
                    link="mailpod-mailflow",
                ),
                graph(
                    "Into mailboxes, by domain",
                    "Messages that were committed, of the ten busiest domains.",
                    "mps",
                    (
                        'topk(10, sum by (domain) (rate(mailpod_messages_delivered_total{job=~"$job"}'
                        "[$__rate_interval])))",
                        "{{domain}}",
                    ),
                    link="mailpod-mailflow",
                ),
                graph(
                    "In the queue",
                    "Messages for several recipients that have not reached all of them. It should fall to nothing.",
                    "short",
                    ('max(mailpod_spool_entries{job=~"$job"})', "messages"),
                    link="mailpod-mailflow",
                ),
            ),
        ),
        Row(
            "Out",
            (
                graph(
                    "Recipients elsewhere",
                    "By what an attempt gave. Only delayed: no other server is reached. Only deferred: they want none.",
                    "mps",
                    (
                        'sum by (outcome) (rate(mailpod_outbound_recipients_total{job=~"$job"}[$__rate_interval]))',
                        "{{outcome}}",
                    ),
                    stack=True,
                    link="mailpod-mailflow",
                ),
                graph(
                    "Sessions with other servers",
                    "failed: no connection.",
                    "cps",
                    (
                        'sum by (outcome) (rate(mailpod_outbound_sessions_total{job=~"$job"}[$__rate_interval]))',
                        "{{outcome}}",
                    ),
                    link="mailpod-mailflow",
                ),
                graph(
                    "DKIM signatures",
                    "Of submitted messages: anything but signed is not believed by others.",
                    "mps",
                    (
                        'sum by (outcome) (rate(mailpod_dkim_signed_total{job=~"$job"}[$__rate_interval]))',
                        "{{outcome}}",
                    ),
                    link="mailpod-mailflow",
                ),
            ),
        ),
        Row(
            "To clients",
            (
                graph(
                    "Logged in",
                    "Sessions by protocol.",
                    "short",
                    ('sum by (protocol) (mailpod_sessions{job=~"$job"})', "{{protocol}}"),
                    stack=True,
                    link="mailpod-clients",
                ),
                graph(
                    "Commands",
                    "Answered commands of IMAP and POP3.",
                    "ops",
                    (
                        'sum by (protocol) (rate(mailpod_commands_total{job=~"$job"}[$__rate_interval]))',
                        "{{protocol}}",
                    ),
                    link="mailpod-clients",
                ),
                graph(
                    "Log-ins",
                    "By outcome. Many that failed: somebody guesses passwords; unavailable: the bucket is away.",
                    "ops",
                    (
                        'sum by (outcome) (rate(mailpod_logins_total{job=~"$job"}[$__rate_interval]))',
                        "{{outcome}}",
                    ),
                    link="mailpod-clients",
                ),
            ),
        ),
        Row(
            "Where it can be stuck",
            (
                graph(
                    "The bucket's slowest hundredth",
                    "99th percentile of a request's time. Everything waits for it: a slow bucket is slow mail.",
                    "s",
                    (
                        "histogram_quantile(0.99, sum by (le) (rate(mailpod_bucket_request_duration_seconds_bucket"
                        '{job=~"$job"}[$__rate_interval])))',
                        "all operations",
                    ),
                    steps=((1, YELLOW), (5, RED)),
                    link="mailpod-bucket",
                ),
                graph(
                    "Memory for messages",
                    "Used share of each pod's budget for messages in flight. At 1, SMTP answers 452 and IMAP waits.",
                    "percentunit",
                    (
                        'mailpod_budget_used_bytes{job=~"$job"} / mailpod_budget_limit_bytes{job=~"$job"}',
                        WHICH,
                    ),
                    steps=((0.8, YELLOW), (1, RED)),
                ),
                graph(
                    "Connections refused",
                    "Too many in all, too many of one address, or a pod that is stopping.",
                    "cps",
                    (
                        'sum by (protocol) (rate(mailpod_connections_total{job=~"$job", outcome="refused"}'
                        "[$__rate_interval]))",
                        "{{protocol}}",
                    ),
                ),
            ),
        ),
    ),
    (PODS, OPERATOR),
)
