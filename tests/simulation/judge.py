"""Replays of every kind, and the end of a run: the trouble stops, what was late lands, and all is compared."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from mailpod.errors import MailError
from mailpod.store import Account
from mailpod.store.checkpoint import load_state
from mailpod.store.location import Location
from mailpod.store.names import checkpoint_sequence, log_key
from mailpod.store.ops import PageRef, decode_header
from mailpod.store.page import Page, decode_meta, decode_table
from mailpod.store.state import State

from .activity import activity
from .faults import GRACE, Dice
from .guests import check_hints
from .keeping import check_rounds
from .oracle import Oracle
from .queueing import check_accepted
from .truth import Broken, Truth, number_of

if TYPE_CHECKING:
    from .pods import Pod
    from .world import World


async def verify_checkpoints(oracle: Oracle) -> None:
    """Each checkpoint published since the last step, if it is whole: it must say what its commit made."""
    todo, oracle.to_verify = oracle.to_verify, []
    for truth, key in todo:
        if key in truth.bucket.objects and key in truth.whole():
            state = await _load(truth, key)
            _compare(truth, state, f"checkpoint {state.head}")
            await _compare_places(truth, state)


async def replay(oracle: Oracle, rng: random.Random) -> None:
    """From commit 1 where it exists, or from any whole checkpoint, every commit after it leads to the same state."""
    for address in oracle.addresses.values():
        truth = address.truth
        if truth is None or truth.state.closed:
            continue
        bases = [checkpoint_sequence(key) for key in truth.whole()]
        first = truth.bucket.get(log_key(truth.prefix, 1))
        if first is not None and decode_header(first[: first.index(b"\n")]).id == truth.ids.get(1):
            bases.append(0)  # seed 1120: another creator's commit 1 may land on the name once ours was collected
        if bases:
            await _replay_from(truth, rng.choice(bases))


async def _replay_from(truth: Truth, base: int) -> None:
    key = next((key for key in truth.checkpoints if checkpoint_sequence(key) == base), "")
    state = await _load(truth, key) if key else State()
    while (data := truth.bucket.get(log_key(truth.prefix, state.head + 1))) is not None:
        end = data.index(b"\n")
        header = decode_header(data[:end])
        if header.id != truth.ids.get(header.seq):
            break  # a late one, on the name of one that was collected
        state.apply(header, end + 1)
    _compare(truth, state, f"the replay from {base}")


def _compare(truth: Truth, state: State, who: str) -> None:
    if state.digest() != truth.history.get(state.head):
        raise Broken(f"{who} of {truth.prefix} gives another state at {state.head} than the log")


async def _load(truth: Truth, key: str) -> State:
    async def get(ref: PageRef) -> bytes:
        return truth.bucket.objects[f"{truth.prefix}page/{ref.id}"][0]

    return await load_state(truth.roots[key], get, lambda box: None)


async def _compare_places(truth: Truth, state: State) -> None:
    """Each message's page is there, and says where its bytes were after that commit."""

    def load(ref: PageRef) -> bytes:
        return truth.bucket.objects[f"{truth.prefix}page/{ref.id}"][0]

    async def page(ref: PageRef, _: bool) -> Page:
        if (found := truth.decoded.get(ref.id)) is None:
            found = truth.decoded[ref.id] = decode_meta(load(ref), ref.sum)
        return found.shifted(ref.shift)

    async def table(ref: PageRef) -> list[PageRef]:
        return decode_table(load(ref), ref.sum)

    for box in state.boxes.values():
        box.load_page, box.load_table = page, table
        found: dict[int, Location] = {}
        async for part, rows in box.pages(box.uids, scanned=False):
            found |= {part.uids[row]: part.location(row) for row in rows}
            if part.unscanned:
                raise Broken(f"checkpoint {state.head} has messages of which nothing is known but their bytes")
        if list(found) != list(box.uids):
            raise Broken(f"the pages of checkpoint {state.head} have other messages than mailbox {box.id}")
        for uid, at in found.items():
            if at != (wanted := truth.place(box.id, uid, state.head)):
                raise Broken(f"checkpoint {state.head}: message {box.id}/{uid} is at {at} and not {wanted}")


