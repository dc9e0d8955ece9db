"""Packing: the bytes of many small commits, gathered into one large object in the order in which clients read them.

- It is due when small commits outside the newest ones hold mail in more objects, or more bytes, than a setting allows;
  when small packs are many; or for packs of which a collection found more than half to be dead.
- A pack is written whole, of bytes whose checksums fit, before a commit refers to it. The commits that move messages
  to it are of bounded size; each applies only to what is still where it was read (STORE.md rule 10), so that packers
  that race, and one that is killed between two commits, leave garbage and nothing worse.
- A message is moved as an index entry: its UID, flags and modseq stay, and clients notice nothing.
- Messages are taken mailbox by mailbox in UID order, so that a download reads a pack from its beginning to its end.
- It is done in turns, each when no client waits (pace.py): a turn reads some, or makes the pack, or moves some.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, TypeAlias

from ..errors import Damaged, Expunged
from ..logs import event
from .blocks import pack_line
from .draft import Draft, Move, Stale
from .homes import FIRST_PACK, Held
from .location import Location
from .runs import runs
from .settings import StoreSettings
from .state import State

if TYPE_CHECKING:
    from .account import Account
    from .store import Store

Place: TypeAlias = tuple[str, int]
_AT_ONCE = 4  # objects read at the same time
_TURN = 0.005  # seconds of one that reads, or what one read takes


@dataclass(frozen=True, slots=True)
class _Found:
    """A message that is to be moved: its mailbox, and where it is."""

    box: int
    at: Location


async def pack(store: Store, account: Account, *, force: bool = False, dead: Collection[str] = ()) -> int:
    """Write one pack, and move messages to it; returns how many, 0 where nothing was due.

    `dead` are keys of packs that a collection found mostly dead. Raises MailError, StorageError and Ambiguous; what is
    left behind then is garbage, or messages of which some were moved and some not.
    """
    state = account.log.served
    wanted = due(state, store.settings, force=force, dead=dead)
    if not wanted or account.log.broken is not None:
        return 0
    found: list[_Found] = []
    for box, uids in select(state, wanted, store.settings):
        if box not in state.boxes:
            continue  # deleted while another's pages were read
        async for page, rows in state.boxes[box].pages(uids, scanned=False):
            found.extend(_Found(box, at) for at in page.locations(rows) if state.homes.find(at.key) in wanted)
    bodies = await _read(store, account, [each.at for each in found])
    posted = store.clock.elapsed()
    key, moves = f"pack/{store.random_id()}", dict[int, list[Move]]()
    found = [each for each in found if (each.at.key, each.at.offset) in bodies]
    async with store.pace.turn():
        data, offsets = await asyncio.to_thread(_pack_of, [each.at for each in found], bodies)
    for each in found:
        place = (each.at.key, each.at.offset)
        moves.setdefault(each.box, []).append((each.at.uid, *place, key, offsets[place]))
    if not moves or not _is_worth_it(state, moves, dead):
        return 0
    await account.uploads.write_once(account.prefix + key, data)
    moved = await _relocate(store, account, moves, posted)
    event("store.packed", account=account.prefix, key=key, bytes=len(data), messages=moved, objects=len(wanted))
    return moved


def _pack_of(places: Sequence[Location], bodies: dict[Place, bytes]) -> tuple[bytes, dict[Place, int]]:
    """A pack, and where in it each message is. Copies of a message share its bytes, also in the pack."""
    unique = {(at.key, at.offset): at.checksum for at in places}
    messages = [bodies[place] for place in unique]
    line = pack_line([*unique.values()], messages)
    offsets = accumulate(map(len, messages), initial=len(line))
    return b"".join((line, *messages)), dict(zip(unique, offsets, strict=False))


def due(state: State, settings: StoreSettings, *, force: bool = False, dead: Collection[str] = ()) -> set[int]:
    """The objects whose messages should be moved; none where they are too few to be worth it."""
    held = list(state.homes.held())
    small = [each for each in held if each.number <= state.head - settings.pack_newest and each.number < FIRST_PACK]
    out = {each.number for each in held if each.key in dead}
    if force or len(small) >= settings.pack_objects or _bytes(small) >= settings.pack_small_bytes:
        out.update(each.number for each in small)
    packs = [each for each in held if each.number >= FIRST_PACK and _is_small(each, settings)]
    if len(packs) >= settings.pack_small_packs:
        out.update(each.number for each in packs)
    return out


def _bytes(held: Iterable[Held]) -> int:
    return sum(each.bytes for each in held)


def _is_small(held: Held, settings: StoreSettings) -> bool:
    """Neither full of tiny messages, nor the pack of one large message, which is where it should be.

    What packing makes of many small packs is not small, so that it ends.
    """
    less = held.bytes < settings.pack_bytes // 4 and held.messages < settings.pack_messages // 4
    return less and held.bytes <= held.messages * settings.inline_message_bytes


def select(state: State, wanted: set[int], settings: StoreSettings) -> list[tuple[int, list[int]]]:
    """UIDs by mailbox, ascending, of at most one pack. New mail is at the end, so that is where it looks first."""
    left = sum(held.messages for held in state.homes.held() if held.number in wanted)
    found: list[tuple[int, list[int], list[int]]] = []
    for number in sorted(state.boxes):
        box = state.boxes[number]
        uids: list[int] = []
        sizes: list[int] = []
        at = len(box.homes)
        while at and left:
            at -= 1
            if box.homes[at] in wanted:
                uids.append(box.uids[at])
                sizes.append(box.sizes[at])
                left -= 1
        if uids:
            found.append((number, uids[::-1], sizes[::-1]))
    out: list[tuple[int, list[int]]] = []
    count = size = 0
    for number, uids, sizes in found:
        taken: list[int] = []
        for uid, octets in zip(uids, sizes, strict=True):
            if count and (count == settings.pack_messages or size + octets > settings.pack_bytes):
                return [*out, (number, taken)] if taken else out
            taken.append(uid)
            count, size = count + 1, size + octets
        out.append((number, taken))
    return out


def _is_worth_it(state: State, moves: dict[int, list[Move]], dead: Collection[str]) -> bool:
    """Whether a commit or a dead pack loses mail, or two packs all of theirs: else what is damaged, and so stays where
    it is, would have the others packed again and again."""
    taken = Counter(move[1] for of_box in moves.values() for move in of_box)
    held = {each.key: each.messages for each in state.homes.held()}
    gone = sum(held.get(key, 0) <= count for key, count in taken.items())
    return gone > 1 or any(key in dead or not key.startswith("pack/") for key in taken)


async def _read(store: Store, account: Account, places: Sequence[Location]) -> dict[Place, bytes]:
    """The messages' bytes by place, checked; what is damaged or gone is left where it is."""
    out: dict[Place, bytes] = {}

    async def read(run: Sequence[Location]) -> None:
        try:
            for at, data in await store.bodies.run(account.prefix, run):
                if data is not None:
                    out[at.key, at.offset] = data
        except Expunged:  # packed by another meanwhile
            pass
        except Damaged:
            event("store.pack.damaged", level="error", account=account.prefix, key=run[0].key)

    unique = {(at.key, at.offset): at for at in sorted(places, key=lambda at: (at.key, at.offset))}
    left = runs(list(unique.values()), store.settings.read_run_bytes, store.settings.read_gap_bytes)[::-1]
    while left:
        async with store.pace.turn():
            end = store.clock.elapsed() + _TURN
            while left:
                await asyncio.gather(*[read(left.pop()) for _ in range(min(len(left), _AT_ONCE))])
                if store.clock.elapsed() >= end:
                    break
    return out


async def _relocate(store: Store, account: Account, moves: dict[int, list[Move]], posted: float) -> int:
    moved, size = 0, store.settings.pack_moves
    for box, all_moves in moves.items():
        for start in range(0, len(all_moves), size):
            part = all_moves[start : start + size]

            def evaluate(draft: Draft, box: int = box, part: list[Move] = part) -> int:
                return draft.relocate(box, part, posted)

            try:
                async with store.pace.turn():
                    moved += await account.committer.commit(evaluate)
            except Stale:  # we stood still for a day: the pack may be collected
                return moved
    return moved
