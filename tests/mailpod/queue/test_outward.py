"""Messages to other domains: sent at once, tried again, given up with a notice; by any pod, and not twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.harness.peer import HANG_UP, SILENCE, Peer, Taken, running
from tests.harness.zone import Zone
from tests.mailpod.queue.outward import ALICE, FAR, MESSAGE, ZONE, entry, inbox, pod, settled, until
from tests.mailpod.smtp.server import Bucket

from mailpod import metrics
from mailpod.clock import SystemClock
from mailpod.queue.spool import Spool
from mailpod.store.outbound import RecipientOptions
from mailpod.store.outcome import decode


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    async with running(Peer()) as made:
        yield made


@pytest.fixture
def bucket() -> Bucket:
    return Bucket(SystemClock())


@pytest.fixture
def zone() -> Zone:
    return Zone(*ZONE)


async def test_sent_at_once_and_settled(bucket: Bucket, zone: Zone, peer: Peer) -> None:
    services = await pod(bucket, zone, peer.port)
    await services.spool.accept(entry(services, FAR, "carol@far.test"), MESSAGE)
    await services.spool.idle()
    (taken,) = peer.messages
    assert taken == Taken(
        f"MAIL FROM:<{ALICE}> SIZE={len(MESSAGE)}", ("RCPT TO:<bob@far.test>", "RCPT TO:<carol@far.test>"), MESSAGE
    )
    assert await bucket.list("outbound/") == []
    await services.spool.stop()
    assert peer.commands[-1] == "QUIT"


async def test_here_and_elsewhere(bucket: Bucket, zone: Zone, peer: Peer) -> None:
    services = await pod(bucket, zone, peer.port)
    await services.spool.accept(entry(services, ALICE, FAR, "dave@small.example"), MESSAGE)
    await services.spool.idle()
    assert [taken.recipients for taken in peer.messages] == [[FAR]]
    assert [len(await inbox(services, address)) for address in (ALICE, "dave@small.example")] == [1, 1]
    assert await bucket.list("outbound/") == []


async def test_a_refused_recipient_is_told_and_the_other_gets_it(bucket: Bucket, zone: Zone, peer: Peer) -> None:
    services = await pod(bucket, zone, peer.port)
    peer.say("RCPT TO:<nobody@far.test>", "550 5.1.1 no such user")
    await services.spool.accept(entry(services, "nobody@far.test", FAR), MESSAGE)
    await settled(bucket)
    assert [taken.recipients for taken in peer.messages] == [[FAR]]
    (notice,) = await inbox(services)
    assert b"Return-Path: <>" in notice and b"\r\nFinal-Recipient: rfc822; nobody@far.test\r\n" in notice
    assert b"\r\nStatus: 5.1.1\r\n" in notice and b"\r\nRemote-MTA: dns; mx.far.test\r\n" in notice
    assert b"Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n" in notice and b"Subject: hello\r\n" in notice
    assert b"bob@far.test" not in notice


async def test_greylisting(bucket: Bucket, zone: Zone, peer: Peer) -> None:
    services = await pod(bucket, zone, peer.port)
    peer.say(f"RCPT TO:<{FAR}>", "451 4.7.1 come back later", "451 4.7.1 not yet")
    services.spool.start()
    await services.spool.accept(entry(services), MESSAGE)
    await settled(bucket)
    await services.spool.stop()
    assert len(peer.messages) == 1 and peer.commands.count(f"RCPT TO:<{FAR}>") == 3
    assert await inbox(services) == []


async def test_the_last_word_is_kept_and_told_when_it_expires(bucket: Bucket, zone: Zone, peer: Peer) -> None:
    services = await pod(bucket, zone, peer.port, expiry=0.3)
    peer.say("MAIL", "451 4.3.2 closed for repairs…")
    services.spool.start()
    sent = entry(services)
    await services.spool.accept(sent, MESSAGE)
    await services.spool.idle()
    (outcome,) = decode(await bucket.get(f"outbound/{sent.id}/result-000000")).values()
    assert (outcome.action, outcome.status, outcome.host) == ("delayed", "4.3.2", "mx.far.test")
    await settled(bucket)
    await services.spool.stop()
    (notice,) = await inbox(services)
    assert b"Status: 4.4.7\r\n" in notice and b"smtp; 451 4.3.2 closed for repairs" in notice


async def test_a_delay_is_told_once(bucket: Bucket, zone: Zone, peer: Peer) -> None:
    services = await pod(bucket, zone, peer.port, delay_notice=0.01)
    peer.say("DATA", *["451 4.3.2 closed for repairs"] * 5)
    services.spool.start()
    await services.spool.accept(entry(services), MESSAGE)
    await settled(bucket)
    await services.spool.stop()
    (notice,) = await inbox(services)
    assert b"Action: delayed\r\n" in notice and b"Will-Retry-Until: " in notice
    assert len(peer.messages) == 1


@pytest.mark.parametrize("dsn", [True, False])
async def test_success_is_told_by_whoever_knows(bucket: Bucket, zone: Zone, dsn: bool) -> None:
    options = {FAR: RecipientOptions(("SUCCESS",), "rfc822;bob@alias.test")}
    async with running(Peer(extensions=("DSN",) if dsn else ())) as peer:
        services = await pod(bucket, zone, peer.port)
        await services.spool.accept(entry(services, options=options, envid="id+3D1", ret="HDRS"), MESSAGE)
        await settled(bucket)
        (taken,) = peer.messages
        notices = await inbox(services)
    if dsn:
        assert taken.mail.endswith("> RET=HDRS ENVID=id+3D1")
        assert taken.rcpts[0].endswith("> NOTIFY=SUCCESS ORCPT=rfc822;bob@alias.test")
        assert notices == []
    else:
        assert (taken.mail, taken.rcpts) == (f"MAIL FROM:<{ALICE}>", (f"RCPT TO:<{FAR}>",))
        (notice,) = notices
        assert b"Action: relayed\r\n" in notice and b"Original-Envelope-Id: id=1\r\n" in notice
        assert b"Original-Recipient: rfc822; bob@alias.test\r\n" in notice


async def test_no_notice_is_no_notice(bucket: Bucket, zone: Zone, peer: Peer) -> None:
    services = await pod(bucket, zone, peer.port)
    peer.say("RCPT", "550 no")
    await services.spool.accept(entry(services, options={FAR: RecipientOptions(("NEVER",))}), MESSAGE)
    await settled(bucket)
    assert await inbox(services) == []


@pytest.mark.parametrize(
    ("records", "status"),
    [
        ([], b"5.1.2"),
        (["far.test. MX 0 ."], b"5.1.10"),
        (["far.test. MX 10 mx.example.com.", "mx.example.com. A 127.0.0.1"], b"5.4.6"),
        (["far.test. MX 10 nowhere.test."], b"5.4.4"),
        (["far.test. TXT x"], b"5.4.4"),
    ],
)
async def test_a_domain_that_takes_no_mail(bucket: Bucket, peer: Peer, records: list[str], status: bytes) -> None:
    services = await pod(bucket, Zone(*records), peer.port)
    await services.spool.accept(entry(services), MESSAGE)
    await settled(bucket)
    (notice,) = await inbox(services)
    assert b"\r\nStatus: " + status + b"\r\n" in notice
    assert peer.connections == 0


async def test_dies_in_the_middle_of_data_then_takes_it(bucket: Bucket, zone: Zone, peer: Peer) -> None:
    services = await pod(bucket, zone, peer.port)
    peer.say("DATA", HANG_UP)
    services.spool.start()
    await services.spool.accept(entry(services), MESSAGE)
    await settled(bucket)
    await services.spool.stop()
    assert len(peer.messages) == 1


async def test_dies_after_the_final_dot_and_is_counted(bucket: Bucket, zone: Zone, peer: Peer) -> None:
    before = metrics.OUTBOUND_UNCERTAIN._value.get()
    services = await pod(bucket, zone, peer.port)
    peer.say("dot", HANG_UP)
    services.spool.start()
    await services.spool.accept(entry(services), MESSAGE)
    await settled(bucket)
    await services.spool.stop()
    assert len(peer.messages) == 2  # the one duplicate that cannot be helped
    assert metrics.OUTBOUND_UNCERTAIN._value.get() == before + 1


async def test_an_answer_that_comes_while_the_bucket_is_away_counts(bucket: Bucket, zone: Zone, peer: Peer) -> None:
    services = await pod(bucket, zone, peer.port)

    def away(_: Taken) -> None:
        bucket.down = True

    peer.on_message = away
    services.spool.start()
    await services.spool.accept(entry(services), MESSAGE)
    await until(lambda: _is(len(peer.messages) == 1))
    await asyncio.sleep(0.1)
    bucket.down = False
    await settled(bucket)
    await services.spool.stop()
    assert len(peer.messages) == 1


async def _is(value: bool) -> bool:
    return value


async def test_another_pod_sends_what_a_dead_one_left(bucket: Bucket, zone: Zone, peer: Peer) -> None:
    dead, alive = await pod(bucket, zone, peer.port), await pod(bucket, zone, peer.port)
    peer.say("RCPT", "451 4.7.1 come back later")
    await dead.spool.accept(entry(dead), MESSAGE)
    await dead.spool.idle()
    alive.spool.start()
    await settled(bucket)
    await alive.spool.stop()
    assert len(peer.messages) == 1


async def test_what_waits_for_a_place_is_another_pods_when_this_one_ends(
    bucket: Bucket, zone: Zone, peer: Peer
) -> None:
    ending, other = [await pod(bucket, zone, peer.port, connections=1, claim_seconds=60) for _ in range(2)]
    assert ending.spool.relay.destinations.enter("far.test")
    await ending.spool.accept(entry(ending), MESSAGE)
    await asyncio.sleep(0)
    await ending.spool.stop()
    other.spool.start()
    await settled(bucket)
    await other.spool.stop()
    assert len(peer.messages) == 1


@pytest.mark.parametrize("recipients", [[FAR], ["bob@near.test", FAR], [*(f"u{n}@far.test" for n in range(100)), FAR]])
async def test_what_a_pod_does_not_finish_in_time_is_another_pods(
    bucket: Bucket, peer: Peer, recipients: list[str]
) -> None:
    zone = Zone(*ZONE, "near.test. MX 10 mx.far.test.")
    ending = await pod(bucket, zone, peer.port, {"finish_seconds": 0.1}, claim_seconds=60)
    other = await pod(bucket, zone, peer.port, claim_seconds=60)
    before = metrics.OUTBOUND_UNCERTAIN._value.get()
    peer.say(f"RCPT TO:<{FAR}>", SILENCE)
    await ending.spool.accept(entry(ending, *recipients), MESSAGE)
    await until(lambda: _is(any(FAR in command for command in peer.commands)))
    await ending.spool.stop()
    assert [one for taken in peer.messages for one in taken.recipients] == recipients[:-1]
    other.spool.start()
    await settled(bucket)
    await other.spool.stop()
    assert [one for taken in peer.messages for one in taken.recipients] == recipients
    assert metrics.OUTBOUND_UNCERTAIN._value.get() == before


async def test_what_may_have_arrived_is_nobody_elses_until_the_claim_expires(
    bucket: Bucket, zone: Zone, peer: Peer
) -> None:
    """Not even when the pod ends, which waits for the answer as long as it may."""
    ending = await pod(bucket, zone, peer.port, {"finish_seconds": 0.1}, claim_seconds=1.5)
    other = await pod(bucket, zone, peer.port, claim_seconds=1.5)
    peer.say("dot", SILENCE)
    await ending.spool.accept(entry(ending), MESSAGE)
    await until(lambda: _is(len(peer.messages) == 1))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await ending.spool.stop()
    other.spool.start()
    await asyncio.sleep(0.6)
    assert len(peer.messages) == 1
    await settled(bucket)
    await other.spool.stop()
    assert len(peer.messages) == 2


async def test_an_answer_to_the_end_of_a_message_is_waited_for_when_the_pod_ends(
    bucket: Bucket, zone: Zone, peer: Peer
) -> None:
    services = await pod(bucket, zone, peer.port, {"finish_seconds": 0.01}, claim_seconds=60)
    peer.may_answer.clear()
    await services.spool.accept(entry(services), MESSAGE)
    await until(lambda: _is(len(peer.messages) == 1))
    asyncio.get_running_loop().call_later(0.1, peer.may_answer.set)
    await services.spool.stop()
    assert await bucket.list("outbound/") == []


async def test_a_claim_is_respected_until_it_expires(bucket: Bucket, zone: Zone, peer: Peer) -> None:
    """Whether the claim is the entry's creation, or an attempt."""
    services = await pod(bucket, zone, peer.port, claim_seconds=1.2)
    creation = entry(services, outward=True, holder="dead")
    attempt = entry(services, outward=True)
    for left in (creation, attempt):
        await services.spool.outbound.create(left, MESSAGE)
    assert await services.spool.outbound.claim(attempt.id, 1, "dead")
    before = metrics.OUTBOUND_UNCERTAIN._value.get()
    services.spool.start()
    await asyncio.sleep(0.6)
    assert peer.messages == []
    await settled(bucket)
    await services.spool.stop()
    assert len(peer.messages) == 2
    assert metrics.OUTBOUND_UNCERTAIN._value.get() == before + 2


