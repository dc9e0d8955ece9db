"""Attacks by a short LIST that need no API server: OPERATOR.md rule 34. tests/apiserver has the others."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from kubernetes.aio.client import ApiClient, Configuration
from tests.operator.attackplace import Place, addresses, inhabited, names, place
from tests.operator.plane import domain, mailbox

from mailoperator import conditions as c
from mailoperator.context import API, APPROVE
from mailoperator.kube import ApiError, Kube
from mailpod.errors import Unavailable

__all__ = ["place"]


class TestShortLists:
    """Rule 34."""

    async def test_a_list_without_most_mailboxes_withdraws_none_until_a_person_approves(self, place: Place) -> None:
        await inhabited(place, names(20))
        before = await place.contents()
        place.kube.hidden = lambda raw: raw["kind"] == "Mailbox" and raw["metadata"]["name"] >= "m10"
        await place.run()
        stopped = place.condition("d", c.DIRECTORY_READY, "MailDomain")
        assert (stopped.status, stopped.reason) == ("False", c.TOO_MANY_WITHDRAWN)
        assert "10 of 21" in stopped.message
        assert addresses(await place.contents()) == addresses(before)
        place.kube.objects[API, "MailDomain", "n", "d"]["metadata"]["annotations"] = {
            APPROVE: stopped.message.rpartition(" ")[2]
        }
        await place.run()
        with pytest.raises(Unavailable):
            await place.owner("m19@d.test")

    async def test_a_list_without_a_maildomain_withdraws_none_of_its_mailboxes(self, place: Place) -> None:
        await inhabited(place, names(3))
        guests = [mailbox(f"e{number}", "e") for number in range(6)]
        place.kube.user_applies(domain("e", "e.test", servedByRef={"name": "d"}), *guests)
        await place.run()
        before = await place.contents()
        place.kube.hidden = lambda raw: raw["kind"] == "MailDomain" and raw["metadata"]["name"] == "e"
        await place.run()
        assert place.condition("d", c.DIRECTORY_READY, "MailDomain").reason == c.TOO_MANY_WITHDRAWN
        assert await place.contents() == before

    async def test_who_is_missed_is_unavailable_for_15_minutes_and_only_then_unknown(self, place: Place) -> None:
        await inhabited(place, names(3))
        place.kube.hidden = lambda raw: raw["metadata"]["name"] == "m01"
        await place.run()
        with pytest.raises(Unavailable):  # 451
            await place.owner("m01@d.test")
        place.clock.ahead += 14 * 60 - 122
        await place.run()
        with pytest.raises(Unavailable):
            await place.owner("m01@d.test")
        place.clock.ahead += 2 * 60
        await place.run()
        assert await place.owner("m01@d.test") == ""  # 550
        assert await place.owner("m02@d.test") == place.uid("m02")

    async def test_who_was_missed_and_is_there_again_is_served_at_once(self, place: Place) -> None:
        await inhabited(place, names(3))
        place.kube.hidden = lambda raw: raw["metadata"]["name"] == "m01"
        await place.run()
        place.kube.hidden = lambda raw: False
        await place.run()
        assert await place.owner("m01@d.test") == place.uid("m01")

    async def test_a_short_list_from_the_start_makes_no_alias_of_an_address(self, place: Place) -> None:
        """A process that never heard of alice finds her entry: nobody else has it for 15 minutes."""
        await inhabited(place, ("alice", "eve"))
        place.kube.user_applies(mailbox("eve", "d", aliases=["alice"]))
        place.kube.hidden = lambda raw: raw["metadata"]["name"] == "alice"
        await place.run()
        assert place.condition("eve", c.PUBLISHED).reason == c.ADDRESS_TAKEN
        place.kube.hidden = lambda raw: False
        await place.run()
        assert await place.owner("alice@d.test") == place.uid("alice")

    async def test_a_short_list_makes_nobody_the_heir(self, place: Place) -> None:
        """al asks for alice's very address, and nobody has judged him yet when she is missed."""
        await inhabited(place, ("alice", "eve"))
        place.kube.slow = "alice"
        async with place.operator() as operator:
            place.kube.user_applies(mailbox("al", "d", localPart="alice"))
            place.kube.hidden = lambda raw: raw["metadata"]["name"] == "alice"
            await operator.sweep()
            await operator.settled()
        assert place.condition("al", c.READY).reason == c.ADDRESS_TAKEN
        place.kube.hidden = lambda raw: False
        await place.run()
        assert await place.owner("alice@d.test") == place.uid("alice")

    async def test_a_short_list_later_on_gives_nobodys_address_away(self, place: Place) -> None:
        """The operator knew alice; a sweep misses her while eve and al ask for her address."""
        await inhabited(place, ("alice", "eve"))
        place.kube.slow = "alice"
        async with place.operator() as operator:
            place.kube.user_applies(mailbox("eve", "d", aliases=["alice"]), mailbox("al", "d", localPart="alice"))
            place.kube.hidden = lambda raw: raw["metadata"]["name"] == "alice"
            await operator.sweep()
            for name in ("eve", "al"):
                operator.see("MODIFIED", place.kube.objects[API, "Mailbox", "n", name])
            await operator.settled()
        assert place.condition("eve", c.PUBLISHED).reason == c.ADDRESS_TAKEN
        assert place.condition("al", c.READY).reason == c.ADDRESS_TAKEN
        assert operator.context.world.get("Mailbox", ("n", "alice")), "the API was asked, and she is remembered again"
        place.kube.hidden = lambda raw: False
        await place.run()
        assert await place.owner("alice@d.test") == place.uid("alice")


