"""Every metric of a pod. Labels have few values: protocols, operations, outcomes; never an address or a mailbox.

Only counters and gauges have the label `domain`, and only with domains that the directory has: a histogram with it
would be fifteen series a domain.
"""

from __future__ import annotations

from functools import cache

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter, which nobody asks for

_FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

CONNECTIONS = Gauge("mailpod_open_connections", "Client connections that are open.", ["protocol"])
CONNECTIONS_TOTAL = Counter(
    "mailpod_connections_total", "Client connections, by what became of them.", ["protocol", "outcome"]
)
TLS_HANDSHAKES = Counter("mailpod_tls_handshakes_total", "TLS handshakes with clients.", ["protocol", "outcome"])
PROXIED = Counter(
    "mailpod_proxied_connections_total",
    "Connections to listeners for the PROXY protocol: announced, own (the proxy speaks for itself), untrusted, "
    "malformed, late, failed.",
    ["outcome"],
)
SESSION_CRASHES = Counter(
    "mailpod_session_crashes_total", "Sessions that ended by an unexpected error of ours.", ["protocol"]
)

LOGINS = Counter("mailpod_logins_total", "Log-in attempts: ok, failed, refused, unavailable.", ["protocol", "outcome"])
LOGIN_WAITS = Counter("mailpod_login_throttled_total", "Log-in attempts that had to wait.", ["protocol"])
PASSWORD_CHECKS = Counter("mailpod_password_checks_total", "How passwords were checked: cached or argon2.", ["way"])
LOGIN_SUSPECTS = Gauge(
    "mailpod_login_suspects", "Accounts and networks whose failed log-ins are remembered, and slow their next ones."
)
SESSIONS = Gauge("mailpod_sessions", "Logged-in sessions.", ["protocol"])
REVOKED = Counter(
    "mailpod_sessions_revoked_total", "Sessions closed since the account changed or went away.", ["protocol"]
)

COMMANDS = Counter("mailpod_commands_total", "Commands, by outcome.", ["protocol", "command", "outcome"])
COMMAND_SECONDS = Histogram(
    "mailpod_command_duration_seconds", "Time a command took.", ["protocol", "command"], buckets=_FAST
)
RECEIVED_MESSAGES = Counter(
    "mailpod_messages_received_total", "Messages by SMTP: accepted, refused, deferred.", ["role", "outcome"]
)
RECEIVED_BYTES = Counter("mailpod_messages_received_bytes_total", "Bytes of messages accepted by SMTP.", ["role"])
SMTP_REFUSALS = Counter(
    "mailpod_smtp_refusals_total", "Replies to SMTP commands that were no success, by code.", ["role", "code"]
)
DELIVERED_MESSAGES = Counter(
    "mailpod_messages_delivered_total", "Messages committed into mailboxes of a domain.", ["domain"]
)
DELIVERED_BYTES = Counter("mailpod_messages_delivered_bytes_total", "Bytes of those messages.", ["domain"])
OVER_QUOTA = Counter(
    "mailpod_messages_over_quota_total", "Messages refused since the mailbox is full, by its domain.", ["domain"]
)
QUOTA_WARNINGS = Counter(
    "mailpod_quota_warnings_total", "Warnings by mail that a mailbox is nearly full, by its domain.", ["domain"]
)
EXPIRED = Counter(
    "mailpod_messages_expired_total", "Messages deleted since they were in their folder for too long.", ["domain"]
)
DKIM_SIGNED = Counter(
    "mailpod_dkim_signed_total",
    "Messages that users submitted, by what became of their DKIM signatures: signed, no_key, failed (sent unsigned).",
    ["outcome"],
)

HINTS = Counter("mailpod_hints_total", "Datagrams between pods about commits: sent, received, refused.", ["what"])

BUCKET_UP = Gauge("mailpod_bucket_up", "1 when the last check of the bucket succeeded, 0 when not.")
BUCKET_REQUESTS = Counter(
    "mailpod_bucket_requests_total",
    "Requests to the bucket, by the domain whose objects they were for.",
    ["operation", "outcome", "domain"],
)
BUCKET_SECONDS = Histogram(
    "mailpod_bucket_request_duration_seconds", "Time a bucket request took.", ["operation"], buckets=_FAST
)
BUCKET_BYTES = Counter(
    "mailpod_bucket_bytes_total", "Bytes moved to (write) and from (read) the bucket.", ["direction", "domain"]
)
BUCKET_WAITING = Gauge("mailpod_bucket_requests_waiting", "Requests that wait since too many are under way.")
ACCOUNTS_READ_ONLY = Gauge(
    "mailpod_accounts_read_only", "Open accounts that are read-only since their log is damaged: mailpod fsck."
)

