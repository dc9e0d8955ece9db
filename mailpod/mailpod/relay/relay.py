"""Delivery to other domains: one attempt for the recipients of one message at one destination.

- Every recipient gets an outcome; only cancellation leaves without, and `cut`, which spares whoever waits for the last
  answer.
- Once a server answered to a recipient, that is the attempt's word on it; another server is tried only where none did.
- A message that may have arrived, its last answer lost, is `delayed` and counted (STORE.md rule 19).
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING, Final

from mailpod import logs, metrics
from mailpod.relay import routes
from mailpod.relay.destinations import Destinations
from mailpod.relay.envelope import Envelope, Unsuited
from mailpod.relay.opening import CannotOpen, Opener, Target
from mailpod.relay.replies import Reply
from mailpod.relay.routes import NoRoute
from mailpod.relay.session import Sent, Session
from mailpod.store.outbound import SpoolEntry
from mailpod.store.outcome import Action, Outcome
from mailpod.tlspolicy.failure import Deferred

if TYPE_CHECKING:
    from mailpod.services import Services

SMARTHOST: Final = "*"  # its name as a destination
_RECIPIENTS: Final = 100  # of one transaction: what every server takes (RFC 5321 §4.5.3.1.8)
_TLS_NOT_REQUIRED: Final = re.compile(rb"^tls-required:[ \t]*no[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)


class Relay:
    """One per pod. Ask `destinations` for a place first."""

    def __init__(self, services: Services, rng: random.Random) -> None:
        settings = services.settings
        self.services, self.rng = services, rng
        self.settings = settings.outbound
        self.destinations = Destinations(self.settings, services.clock, rng)
        self.opener = Opener(self.settings, services.tls_policies, services.clock, settings.hostname)
        self._attempts: set[_Attempt] = set()
        self.ended = False

    def destination(self, recipient: str) -> str:
        """The name of the destination that takes mail for an address."""
        return SMARTHOST if self.settings.smarthost else recipient.rpartition("@")[2]

    async def deliver(
        self, entry: SpoolEntry, message: bytes, destination: str, recipients: Sequence[str], dot_before: float
    ) -> dict[str, Outcome]:
        """One attempt. The final dot is not sent after `dot_before` (Clock.elapsed)."""
        if self.ended:
            return {}
        attempt = _Attempt(self, entry, message, destination, dot_before)
        self._attempts.add(attempt)
        try:
            await attempt.run(recipients)
        except asyncio.CancelledError:
            if not attempt.spared():
                raise
        finally:
            self._attempts.discard(attempt)
            attempt.end()
        return attempt.outcomes

    def cut(self) -> None:
        """End all attempts, but for those whose final dot was sent: recipients of whom nothing is known stay so."""
        self.ended = True
        for attempt in self._attempts:
            attempt.cut()


class _Attempt:
    def __init__(self, relay: Relay, entry: SpoolEntry, message: bytes, destination: str, dot_before: float) -> None:
        self._relay, self._destinations, self._services = relay, relay.destinations, relay.services
        self._entry, self._message = entry, message
        self._destination, self._dot_before = destination, dot_before
        self._session: Session | None = None
        self._task = asyncio.current_task()
        self._cut = False
        self._reached = False
        self._errors: list[tuple[str, CannotOpen | NoRoute]] = []  # host, what was wrong with it
        # RFC 8689 §5: the sender would rather have it sent than secured
        self._insecure = bool(_TLS_NOT_REQUIRED.search(message.partition(b"\r\n\r\n")[0]))
        self._shared = not (entry.requiretls or self._insecure)
        self.outcomes: dict[str, Outcome] = {}

    async def run(self, recipients: Sequence[str]) -> None:
        waiting, sessions = list(recipients), self._sessions()
        try:
            while waiting and not self._relay.ended and self._services.clock.elapsed() < self._dot_before:
                session = self._session = self._session or await anext(sessions, None)
                if session is None:
                    break
                waiting = await self._send(session, waiting[:_RECIPIENTS]) + waiting[_RECIPIENTS:]
        finally:
            await sessions.aclose()
        if self._relay.ended:
            return
        self._note(waiting, self._unreached())
        if waiting and not self._reached and not self._for_good:
            self._destinations.unreachable(self._destination)

    def cut(self) -> None:
        """Cancel it, unless a message may have arrived."""
        if self._task is not None and not (self._session and self._session.uncertain):
            self._cut = True
            self._task.cancel()

    def spared(self) -> bool:
        """Whether it was `cut` that cancelled, and nobody else: then the task goes on."""
        return self._cut and self._task is not None and not self._task.uncancel()

    def end(self) -> None:
        """The session is for others now, if it can be."""
        if self._session is not None and self._shared:
            self._destinations.keep(self._destination, self._session)
        elif self._session is not None:
            self._destinations.dismiss(self._session)

    # one transaction

    async def _send(self, session: Session, chunk: list[str]) -> list[str]:
        """Returns those of whom nothing is known yet."""
        try:
            sent = await session.send(Envelope(self._entry, tuple(chunk), self._message), self._dot_before)
        except Unsuited as error:
            self._note(chunk, Outcome("failed", error.status, error.text, session.host, at=self._now))
            return []
        self._judge(sent, session)
        if sent.lost:
            self._session = None
            self._errors.append((session.host, CannotOpen("4.4.2", sent.lost)))
        return [recipient for recipient in chunk if recipient not in self.outcomes]

    def _judge(self, sent: Sent, session: Session) -> None:
        transaction = sent.transaction
        for recipient, reply in transaction.refused.items():
            if not (transaction.answer and _too_many(reply)):  # else the next transaction is for them
                self._note([recipient], self._replied(reply, session, "relayed"))
        if transaction.answer is not None:
            action: Action = "passed" if session.offered.dsn else "relayed"
            self._note(transaction.accepted, self._replied(transaction.answer, session, action))
        elif sent.uncertain:
            metrics.OUTBOUND_UNCERTAIN.inc()
            logs.event("relay.uncertain", level="warning", id=self._entry.id, host=session.host, reason=sent.lost)
            text = f"{sent.lost}, after the whole message: it may arrive twice"
            self._note(transaction.accepted, Outcome("delayed", "4.4.2", text, session.host, at=self._now))

    def _replied(self, reply: Reply, session: Session, good: Action) -> Outcome:
        permanent = reply.permanent and not _too_many(reply)
        action: Action = good if reply.positive else "failed" if permanent else "delayed"
        status = reply.status or ("2.0.0" if reply.positive else "5.0.0" if permanent else "4.0.0")
        return Outcome(action, status, reply.text, session.host, said=True, at=self._now)

    def _note(self, recipients: Sequence[str], outcome: Outcome) -> None:
        if not recipients:
            return
        self.outcomes |= dict.fromkeys(recipients, outcome)
        deferred = outcome.action == "delayed" and outcome.said
        metrics.outbound_recipients("deferred" if deferred else outcome.action).inc(len(recipients))
        logs.event(
            f"relay.{outcome.action}",
            id=self._entry.id,
            destination=self._destination,
            host=outcome.host,
            recipients=len(recipients),
            status=outcome.status,
        )

    # sessions

    async def _sessions(self) -> AsyncGenerator[Session, None]:
        """One after the other, as long as they are asked for: those that are open, then new ones."""
        while self._shared and (idle := self._destinations.take_idle(self._destination)):
            metrics.OUTBOUND_SESSIONS.labels("reused").inc()
            self._reached = True
            yield idle
        async for target in self._targets():
            try:
                session = await self._relay.opener.open(target)
            except CannotOpen as error:
                metrics.OUTBOUND_SESSIONS.labels("failed").inc()
                logs.event("relay.unreachable", id=self._entry.id, host=target.host, reason=error.text)
                self._errors.append((target.host, error))
                continue
            metrics.OUTBOUND_SESSIONS.labels("opened").inc()
            self._destinations.reached(self._destination)
            self._reached = True
            yield session

    async def _targets(self) -> AsyncGenerator[Target, None]:
        count = 0
        async for target in self._smarthost() if self._destination == SMARTHOST else self._exchangers():
            count += 1
            if count > self._relay.settings.most_addresses:
                return
            yield target

    async def _smarthost(self) -> AsyncGenerator[Target, None]:
        smarthost = self._relay.settings.smarthost
        assert smarthost is not None
        policies = self._services.tls_policies
        policy = None if smarthost.tls == "none" else policies.fixed(smarthost.host, verify=smarthost.verify)
        try:
            found = await routes.addresses(self._services.resolver, smarthost.host)
        except NoRoute as error:
            self._errors.append((smarthost.host, error))
            return
        for address in routes.in_turn(found.records, self._relay.rng):
            implicit = smarthost.tls == "implicit"
            yield Target(smarthost.host, address, smarthost.port, policy, implicit, smarthost.credentials)

    async def _exchangers(self) -> AsyncGenerator[Target, None]:
        services, policies, domain = self._services, self._services.tls_policies, self._destination
        try:
            route = await routes.find(services.resolver, domain, services.settings.hostname, self._relay.rng)
        except NoRoute as error:
            self._errors.append(("", error))
            return
        policy = await policies.policy_for(
            domain, secure=route.secure, require_tls=self._entry.requiretls, ignore=self._insecure
        )
        for host in route.hosts:
            try:
                found = await routes.addresses(services.resolver, host)
                here = await policies.at_host(policy, host, found)
            except NoRoute as error:
                self._errors.append((host, error))
                continue
            except Deferred as error:
                self._errors.append((host, CannotOpen("4.7.5", error.failure.text)))
                continue
            if not here.allows(host):
                refusal = here.refusal(host)
                policies.record(here, host, refusal)
                self._errors.append((host, CannotOpen("4.7.5", refusal.text)))
                continue
            for address in routes.in_turn(found.records, self._relay.rng):
                yield Target(host, address, self._relay.settings.port, here)

    @property
    def _for_good(self) -> bool:
        """Whether no server will ever be reached; a smarthost's faults are mended."""
        permanent = all(error.status.startswith("5") for _, error in self._errors)
        return bool(self._errors) and permanent and self._destination != SMARTHOST

    def _unreached(self) -> Outcome:
        """For those whom no server answered about: what was last wrong, rather what may pass."""
        if not self._errors:
            return Outcome("delayed", "4.4.7", "there was no time for it", at=self._now)
        passing = [item for item in self._errors if item[1].status.startswith("4")] or self._errors
        host, error = passing[-1]
        status = error.status if self._for_good else "4" + error.status[1:]
        return Outcome("failed" if self._for_good else "delayed", status, error.text, host, at=self._now)

    @property
    def _now(self) -> float:
        return self._services.clock.now()


def _too_many(reply: Reply) -> bool:
    """The others in another transaction (RFC 5321 §4.5.3.1.10, where 552 stands for 452)."""
    return reply.code in (452, 552) and reply.status in ("", "4.5.3", "5.5.3")