async def test_many_pods_send_each_message_once(bucket: Bucket, zone: Zone, peer: Peer) -> None:
    pods = [await pod(bucket, zone, peer.port, claim_seconds=30) for _ in range(3)]
    for services in pods:
        services.spool.start()
    for number in range(10):
        await pods[0].spool.outbound.create(entry(pods[0], outward=True), b"\r\n%d\r\n" % number)
        await pods[1].spool.accept(entry(pods[1]), b"\r\n%d\r\n" % (100 + number))
    await settled(bucket)
    for services in pods:
        await services.spool.stop()
    assert len(peer.messages) == 20 == len({taken.data for taken in peer.messages})


async def test_connections_are_few_and_used_again(bucket: Bucket, zone: Zone, peer: Peer) -> None:
    services = await pod(bucket, zone, peer.port, connections_per_destination=3)
    services.spool.start()
    await asyncio.gather(*(services.spool.accept(entry(services), MESSAGE) for _ in range(40)))
    await settled(bucket)
    assert len(peer.messages) == 40 and peer.connections == peer.most_open <= 3
    await services.spool.stop()


async def test_a_slow_destination_is_in_nobodys_way(bucket: Bucket, peer: Peer) -> None:
    zone = Zone(*ZONE, "near.test. MX 1 mx.near.test.", "mx.near.test. A 127.0.0.2")
    async with running(Peer(), "127.0.0.2", peer.port) as near:
        services = await pod(bucket, zone, peer.port, connections_per_destination=2, connections=4)
        services.spool.start()
        peer.say("connect", "(says nothing)…")
        for _ in range(10):
            await services.spool.accept(entry(services), MESSAGE)
        for _ in range(10):
            await services.spool.accept(entry(services, "ann@near.test"), MESSAGE)
        await until(lambda: _is(len(near.messages) == 10))
        assert peer.open == 2
        crash(services.spool)


