"""A client for tests of imaptest's kind: it believes what it is told, and objects to all that no server may tell.

Several of them share a `Shared`, which knows what must be the same for all. A flag or keyword has one owner, who alone
changes it: so an owner knows what every STORE and every FETCH of its own flag must say, whatever the others do.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.mailpod.imap.dialogue import Client, World
from tests.mailpod.imap.selected import letter

OWNED = ("\\Seen", "\\Flagged", "\\Answered", "\\Draft", "one", "two", "three", "four")
BEHIND = (b"NOOP", b"IDLE", b"SORT (SUBJECT) UTF-8 ALL", b"APPEND INBOX {99+}\r\nSubject: hal")
SECTIONS = (b"BODY.PEEK[HEADER.FIELDS (SUBJECT)]", b"BODY.PEEK[]", b"BODY.PEEK[1]", b"RFC822.HEADER")
HOLD_BACK = re.compile(rb"(FETCH|STORE|SEARCH|SORT|THREAD) ")  # RFC 3501 §7.4.1, RFC 5256 §3
REFUSED = {
    b"FETCH": b"no longer exist",
    b"UID": b"no longer exist",
    b"STORE": b"have been deleted",
    b"COPY": b"no longer exist",
    b"MOVE": b"no longer exist",
}


@dataclass
class Shared:
    """What all clients must be told alike."""

    recent: dict[tuple[int, int], int] = field(default_factory=dict)  # of a pod and UID, the session
    constant: dict[tuple[int, bytes], bytes] = field(default_factory=dict)  # what never changes, by UID and item
    gone: set[int] = field(default_factory=set)
    sessions: int = 0

    def session(self) -> int:
        """A new one's number."""
        self.sessions += 1
        return self.sessions


@dataclass
class Known:
    """One message as its client knows it."""

    uid: int | None = None
    flags: set[str] | None = None
    modseq: int = 0
    recent: bool = False


