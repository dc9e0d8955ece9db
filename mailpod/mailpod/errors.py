"""Errors that know their wire reply.

Raise the error that names what happened; each protocol's loop maps it once to its reply. `text` is for the client:
it names the thing and, where there is one, the fix; it never holds a credential, a path or another user's address.
"""

from __future__ import annotations

from typing import ClassVar


class MailError(Exception):
    """Base of everything a client is told. `retry` says that the same command may succeed later."""

    smtp: ClassVar[tuple[int, str]] = (451, "4.3.0")  # reply code, RFC 3463 enhanced status
    imap: tuple[str, str | None] = ("NO", None)  # condition, RFC 5530 response code
    pop3: ClassVar[str | None] = None  # RFC 2449 / RFC 3206 response code
    text: str = "Temporary failure, try again later"

    def __init__(self, text: str | None = None) -> None:
        if text is not None:
            self.text = text
        super().__init__(self.text)


class Unavailable(MailError):
    """The bucket, or something else that comes back by itself, did not answer."""

    smtp = (451, "4.3.0")
    imap = ("NO", "UNAVAILABLE")
    pop3 = "SYS/TEMP"
    text = "Storage is not available just now, try again later"


class AccountMissing(Unavailable):
    """STORE.md rule 14: neither commit 1 nor a checkpoint. Never taken for an empty mailbox."""

    text = "Mailbox is not open yet, try again later"


class AccountClosed(Unavailable):
    """STORE.md rule 15: a `close` commit was met; the caller looks up the incarnation again, past its cache."""

    text = "Mailbox was closed"


class AccountReadOnly(MailError):
    """STORE.md rule 16, and an operation that this version does not know."""

    smtp = (451, "4.2.0")
    imap = ("NO", "CONTACTADMIN")
    pop3 = "SYS/PERM"
    text = "Mailbox is read-only until its damage is repaired; contact the administrator"


class Damaged(MailError):
    """A message whose bytes do not match their checksum, or are gone."""

    imap = ("NO", "CORRUPTION")
    pop3 = "SYS/PERM"
    text = "The message is damaged in storage; contact the administrator"


class Busy(MailError):
    """Over a budget or a limit that frees itself."""

    smtp = (452, "4.3.1")
    imap = ("NO", "LIMIT")
    pop3 = "SYS/TEMP"
    text = "Server is busy, try again later"


class TooBig(MailError):
    """Larger than the size limit in force."""

    smtp = (552, "5.3.4")
    imap = ("NO", "TOOBIG")
    text = "Message is larger than the limit"


class OverQuota(MailError):
    """The mailbox is full."""

    smtp = (552, "5.2.2")
    imap = ("NO", "OVERQUOTA")
    text = "Mailbox is full"


class AuthFailed(MailError):
    """Wrong name or password; never says which."""

    smtp = (535, "5.7.8")
    imap = ("NO", "AUTHENTICATIONFAILED")
    pop3 = "AUTH"
    text = "Authentication failed"


class AuthRefused(MailError):
    """The credentials are right, and the account may not use this protocol or is suspended."""

    smtp = (535, "5.7.8")
    imap = ("NO", "AUTHORIZATIONFAILED")
    pop3 = "AUTH"
    text = "This account may not log in here"


class PrivacyRequired(MailError):
    """AUTH without TLS from an address that is not our own (DESIGN.md, "No surprise in the clear")."""

    smtp = (538, "5.7.11")
    imap = ("NO", "PRIVACYREQUIRED")
    pop3 = "AUTH"
    text = "Start TLS first"


class NoSuchMailbox(MailError):
    """IMAP: the mailbox does not exist."""

    imap = ("NO", "NONEXISTENT")

    def __init__(self, name: str) -> None:
        super().__init__(f"Mailbox does not exist: {name}")


class HasChildren(NoSuchMailbox):
    """IMAP: a name to delete that is no mailbox, though there are mailboxes below it (RFC 9051 §6.3.5)."""

    imap = ("NO", "HASCHILDREN")


class NoPermission(MailError):
    """IMAP: a mailbox of another account, and a right that its owner did not give (RFC 4314)."""

    imap = ("NO", "NOPERM")
    text = "The mailbox's owner does not allow that"


class TryCreate(NoSuchMailbox):
    """IMAP: the target of APPEND, COPY or MOVE does not exist, and may be created (RFC 3501 §7.1)."""

    imap = ("NO", "TRYCREATE")


class MailboxExists(MailError):
    """IMAP: CREATE or RENAME onto a name that is taken."""

    imap = ("NO", "ALREADYEXISTS")

    def __init__(self, name: str) -> None:
        super().__init__(f"Mailbox already exists: {name}")


class CannotDo(MailError):
    """IMAP: a request that this mailbox can never take, such as DELETE INBOX."""

    imap = ("NO", "CANNOT")


class TooManyAnnotations(MailError):
    """IMAP: there is no room for another annotation, or for a longer one (RFC 5464 §4.3)."""

    imap = ("NO", "METADATA TOOMANY")
    text = "There is no room for more annotations"


class UseNotPossible(CannotDo):
    """IMAP: CREATE with a special use that no mailbox can have, or that another one has (RFC 6154 §3)."""

    imap = ("NO", "USEATTR")


class LimitReached(MailError):
    """IMAP: more mailboxes, keywords and the like than a setting allows."""

    imap = ("NO", "LIMIT")


class UrlFailed(MailError):
    """Submission: BURL with a URL that opens nothing (RFC 4468 §5)."""

    smtp = (554, "5.6.6")
    text = "The URL opens no message or part of one"


class TrustRequired(MailError):
    """Submission: BURL with a URL of another server, or of this one that is for somebody else (RFC 4468 §5)."""

    smtp = (554, "5.7.14")  # RFC 5248: in place of RFC 4468's 5.7.8
    text = "The URL is not one of this server, or it is not for you to submit"


class Expunged(MailError):
    """IMAP: a message that another session expunged meanwhile (RFC 5530)."""

    imap = ("NO", "EXPUNGEISSUED")
    text = "Some of the messages no longer exist: they have been deleted"
