"""Mail on its way in: SMTP, what is refused and why, the queue, and mailboxes that are full."""

from __future__ import annotations

from typing import Final

from charts.dashboards.model import BY, OPERATOR, PODS, RED, WHICH, YELLOW, Dashboard, Row, graph

_DATA: Final = (
    'sum by (le) (rate(mailpod_command_duration_seconds_bucket{job=~"$job", protocol="smtp", command="DATA"}'
    "[$__rate_interval]))"
)

DASHBOARD: Final = Dashboard(
    "mailpod-mailflow",
    "Mailpod: mail flow",
    "Messages by SMTP and submission, what is refused and why, and the queue.",
    (
        Row(
            "SMTP",
            (
                graph(
                    "Messages",
                    "By port (mx: from other servers; submission: of users) and outcome.",
                    "mps",
                    (
                        'sum by (role, outcome) (rate(mailpod_messages_received_total{job=~"$job"}[$__rate_interval]))',
                        "{{role}} {{outcome}}",
                    ),
                    stack=True,
                ),
                graph(
                    "Bytes accepted",
                    "Of the messages that were accepted.",
                    "Bps",
                    (
                        'sum by (role) (rate(mailpod_messages_received_bytes_total{job=~"$job"}[$__rate_interval]))',
                        "{{role}}",
                    ),
                    stack=True,
                ),
                graph(
                    "From the final dot to 250",
                    "How long senders wait until a message is durable. A point's exemplar is the id of one message: "
                    "look for it in the logs.",
                    "s",
                    (f"histogram_quantile(0.5, {_DATA})", "half"),
                    (f"histogram_quantile(0.99, {_DATA})", "99 of 100"),
                    exemplars=True,
                    steps=((5, RED),),
                ),
                graph(
                    "Refusals",
                    "Replies that were no success, the ten most frequent: 550 5.1.1 is an unknown address, 452 4.3.1 a "
                    "full budget, 451 4.3.0 a bucket that is away, 552 5.2.2 a full mailbox.",
                    "ops",
                    (
                        'topk(10, sum by (role, code) (rate(mailpod_smtp_refusals_total{job=~"$job"}'
                        "[$__rate_interval])))",
                        "{{role}} {{code}}",
                    ),
                ),
                graph(
                    "Connections",
                    "By what became of them. PROXY: those to listeners for that protocol, of IMAP and POP3 too.",
                    "cps",
                    (
                        'sum by (outcome) (rate(mailpod_connections_total{job=~"$job", protocol="smtp"}'
                        "[$__rate_interval]))",
                        "{{outcome}}",
                    ),
                    (
                        'sum by (outcome) (rate(mailpod_proxied_connections_total{job=~"$job"}[$__rate_interval]))',
                        "PROXY {{outcome}}",
                    ),
                ),
                graph(
                    "TLS handshakes",
                    "Failed ones are old clients, or ones that do not trust the certificate.",
                    "cps",
                    (
                        'sum by (outcome) (rate(mailpod_tls_handshakes_total{job=~"$job", protocol="smtp"}'
                        "[$__rate_interval]))",
                        "{{outcome}}",
                    ),
                ),
            ),
        ),
        Row(
            "Checks of what comes in",
            (
                graph(
                    "SPF, DKIM and DMARC",
                    "Results of messages by port 25. Much temperror: the DNS does not answer us.",
                    "ops",
                    (
                        'sum by (check, result) (rate(mailpod_sender_checks_total{job=~"$job"}[$__rate_interval]))',
                        "{{check}} {{result}}",
                    ),
                ),
                graph(
                    "What rspamd said",
                    "failed: it did not answer, and mail was taken unfiltered or put off, as `onFailure` says. "
                    "taught: what users moved into Junk or out of it.",
                    "mps",
                    (
                        'sum by (action) (rate(mailpod_filtered_messages_total{job=~"$job"}[$__rate_interval]))',
                        "{{action}}",
                    ),
                    (
                        'sum by (class, outcome) (rate(mailpod_learned_messages_total{job=~"$job"}[$__rate_interval]))',
                        "taught {{class}} {{outcome}}",
                    ),
                ),
                graph(
                    "Refused for the client's address",
                    "Recipients. blocklist: it is on a DNS blocklist; rate: it wrote to too many in an hour.",
                    "ops",
                    (
                        'sum by (reason) (rate(mailpod_client_refusals_total{job=~"$job"}[$__rate_interval]))',
                        "{{reason}}",
                    ),
                ),
            ),
        ),
        Row(
            "Out",
            (
                graph(
                    "Recipients elsewhere",
                    "By what an attempt gave. delayed: no server was reached; deferred: it said later. Both are tried "
                    "again for days. failed: the sender gets a notice.",
                    "mps",
                    (
                        'sum by (outcome) (rate(mailpod_outbound_recipients_total{job=~"$job"}[$__rate_interval]))',
                        "{{outcome}}",
                    ),
                    stack=True,
                ),
                graph(
                    "Sessions with other servers",
                    "failed: no connection. All of them: port 25 is closed to us, as clouds like to have it. "
                    "uncertain: the last answer was lost, and the message may arrive twice.",
                    "cps",
                    (
                        'sum by (outcome) (rate(mailpod_outbound_sessions_total{job=~"$job"}[$__rate_interval]))',
                        "{{outcome}}",
                    ),
                    ('sum(rate(mailpod_outbound_uncertain_total{job=~"$job"}[$__rate_interval]))', "uncertain"),
                ),
                graph(
                    "Attempts under way",
                    "Of each pod. At its limit for long: the queue is longer than the pods can send.",
                    "short",
                    (f'sum by ({BY}) (mailpod_outbound_deliveries_running{{job=~"$job"}})', WHICH),
                ),
                graph(
                    "TLS with other servers",
                    "By the policy that held (sts, dane; none: as good as they offer) and how it went.",
                    "cps",
                    (
                        'sum by (policy, outcome) (rate(mailpod_outbound_tls_total{job=~"$job"}[$__rate_interval]))',
                        "{{policy}} {{outcome}}",
                    ),
                ),
                graph(
                    "DKIM signatures",
                    "Of submitted messages. no_key, failed: it left unsigned, and others may not believe it.",
                    "mps",
                    (
                        'sum by (outcome) (rate(mailpod_dkim_signed_total{job=~"$job"}[$__rate_interval]))',
                        "{{outcome}}",
                    ),
                ),
                graph(
                    "Age of DKIM keys",
                    "Of the ten domains whose keys are used longest; and how long new ones wait for their DNS records.",
                    "s",
                    (
                        'topk(10, time() - max by (domain) (mailpod_dkim_key_used_timestamp_seconds{job=~"$job"}))',
                        "{{domain}} in use",
                    ),
                    (
                        'topk(10, max by (domain) ((time() - mailpod_dkim_next_key_timestamp_seconds{job=~"$job"})'
                        ' * (mailpod_dkim_next_key_timestamp_seconds{job=~"$job"} > bool 0)))',
                        "{{domain}} waiting",
                    ),
                ),
                graph(
                    "Notices",
                    "To senders, of what became of their mail. withheld: the sender may be forged. And the daily "
                    "reports to domains that ask for them.",
                    "cps",
                    (
                        'sum by (kind, outcome) (rate(mailpod_notices_total{job=~"$job"}[$__rate_interval]))',
                        "{{kind}} {{outcome}}",
                    ),
                    (
                        'sum by (outcome) (rate(mailpod_dmarc_reports_total{job=~"$job"}[$__rate_interval]))',
                        "DMARC report {{outcome}}",
                    ),
                    (
                        'sum by (outcome) (rate(mailpod_tls_reports_total{job=~"$job"}[$__rate_interval]))',
                        "TLS report {{outcome}}",
                    ),
                ),
                graph(
                    "Forwarding",
                    "Recipients of other domains that `forwarding` names: sent, or why the message stayed here. "
                    "notice: what came back for senders of forwarded mail.",
                    "ops",
                    (
                        'sum by (outcome) (rate(mailpod_forwarded_recipients_total{job=~"$job"}[$__rate_interval]))',
                        "{{outcome}}",
                    ),
                    (
                        'sum by (outcome) (rate(mailpod_returned_notices_total{job=~"$job"}[$__rate_interval]))',
                        "notice {{outcome}}",
                    ),
                ),
            ),
        ),
        Row(
            "Into mailboxes",
            (
                graph(
                    "Delivered, by domain",
                    "Committed messages, of the ten busiest domains.",
                    "mps",
                    (
                        'topk(10, sum by (domain) (rate(mailpod_messages_delivered_total{job=~"$job"}'
                        "[$__rate_interval])))",
                        "{{domain}}",
                    ),
                ),
                graph(
                    "Bytes delivered, by domain",
                    "Of those messages.",
                    "Bps",
                    (
                        'topk(10, sum by (domain) (rate(mailpod_messages_delivered_bytes_total{job=~"$job"}'
                        "[$__rate_interval])))",
                        "{{domain}}",
                    ),
                ),
                graph(
                    "Refused since a mailbox is full",
                    "By domain; which mailbox it is, kubectl get mailboxes tells.",
                    "mps",
                    (
                        'sum by (domain) (rate(mailpod_messages_over_quota_total{job=~"$job"}[$__rate_interval]))',
                        "{{domain}}",
                    ),
                    steps=((0.1, YELLOW),),
                ),
                graph(
                    "Mailboxes near their quota",
                    "Those that hold nine tenths of it, as of the operator's last look.",
                    "short",
                    (
                        'topk(10, mailpod_operator_mailboxes_near_quota{job=~"$operator"})',
                        "{{maildomain}}",
                    ),
                ),
                graph(
                    "Warnings of a quota",
                    "Mails to users whose mailbox has reached a threshold of its quota, by domain.",
                    "cps",
                    (
                        'sum by (domain) (rate(mailpod_quota_warnings_total{job=~"$job"}[$__rate_interval]))',
                        "{{domain}}",
                    ),
                ),
                graph(
                    "Expired",
                    "Messages deleted as `retention` says, once a day, of the ten domains with most. Suddenly "
                    "many: has somebody shortened it?",
                    "mps",
                    (
                        'topk(10, sum by (domain) (rate(mailpod_messages_expired_total{job=~"$job"}'
                        "[$__rate_interval])))",
                        "{{domain}}",
                    ),
                ),
                graph(
                    "Accounts that are read-only",
                    "Their log is damaged: mailpod fsck says where, mailpod restore mends it.",
                    "short",
                    (f'sum by ({BY}) (mailpod_accounts_read_only{{job=~"$job"}})', WHICH),
                    steps=((1, RED),),
                ),
                graph(
                    "Messages in flight",
                    "Bytes that pods hold for messages on their way in or out, and the most they may.",
                    "bytes",
                    ('sum(mailpod_budget_used_bytes{job=~"$job"})', "used"),
                    ('sum(mailpod_budget_limit_bytes{job=~"$job"})', "limit"),
                ),
            ),
        ),
        Row(
            "The queue",
            (
                graph(
                    "Messages in it",
                    "As each pod's last full look found it (every three minutes).",
                    "short",
                    (f'max by ({BY}) (mailpod_spool_entries{{job=~"$job"}})', WHICH),
                    (f'max by ({BY}) (mailpod_spool_held_entries{{job=~"$job"}})', f"{WHICH} on hold"),
                ),
                graph(
                    "Age of the oldest",
                    "At the last full look: it may wait for another server for days. late: an attempt was due so long "
                    "ago, or a mailbox here has not got its message.",
                    "s",
                    (
                        'max((mailpod_spool_sweep_timestamp_seconds{job=~"$job"}'
                        ' - mailpod_spool_oldest_timestamp_seconds{job=~"$job"})'
                        ' * (mailpod_spool_oldest_timestamp_seconds{job=~"$job"} > bool 0))',
                        "oldest",
                    ),
                    (
                        'clamp_min(max((mailpod_spool_sweep_timestamp_seconds{job=~"$job"}'
                        ' - mailpod_spool_due_timestamp_seconds{job=~"$job"})'
                        ' * (mailpod_spool_due_timestamp_seconds{job=~"$job"} > bool 0)), 0)',
                        "late",
                    ),
                    steps=((3600, YELLOW), (14400, RED)),
                ),
                graph(
                    "Handed out",
                    "Recipients by outcome: delivered, duplicate (it was there), postponed (tried again), failed.",
                    "mps",
                    (
                        'sum by (outcome) (rate(mailpod_spool_handouts_total{job=~"$job"}[$__rate_interval]))',
                        "{{outcome}}",
                    ),
                ),
            ),
        ),
    ),
    (PODS, OPERATOR),
)