BUDGET_USED = Gauge("mailpod_budget_used_bytes", "Bytes of messages in flight.")
BUDGET_LIMIT = Gauge("mailpod_budget_limit_bytes", "The most bytes of messages that may be in flight.")
DRAINING = Gauge("mailpod_draining", "1 while the pod is draining.")
CERTIFICATE_EXPIRY = Gauge(
    "mailpod_tls_certificate_expiry_timestamp_seconds", "When the certificate of a name expires.", ["name"]
)

# dkim
DKIM_USED = Gauge(
    "mailpod_dkim_key_used_timestamp_seconds", "Since when the keys that a domain signs with are used.", ["domain"]
)
DKIM_NEXT = Gauge(
    "mailpod_dkim_next_key_timestamp_seconds",
    "When their successors were made, which are used once the DNS has their records; 0: there are none.",
    ["domain"],
)

# store
UNINDEXED = Gauge(
    "mailpod_search_unindexed_messages",
    "Messages that searches have to read, in mailboxes of open accounts whose postings are behind.",
)

# smtp
FILTERED = Counter(
    "mailpod_filtered_messages_total",
    "What rspamd said of mail that came in: accept, junk, defer, reject, failed.",
    ["action"],
)
LEARNED = Counter(
    "mailpod_learned_messages_total",
    "What users moved into Junk or out of it, for rspamd to learn: learned, failed, gone, dropped.",
    ["class", "outcome"],
)
CLIENTS_REFUSED = Counter(
    "mailpod_client_refusals_total", "Recipients refused for the client's address: blocklist, rate.", ["reason"]
)
AUTHENTICATED = Counter(
    "mailpod_sender_checks_total",
    "Checks of who sent what comes in: spf, dkim (each signature), dmarc and arc, by their result.",
    ["check", "result"],
)
FORWARDED = Counter(
    "mailpod_forwarded_recipients_total",
    "Addresses elsewhere that mail was to go on to: sent; or it stayed, for the reason junk, loop, forged, no_key.",
    ["outcome"],
)
RETURNED = Counter(
    "mailpod_returned_notices_total",
    "Recipients that are senders of forwarded mail, rewritten: accepted, no_notice, closed, expired, forged.",
    ["outcome"],
)
SPOOL_ENTRIES = Gauge("mailpod_spool_entries", "Messages in the queue, as of the last full look.")
SPOOL_HELD = Gauge("mailpod_spool_held_entries", "Messages in the queue that are on hold, as of the last full look.")
SPOOL_OLDEST = Gauge(
    "mailpod_spool_oldest_timestamp_seconds",
    "When the oldest message in the queue came, by the bucket's clock, as of the last full look; 0 without any.",
)
SPOOL_DUE = Gauge(
    "mailpod_spool_due_timestamp_seconds",
    "When the first attempt is due that waits for nobody else, by the bucket's clock, as of the last full look; 0: "
    "none. For mail to mailboxes here: when it came.",
)
SPOOL_SWEPT = Gauge("mailpod_spool_sweep_timestamp_seconds", "When the queue was last looked at in full; 0: not yet.")
SPOOL_HANDED_OUT = Counter(
    "mailpod_spool_handouts_total",
    "Recipients of queued messages: delivered, duplicate (it was there already), postponed, failed.",
    ["outcome"],
)

# outbound TLS
OUTBOUND_TLS = Counter(
    "mailpod_outbound_tls_total",
    "Connections to other servers, by the policy that held (none, sts, dane, requiretls, fixed) and how TLS went: ok,"
    " or RFC 8460's failure type.",
    ["policy", "outcome"],
)
DMARC_REPORTS = Counter(
    "mailpod_dmarc_reports_total", "Daily DMARC reports to other domains: sent, failed.", ["outcome"]
)
TLS_REPORTS = Counter("mailpod_tls_reports_total", "Daily TLS reports to other domains: sent, failed.", ["outcome"])

# relay
OUTBOUND_RECIPIENTS = Counter(
    "mailpod_outbound_recipients_total",
    "Recipients elsewhere, by what an attempt gave: relayed, passed (with the duty to report), delayed (not reached), "
    "deferred (the other server said so), failed.",
    ["outcome"],
)
OUTBOUND_SESSIONS = Counter(
    "mailpod_outbound_sessions_total", "Sessions with other servers: opened, reused, failed.", ["outcome"]
)
OUTBOUND_CONNECTIONS = Gauge("mailpod_outbound_deliveries_running", "Attempts at other servers that are under way.")
NOTICES = Counter(
    "mailpod_notices_total",
    "Notices about queued messages, by kind (failed, delayed, delivered): sent, or withheld from who may be forged.",
    ["kind", "outcome"],
)
OUTBOUND_UNCERTAIN = Counter(
    "mailpod_outbound_uncertain_total",
    "Messages sent whose last answer was lost, or whose attempt nobody ended: they may arrive twice.",
)


@cache
def outbound_recipients(outcome: str) -> Counter:
    """The child of OUTBOUND_RECIPIENTS."""
    return OUTBOUND_RECIPIENTS.labels(outcome)


