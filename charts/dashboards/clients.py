"""IMAP and POP3: who is logged in, how quickly they are answered, and who tries passwords."""

from __future__ import annotations

from typing import Final

from charts.dashboards.model import BY, PODS, RED, WHICH, YELLOW, Dashboard, Row, graph


def _slowest(protocol: str) -> str:
    return (
        "histogram_quantile(0.99, sum by (le, command) (rate(mailpod_command_duration_seconds_bucket"
        f'{{job=~"$job", protocol="{protocol}"}}[$__rate_interval])))'
    )


def _commands(protocol: str) -> str:
    return (
        f'topk(10, sum by (command) (rate(mailpod_commands_total{{job=~"$job", protocol="{protocol}"}}'
        "[$__rate_interval])))"
    )


DASHBOARD: Final = Dashboard(
    "mailpod-clients",
    "Mailpod: IMAP and POP3",
    "Sessions, commands and how long they take, log-ins and attacks on them.",
    (
        Row(
            "Sessions",
            (
                graph(
                    "Logged in",
                    "By protocol.",
                    "short",
                    ('sum by (protocol) (mailpod_sessions{job=~"$job"})', "{{protocol}}"),
                    stack=True,
                ),
                graph(
                    "Connections of each pod",
                    "Open ones. Far apart: clients stay with the pod that they found first.",
                    "short",
                    (f'sum by ({BY}) (mailpod_open_connections{{job=~"$job"}})', WHICH),
                ),
                graph(
                    "Ended by an error of ours",
                    "A bug: the pod's log says where (imap.command.crashed, session.crashed). Please report it.",
                    "cps",
                    (
                        'sum by (protocol) (rate(mailpod_session_crashes_total{job=~"$job"}[$__rate_interval]))',
                        "{{protocol}}",
                    ),
                    steps=((0.001, RED),),
                ),
            ),
        ),
        Row(
            "IMAP",
            (
                graph("Commands", "The ten most frequent.", "ops", (_commands("imap"), "{{command}}")),
                graph(
                    "Slowest hundredth",
                    "99th percentile by command. IDLE answers when it ends, and counts from its start to `+`.",
                    "s",
                    (_slowest("imap"), "{{command}}"),
                    steps=((5, YELLOW),),
                ),
                graph(
                    "Answers that were not OK",
                    "no: it could not be done; bad: the client's fault.",
                    "ops",
                    (
                        'sum by (command, outcome) (rate(mailpod_commands_total{job=~"$job", protocol="imap", '
                        'outcome!="ok"}[$__rate_interval]))',
                        "{{command}} {{outcome}}",
                    ),
                ),
            ),
        ),
        Row(
            "Search",
            (
                graph(
                    "Messages not indexed yet",
                    "Searches read them one by one. It falls while clients rest; else store.index.failed in the logs.",
                    "short",
                    (f'sum by ({BY}) (mailpod_search_unindexed_messages{{job=~"$job"}})', WHICH),
                ),
            ),
        ),
        Row(
            "POP3",
            (
                graph("Commands", "The ten most frequent.", "ops", (_commands("pop3"), "{{command}}")),
                graph(
                    "Slowest hundredth",
                    "99th percentile by command.",
                    "s",
                    (_slowest("pop3"), "{{command}}"),
                    steps=((5, YELLOW),),
                ),
                graph(
                    "Hints between pods",
                    "Datagrams that tell other pods of commits. Refused ones have a wrong key: look at the rotation.",
                    "cps",
                    ('sum by (what) (rate(mailpod_hints_total{job=~"$job"}[$__rate_interval]))', "{{what}}"),
                ),
            ),
        ),
        Row(
            "Log-ins",
            (
                graph(
                    "By outcome",
                    "failed: wrong name or password; refused: suspended, or not this protocol; unavailable: no bucket.",
                    "ops",
                    (
                        'sum by (protocol, outcome) (rate(mailpod_logins_total{job=~"$job"}[$__rate_interval]))',
                        "{{protocol}} {{outcome}}",
                    ),
                ),
                graph(
                    "Attempts that had to wait",
                    "After a few failures each next attempt of the account or the network waits longer, up to 8 s.",
                    "ops",
                    (
                        'sum by (protocol) (rate(mailpod_login_throttled_total{job=~"$job"}[$__rate_interval]))',
                        "{{protocol}}",
                    ),
                    steps=((1, YELLOW),),
                ),
                graph(
                    "Accounts and networks under suspicion",
                    "Whose failures are remembered. Thousands: many hosts guess at once.",
                    "short",
                    (f'sum by ({BY}) (mailpod_login_suspects{{job=~"$job"}})', WHICH),
                ),
                graph(
                    "How passwords were checked",
                    "cached: seen before. argon2 costs 20 ms of CPU: many of them are new clients, or an attack.",
                    "ops",
                    ('sum by (way) (rate(mailpod_password_checks_total{job=~"$job"}[$__rate_interval]))', "{{way}}"),
                ),
                graph(
                    "Sessions closed for a changed account",
                    "Removed, suspended, or with a new password.",
                    "cps",
                    (
                        'sum by (protocol) (rate(mailpod_sessions_revoked_total{job=~"$job"}[$__rate_interval]))',
                        "{{protocol}}",
                    ),
                ),
                graph(
                    "TLS handshakes",
                    "Failed ones are old clients, or ones that do not trust the certificate.",
                    "cps",
                    (
                        'sum by (protocol, outcome) (rate(mailpod_tls_handshakes_total{job=~"$job", '
                        'protocol!="smtp"}[$__rate_interval]))',
                        "{{protocol}} {{outcome}}",
                    ),
                ),
            ),
        ),
    ),
    (PODS,),
)