class Stress:
    """One user's connection, in which `number` owns two flags."""

    def __init__(self, shared: Shared, pod: World, number: int, rng: random.Random, qresync: bool) -> None:
        self.shared, self.pod, self.rng, self.qresync = shared, pod, rng, qresync
        self.items = b"UID FLAGS MODSEQ" if qresync else b"FLAGS UID"
        self.own = frozenset(OWNED[2 * number : 2 * number + 2])
        self.may_delete = number == 0
        self.messages: list[Known] = []
        self.validity = self.highest = self.count = self.pending = self.recent = 0
        self.resyncing = self.storing = self.selected = False
        self.asked: tuple[str, set[int]] | None = None  # SEARCH for a flag of its own among these numbers

    # -- coming and going

    async def come(self) -> None:
        """Log in and select; with QRESYNC from what it knew when it went."""
        self.client: Client = await self.pod.login()
        self.selected, self.session = False, self.shared.session()
        if self.qresync:
            await self.say(b"ENABLE QRESYNC")
        await self.select()

    async def select(self) -> None:
        known = self.qresync and self.validity and self.highest and self.known(0)
        self.anew = b"SELECT INBOX (QRESYNC (%d %d))" % (self.validity, self.highest) if known else b"SELECT INBOX"
        if not self.selected:
            self.begin()
        await self.say(self.anew)
        self.selected = True
        if self.resyncing:
            self.resyncing = False
            self.exists(self.pending)

    def begin(self) -> None:
        """From here on all is about the mailbox that was just selected."""
        self.session, self.keywords, self.recent = self.shared.session(), set[str](), 0
        self.resyncing = b"QRESYNC" in self.anew
        self.messages = self.messages[: self.known(-1)] if self.resyncing else []

    def known(self, otherwise: int) -> int:
        """How many messages there are with known UIDs; `otherwise` if there are others among them."""
        count = len(self.messages)
        while count and not self.messages[count - 1].uid:
            count -= 1
        return count if all(message.uid for message in self.messages[:count]) else otherwise

    async def leave(self) -> None:
        await self.learn_all()
        lines = await self.client.ask(b"LOGOUT", b"bye")
        assert lines[-2].startswith(b"* BYE"), "RFC 3501 §6.1.3"
        self.client.close()

    async def drop(self) -> None:
        """Go in the middle of answers, with commands that are not done or not even whole; what was heard is known, and
        HIGHESTMODSEQ as of the last command that was."""
        commands = [b"FETCH 1:* (%b ENVELOPE)" % self.items, *self.rng.sample(BEHIND, 2)]
        await self.client.send(b"".join(b"drop %b\r\n" % command for command in commands))
        for _ in range(self.rng.randint(0, 2 * len(self.messages))):
            if not (line := await self.client.line()).startswith(b"* "):
                break
            self.hear(line)
        self.client.close()

    async def again(self) -> None:
        """RFC 7162 §3.2.8: CLOSE tells neither what it expunges nor a HIGHESTMODSEQ."""
        await self.learn_all()
        if self.rng.random() < 0.5:
            [told] = await self.say(b"CLOSE" if self.may_delete and self.rng.random() < 0.5 else b"UNSELECT")
            assert not any(b"VANISHED" in line or b"EXPUNGE" in line for line in told)
            self.selected = False
        await self.select()

    async def learn_all(self) -> None:
        while self.qresync and not all(message.uid for message in self.messages):  # which others add to meanwhile
            await self.say(b"NOOP")
            await self.learn()

    # -- talking

    async def say(self, *commands: bytes) -> list[list[bytes]]:
        """Pipelined commands; the untagged responses of each."""
        tags = [b"%d.%d" % (self.session, self.count + n) for n in range(len(commands))]
        self.count += len(commands)
        await self.client.send(b"".join(b"%b %b\r\n" % pair for pair in zip(tags, commands, strict=True)))
        return [await self.answer(tag, command) for tag, command in zip(tags, commands, strict=True)]

    async def answer(self, tag: bytes, command: bytes) -> list[bytes]:
        held, told, highest = HOLD_BACK.match(command), [], 0
        exists = len(self.messages)
        while not (line := await self.client.line()).startswith(tag + b" "):
            if line.startswith(b"+ ") and command == b"IDLE":
                await self.client.send(b"DONE\r\n")
                continue
            assert line.startswith(b"* "), line
            assert not (held and re.search(rb"\* \d+ EXPUNGE|\* VANISHED \d", line)), f"{line!r} during {command!r}"
            highest = max(highest, self.hear(line))
            told.append(line)
        status = self.status = line.removeprefix(tag + b" ")
        word = command.split(b" ")[0]
        assert status.startswith(b"OK") or REFUSED.get(word, b"nothing") in status, (command, line)
        code = re.search(rb"\[HIGHESTMODSEQ (\d+)\]", b"".join([*told, status]))
        self.highest = int(code[1]) if code else max(self.highest, highest)  # RFC 7162 §6
        if word in (b"SEARCH", b"SORT"):
            self.check_search(told, status, exists)
        return told

    def hear(self, line: bytes) -> int:
        """Believe one response; its MODSEQ, if it has one."""
        if found := re.match(rb"\* (\d+) (EXISTS|RECENT|EXPUNGE|FETCH)", line):
            number, kind = int(found[1]), found[2]
            if kind == b"EXISTS":
                self.exists(number)
            elif kind == b"RECENT":
                assert self.resyncing or number <= len(self.messages)
                self.recent = number
            elif self.resyncing:
                return self.caught_up(line)
            else:
                assert 1 <= number <= len(self.messages), line
                if kind == b"FETCH":
                    return self.fetched(self.messages[number - 1], line)
                self.expunged(self.messages.pop(number - 1))
        elif found := re.match(rb"\* FLAGS \((.*)\)", line):
            self.keywords = set(found[1].decode().split())
        elif found := re.match(rb"\* VANISHED (\(EARLIER\) )?(\S+)", line):
            self.vanished(uids(found[2]), earlier=bool(found[1]))
        elif found := re.match(rb"\* OK \[PERMANENTFLAGS \((.*)\)", line):
            assert set(found[1].decode().split()) - {"\\*"} == self.keywords, "each is in FLAGS, and all can be set"
        elif line.startswith(b"* OK [CLOSED]"):
            assert self.selected, "RFC 7162 §3.2.11"
            self.begin()
        elif found := re.match(rb"\* OK \[UIDVALIDITY (\d+)\]", line):
            assert self.validity in (0, int(found[1]))
            self.validity = int(found[1])
        else:
            assert re.match(rb"\* (OK|SEARCH|SORT|THREAD|STATUS|ENABLED|LIST)", line), line
        return 0

    def exists(self, number: int) -> None:
        if self.resyncing:  # told before VANISHED (EARLIER): the client sets its count once that is heard
            self.pending = number
            return
        assert number >= len(self.messages), "RFC 3501 §7.3.1"
        self.messages += [Known() for _ in range(number - len(self.messages))]

    def expunged(self, message: Known) -> None:
        if message.uid:
            self.shared.gone.add(message.uid)

    def vanished(self, gone: set[int], earlier: bool) -> None:
        assert self.qresync, "RFC 7162 §3.2.10"
        if earlier and not self.resyncing:
            assert not gone & {message.uid for message in self.messages}, "RFC 7162 §3.2.10: to be told as VANISHED"
            return
        if earlier:
            self.messages = [message for message in self.messages if message.uid not in gone]
            return
        self.shared.gone |= gone
        for uid in sorted(gone):
            after = (at for at, message in enumerate(self.messages) if message.uid and message.uid >= uid)
            at = next(after, len(self.messages))
            if at == len(self.messages) or self.messages[at].uid != uid:
                at -= 1  # one of those of which nothing is known, before the next that is
                assert at >= 0 and self.messages[at].uid is None, f"VANISHED {uid}, which it was never told of"
            self.messages.pop(at)

    def caught_up(self, line: bytes) -> int:
        """RFC 7162 §3.2.5: a change of flags, by UID: the number is that of the mailbox as it is now."""
        message = next((each for each in self.messages if b"(UID %d " % (each.uid or 0) in line), Known())
        self.storing = True
        modseq = self.fetched(message, line)
        self.storing = False
        return modseq

    def fetched(self, message: Known, line: bytes) -> int:
        if found := re.search(rb"[( ]UID (\d+)", line):
            assert message.uid in (None, int(found[1])), f"UID of a message changed: {message.uid}, {line!r}"
            message.uid = int(found[1])
        if found := re.search(rb"(RFC822\.SIZE|BODY\[[^]]*\]|RFC822\.HEADER) (.*)\)", line, re.DOTALL):
            known = self.shared.constant.setdefault((message.uid or -1, found[1]), found[2])
            assert known == found[2], f"{known!r} has become {line!r}"
        modseq = re.search(rb"MODSEQ \((\d+)\)", line)
        if found := re.search(rb"FLAGS \(([^)]*)\)", line):
            assert modseq or not self.qresync, "RFC 7162 §3.1: MODSEQ in every FETCH with flags"
            self.flagged(message, set(found[1].decode().split()))
        if modseq:
            assert int(modseq[1]) >= message.modseq, f"MODSEQ fell: {message}, {line!r}"
            message.modseq = int(modseq[1])
        return int(modseq[1]) if modseq else 0

    def flagged(self, message: Known, flags: set[str]) -> None:
        unknown = {flag for flag in flags if not flag.startswith("\\")} - self.keywords
        assert not unknown, f"{unknown} is used and was not in FLAGS (RFC 3501 §7.2.6)"
        if "\\Recent" in flags and message.uid:
            owner = self.shared.recent.setdefault((id(self.pod), message.uid), self.session)
            assert owner == self.session, f"UID {message.uid} is \\Recent in two sessions (RFC 3501 §2.3.2)"
        message.recent = "\\Recent" in flags
        flags.discard("\\Recent")
        if message.flags is not None and not self.storing:
            assert message.flags & self.own == flags & self.own, f"another changed {self.own} of UID {message.uid}"
        message.flags = flags

    def check_search(self, told: Sequence[bytes], status: bytes, exists: int) -> None:
        (answer,) = (line for line in told if line.startswith((b"* SEARCH", b"* SORT")))
        numbers = {int(number) for number in answer.split()[2:]}
        assert numbers <= set(range(1, exists + 1)), "a number that it was not told of"
        if self.asked is not None and b"EXPUNGEISSUED" not in status:
            wanted, among = self.asked
            known = {n for n in among if self.messages[n - 1].flags is not None}
            assert numbers & known == {n for n in known if wanted in (self.messages[n - 1].flags or ())}, answer
        self.asked = None

    # -- what it does

    async def everything(self) -> list[tuple[int | None, frozenset[str], int]]:
        """The whole mailbox, told anew: UIDs, flags and, with QRESYNC, MODSEQs."""
        before = [(known.uid, known.flags and frozenset(known.flags)) for known in self.messages]
        await self.learn()
        after = [(known.uid, frozenset(known.flags or ()), known.modseq) for known in self.messages]
        for (uid, flags), (now, now_flags, _) in zip(before, after, strict=True):
            assert uid in (None, now)
            assert flags in (None, now_flags), f"UID {now} was said to have {flags}"
        return after

    async def learn(self) -> None:
        if self.messages:
            await self.say(b"FETCH 1:* (%b)" % self.items)

    async def act(self) -> None:
        """One or more commands, as imaptest chooses them."""
        kinds = ["append", "noop", "status", "idle", "again", "back", "drop"]
        if self.qresync and self.messages and not self.messages[-1].uid:
            await self.learn()
        if self.messages:
            kinds += ["fetch", "fetch", "body", "store", "store", "search", "sort", "thread", "copy", "pipeline"]
            kinds += ["silent", "uid"] + ["unchanged", "changes"] * self.qresync
            kinds += ["delete", "expunge", "move"] if self.may_delete else []
        kind = self.rng.choice(kinds)
        if kind in ("back", "drop"):
            await (self.leave() if kind == "back" else self.drop())
            await self.come()
        elif kind == "again":
            await self.again()
        elif kind == "silent":
            await self.silent()
        elif kind == "unchanged":
            await self.unchanged()
        elif kind in ("store", "delete"):
            await self.store(sorted(self.own) if kind == "store" else ["\\Deleted"])
        elif kind == "search":
            await self.search()
        elif kind == "pipeline":
            await self.say(b"FETCH %b (%b)" % (self.some(), self.items), b"SORT (SUBJECT) UTF-8 ALL", b"NOOP", b"CHECK")
        else:
            await self.say(self.command(kind))

    def command(self, kind: str) -> bytes:
        return {
            "append": b"APPEND INBOX" + b"".join(self.message() for _ in range(self.rng.choice((1, 1, 1, 3)))),
            "idle": b"IDLE",
            "uid": b"UID FETCH 1:* (%b)" % self.items,
            "changes": b"UID FETCH 1:* (FLAGS) (CHANGEDSINCE %d VANISHED)" % self.highest,
            "fetch": b"FETCH %b (%b RFC822.SIZE INTERNALDATE ENVELOPE BODYSTRUCTURE)" % (self.some(), self.items),
            "body": b"FETCH %b (UID %b)" % (self.some(), self.rng.choice(SECTIONS)),
            "sort": b"SORT (REVERSE DATE SUBJECT) US-ASCII ALL",
            "thread": b"THREAD REFERENCES US-ASCII ALL",
            "status": b"STATUS INBOX (MESSAGES UNSEEN RECENT)",
            "expunge": b"EXPUNGE",
            "copy": b"COPY %b INBOX" % self.some(),
            "move": b"MOVE %b Archive" % self.some(),
        }.get(kind, b"NOOP")

    def message(self) -> bytes:
        message = letter(str(self.rng.random()))
        return b' (%b) "%b" {%d+}\r\n%b' % (self.flag().encode(), self.date(), len(message), message)

    def some(self) -> bytes:
        """Numbers; with QRESYNC of messages whose UID is known, by which VANISHED names them."""
        numbers = [n for n, message in enumerate(self.messages, 1) if message.uid or not self.qresync]
        chosen = self.rng.sample(numbers, min(len(numbers), self.rng.randint(1, 5)))
        return b",".join(b"%d" % number for number in chosen)

    def date(self) -> bytes:
        return b"%02d-Jul-1996 02:44:25 %b" % (self.rng.randint(1, 31), self.rng.choice((b"-0700", b"+0000", b"+0530")))

    def flag(self) -> str:
        return self.rng.choice(sorted(self.own))

    async def store(self, flags: list[str]) -> None:
        """RFC 3501 §6.4.6: unless .SILENT, FETCH with the new flags for all; own flags are then as it set them."""
        numbers, sign = self.some(), self.rng.choice("+-")
        chosen = self.rng.sample(flags, self.rng.randint(1, len(flags)))
        at = [self.messages[int(number) - 1] for number in numbers.split(b",")]
        self.storing = True
        told = (await self.say(b"STORE %b %bFLAGS (%b)" % (numbers, sign.encode(), " ".join(chosen).encode())))[0]
        self.storing = False
        fetched = {line.split()[1] for line in told if b" FETCH " in line}
        refused = not set(numbers.split(b",")) <= fetched
        named = {flag for flag in chosen if not flag.startswith("\\")}
        assert refused or named <= self.keywords, f"{named} is not in FLAGS after a STORE that names it"
        for message in () if refused else at:
            assert message.flags is not None
            assert set(chosen) <= message.flags if sign == "+" else not set(chosen) & message.flags

    async def silent(self) -> None:
        """RFC 3501 §6.4.6: .SILENT leaves out only what follows from the command."""
        numbers, sign = self.some(), self.rng.choice("+-")
        chosen, at = {self.flag()}, [self.messages[int(number) - 1] for number in numbers.split(b",")]
        self.storing = True
        await self.say(b"STORE %b %bFLAGS.SILENT (%b)" % (numbers, sign.encode(), " ".join(chosen).encode()))
        self.storing = False
        for message in at:
            if b"deleted" in self.status:  # some are gone, and it was not told which
                message.flags = None
            elif message.flags is not None:
                message.flags = message.flags | chosen if sign == "+" else message.flags - chosen

    async def unchanged(self) -> None:
        """RFC 7162 §3.1.3: MODIFIED says which were changed since then, and the others have the flag. What they have
        now is told, unless an EXPUNGE is owed."""
        numbers, flag = self.some(), self.flag()
        at = {int(number): self.messages[int(number) - 1] for number in numbers.split(b",")}
        since = max(message.modseq for message in at.values())
        self.storing = True
        [told] = await self.say(b"STORE %b (UNCHANGEDSINCE %d) +FLAGS (%b)" % (numbers, since, flag.encode()))
        self.storing, owing = False, b"HIGHESTMODSEQ" in b"".join(told)
        for number in uids(found[1]) if (found := re.search(rb"\[MODIFIED (\S+)\]", self.status)) else ():
            message = at.pop(number)
            assert owing or message.modseq > since, message
        assert b"deleted" in self.status or all(flag in (message.flags or ()) for message in at.values())

    async def search(self) -> None:
        flag, numbers = self.flag(), self.some()
        key = b"KEYWORD " + flag.encode() if not flag.startswith("\\") else flag[1:].upper().encode()
        self.asked = (flag, {int(number) for number in numbers.split(b",")})
        await self.say(b"SEARCH %b %b" % (numbers, key))


def uids(wire: bytes) -> set[int]:
    found: set[int] = set()
    for part in wire.split(b","):
        first, _, last = part.partition(b":")
        found |= set(range(int(first), int(last or first) + 1))
    return found
