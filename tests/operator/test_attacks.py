"""Attacks on the directory that need no API server: OPERATOR.md rules 33, 34 and 39. tests/apiserver has the others.

A real Publisher writes into a bucket in memory, and a real Directory reads it as a pod does. Each attack must be
refused, and leave its victim as it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, TypeAlias

import msgspec
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from kubernetes.aio.client import ApiClient, Configuration
from tests.operator.fakekube import FakeKube
from tests.operator.plane import FakeParts, FakePlane, domain, mailbox

from mailoperator import conditions as c
from mailoperator.context import API, APPROVE
from mailoperator.directorysync import DirectorySync
from mailoperator.gather import condition_of
from mailoperator.kube import ApiError, Kube
from mailoperator.leader import Leader
from mailoperator.model import MailDomain
from mailoperator.operator import Operator
from mailoperator.settings import OperatorSettings
from mailoperator.world import World
from mailpod.clock import SystemClock
from mailpod.directory import Directory, Entry, MailboxEntry, public_key
from mailpod.errors import Unavailable
from mailpod.store.entries import WRITER, Verifier, seal
from mailpod.store.memory import MemoryObjects

Raw: TypeAlias = dict[str, Any]
KEY = b"k" * 32


class Later(SystemClock):
    """A clock that the test puts forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def elapsed(self) -> float:
        return super().elapsed() + self.ahead

    def now(self) -> float:
        return super().now() + self.ahead


