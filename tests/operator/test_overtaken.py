"""A Mailbox that is deleted while something older is under way: it is not published again, and gets no new account."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable

import pytest
from tests.operator.attackplace import Place, place
from tests.operator.plane import domain, mailbox

from mailoperator.context import API
from mailoperator.operator import Operator
from mailoperator.reconcile_directory import reconcile_directory

__all__ = ["place"]
POLICIES = pytest.mark.parametrize("policy", ["Delete", "Retain"])


async def inhabited(place: Place, policy: str) -> None:
    place.kube.user_applies(
        domain("d", "d.test", server={"replicas": 1}),
        mailbox("alice", "d"),
        mailbox("carol", "d", aliases=["sales"], deletionPolicy=policy),
    )
    await place.run()
    assert await place.owner("sales@d.test") == place.uid("carol")


async def deleted(place: Place, operator: Operator) -> None:
    """Carol, from a person's kubectl to the last that follows from it."""
    carol = place.kube.objects[API, "Mailbox", "n", "carol"]
    place.kube.user_deletes(API, "Mailbox", "n", "carol")
    operator.see("MODIFIED", copy.deepcopy(carol))
    await asyncio.wait_for(operator.settled(), 20)
    assert (API, "Mailbox", "n", "carol") not in place.kube.objects
    operator.see("DELETED", copy.deepcopy(carol))
    await asyncio.wait_for(operator.settled(), 20)


async def compared(operator: Operator) -> None:
    await reconcile_directory(operator.context, ("n", "d"))


async def swept(operator: Operator) -> None:
    await operator.sweep()
    await asyncio.wait_for(operator.settled(), 20)


@POLICIES
@pytest.mark.parametrize("look", [compared, swept])
async def test_while_a_look_at_everything_has_its_lists(
    place: Place, policy: str, look: Callable[[Operator], Awaitable[None]]
) -> None:
    await inhabited(place, policy)
    left: dict[str, bytes] = {}
    async with place.operator() as operator:
        place.clock.ahead += 61

        async def meanwhile() -> None:
            await deleted(place, operator)
            left.update(await place.contents())

        place.kube.meanwhile = meanwhile
        await look(operator)
        assert left and await place.contents() == left
        assert await place.owner("alice@d.test") and not await place.owner("sales@d.test")


@POLICIES
async def test_before_the_answer_to_a_status_is_used(place: Place, policy: str) -> None:
    await inhabited(place, policy)
    async with place.operator() as operator:
        before = copy.deepcopy(place.kube.objects[API, "Mailbox", "n", "carol"])
        await deleted(place, operator)
        left = await place.contents()
        operator.see("MODIFIED", before)
        await asyncio.wait_for(operator.settled(), 20)
        assert await place.contents() == left
        place.kube.user_applies(mailbox("carol", "d"))  # another one of the same name is welcome
        operator.see("ADDED", copy.deepcopy(place.kube.objects[API, "Mailbox", "n", "carol"]))
        await asyncio.wait_for(operator.settled(), 20)
        assert await place.owner("carol@d.test") == place.uid("carol")