async def test_an_unreachable_destination_is_left_alone(bucket: Bucket, zone: Zone, peer: Peer) -> None:
    services = await pod(bucket, zone, peer.port, backoff_first=30)
    peer.say("connect", "421 4.3.2 too busy…")
    services.spool.start()
    await services.spool.accept(entry(services), MESSAGE)
    await services.spool.idle()
    for _ in range(5):
        await services.spool.accept(entry(services), MESSAGE)
    await asyncio.sleep(0.3)
    assert peer.connections == 1
    crash(services.spool)


async def test_on_hold_and_released(bucket: Bucket, zone: Zone, peer: Peer) -> None:
    services = await pod(bucket, zone, peer.port)
    outbound = services.spool.outbound
    held = entry(services, outward=True)
    await outbound.create(held, MESSAGE)
    await outbound.mark(held.id, "hold", 1)
    services.spool.start()
    await asyncio.sleep(0.4)
    assert peer.connections == 0
    await outbound.mark(held.id, "release", 1)
    await settled(bucket)
    await services.spool.stop()
    assert len(peer.messages) == 1


async def test_hurried(bucket: Bucket, zone: Zone, peer: Peer) -> None:
    services = await pod(bucket, zone, peer.port, retry_first=600)
    peer.say("RCPT", "451 4.7.1 come back later")
    services.spool.start()
    sent = entry(services)
    await services.spool.accept(sent, MESSAGE)
    await services.spool.idle()
    await services.spool.outbound.mark(sent.id, "retry", 0)
    await settled(bucket)
    await services.spool.stop()
    assert len(peer.messages) == 1


def crash(spool: Spool) -> None:
    for task in [*spool._tasks, spool._runner]:
        if task is not None:
            task.cancel()
