"""What a status and its Events say to a person: each thing once, sizes as quantities, not what passes by itself."""

from __future__ import annotations

from typing import Any

from tests.operator.fakekube import FakeKube

from mailoperator import conditions as c
from mailoperator.conditions import Condition
from mailoperator.status import write_status

API = "mailpod.dev/v1alpha1"


class Told:
    """Events as they are told."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, str]] = []

    def tell(self, regarding: dict[str, Any], type: str, reason: str, note: str) -> None:
        self.lines.append((type, reason, note))


class Story:
    """One Mailbox, whose conditions change."""

    def __init__(self) -> None:
        self.kube, self.told = FakeKube(), Told()
        self.kube.user_applies({"apiVersion": API, "kind": "Mailbox", "metadata": {"name": "x", "namespace": "n"}})

    async def say(self, *found: Condition, **fields: Any) -> list[tuple[str, str, str]]:
        """The Events of this step."""
        self.told.lines.clear()
        raw = self.kube.objects[API, "Mailbox", "n", "x"]
        lines = c.complete(found, c.MAILBOX_CONDITIONS, c.MAILBOX_READY_NEEDS)
        await write_status(self.kube, self.told, raw, lines, fields, now=0)  # type: ignore[arg-type]
        return list(self.told.lines)

    @property
    def status(self) -> dict[str, Any]:
        return dict(self.kube.objects[API, "Mailbox", "n", "x"]["status"])


GOOD = [c.good(type) for type in c.MAILBOX_CONDITIONS]
WAITS = c.bad(c.PUBLISHED, c.DOMAIN_NOT_READY, "MailDomain d has no storage yet")
TAKEN = c.bad(c.ADDRESS_ACCEPTED, c.ADDRESS_TAKEN, "x@ is Mailbox y's already")


async def test_what_becomes_ready_says_it_in_one_event() -> None:
    story = Story()
    assert await story.say(WAITS) == []
    assert await story.say(*GOOD) == [("Normal", "Ready", "mail is served")]


async def test_what_is_ready_at_once_says_nothing() -> None:
    assert await Story().say(*GOOD) == []


async def test_what_is_wrong_is_said_once_at_first_and_later() -> None:
    expected = [("Warning", "AddressTaken", "AddressAccepted: x@ is Mailbox y's already")]
    assert await Story().say(TAKEN) == expected
    story = Story()
    await story.say(*GOOD)
    assert await story.say(*GOOD[1:], TAKEN) == expected


async def test_what_was_ready_and_waits_again_is_told() -> None:
    story = Story()
    await story.say(*GOOD)
    told = await story.say(*(each for each in GOOD if each.type != c.PUBLISHED), WAITS)
    assert told == [("Warning", "DomainNotReady", "Published: MailDomain d has no storage yet")]


async def test_bytes_are_written_as_quantities() -> None:
    story = Story()
    await story.say(*GOOD, quota="5Gi", usage={"bytes": 5_000_000_000, "messages": 3})
    assert story.status["quota"] == "5Gi"
    assert story.status["usage"] == {"bytes": "4.7Gi", "messages": 3}
    writes = story.kube.writes
    await story.say(*GOOD, quota="5Gi", usage={"bytes": 5_000_000_001, "messages": 3})
    assert story.kube.writes == writes, "what reads the same is not written"