@contextlib.asynccontextmanager
async def answering(*answers: tuple[int, bytes]) -> AsyncIterator[Kube]:
    """A Kube whose API server gives these answers, one a request."""
    waiting = list(answers)

    async def answer(request: web.Request) -> web.StreamResponse:
        status, body = waiting.pop(0)
        if status > 0:
            return web.Response(status=status, body=body, content_type="application/json")
        response = web.StreamResponse(headers={"Content-Length": str(len(body) + 100)})  # more is promised than sent
        await response.prepare(request)
        await response.write(body)
        assert request.transport is not None
        request.transport.close()
        return response

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    configuration = Configuration()
    configuration.host = f"http://127.0.0.1:{runner.addresses[0][1]}"
    kube = Kube(ApiClient(configuration))
    try:
        yield kube
    finally:
        await kube.close()
        await runner.cleanup()


PAGE = b'{"kind":"MailboxList","metadata":{"continue":"more"},"items":[{"metadata":{"name":"a"}}]}'
LAST = b'{"kind":"MailboxList","metadata":{},"items":[{"metadata":{"name":"b"}}]}'


async def test_a_list_of_two_pages() -> None:
    async with answering((200, PAGE), (200, LAST)) as kube:
        assert [raw["metadata"]["name"] for raw in await kube.list(API, "Mailbox", "n")] == ["a", "b"]


@pytest.mark.parametrize(
    "second",
    [
        (410, b'{"kind":"Status","reason":"Expired","message":"the continue token is too old"}'),
        (500, b"no"),
        (200, LAST[:-20]),
        (200, b""),
        (200, b"[]"),
        (200, b"{}"),
        (200, b'{"kind":"MailboxList","metadata":{}}'),
        (200, b'{"kind":"MailboxList","items":[]}'),
        (0, LAST[:-20]),
    ],
)
async def test_a_list_that_is_cut_short_is_an_error(second: tuple[int, bytes]) -> None:
    """Rule 34: half a list is none, and never an empty one."""
    async with answering((200, PAGE), second) as kube:
        with pytest.raises(ApiError):
            await kube.list(API, "Mailbox", "n")
