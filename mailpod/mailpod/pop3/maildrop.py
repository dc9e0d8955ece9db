"""What a POP3 session sees: INBOX as it was at log-in, and the marks of DELE. No I/O.

- Message numbers never change in a session (RFC 1939 §3): the columns are the mailbox's own arrays of that moment,
  of which only the first `count` entries count (store: an append extends them, an expunge replaces them).
- No maildrop is locked: another session may expunge meanwhile. Its messages stay numbered here; they are served while
  the store still has them, and are -ERR afterwards.
"""

from __future__ import annotations

from array import array

from mailpod.pop3.reply import END
from mailpod.pop3.syntax import Refused
from mailpod.store import Mailbox


class Maildrop:
    """Numbers, sizes and unique ids of messages. Positions count from 0, message numbers from 1."""

    __slots__ = ("_sizes", "_uids", "_uidvalidity", "count", "deleted", "mailbox")

    def __init__(self, mailbox: Mailbox) -> None:
        self.mailbox = mailbox
        self._uids: array[int] = mailbox.uids
        self._sizes: array[int] = mailbox.sizes
        self._uidvalidity = mailbox.uidvalidity
        self.count = len(self._uids)
        self.deleted: set[int] = set()

    def position(self, number: int) -> int:
        """Of a message number. Raises Refused for one that is not there, or is marked."""
        if not 1 <= number <= self.count:
            raise Refused(f"No such message, there are {self.count}")
        if number - 1 in self.deleted:
            raise Refused("Message is marked as deleted")
        return number - 1

    def uid(self, position: int) -> int:
        return self._uids[position]

    def size(self, position: int) -> int:
        """Octets, as stored."""
        return self._sizes[position]

    def unique_id(self, position: int) -> bytes:
        """Never the same for another message of this mailbox, in any session (RFC 1939 §7, UIDL)."""
        return b"%d-%d" % (self._uidvalidity, self._uids[position])

    def stat(self) -> tuple[int, int]:
        """How many messages are not marked, and their octets."""
        octets = sum(self._sizes[: self.count]) - sum(map(self.size, self.deleted))
        return self.count - len(self.deleted), octets

    def sizes_listing(self) -> bytes:
        """The lines of LIST, ended."""
        sizes = self._sizes
        return b"".join([b"%d %d\r\n" % (at + 1, sizes[at]) for at in self._remaining()]) + END

    def ids_listing(self) -> bytes:
        """The lines of UIDL, ended."""
        uids, line = self._uids, b"%%d %d-%%d\r\n" % self._uidvalidity
        return b"".join([line % (at + 1, uids[at]) for at in self._remaining()]) + END

    def marked_uids(self) -> list[int]:
        """What QUIT expunges, ascending."""
        return [self._uids[at] for at in sorted(self.deleted)]

    def _remaining(self) -> list[int]:
        deleted = self.deleted
        if not deleted:
            return list(range(self.count))
        return [at for at in range(self.count) if at not in deleted]
