"""What a pod was sending elsewhere when it is told to end, and another pod over its bucket."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.harness import processes
from tests.harness.peer import SILENCE, Peer, running
from tests.harness.pods import Pods
from tests.harness.smtp import Smtp
from tests.harness.target import Account
from tests.operator import unbound

USER = Account("alice@home.test", "open sesame")
RECORDS = ["far.test. MX 10 mx.far.test.", "mx.far.test. A 127.0.0.1"]
QUEUE = {"takeover_seconds": 0.5, "sweep_seconds": 1, "finish_seconds": 0.5}


async def test_before_the_end_of_the_message_it_is_the_others_at_once(tmp_path: Path) -> None:
    async with running(Peer()) as peer:
        peer.say("RCPT", SILENCE)
        with unbound.running(tmp_path, RECORDS) as resolver:
            await asyncio.to_thread(hand_over, tmp_path, peer, resolver)
        (taken,) = peer.messages
        assert taken.recipients == ["bob@far.test"] and peer.connections == 2


def hand_over(home: Path, peer: Peer, resolver: str) -> None:
    """The claim, of 40 minutes, is not waited for."""
    settings = {"queue": QUEUE, "dns": {"resolver": resolver}, "outbound": {"port": peer.port}}
    with Pods(home, [USER], "mail.home.test", 2, **settings) as pods:
        client = Smtp(pods.target(0), "submission")
        client.login(USER)
        text = f"From: {USER.address}\r\nSubject: x\r\n\r\nHello.\r\n".encode()
        assert client.deliver(USER.address, ["bob@far.test"], text).code == 250
        client.close()
        processes.wait_until(lambda: any("RCPT" in said for said in peer.commands), 20, "it is being sent")
        assert not peer.messages
        pods.end(0)  # and by its end the other may have sent it already
        processes.wait_until(lambda: peer.messages, 20, "the other pod sends it")
        queue = home / "bucket" / "outbound"
        processes.wait_until(lambda: not any(queue.glob("*/message")), 20, "the queue is empty")
