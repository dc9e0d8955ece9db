"""Which alerts each fault fires and which panels it moves: every alert and every panel stands here exactly once.

Faults of one act do not hide each other, and are caused at once. Acts follow each other.
"""

from __future__ import annotations

from typing import Final

from tests.monitoring.faults import (
    Fault,
    a_certificate_runs_out,
    a_client_is_on_a_blocklist,
    a_mailbox_is_filled,
    a_mailbox_is_full,
    a_mailbox_is_nearly_full,
    a_mailbox_is_of_no_domain,
    connections_are_too_many,
    its_bucket_fails,
    keys_are_lost,
    logs_are_damaged,
    mail_is_forwarded,
    mail_is_sent_and_read,
    mailboxes_fill_up,
    memory_is_used_up,
    messages_expire,
    new_keys_are_not_in_the_dns,
    objects_cannot_be_reconciled,
    objects_change,
    one_elsewhere_refuses,
    one_elsewhere_says_nothing,
    one_password_is_guessed,
    passwords_are_guessed,
    pods_are_away,
    records_are_missing,
    servers_elsewhere_are_down,
    sessions_crash,
    storage_is_not_ready,
    the_api_server_is_away,
    the_bucket_is_away,
    the_bucket_is_slow,
)


def _of(dashboard: str, *titles: str) -> tuple[str, ...]:
    return tuple(f"{dashboard}: {title}" for title in titles)