# -- the end


async def settle(world: World) -> None:
    """Everybody stops; a new operator brings every address to what is wanted; a new pod serves what is left."""
    from .operators import make_operator
    from .pods import make_pod

    for pod in world.pods:
        pod.crash()
    for operator, task in world.operators:
        operator.link.alive = False
        task.cancel()
    world.dice, world.aim = Dice(0.0), None
    await asyncio.sleep(3 * GRACE)
    _raise(world)
    operator = make_operator(world)
    for address in world.oracle.addresses.values():
        address.served = not address.wanted  # look again, whatever was done
        await operator.act(address)
    judge = make_pod(world, "judge")
    judge.spool.start()
    await _queue_is_empty(world)
    await asyncio.sleep(2 * GRACE)
    for address in world.oracle.addresses.values():
        await operator.purge(address)
        if address.wanted:
            await _look_through(world, judge, address.name)
    await check_rounds(judge)
    world.table.done["expired"] += world.oracle.expired
    _check_erased(world)
    check_hints(world)
    check_accepted(world.oracle, world.elsewhere, world.accepted)
    world.oracle.verdict()
    await verify_checkpoints(world.oracle)
    await replay(world.oracle, world.rng)
    _raise(world)


def _raise(world: World) -> None:
    if world.failure is not None:
        raise world.failure


def _check_erased(world: World) -> None:
    """Of a closed account nothing is left but what landed after its purge."""
    bucket = world.bucket
    if records := [key for key in bucket.under("directory/") if "/purge/" in key]:
        raise Broken(f"a purge does not end: {records}")
    for address in world.oracle.addresses.values():
        for truth in address.truths.values():
            if truth.closed_at is None:
                continue
            left = [key for key in bucket.under(truth.prefix) if bucket.objects[key][1] < truth.closed_at + GRACE]
            if left:
                raise Broken(f"{len(left)} objects are left of a closed account: {left[0]}")


async def _queue_is_empty(world: World) -> None:
    for _ in range(60):
        await asyncio.sleep(10)
        _raise(world)
        left = {key.split("/")[1] for key in world.bucket.under("outbound/")}
        if not left:
            return
    raise Broken(f"the queue still has {sorted(left)}")


async def _look_through(world: World, pod: Pod, name: str) -> None:
    address = world.oracle.addresses[name]
    account = await pod.open(address)
    truth = address.truths[account.prefix]
    if truth is not address.truth:
        raise Broken(f"a new pod opens {account.prefix} of {name}, not the newest account")
    if account.head != truth.state.head:
        raise Broken(f"a new pod finds the head of {name} at {account.head}, not {truth.state.head}")
    world.oracle.check(account.prefix, account.log.state, "a new pod")
    await _read_all(account, truth)
    for step in ("checkpoint", "checkpoint"):
        with activity(step):
            await _checkpoint(pod, account)
    await _read_all(account, truth)
    account.release()


async def _checkpoint(pod: Pod, account: Account) -> None:
    await account.append("INBOX", [])
    try:
        await pod.store.checkpoint(account)
    except MailError as error:
        raise Broken(f"no checkpoint can be written any more: {error!r}") from error


async def _read_all(account: Account, truth: Truth) -> None:
    for box in list(account.mailboxes.values()):
        seen = []
        async for page, rows in box.pages(box.uids):
            for row in rows:
                number = truth.numbers[box.id, page.uids[row]]
                data = await account.body(page.location(row))
                if f"Subject: message {number} ".encode() not in data:
                    raise Broken(f"message {number}, {box.name} {page.uids[row]}, has other bytes: {data[:60]!r}")
                if number_of(page.envelopes[row].decode()) != number:
                    raise Broken(f"message {number}, {box.name} {page.uids[row]}, has another ENVELOPE")
                seen.append(page.uids[row])
        if seen != list(box.uids):
            raise Broken(f"the pages of {box.name} do not have its messages")
