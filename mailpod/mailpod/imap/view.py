"""The selected mailbox as one session was told of it (RFC 3501 §5.2, §7.4.1).

Invariants
- `uids[:exists]` is what the client was told: message n is `uids[n - 1]`. Only `poll` changes it, so everything else
  that a command does, however long it streams, sees stable sequence numbers.
- `uids` is the mailbox's own array, shared by all sessions, whenever no EXPUNGE is held back: appends extend it in
  place beyond `exists`, and an expunge puts a new array into the mailbox, so ours stays as told. It is a private copy
  only while an EXPUNGE is held back and new messages were announced behind it.
- `_vanished` are told messages that are gone and whose EXPUNGE is still owed. Told minus `_vanished` is always a prefix
  of `mailbox.uids`, since UIDs ascend: once EXPUNGEs are sent, the view is `mailbox.uids` again.
- `_flagged` are told messages whose flags the client may not know. Every change up to `_modseq` is told or in one of
  the two sets; what a command told by other means it takes out with `settle`.
- A message is \\Recent for one session: claimed when it is told, never earlier.
- No memoryview of `uids` or `flags` is kept: the store could not extend them.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from copy import copy
from typing import TYPE_CHECKING

from pyroaring import BitMap

from mailpod.errors import CannotDo
from mailpod.imap.enabled import Enabled
from mailpod.imap.flagwire import flag_lines, number_lines, with_recent
from mailpod.imap.heldback import HeldBack
from mailpod.imap.permanent import flags_line, permanent_flags
from mailpod.imap.sets import runs, wire, within
from mailpod.store import Access

if TYPE_CHECKING:
    from mailpod.imap.contexts import Context
    from mailpod.imap.syntax import FetchItem
    from mailpod.store import Account, Guard, Mailbox

_FEW = 64  # below this a look-up a message is cheaper than a dict of the whole mailbox


class View:
    """One session's selected mailbox. `read_only` is EXAMINE: nothing is claimed, set or expunged."""

    __slots__ = (
        "_flagged", "_flags", "_held", "_introduced", "_keywords", "_modseq", "_modseqs", "_recent", "_recents",
        "_rights", "_told", "_vanished", "access", "account", "close", "contexts", "enabled", "exists", "mailbox",
        "read_only", "saved", "uids", "unfetched",
    )  # fmt: skip

    def __init__(
        self,
        account: Account,
        mailbox: Mailbox,
        read_only: bool,
        enabled: Enabled | None = None,
        access: Access | None = None,
        close: Callable[[], None] | None = None,
    ) -> None:
        """`close` is called once when the mailbox is selected no more."""
        self.account = account
        self.access = access or Access()
        self.close = close
        self.enabled = enabled or Enabled()
        self.mailbox = mailbox
        self.read_only = read_only
        self.saved = array("I")  # UIDs, ascending: RFC 5182's `$`
        self.contexts: dict[bytes, Context] = {}  # by tag: RFC 5267 §4.3, updates cease with the mailbox
        self.unfetched: dict[int, tuple[FetchItem, ...]] = {}  # UIDs, and what is to be fetched of them unasked
        self.uids: array[int] = mailbox.uids
        self.exists: int = mailbox.exists
        self._flags: array[int] = mailbox.flags
        self._modseqs: array[int] = mailbox.modseqs
        self._modseq = self._told = mailbox.highest_modseq  # noted up to there; nothing is owed up to there
        self._keywords = len(mailbox.keywords)
        self._rights = self.access.rights(mailbox)
        self._introduced = self.enabled.condstore  # HIGHESTMODSEQ is told, not as one that is behind
        self._recent: list[tuple[int, int]] = []
        self._recents = 0  # as told
        self._vanished: set[int] = set()
        self._held: HeldBack | None = None  # while some are owed
        self._flagged = BitMap()
        self._claim(0)

    def check_writable(self, needed: str = "") -> None:
        """Before a command that changes messages. Raises CannotDo after EXAMINE, NoPermission without the rights."""
        if self.read_only:
            raise CannotDo("The mailbox is selected read-only")
        if self.access.who is not None:
            self.access.check(self.mailbox, "r" + needed, self.mailbox.name)

    def may(self, right: str) -> bool:
        """RFC 4314 §2.1."""
        return self.access.may(self.mailbox, right)

    def check_readable(self) -> None:
        """Raises NoPermission, or NoSuchMailbox."""
        self.access.check(self.mailbox, "r", self.mailbox.name)

    def guard(self, needed: str) -> Guard | None:
        """For a commit that changes this mailbox."""
        return self.access.guard_box(self.mailbox, needed)

    @property
    def shown(self) -> str:
        """The mailbox's name as the client knows it."""
        return self.access.shown + self.mailbox.name

    @property
    def modseq(self) -> int:
        """HIGHESTMODSEQ as the client may be told it: STORE.md has none above a change that is still owed. To be asked
        for after a poll that allows EXPUNGE."""
        return self._told

    @property
    def last_uid(self) -> int:
        """Highest UID the client was told of, 0 in an empty mailbox."""
        return self.uids[self.exists - 1] if self.exists else 0

    @property
    def recent(self) -> int:
        """Number of messages that are \\Recent for this session."""
        return sum(len(positions) for positions in self.recent_positions())

    def uid_of(self, seq: int) -> int:
        """UID of message `seq`, 1 to `exists`."""
        if not 1 <= seq <= self.exists:
            raise IndexError(seq)
        return self.uids[seq - 1]

    def seq_of(self, uid: int) -> int:
        """Sequence number of `uid`, 0 when the client was not told of such a message."""
        at = bisect_left(self.uids, uid, 0, self.exists)
        return at + 1 if at < self.exists and self.uids[at] == uid else 0

    def first_after(self, uid: int) -> int:
        """The position of the first message above `uid`, whether there is such a message or not."""
        return bisect_right(self.uids, uid, 0, self.exists)

    def fetch_later(self, uids: Iterable[int], items: tuple[FetchItem, ...]) -> None:
        """RFC 5465 §7: what several ask for of a message is one response."""
        for uid in uids:
            self.unfetched[uid] = tuple(dict.fromkeys((*self.unfetched.get(uid, ()), *items)))

    def as_told(self) -> View:
        """A view of the same that stays as it is, for what goes on while this one is polled."""
        twin = copy(self)
        twin._recent = self._recent.copy()
        return twin

    def gone(self, positions: Sequence[range]) -> list[int]:
        """UIDs among these positions (0-based) whose messages no longer exist, though the client was not told."""
        self._collect()
        if not self._vanished:
            return []
        at = ((uid, self.seq_of(uid) - 1) for uid in sorted(self._vanished))
        return [uid for uid, position in at if any(position in part for part in positions)]

    # Flags. They index `flag_table()`, whose last entry stands for a gone message of which nothing is known.

    def flag_column(self, part: range) -> array[int] | list[int]:
        """Flags of the messages at these positions (0-based, a step of 1) as indexes into the mailbox's tables; as
        last known for messages that are gone."""
        mailbox = self.mailbox
        if self.uids is mailbox.uids:
            return mailbox.flags[part.start : part.stop]
        last = self._as_told(self._flags, part, 0, -1)
        return self._present(part, mailbox.flags, [at if at < len(mailbox.flag_sets) else -1 for at in last])

    def modseq_column(self, part: range) -> array[int] | list[int]:
        """The modseq of each of these messages; as last known, 1 at least, for messages that are gone."""
        mailbox = self.mailbox
        if self.uids is mailbox.uids:
            return mailbox.modseqs[part.start : part.stop]
        return self._present(part, mailbox.modseqs, self._as_told(self._modseqs, part, 1, 1))

    def _as_told(self, column: array[int], part: range, item: int, unknown: int) -> list[int]:
        """Of messages that are gone; of others it may be old."""
        self._collect()
        last = list(column[part.start : part.stop])
        last += [unknown] * (len(part) - len(last))
        if self._held is not None:
            self._held.put(last, part, self.seq_of, item)
        return last

    def _present(self, part: range, column: array[int], fallback: list[int]) -> list[int]:
        """The mailbox's `column` at these positions of the view, where EXPUNGEs are held back."""
        mailbox, uids = self.mailbox, self.uids[part.start : part.stop]
        if len(part) <= _FEW:
            indexes = map(mailbox.index, uids)
            return [column[at] if at >= 0 else last for at, last in zip(indexes, fallback, strict=True)]
        now = dict(zip(mailbox.uids, column, strict=True))
        return list(map(now.get, uids, fallback))

    def flag_table(self) -> list[bytes]:
        """Wire form of each combination of flags, without \\Recent."""
        return [*self.mailbox.flag_wire, b""]

    def flag_sets(self) -> list[frozenset[str]]:
        return [*self.mailbox.flag_sets, frozenset()]

    def recent_positions(self) -> Iterator[range]:
        """Positions of the messages that are \\Recent for this session, ascending."""
        for first, last in self._recent:
            start = bisect_left(self.uids, first, 0, self.exists)
            stop = bisect_right(self.uids, last, start, self.exists)
            if start < stop:
                yield range(start, stop)

    def by_recency(self, part: range) -> Iterator[tuple[range, bool]]:
        """`part` cut into pieces that are wholly \\Recent or not."""
        at = part.start
        for recent in () if self.enabled.rev2 else self.recent_positions():
            start, stop = max(recent.start, at), min(recent.stop, part.stop)
            if start >= stop:
                continue
            if at < start:
                yield range(at, start), False
            yield range(start, stop), True
            at = stop
        if at < part.stop:
            yield range(at, part.stop), False

    def changed_since(self, modseq: int, positions: Sequence[range]) -> list[range]:
        """Those of `positions` whose messages are still there and have a modseq above `modseq`."""
        found = [self.seq_of(uid) - 1 for uid in self.mailbox.modified_since(modseq)]
        return within(runs([at for at in found if at >= 0]), positions)

    def flags_wire(self, part: range, uid: bool, modseq: bool = False) -> bytes:
        """FETCH responses with FLAGS, and UID and MODSEQ if asked for, for the messages at these positions."""
        table = self.flag_table()
        out = [self.new_keywords()]
        for piece, recent in self.by_recency(part):
            uids = self.uids[piece.start : piece.stop] if uid else None
            wires = with_recent(table) if recent else table
            numbers, name = self.named(piece)
            modseqs = self.modseq_column(piece) if modseq else None
            out.append(flag_lines(numbers, uids, self.flag_column(piece), wires, modseqs, name))
        return b"".join(out)

    def new_keywords(self) -> bytes:
        """FLAGS and PERMANENTFLAGS where a keyword came into use, else b"": before the first response in which it may
        be (RFC 3501 §7.2.6)."""
        rights = self.access.rights(self.mailbox)
        if len(self.mailbox.keywords) == self._keywords and rights == self._rights:  # RFC 4314 §5.1.1: of these too
            return b""
        self._keywords, self._rights = len(self.mailbox.keywords), rights
        return flags_line(self.mailbox) + self.permanent_flags()

    def permanent_flags(self) -> bytes:
        """`* OK [PERMANENTFLAGS (…)]` (RFC 3501 §7.1)."""
        full = len(self.mailbox.keywords) >= self.account.settings.keywords
        return permanent_flags(self.mailbox, self.access, self.read_only, full)

    def named(self, part: range) -> tuple[Sequence[int], str]:
        """How the client names these messages, and the response that does."""
        if self.enabled.uidonly:
            return self.uids[part.start : part.stop], "UIDFETCH"  # RFC 9586 §3.3
        return range(part.start + 1, part.stop + 1), "FETCH"

    def numbers_wire(self, part: range, uid: bool, modseq: bool) -> bytes:
        """FETCH responses with UID or MODSEQ, or both."""
        uids = self.uids[part.start : part.stop] if uid else None
        modseqs = self.modseq_column(part) if modseq else None
        numbers, name = self.named(part)
        return number_lines(numbers, uids, modseqs, name)

    # What the client is told.

    def sizes(self) -> bytes:
        """EXISTS, and RECENT unless the client speaks IMAP4rev2, which knows no \\Recent (RFC 9051 App. E)."""
        exists = b"* %d EXISTS\r\n" % self.exists
        self._recents = self.recent
        return exists if self.enabled.rev2 else exists + b"* %d RECENT\r\n" % self._recents

    def poll(self, allow_expunge: bool, tell_flags: bool = True) -> list[bytes]:
        """Untagged responses for what changed since the last poll: EXPUNGE, EXISTS, RECENT, FETCH, in this order.

        `allow_expunge` is False during FETCH, STORE and SEARCH (RFC 3501 §7.4.1); the responses come later then.
        """
        self._collect()
        out = self._tell_expunged() if allow_expunge and self._vanished else []
        fewer = bool(out) or self._recents < 0
        out += self._tell_new()
        if fewer and self.recent != self._recents and not self.enabled.rev2:
            self._recents = self.recent
            out.append(b"* %d RECENT\r\n" % self._recents)  # RFC 3501 §7.3.2: whenever the mailbox's size changes
        out += filter(None, [self.new_keywords()])
        # A client takes the highest MODSEQ that it was told for all that it knows (RFC 7162 §3.1): no change of flags
        # is told before an EXPUNGE that is older.
        if tell_flags and self._flagged and not (self._vanished and self.enabled.condstore):
            out += self._tell_flags()
        owed = self._vanished or self._flagged
        if not owed:
            self._told = self._modseq
        # RFC 7162 §3.1: once CONDSTORE is enabled; §6: and while responses are delayed, and when they are told at last
        if self.enabled.condstore and (owed or not self._introduced):
            self._introduced = not owed
            out.append(b"* OK [HIGHESTMODSEQ %d] Highest\r\n" % self._told)
        return out

    def poll_new(self) -> list[bytes]:
        """EXISTS, where it is to be told before an EXPUNGE; RECENT is told behind that."""
        self._collect()
        told, self._recents = self._tell_new(), -1
        return [b"* %d EXISTS\r\n" % self.exists] if told else []

    def settle(self, uids: Collection[int]) -> None:
        """The client knows the present flags of these messages: they were sent, or follow from its own STORE."""
        self._collect()
        if self._flagged:
            self._flagged -= BitMap(uids)

    def owed(self) -> BitMap:
        """UIDs of the messages whose present flags the client does not know."""
        self._collect()
        return self._flagged.copy()

    def owe(self, uid: int) -> None:
        """The flags of a message were settled, and then could not be told after all."""
        if self.seq_of(uid):
            self._flagged.add(uid)

    def _collect(self) -> None:
        """Note what is owed for the changes since `_modseq`: O(changes) unless they are too many."""
        mailbox = self.mailbox
        since, self._modseq = self._modseq, mailbox.highest_modseq
        if since == self._modseq:
            return
        last = self.last_uid
        changes = mailbox.changes_since(since)
        if changes is None:
            now = mailbox.uids
            vanished = set(self.uids[: self.exists]).difference(now)
            self._flagged.update(
                [uid for uid, modseq in zip(now, mailbox.modseqs, strict=True) if modseq > since and uid <= last]
            )
        else:
            # A message that came and went, or whose flags changed, before it was told is told as it is then.
            new = [uid for uid in changes.vanished if uid <= last]
            vanished = self._vanished.union(new) if new else self._vanished
            flagged = changes.flagged
            if flagged:
                self._flagged.update(flagged[: bisect_right(flagged, last)])
        if vanished:
            self._flagged -= BitMap(vanished)
        if self._held is not None:
            self._held.note(vanished - self._vanished)
            self._held.look(mailbox)
        elif vanished:
            self._held = HeldBack(mailbox)
        self._vanished = vanished

    def _tell_expunged(self) -> list[bytes]:
        gone = sorted(filter(None, map(self.seq_of, self._vanished)))
        uids = [self.uids[seq - 1] for seq in gone]
        # RFC 5267 §4.3.4: before the EXPUNGE, in the numbers that the client still has
        before = [context.expunged(self, uids) for context in self.contexts.values()]
        self._vanished, self._held = set(), None
        self.uids, self.exists = self.mailbox.uids, self.exists - len(gone)
        if uids and (self.enabled.qresync or self.enabled.uidonly):
            return [*before, b"* VANISHED %b\r\n" % wire(uids)]  # RFC 7162 §3.2.10, RFC 9586 §3.4: in place of EXPUNGE
        # RFC 3501 §7.4.1: each number is the one that the message has once those before it are gone
        return [*before, b"".join(b"* %d EXPUNGE\r\n" % (seq - already) for already, seq in enumerate(gone))]

    def _tell_new(self) -> list[bytes]:
        mailbox, last, exists = self.mailbox, self.last_uid, self.exists
        if not self._vanished:
            self.uids, self._flags, exists = mailbox.uids, mailbox.flags, mailbox.exists
            self._modseqs = mailbox.modseqs
        elif mailbox.exists and mailbox.uids[-1] > last:
            # RFC 3501 §5.2: sizes are told though EXPUNGEs are held back. The new ones go behind what was told.
            self.uids = self.uids[: self.exists] + mailbox.uids[bisect_right(mailbox.uids, last) :]
            exists = len(self.uids)
        if exists == self.exists:
            return []
        self.exists = exists
        self._claim(last + 1)
        return [self.sizes()]

    def _tell_flags(self) -> list[bytes]:
        flagged, self._flagged = list(self._flagged), BitMap()
        if len(flagged) == 1:
            seq = self.seq_of(flagged[0])
            parts = [range(seq - 1, seq)] if seq else []
        else:
            parts = runs(sorted(seq - 1 for seq in map(self.seq_of, flagged) if seq))
        # RFC 7162 §3.1, §3.2.4: MODSEQ and UID in each once CONDSTORE is enabled; RFC 9051 §7.5.2, RFC 5465 §5.1: UID
        enabled = self.enabled
        uid = enabled.tells_uids or ((enabled.rev2 or enabled.notify) and not enabled.uidonly)
        return [self.flags_wire(part, uid, self.enabled.condstore) for part in parts]

    def _claim(self, first_new: int) -> None:
        """What is \\Recent among the messages from `first_new` on, which are being told now."""
        claimed = self.mailbox.peek_recent() if self.read_only else self.mailbox.claim_recent()
        start, last = max(claimed, first_new), self.last_uid
        if start > last:
            return
        if self._recent and self._recent[-1][1] + 1 >= start:
            start = self._recent.pop()[0]
        self._recent.append((start, last))
