"""The bucket: whether it answers, how quickly, and what it costs by a price list that is typed in above."""

from __future__ import annotations

from typing import Final

from charts.dashboards.model import BY, OPERATOR, PODS, RED, WHICH, YELLOW, Dashboard, Row, Variable, graph, stat

_MONTH: Final = 30 * 86400
_WRITES: Final = 'operation=~"create|put|upload|list"'  # what S3 bills as PUT, COPY, POST and LIST; DELETE is free
_READS: Final = 'operation=~"get|get_range|get_head"'


def _cost(by: str) -> str:
    """Dollars a month of what is asked now."""
    rates = (
        f'sum{by} (rate(mailpod_bucket_requests_total{{job=~"$job", {which}}}[$__rate_interval])) * {_MONTH} / 1000'
        f" * ${price}"
        for which, price in ((_WRITES, "writes"), (_READS, "reads"))
    )
    return " + ".join(rates)


def _quantile(share: float) -> str:
    return (
        f"histogram_quantile({share}, sum by (le, operation) (rate(mailpod_bucket_request_duration_seconds_bucket"
        '{job=~"$job"}[$__rate_interval])))'
    )


DASHBOARD: Final = Dashboard(
    "mailpod-bucket",
    "Mailpod: bucket and cost",
    "Requests to the bucket: how many, how slow, for which domain, and at what price.",
    (
        Row(
            "Now",
            (
                stat(
                    "Reached",
                    "1: every pod reaches the bucket.",
                    "none",
                    'min(mailpod_bucket_up{job=~"$job"})',
                    (1, "green"),
                    base=RED,
                    width=6,
                ),
                stat(
                    "Requests",
                    "All of them, of all pods.",
                    "reqps",
                    'sum(rate(mailpod_bucket_requests_total{job=~"$job"}[$__rate_interval]))',
                    width=6,
                ),
                stat(
                    "Requests, a month at this rate",
                    "By the prices typed above, for 1,000 requests. Storage and transfer are not in it.",
                    "currencyUSD",
                    _cost(""),
                    width=6,
                ),
                stat(
                    "Storage, a month",
                    "What mailboxes hold, as of the operator's last look, by the price of a GB typed above.",
                    "currencyUSD",
                    'sum(mailpod_operator_domain_used_bytes{job=~"$operator"}) / 1e9 * $storage',
                    width=6,
                ),
            ),
        ),
        Row(
            "How it answers",
            (
                graph(
                    "Half of the requests take at most",
                    "Median by operation.",
                    "s",
                    (_quantile(0.5), "{{operation}}"),
                ),
                graph(
                    "99 of 100 take at most",
                    "By operation. A delivery is one `create`; a cold mailbox is a `list` and a few `get_range`.",
                    "s",
                    (_quantile(0.99), "{{operation}}"),
                    steps=((1, YELLOW), (5, RED)),
                ),
                graph(
                    "Without an answer",
                    "error: refused or none; ambiguous: a write that may have happened, which is looked up.",
                    "reqps",
                    (
                        'sum by (operation, outcome) (rate(mailpod_bucket_requests_total{job=~"$job", '
                        'outcome=~"error|ambiguous"}[$__rate_interval]))',
                        "{{operation}} {{outcome}}",
                    ),
                    steps=((0.1, RED),),
                ),
                graph(
                    "Waiting",
                    "Requests that wait since too many are under way: the bucket is slower than the mail.",
                    "short",
                    (f'sum by ({BY}) (mailpod_bucket_requests_waiting{{job=~"$job"}})', WHICH),
                    steps=((100, YELLOW),),
                ),
                graph(
                    "Requests",
                    "By operation.",
                    "reqps",
                    (
                        'sum by (operation) (rate(mailpod_bucket_requests_total{job=~"$job"}[$__rate_interval]))',
                        "{{operation}}",
                    ),
                    stack=True,
                ),
                graph(
                    "Bytes",
                    "Read from it and written to it.",
                    "Bps",
                    (
                        'sum by (direction) (rate(mailpod_bucket_bytes_total{job=~"$job"}[$__rate_interval]))',
                        "{{direction}}",
                    ),
                ),
            ),
        ),
        Row(
            "For whom",
            (
                graph(
                    "Requests, by domain",
                    "The ten with most; without a name: the queue, and what is shared.",
                    "reqps",
                    (
                        'topk(10, sum by (domain) (rate(mailpod_bucket_requests_total{job=~"$job"}'
                        "[$__rate_interval])))",
                        "{{domain}}",
                    ),
                ),
                graph(
                    "Cost of requests, by domain",
                    "A month at this rate, the ten dearest.",
                    "currencyUSD",
                    (f"topk(10, {_cost(' by (domain)')})", "{{domain}}"),
                ),
                graph(
                    "Held, by domain",
                    "Bytes in mailboxes, the ten largest, as of the operator's last look.",
                    "bytes",
                    ('topk(10, mailpod_operator_domain_used_bytes{job=~"$operator"})', "{{maildomain}}"),
                ),
            ),
        ),
    ),
    (
        PODS,
        OPERATOR,
        Variable("writes", "$ for 1,000 PUT or LIST", value="0.005"),
        Variable("reads", "$ for 1,000 GET", value="0.0004"),
        Variable("storage", "$ for a GB and month", value="0.023"),
    ),
)
