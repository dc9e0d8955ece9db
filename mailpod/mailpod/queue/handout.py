"""One attempt to bring a queued message to the recipients who do not have it yet: here, and elsewhere.

- A recipient of a domain that is not served here is sent to only where the entry was accepted as outward, under whose
  longer claims it is (STORE.md rule 19), and at a destination in which the attempt has a place.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Final

import msgspec

from mailpod import logs, metrics
from mailpod.errors import MailError
from mailpod.queue.local import deliver
from mailpod.relay.relay import Relay
from mailpod.store.outbound import Forwarded, SpoolEntry
from mailpod.store.outcome import Outcome

if TYPE_CHECKING:
    from mailpod.services import Services

_RULE: Final = "mailbox"  # the delivery id's rule: straight into INBOX
_AT_ONCE: Final = 8  # mailboxes here that one message is delivered to in parallel


class HandOut:
    """`new` has what this attempt gave, `outcomes` all that is known; recipients of whom nothing is known are open."""

    def __init__(
        self,
        services: Services,
        relay: Relay,
        entry: SpoolEntry,
        message: bytes,
        known: Mapping[str, Outcome],
        places: Collection[str],
        dot_before: float,
    ) -> None:
        """`known` are the outcomes of earlier attempts, `places` the destinations that were entered: left in the end.

        No final dot is sent, and no commit made, after `dot_before` (Clock.elapsed): a pod that stood still for weeks
        may find that an account has forgotten the delivery id (seed 7399461069).
        """
        self.entry, self.message = entry, message
        self.known, self.new = known, dict[str, Outcome]()
        self._services, self._relay, self._dot_before = services, relay, dot_before
        self._places = set(places)
        self.cut = False  # some were not got to: the pod ends

    @property
    def outcomes(self) -> dict[str, Outcome]:
        return {**self.known, **self.new}

    @property
    def open(self) -> list[str]:
        """Recipients without a final outcome."""
        outcomes = self.outcomes
        return [
            recipient
            for recipient in self.entry.recipients
            if recipient not in outcomes or not outcomes[recipient].final
        ]

    @property
    def left_out(self) -> bool:
        """Whether some, though not all, had to wait for a place."""
        return bool(self.new) and any(recipient not in self.new for recipient in self.open)

    def expire(self) -> None:
        """Too old to be tried again: mailboxes here may no longer know its delivery ids (STORE.md rule 17)."""
        for recipient in self.open:
            last = self.outcomes.get(recipient)
            text, host = (last.text, last.host) if last else ("", "")
            self._final(recipient, Outcome("failed", "4.4.7", text, host, said=bool(last and last.said), at=self._now))

    async def run(self) -> None:
        """Deliver to every recipient that is open. Those that cannot be reached just now stay open, with the reason."""
        here, elsewhere = await self._sorted()
        work = [self._send(destination, found) for destination, found in elsewhere.items()]

        async def hand_out() -> None:
            while here:
                await self._deliver(here.pop())

        work += [hand_out() for _ in range(min(_AT_ONCE, len(here)))]
        if len(work) == 1:
            await work[0]
        else:
            await asyncio.gather(*work)

    def leave(self) -> None:
        """Give the places at destinations back, those that are left."""
        for destination in list(self._places):
            self._leave(destination)

    async def _sorted(self) -> tuple[list[str], dict[str, list[str]]]:
        """Open recipients here, and those elsewhere by the destinations in which there is a place."""
        here: list[str] = []
        elsewhere: dict[str, list[str]] = {}
        for recipient in self.open:
            try:
                served = await self._services.directory.domain(recipient.rpartition("@")[2]) is not None
            except MailError as error:
                self._postponed(recipient, error)
                continue
            if served or not self.entry.outward:
                here.append(recipient)
            elif (destination := self._relay.destination(recipient)) in self._places:
                elsewhere.setdefault(destination, []).append(recipient)
        return here, elsewhere

    async def _send(self, destination: str, recipients: list[str]) -> None:
        try:
            for entry, message, some in self._as_sent(recipients):
                found = await self._relay.deliver(entry, message, destination, some, self._dot_before)
                self.new |= found
                self.cut = self.cut or len(found) < len(some)
        except Exception as error:
            logs.crash("relay.crashed", error, id=self.entry.id)
            error_here = Outcome("delayed", "4.3.0", "an error of this server", at=self._now)
            self.new |= dict.fromkeys([one for one in recipients if one not in self.new], error_here)
        finally:
            self._leave(destination)

    def _as_sent(self, recipients: list[str]) -> list[tuple[SpoolEntry, bytes, list[str]]]:
        """The transactions for recipients elsewhere: of the message as it came, and as each mailbox forwards it."""
        groups: dict[Forwarded | None, list[str]] = {}
        for recipient in recipients:
            groups.setdefault(self.entry.forwards.get(recipient), []).append(recipient)
        sent = []
        for forward, some in groups.items():
            entry, message = self.entry, self.message
            if forward is not None:
                entry = msgspec.structs.replace(entry, sender=forward.sender)
                message = f"Delivered-To: {forward.via}\r\n".encode() + message  # where it comes back, it is a loop
            sent.append((entry, message, some))
        return sent

    def _leave(self, destination: str) -> None:
        if destination in self._places:
            self._places.remove(destination)
            self._relay.destinations.leave(destination)

    async def _deliver(self, recipient: str) -> None:
        try:
            mailbox = await self._services.directory.lookup(recipient)
            if mailbox is None or mailbox.address != recipient:  # removed after the message was accepted
                self._final(recipient, Outcome("failed", "5.1.1", "no such mailbox", at=self._now))
                return
            delivery = f"{self.entry.id} {recipient} {_RULE}"
            # What was acknowledged may overshoot a quota rather than be lost (STORE.md, "What follows")
            added = await deliver(
                self._services,
                mailbox,
                self.entry.sender,
                [self.message],
                queue_id=self.entry.id,
                delivery_id=delivery,
                within_quota=False,
                folder=self.entry.folder,
                not_after=self._dot_before,
            )
            label = "duplicate" if added.duplicate else "delivered"
            self._final(recipient, Outcome("delivered", "2.0.0", at=self._now), label)
        except MailError as error:
            self._postponed(recipient, error)

    def _postponed(self, recipient: str, error: MailError) -> None:
        metrics.SPOOL_HANDED_OUT.labels("postponed").inc()
        logs.event("spool.recipient_postponed", level="warning", id=self.entry.id, reason=error.text)
        self.new[recipient] = Outcome("delayed", error.smtp[1], error.text, at=self._now)

    def _final(self, recipient: str, outcome: Outcome, label: str = "failed") -> None:
        self.new[recipient] = outcome
        metrics.SPOOL_HANDED_OUT.labels(label).inc()

    @property
    def _now(self) -> float:
        return self._services.clock.now()