@cache
def command_count(protocol: str, command: str, outcome: str) -> Counter:
    """The child of COMMANDS, found once: `labels` costs more than many a command."""
    return COMMANDS.labels(protocol, command, outcome)


@cache
def command_seconds(protocol: str, command: str) -> Histogram:
    """The child of COMMAND_SECONDS."""
    return COMMAND_SECONDS.labels(protocol, command)


def forget_command(protocol: str, command: str, outcome: str) -> None:
    """As if it had never been run."""
    COMMANDS.remove(protocol, command, outcome)
    COMMAND_SECONDS.remove(protocol, command)
    command_count.cache_clear()
    command_seconds.cache_clear()


@cache
def bucket_requests(operation: str, outcome: str, domain: str) -> Counter:
    """The child of BUCKET_REQUESTS."""
    return BUCKET_REQUESTS.labels(operation, outcome, domain)


@cache
def bucket_bytes(direction: str, domain: str) -> Counter:
    """The child of BUCKET_BYTES."""
    return BUCKET_BYTES.labels(direction, domain)


@cache
def bucket_seconds(operation: str) -> Histogram:
    """The child of BUCKET_SECONDS."""
    return BUCKET_SECONDS.labels(operation)


@cache
def smtp_refusals(role: str, code: str) -> Counter:
    """The child of SMTP_REFUSALS."""
    return SMTP_REFUSALS.labels(role, code)


@cache
def delivered(domain: str) -> tuple[Counter, Counter]:
    """The children of DELIVERED_MESSAGES and DELIVERED_BYTES."""
    return DELIVERED_MESSAGES.labels(domain), DELIVERED_BYTES.labels(domain)


def dkim_keys(domain: str, used: float, following: float) -> None:
    DKIM_USED.labels(domain).set(used)
    DKIM_NEXT.labels(domain).set(following)


def dkim_forgotten(domain: str) -> None:
    DKIM_USED.remove(domain)
    DKIM_NEXT.remove(domain)


def begin() -> None:
    """Series at 0 from the start: Prometheus sees no increase in a counter that first appears with its first fault."""
    for protocol in ("smtp", "imap", "pop3"):
        SESSIONS.labels(protocol)
        CONNECTIONS.labels(protocol)
        SESSION_CRASHES.labels(protocol)
        LOGIN_WAITS.labels(protocol)
        REVOKED.labels(protocol)
        for outcome in ("accepted", "refused"):
            CONNECTIONS_TOTAL.labels(protocol, outcome)
        for outcome in ("ok", "failed"):
            TLS_HANDSHAKES.labels(protocol, outcome)
        for outcome in ("ok", "failed", "refused", "unavailable"):
            LOGINS.labels(protocol, outcome)
    for role in ("mx", "submission"):
        RECEIVED_BYTES.labels(role)
        for outcome in ("accepted", "refused", "deferred"):
            RECEIVED_MESSAGES.labels(role, outcome)
    for outcome in ("delivered", "duplicate", "postponed", "failed"):
        SPOOL_HANDED_OUT.labels(outcome)
    for what in ("sent", "received", "refused"):
        HINTS.labels(what)
    for operation in ("create", "put", "get", "get_range", "get_head", "list", "delete", "upload"):
        BUCKET_REQUESTS.labels(operation, "error", "")
    for check in ("spf", "dkim", "dmarc"):
        for result in ("pass", "fail", "none", "temperror"):
            AUTHENTICATED.labels(check, result)
    for action in ("accept", "junk", "defer", "reject", "failed"):
        FILTERED.labels(action)
    for reason in ("blocklist", "rate"):
        CLIENTS_REFUSED.labels(reason)
    for outcome in ("relayed", "passed", "delayed", "deferred", "failed"):
        OUTBOUND_RECIPIENTS.labels(outcome)
    for outcome in ("opened", "reused", "failed"):
        OUTBOUND_SESSIONS.labels(outcome)
    for outcome in ("sent", "junk", "loop", "forged", "no_key"):
        FORWARDED.labels(outcome)
    for outcome in ("accepted", "no_notice", "closed", "expired", "forged"):
        RETURNED.labels(outcome)
    for learned in ("spam", "ham"):
        for outcome in ("learned", "failed"):
            LEARNED.labels(learned, outcome)
    for outcome in ("announced", "own", "untrusted", "malformed", "late", "failed"):
        PROXIED.labels(outcome)
    for outcome in ("signed", "no_key", "failed"):
        DKIM_SIGNED.labels(outcome)
    for outcome in ("sent", "failed"):
        DMARC_REPORTS.labels(outcome)
        TLS_REPORTS.labels(outcome)
    for policy in ("none", "sts", "dane", "requiretls", "fixed"):
        OUTBOUND_TLS.labels(policy, "ok")
    for kind in ("failed", "delayed", "delivered"):
        for outcome in ("sent", "withheld"):
            NOTICES.labels(kind, outcome)
