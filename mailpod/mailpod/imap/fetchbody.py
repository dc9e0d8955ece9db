"""The values of body sections, read from the bucket message by message, in order.

Invariants: what is read, and read ahead, is taken from the pod's budget first and given back once the next is asked
for; nobody waits for the budget while holding some of it. A message that cannot be read costs its own response and no
other's. Nothing is read for a section that a page answers or that does not exist.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Final, TypeAlias

from mailpod.errors import Damaged, Expunged, MailError
from mailpod.imap.sections import Section, cut, from_cache, span
from mailpod.mime.decoding import UnknownEncoding

if TYPE_CHECKING:
    from mailpod.net.budget import Budget
    from mailpod.store import Account, Body, Location, Page


class UnknownCte(MailError):
    """RFC 3516 §4.3: a part whose Content-Transfer-Encoding we cannot undo."""

    imap = ("NO", "UNKNOWN-CTE")
    text = "The part is in an encoding that is not known"


Values: TypeAlias = list[bytes | None]
Run: TypeAlias = "Sequence[Sequence[Body | None] | MailError]"
"""The values of some rows, or why they cannot be had."""
_LARGE: Final = 128 * 1024  # of a larger message only the octets asked for are read
_AHEAD: Final = 4 * 1024 * 1024  # octets of whole messages read ahead: what the store reads at once


class Reader:
    """Whole messages in the order of `at`, read ahead, some at a time or one by one; a failed one is stepped over."""

    def __init__(self, account: Account, budget: Budget, at: Sequence[Location]) -> None:
        self._account = account
        self._budget = budget
        self._at = at
        self._next = self._end = 0
        self._held = 0
        self._runs: AsyncGenerator[list[Body | MailError], None] | None = None
        self._run: Iterator[Body | MailError] = iter(())

    async def next(self) -> bytes:
        """Raises Expunged or Damaged for this message only; Unavailable."""
        found = next(self._run, None)
        if found is None:
            self._run = iter(await self.run())
            found = next(self._run)
        if isinstance(found, MailError):
            raise found
        return bytes(found)

    async def run(self) -> list[Body | MailError]:
        """The next few; none at the end. Raises Unavailable."""
        if self._runs is None or self._next == self._end:
            if self._next == len(self._at):
                return []
            self._runs = await self._begin()
        run = await anext(self._runs)
        self._next += len(run)
        return run

    async def octets(self, at: Location, start: int, end: int) -> bytes:
        """A piece of a large message, out of turn."""
        await self.aclose()
        await self._hold(end - start)
        return await self._account.body(at, start, end)

    async def aclose(self) -> None:
        """Forget what was read ahead."""
        runs, self._runs = self._runs, None
        if runs is not None:
            await runs.aclose()
        self._next -= sum(1 for _ in self._run)
        held, self._held = self._held, 0
        self._budget.give(held)

    async def _begin(self) -> AsyncGenerator[list[Body | MailError], None]:
        await self.aclose()
        octets, end = self._at[self._next].length, self._next + 1
        while end < len(self._at) and octets + self._at[end].length <= _AHEAD:
            octets += self._at[end].length
            end += 1
        await self._hold(octets)
        self._end = end
        return self._account.body_runs(self._at[self._next : end])

    async def _hold(self, octets: int) -> None:
        await self._budget.take(octets)
        self._held = octets


class PageSections:
    """What the sections asked for need of some rows of a page."""

    def __init__(self, sections: Sequence[Section], page: Page, rows: Sequence[int]) -> None:
        self._sections = sections
        self._page = page
        self._rows = rows
        self.cached: list[Values | None] = [
            from_cache(section, page, rows) if section.cacheable else None for section in sections
        ]

    def columns(self) -> list[list[bytes]] | None:
        """A column a section, where the page answers all of them for all rows."""
        out = []
        for values in self.cached:
            if values is None or None in values:
                return None
            out.append([value for value in values if value is not None])
        return out

    async def read(self, account: Account, budget: Budget) -> AsyncGenerator[Values | MailError, None]:
        """The values of each row, or why they cannot be had."""
        async with aclosing(self.runs(account, budget)) as runs:
            async for run in runs:
                for each in run:
                    if isinstance(each, MailError):
                        yield each
                    else:
                        yield [None if value is None else bytes(value) for value in each]

    def runs(self, account: Account, budget: Budget) -> AsyncGenerator[Run, None]:
        """The same, of some rows at a time."""
        whole = all(section.whole for section in self._sections)
        return self._read_whole(account, budget) if whole else self._read_pieces(account, budget)

    async def _read_pieces(self, account: Account, budget: Budget) -> AsyncGenerator[Run, None]:
        wants = [self._wants(at) for at in range(len(self._rows))]
        whole = [row for row, want in zip(self._rows, wants, strict=True) if want is None]
        async with aclosing(Reader(account, budget, self._page.locations(whole))) as reader:
            for at, want in enumerate(wants):
                try:
                    yield [await self._values(at, want, reader)]
                except (Expunged, Damaged) as error:
                    yield [error]
                except UnknownEncoding:
                    yield [UnknownCte()]

    async def _read_whole(self, account: Account, budget: Budget) -> AsyncGenerator[Run, None]:
        """No spans to work out."""
        count = len(self._sections)
        async with aclosing(Reader(account, budget, self._page.locations(self._rows))) as reader:
            while run := await reader.run():
                yield [each if isinstance(each, MailError) else [each] * count for each in run]

    def _wants(self, at: int) -> list[tuple[int, int] | None] | None:
        """The spans to read of a message; None to read it whole."""
        page, row = self._page, self._rows[at]
        spans = [
            None if values is not None and values[at] is not None else span(section, page, row)
            for section, values in zip(self._sections, self.cached, strict=True)
        ]
        wanted = sum(end - start for start, end in filter(None, spans))
        size = page.sizes[row]
        return spans if not wanted or (size > _LARGE and wanted < size // 2) else None

    async def _values(self, at: int, want: list[tuple[int, int] | None] | None, reader: Reader) -> Values:
        page, row = self._page, self._rows[at]
        data = await reader.next() if want is None else None
        out: Values = []
        for number, (section, values) in enumerate(zip(self._sections, self.cached, strict=True)):
            if values is not None and values[at] is not None:
                out.append(values[at])
                continue
            found = want[number] if want is not None else span(section, page, row)
            if found is None:
                out.append(None)
            elif data is None:
                out.append(
                    cut(
                        section,
                        await reader.octets(page.location(row), *found) if found[0] < found[1] else b"",
                        page,
                        row,
                    )
                )
            else:
                whole = found == (0, len(data))
                out.append(cut(section, data if whole else data[found[0] : found[1]], page, row))
        return out
