"""What the load's clients do: one method a piece of work, each of which may be begun again after a Cut."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping

from tests.e2e.load_ledger import KEYWORDS, Fate, Ledger, Letter, Stored
from tests.e2e.load_wire import Cut, Fault, Imap, Pop3, Row, Server, Smtp

WINDOW = 12  # messages at the end of a mailbox that a session looks at
PER_CONNECTION = 4  # messages
RETRIEVED = 8  # messages that a client which deletes takes at a time, at most
SENDER = "sender@elsewhere.test"
Attempt = Callable[[], Awaitable[None]]


class Work:
    """The clients of one ledger. `kept` are the addresses whose mail stays, `passwords` all of them."""

    def __init__(self, server: Server, ledger: Ledger, passwords: Mapping[str, str]) -> None:
        self.server = server
        self.ledger = ledger
        self.passwords = dict(passwords)
        self.rng = random.Random(ledger.seed)
        self.kept = sorted(self.passwords.keys() - ledger.drained)
        self.drained = {address: asyncio.Lock() for address in sorted(ledger.drained)}
        """Each has one client at a time, as a mailbox that POP3 empties has."""
        self.flag_changes = 0
        self._idle: list[Smtp] = []

    def close(self) -> None:
        for smtp in self._idle:
            smtp.close()

    # messages

    def message(self) -> Attempt:
        """Four in five to the MX port; one in eight to several mailboxes."""
        several = self.rng.randrange(8) == 0
        recipients = self.rng.sample(sorted(self.passwords), self.rng.randrange(2, 5) if several else 1)
        deliver = self._submit if self.rng.randrange(5) == 0 else self._to_mx
        letter = self.ledger.letter(recipients)

        async def attempt() -> None:
            nonlocal letter
            if letter.fate is Fate.SENT:  # its answer was lost: another transaction, another identity
                letter = self.ledger.letter(recipients)
            await deliver(letter)
            self.ledger.acknowledge(letter)

        return attempt

    async def _to_mx(self, letter: Letter) -> None:
        smtp = self._idle.pop() if self._idle else await Smtp.open(self.server, "smtp")
        try:
            await _deliver(smtp, SENDER, letter)
        except BaseException:
            smtp.close()
            raise
        if smtp.messages < PER_CONNECTION:
            self._idle.append(smtp)
        else:
            await _farewell(smtp.quit)

    async def _submit(self, letter: Letter) -> None:
        user = self.rng.choice(self.kept)
        service = self.rng.choice(["submission", "submissions"])
        smtp = await Smtp.open(self.server, service, user, self.passwords[user])
        try:
            await _deliver(smtp, user, letter)
            await _farewell(smtp.quit)
        finally:
            smtp.close()

    # sessions

    async def read_by_imap(self, address: str) -> None:
        """Log in, look at the newest messages, change one's flags, read it whole, log out."""
        since, newest, least = self.ledger.moment, self.ledger.newest(address), self.ledger.floor(address)
        service = "imap" if self.rng.randrange(8) == 0 else "imaps"
        imap = await Imap.open(self.server, service, address, self.passwords[address])
        try:
            exists = await imap.select()
            if exists < least:
                raise Fault(f"{address} has {exists} messages of at least {least} acknowledged ones")
            rows = await self._newest(imap, exists, newest)
            if rows:
                uid, identity = self.rng.choice([(row.uid, _identity(row.content)) for row in rows[-WINDOW:]])
                for row in rows:
                    stored = Stored(_identity(row.content), True, row.flags - {"\\Recent"})
                    _expect(not (wrong := self.ledger.wrong_flags(address, stored, since)), wrong)
                await self._mark(imap, address, uid, identity)
                await imap.command("NOOP")
                (whole,) = await imap.fetch(str(uid), "BODY.PEEK[]", uid=True)
                _expect(self.ledger.known(address, Stored.of(whole.content)), f"{address} UID {uid} is not whole")
            await _farewell(imap.logout)
        finally:
            imap.close()

    async def _newest(self, imap: Imap, exists: int, newest: str | None) -> list[Row]:
        """The last messages; all of them where the one that was acknowledged last is not among those."""
        first = max(1, exists - WINDOW + 1)
        while exists:
            rows = await imap.fetch(f"{first}:*", "BODY.PEEK[HEADER.FIELDS (X-Transaction)]")
            if newest is None or any(_identity(row.content) == newest for row in rows):
                return rows
            _expect(first > 1, f"{newest} was acknowledged before this session, which does not see it")
            first = 1
        _expect(newest is None, f"{newest} was acknowledged before this session, which sees no message")
        return []

    async def _mark(self, imap: Imap, address: str, uid: int, identity: str) -> None:
        """One flag more or less, recorded once the server said OK."""
        marks = self.ledger.claim(address, identity)
        if marks is None:
            return
        keyword = self.rng.choice(KEYWORDS)
        sign, after = ("-", marks.flags - {keyword}) if keyword in marks.flags else ("+", marks.flags | {keyword})
        try:
            rows = await imap.store(uid, f"{sign}FLAGS ({keyword})")
        except BaseException:
            self.ledger.unsure(marks)
            raise
        self.ledger.marked(marks, after)
        self.flag_changes += 1
        shown = [row.flags - {"\\Recent"} for row in rows if row.uid == uid]
        _expect(shown[-1:] == [after], f"{address} {identity}: STORE showed {shown}, not {sorted(after)}")

    async def read_by_pop3(self, address: str) -> None:
        least = self.ledger.floor(address)
        pop3 = await Pop3.open(self.server, self._pop3_service(), address, self.passwords[address])
        try:
            count = await pop3.stat()
            _expect(count >= least, f"{address} has {count} messages of at least {least} acknowledged ones")
            unique = await pop3.uidl()
            _expect(len(unique) == len(set(unique.values())) == count, f"{address}: UIDL disagrees with STAT")
            if count:
                number = self.rng.randrange(max(1, count - WINDOW), count + 1)
                stored = Stored.of(await pop3.retrieve(number))
                _expect(self.ledger.known(address, stored), f"{address} {stored}: RETR {number} is not whole")
            await _farewell(pop3.quit)
        finally:
            pop3.close()

    async def drain_by_pop3(self, address: str) -> None:
        """Take the oldest messages and delete them; the only such client of its mailbox."""
        pop3 = await Pop3.open(self.server, self._pop3_service(), address, self.passwords[address])
        try:
            taken = []
            for number in range(1, min(await pop3.stat(), RETRIEVED) + 1):
                stored = Stored.of(await pop3.retrieve(number))
                _expect(self.ledger.known(address, stored), f"{address} {stored}: RETR {number} is not whole")
                taken.append((address, stored.identity))
                _expect(taken[-1] not in self.ledger.deleted, f"{taken[-1]} is back, or was doubled")
                await pop3.command(f"DELE {number}")
            self.ledger.deleting.update(taken)
            await pop3.quit()
            self.ledger.deleted.update(taken)
        finally:
            pop3.close()

    def _pop3_service(self) -> str:
        return "pop3" if self.rng.randrange(8) == 0 else "pop3s"

    # the end

    async def everything(self, address: str) -> list[Stored]:
        """A mailbox, whole."""
        imap = await Imap.open(self.server, "imaps", address, self.passwords[address])
        try:
            exists = await imap.select()
            rows = await imap.fetch("1:*", "BODY.PEEK[]") if exists else []
            _expect(len(rows) == exists, f"{address}: {len(rows)} of {exists} messages fetched")
            return [Stored.of(row.content, row.flags) for row in rows]
        finally:
            imap.close()


def _expect(right: bool, words: str) -> None:
    if not right:
        raise Fault(words)


def _identity(header: bytes) -> str:
    return header.partition(b":")[2].strip().decode()


async def _deliver(smtp: Smtp, sender: str, letter: Letter) -> None:
    def leaving() -> None:
        letter.fate = Fate.SENT

    await smtp.deliver(sender, letter.recipients, letter.data, leaving)


async def _farewell(leave: Callable[[], Awaitable[None]]) -> None:
    """What was wanted is done: a connection that goes before the goodbye takes nothing with it."""
    try:
        await leave()
    except Cut:
        return