class ShortKube(FakeKube):
    """Its lists leave out what `hidden` says; to a GET everything is there."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden: Callable[[Raw], bool] = lambda raw: False
        self.slow = ""  # a GET of this name takes a while

    async def get(self, api_version: str, kind: str, namespace: str | None, name: str) -> Raw | None:
        if name == self.slow:
            await asyncio.sleep(0.1)
        return await super().get(api_version, kind, namespace, name)

    async def list(self, api_version: str, kind: str, namespace: str | None, *, labels: str = "") -> list[Raw]:
        found = await super().list(api_version, kind, namespace, labels=labels)
        return [raw for raw in found if not self.hidden(raw)]


class BucketPlane(FakePlane):
    """One bucket for all hosts, with the code that a real one has."""

    def __init__(self, kube: FakeKube, objects: MemoryObjects, clock: Later) -> None:
        super().__init__(kube)

        async def yes() -> bool:
            return True

        self.sync = DirectorySync(
            objects, signing_key=KEY, clock=clock, rng=random.Random(1), grace=3600, holds_claim=yes
        )

    async def publish(
        self, host: MailDomain, entries: Sequence[Entry], living: Callable[[str], bool]
    ) -> list[tuple[str, str]]:
        return list((await self.sync.publish_one(entries, living)).conflicts)

    async def withdraw(self, host: MailDomain, owner: str, entries: Sequence[Entry]) -> None:
        await self.sync.withdraw(owner, entries)

    async def compare(
        self, host: MailDomain, entries: Sequence[Entry], approved: str | None, living: Callable[[str], bool]
    ) -> str | None:
        done = await self.sync.compare(entries, approved, living)
        return str(done.brake) if done.brake else None


class Place:
    """A cluster, its bucket, and operators one after the other."""

    def __init__(self) -> None:
        self.kube, self.clock = ShortKube(), Later()
        self.objects = MemoryObjects(self.clock)

    @contextlib.asynccontextmanager
    async def operator(self) -> AsyncIterator[Operator]:
        """One process, when it has done all that there is to do."""
        settings = OperatorSettings(pod_name="one", namespace="system", sweep_seconds=3600)
        leader = Leader(self.kube, namespace="system", name="lease", identity="one", seconds=10**6, clock=self.clock)
        parts = FakeParts()
        operator = Operator(
            self.kube, settings, self.clock, leader=leader, world=World(),
            plane=BucketPlane(self.kube, self.objects, self.clock), keys=parts, dns=parts, passwords=parts,
        )  # fmt: skip
        task = asyncio.create_task(operator.run())
        try:
            await leader.wait()
            while not operator.ready:  # noqa: ASYNC110
                await asyncio.sleep(0)
            await asyncio.wait_for(operator.settled(), 20)
            yield operator
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        lease = self.kube.objects["coordination.k8s.io/v1", "Lease", "system", "lease"]
        lease["spec"]["holderIdentity"] = ""

    async def run(self) -> None:
        """One process that sweeps a second time, when a minute has passed: what is younger is left alone."""
        async with self.operator() as operator:
            self.clock.ahead += 61
            await operator.sweep()
            await asyncio.wait_for(operator.settled(), 20)

    def pod(self) -> Directory:
        return Directory(self.objects, public_keys=[public_key(KEY)], clock=self.clock)

    async def owner(self, address: str) -> str:
        """The uid of the Mailbox that mail for an address goes to, as a new pod sees it."""
        found = await self.pod().lookup(address)
        return found.owner if found else ""

    def uid(self, name: str, kind: str = "Mailbox") -> str:
        return str(self.kube.objects[API, kind, "n", name]["metadata"]["uid"])

    def condition(self, name: str, type: str, kind: str = "Mailbox") -> c.Condition:
        found = condition_of(self.kube.objects[API, kind, "n", name], type)
        assert found is not None
        return found

    async def contents(self) -> dict[str, bytes]:
        return {each.key: await self.objects.get(each.key) for each in await self.objects.list("directory/")}


@pytest.fixture
def place() -> Place:
    return Place()


def names(count: int) -> list[str]:
    return [f"m{number:02}" for number in range(count)]


def addresses(contents: dict[str, bytes]) -> dict[str, bytes]:
    return {key: data for key, data in contents.items() if key.endswith("/address")}


async def inhabited(place: Place, boxes: Sequence[str] = ("alice", "bob")) -> None:
    place.kube.user_applies(domain("d", "d.test"), *(mailbox(name, "d") for name in boxes))
    await place.run()
    for name in boxes:
        assert await place.owner(f"{name}@d.test") == place.uid(name)


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


class TestOthersAddresses:
    """Rule 39."""

    async def test_an_alias_that_is_anothers_address(self, place: Place) -> None:
        """Refused, without taking from the asker what is his."""
        await inhabited(place)
        place.kube.user_applies(mailbox("bob", "d", aliases=["alice"]))
        await place.run()
        assert place.condition("bob", c.PUBLISHED).reason == c.ADDRESS_TAKEN
        assert await place.owner("alice@d.test") == place.uid("alice")
        place.clock.ahead += 16 * 60
        await place.run()
        assert await place.owner("bob@d.test") == place.uid("bob")

    @pytest.mark.parametrize("thief", ["aaron", "zoe"])
    async def test_a_mailbox_that_nobody_judged_yet(self, place: Place, thief: str) -> None:
        """A comparison may meet it before its own reconciliation does, in whatever order a LIST has them."""
        await inhabited(place)
        before = (await place.contents())["directory/d.test/alice/address"]
        place.kube.user_applies(mailbox(thief, "d", aliases=["alice"]))
        place.kube.user_applies(mailbox(f"{thief}2", "d", localPart="alice", aliases=["sales"]))
        await place.run()
        assert place.condition(thief, c.READY).reason == c.ADDRESS_TAKEN
        assert place.condition(f"{thief}2", c.READY).reason == c.ADDRESS_TAKEN
        after = await place.contents()
        assert after["directory/d.test/alice/address"] == before
        assert "directory/d.test/sales/address" not in after

    @pytest.mark.parametrize(
        "local", ["admin", "administrator", "hostmaster", "webmaster", "postmaster", "abuse", "Admin"]
    )
    async def test_a_reserved_local_part(self, place: Place, local: str) -> None:
        await inhabited(place)
        before = await place.contents()
        place.kube.user_applies(mailbox("eve", "d", localPart=local), mailbox("carl", "d", aliases=[local]))
        await place.run()
        for name in ("eve", "carl"):
            assert place.condition(name, c.READY).reason == c.ADDRESS_RESERVED
        assert await place.contents() == before
        entry = await place.pod().lookup("postmaster@d.test")
        assert entry is not None and entry.owner == place.uid("alice")

    async def test_an_older_maildomain_that_names_a_newer_ones_domain(self, place: Place) -> None:
        """As an alias domain, added after both were accepted."""
        place.kube.user_applies(
            domain("thief", "thief.test"), mailbox("eve", "thief"),
            domain("d", "d.test", aliasDomains=["also.test"]), mailbox("alice", "d"),
        )  # fmt: skip
        await place.run()
        for stolen in ("d.test", "also.test"):
            before = await place.contents()
            place.kube.user_applies(domain("thief", "thief.test", aliasDomains=[stolen]))
            await place.run()
            assert place.condition("thief", c.DOMAIN_ACCEPTED, "MailDomain").reason == c.DOMAIN_TAKEN
            assert place.condition("d", c.DOMAIN_ACCEPTED, "MailDomain").holds
            after = await place.contents()
            assert {key for key in after if "/d.test/" in key or "/also.test/" in key} == {
                key for key in before if "/d.test/" in key or "/also.test/" in key
            }
            assert await place.owner(f"eve@{stolen}") == ""
            assert await place.owner(f"alice@{stolen}") == place.uid("alice")
            place.kube.user_applies(domain("thief", "thief.test"))
            await place.run()

    async def test_an_alias_passed_on_while_the_operator_was_down(self, place: Place) -> None:
        """No attack: who still has entries, and does not want this one any more, does not hold it up."""
        place.kube.user_applies(domain("d", "d.test"), mailbox("alice", "d", aliases=["info"]), mailbox("bob", "d"))
        await place.run()
        place.kube.user_applies(mailbox("alice", "d"), mailbox("bob", "d", aliases=["info"]))
        await place.run()
        assert await place.owner("info@d.test") == place.uid("bob")
        assert place.condition("bob", c.READY).holds

    async def test_a_mailbox_made_again_while_the_operator_was_down(self, place: Place) -> None:
        """No attack: the same address, aliases and all, of another uid. It is served at once."""
        place.kube.user_applies(domain("d", "d.test"), mailbox("alice", "d", aliases=["info"]), mailbox("bob", "d"))
        await place.run()
        place.kube.user_deletes(API, "Mailbox", "n", "alice")
        place.kube.user_applies(mailbox("alice", "d", aliases=["info"]))
        await place.run()
        assert await place.owner("alice@d.test") == await place.owner("info@d.test") == place.uid("alice")
        assert place.condition("alice", c.READY).holds


class TestEntries:
    """Rule 33: whoever can write the bucket plants nothing."""

    async def attacked(self, place: Place, plant: dict[str, bytes], victim: str = "alice@d.test") -> None:
        """A pod that starts now and one that ran before; then the operator mends it."""
        running = place.pod()
        before = await running.lookup(victim)
        assert before is not None
        for key, data in plant.items():
            await place.objects.put(key, [data])
        place.clock.ahead += 5  # longer than a pod remembers
        for pod in (running, place.pod()):
            try:
                found = await pod.lookup(victim)
            except Unavailable:
                continue
            assert found is not None and found.verifiers == before.verifiers and found.owner == before.owner
        await place.run()
        place.clock.ahead += 16 * 60
        await place.run()
        after = await place.pod().lookup(victim)
        assert after is not None and (after.owner, after.verifiers) == (before.owner, before.verifiers)
        for key in plant:
            if key not in (alice := "directory/d.test/alice/address",):
                assert key not in await place.contents(), f"{alice} is not the only one"

    async def test_without_a_signature(self, place: Place) -> None:
        await inhabited(place)
        good = await place.objects.get("directory/d.test/alice/address")
        forged = good.partition(b"\n")[0].replace(b'"verifier"', b'"attacker"') + b"\n"
        assert forged != good
        await self.attacked(place, {"directory/d.test/alice/address": forged})

    async def test_with_another_signature(self, place: Place) -> None:
        """The signature of the true entry under changed words, and a true signature by an untrusted key."""
        await inhabited(place)
        good = await place.objects.get("directory/d.test/alice/address")
        forged = good.replace(b'"verifier"', b'"attacker"')
        assert forged != good
        await self.attacked(place, {"directory/d.test/alice/address": forged})

    async def test_of_another_address_copied_over(self, place: Place) -> None:
        """bob's own entry, which is signed, at alice's address; and alice's at one that nobody has."""
        await inhabited(place)
        bobs = await place.objects.get("directory/d.test/bob/address")
        alices = await place.objects.get("directory/d.test/alice/address")
        await self.attacked(place, {"directory/d.test/alice/address": bobs, "directory/d.test/ceo/address": alices})

    async def test_of_another_domain_copied_over(self, place: Place) -> None:
        await inhabited(place)
        entry = await place.objects.get("directory/d.test/!domain")
        alices = await place.objects.get("directory/d.test/alice/address")
        await self.attacked(place, {"directory/bank.test/!domain": entry, "directory/bank.test/alice/address": alices})
        assert await place.pod().domain("bank.test") is None

    async def test_an_older_one_put_back(self, place: Place) -> None:
        """alice's entry from before she was suspended: a pod that saw the newer one keeps to it, a pass mends it."""
        await inhabited(place)
        key = "directory/d.test/alice/address"
        old = await place.objects.get(key)
        place.kube.user_applies(mailbox("alice", "d", suspended=True))
        await place.run()
        running = place.pod()
        entry = await running.lookup("alice@d.test")
        assert entry is not None and entry.suspended
        await place.objects.put(key, [old])
        place.clock.ahead += 5
        entry = await running.lookup("alice@d.test")
        assert entry is not None and entry.suspended
        await place.run()
        entry = await place.pod().lookup("alice@d.test")
        assert entry is not None and entry.suspended
        place.clock.ahead += 5
        assert await running.lookup("alice@d.test") == entry

    async def test_the_last_one_of_who_is_gone_put_back(self, place: Place) -> None:
        await inhabited(place)
        key = "directory/d.test/alice/address"
        old = await place.objects.get(key)
        place.kube.user_deletes(API, "Mailbox", "n", "alice")
        await place.run()
        place.clock.ahead += 16 * 60
        await place.run()
        assert await place.owner("alice@d.test") == ""
        await place.objects.put(key, [old])
        await place.run()
        with pytest.raises(Unavailable):
            await place.owner("alice@d.test")
        place.clock.ahead += 16 * 60
        await place.run()
        assert key not in await place.contents()

    async def test_an_older_operator_leaves_what_a_newer_one_wrote(self, place: Place) -> None:
        """Rule 34: an entry with fields that this version does not know is not rewritten, and stays in force."""
        await inhabited(place)
        key = "directory/d.test/alice/address"
        entry = Verifier([public_key(KEY)]).open(key, await place.objects.get(key))
        assert isinstance(entry, MailboxEntry)
        newer = seal(
            msgspec.structs.replace(entry, writer=WRITER + 1, verifiers=("newer",)),
            Ed25519PrivateKey.from_private_bytes(KEY),
        )
        await place.objects.put(key, [newer])
        place.kube.user_applies(mailbox("alice", "d", suspended=True))
        await place.run()
        assert (await place.contents())[key] == newer


# -- lists that were cut on their way


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