ACTS: Final = (
    (
        Fault(
            mail_is_sent_and_read,
            rises=(
                *_of("overview", "In: Messages by SMTP", "In: Into mailboxes, by domain", "Out: DKIM signatures"),
                *_of("overview", "To clients: Logged in", "To clients: Commands", "To clients: Log-ins"),
                *_of("mailflow", "SMTP: Messages", "SMTP: Bytes accepted", "SMTP: From the final dot to 250"),
                *_of("mailflow", "SMTP: Refusals", "SMTP: Connections", "SMTP: TLS handshakes"),
                *_of("mailflow", "Checks of what comes in: SPF, DKIM and DMARC"),
                *_of("mailflow", "Checks of what comes in: What rspamd said", "Out: DKIM signatures"),
                *_of("mailflow", "Out: TLS with other servers", "Into mailboxes: Delivered, by domain"),
                *_of("mailflow", "Into mailboxes: Bytes delivered, by domain", "The queue: Handed out"),
                *_of("clients", "Sessions: Logged in", "Sessions: Connections of each pod", "IMAP: Commands"),
                *_of("clients", "IMAP: Slowest hundredth", "IMAP: Answers that were not OK", "POP3: Commands"),
                *_of("clients", "POP3: Slowest hundredth", "POP3: Hints between pods", "Log-ins: By outcome"),
                *_of("clients", "Log-ins: How passwords were checked", "Log-ins: TLS handshakes"),
                *_of("bucket", "Now: Requests", "Now: Requests, a month at this rate", "How it answers: Requests"),
                *_of("bucket", "How it answers: Bytes", "For whom: Requests, by domain"),
                *_of("bucket", "For whom: Cost of requests, by domain"),
            ),
            again=True,
        ),
        Fault(a_mailbox_is_full, rises=_of("mailflow", "Into mailboxes: Refused since a mailbox is full"), again=True),
        Fault(
            a_client_is_on_a_blocklist,
            rises=_of("mailflow", "Checks of what comes in: Refused for the client's address"),
            again=True,
        ),
        Fault(
            servers_elsewhere_are_down,
            alerts=("MailpodOutboundDelayed",),
            rises=(
                *_of("overview", "Out: Recipients elsewhere", "Out: Sessions with other servers"),
                *_of("mailflow", "Out: Recipients elsewhere", "Out: Sessions with other servers"),
            ),
        ),
        Fault(one_elsewhere_says_nothing, rises=_of("mailflow", "Out: Attempts under way")),
        Fault(one_elsewhere_refuses, rises=_of("mailflow", "Out: Notices"), again=True),
        Fault(
            logs_are_damaged,
            alerts=("MailpodAccountsReadOnly", "MailpodMessagesUndelivered"),
            rises=(
                *_of("mailflow", "Into mailboxes: Accounts that are read-only"),
                *_of("clients", "Log-ins: Sessions closed for a changed account"),
            ),
            window="1m",
        ),
        Fault(
            lambda world: None,  # the letter that waits for the damaged one
            alerts=("MailpodQueueStuck",),
            rises=(
                *_of("overview", "Now: Oldest in the queue", "In: In the queue"),
                *_of("mailflow", "The queue: Messages in it", "The queue: Age of the oldest"),
            ),
            later=True,
        ),
        Fault(passwords_are_guessed, alerts=("MailpodLoginsAttacked",), again=True),
        Fault(
            one_password_is_guessed,
            rises=(
                *_of("clients", "Log-ins: Attempts that had to wait"),
                *_of("clients", "Log-ins: Accounts and networks under suspicion"),
            ),
            window="1m",
        ),
        Fault(
            connections_are_too_many,
            alerts=("MailpodConnectionsRefused",),
            rises=_of("overview", "Where it can be stuck: Connections refused"),
            again=True,
        ),
        Fault(
            sessions_crash,
            alerts=("MailpodSessionsCrash",),
            rises=_of("clients", "Sessions: Ended by an error of ours"),
            again=True,
        ),
        Fault(
            memory_is_used_up,
            alerts=("MailpodMemoryBudgetExhausted",),
            rises=(
                *_of("overview", "Where it can be stuck: Memory for messages"),
                *_of("mailflow", "Into mailboxes: Messages in flight"),
            ),
        ),
        Fault(a_mailbox_is_filled, rises=_of("clients", "Search: Messages not indexed yet")),
        Fault(mail_is_forwarded, rises=_of("mailflow", "Out: Forwarding"), again=True),
        Fault(a_mailbox_is_nearly_full, rises=_of("mailflow", "Into mailboxes: Warnings of a quota"), window="2m"),
        Fault(messages_expire, rises=_of("mailflow", "Into mailboxes: Expired"), again=True, window="2m"),
        Fault(
            objects_change,
            rises=(
                *_of("operator", "Its work: Reconciliations", "Its work: 99 of 100 take at most"),
                *_of("operator", "Its work: Requests to the API server", "Directories: Entries changed"),
                *_of("operator", "Directories: A change takes at most", "What it finds: Its memory"),
                *_of("operator", "What it finds: Its CPU"),
            ),
            again=True,
        ),
        Fault(
            records_are_missing,
            alerts=("MailpodDnsRecordsMissing",),
            rises=_of(
                "operator",
                "Now: DNS records missing",
                "What it finds: Missing DNS records, by type",
                "What it finds: DNS records",
            ),
        ),
        Fault(
            a_mailbox_is_of_no_domain,
            rises=_of("operator", "Now: Mailboxes not ready", "What it finds: Mailboxes"),
        ),
        Fault(
            mailboxes_fill_up,
            alerts=("MailpodMailboxesNearQuota",),
            rises=(
                *_of("mailflow", "Into mailboxes: Mailboxes near their quota"),
                *_of("bucket", "Now: Storage, a month", "For whom: Held, by domain"),
                *_of("operator", "What it finds: Mailboxes near their quota"),
            ),
        ),
    ),
    (
        Fault(
            keys_are_lost,
            alerts=("MailpodNotSigned",),
            again=True,
        ),
        Fault(
            a_certificate_runs_out,
            alerts=("MailpodCertificateExpires",),
            falls=_of("overview", "Now: Certificates"),
        ),
        Fault(
            new_keys_are_not_in_the_dns,
            alerts=("MailpodDkimKeyWaits",),
            rises=_of("mailflow", "Out: Age of DKIM keys"),
        ),
        Fault(
            storage_is_not_ready,
            alerts=("MailpodDomainNotReady",),
            rises=(
                *_of("overview", "Now: MailDomains not ready"),
                *_of("operator", "What it finds: MailDomains whose condition is not true"),
            ),
        ),
        Fault(objects_change, again=True),
        Fault(
            its_bucket_fails,
            alerts=("MailpodDirectoryFails",),
            rises=_of("operator", "Directories: Failures"),
            again=True,
        ),
    ),
    (
        Fault(
            the_bucket_is_slow,
            alerts=("MailpodBucketSlow",),
            rises=(
                *_of("overview", "Where it can be stuck: The bucket's slowest hundredth"),
                *_of("bucket", "How it answers: Half of the requests take at most"),
                *_of("bucket", "How it answers: 99 of 100 take at most", "How it answers: Waiting"),
            ),
        ),
        Fault(
            objects_cannot_be_reconciled,
            alerts=("MailpodOperatorFails",),
            rises=_of("operator", "Now: Failing", "Now: Waiting"),
        ),
        Fault(objects_change, again=True),
    ),
    (
        Fault(
            the_bucket_is_away,
            alerts=("MailpodBucketDown", "MailpodMessagesDeferred"),
            rises=(*_of("overview", "Now: Put off"), *_of("bucket", "How it answers: Without an answer")),
            falls=(*_of("overview", "Now: Bucket"), *_of("bucket", "Now: Reached")),
        ),
    ),
    (
        Fault(pods_are_away, falls=_of("overview", "Now: Pods")),
        Fault(
            the_api_server_is_away,
            alerts=("MailpodOperatorNotLeading",),
            falls=_of("operator", "Now: Holds the Lease"),
        ),
        Fault(
            lambda world: None,  # it sweeps no more
            alerts=("MailpodOperatorSweepLate",),
            rises=_of("operator", "Now: Since the last sweep"),
            later=True,
        ),
    ),
)
