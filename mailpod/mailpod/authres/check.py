"""All checks of one message, at the same time and within one time-out.

- No check refuses mail because the DNS does not answer: what is open at the end is a temperror.
- SPF and DKIM ask the DNS of whoever sends. They leave the author's policy a part of the time: nobody's slow DNS makes
  another domain's policy unknown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, TypeVar

from mailpod.authres.arc import Arc, verify_chain, vouched
from mailpod.authres.dkim import Dkim, Verifier
from mailpod.authres.dmarc import Disposition, Dmarc, evaluate
from mailpod.authres.results import results_field
from mailpod.authres.settings import AuthresSettings
from mailpod.authres.spf import Spf, address_of, check_host
from mailpod.dns.resolver import Resolver

T = TypeVar("T")
_FOR_SENDERS: Final = 0.7  # of the time, for SPF, DKIM and ARC
_NO_CHAIN: Final = Arc("none")


@dataclass(frozen=True, slots=True)
class Arrival:
    """What a message came with. `authors` are the domains in From, None where it cannot be read.

    `trusted` are the domains whose ARC seals vouch for what DMARC would refuse.
    """

    client: str
    helo: str
    sender: str
    content: bytes
    authors: Sequence[str] | None
    trusted: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """The field to put before the message, and what the author's domain wants done with it."""

    field: bytes
    wanted: Disposition
    spf: Spf
    signatures: tuple[Dkim, ...]
    dmarc: tuple[Dmarc, ...]
    arc: Arc = _NO_CHAIN


def is_checked(client: str, settings: AuthresSettings) -> bool:
    """Whether mail from this client is checked at all."""
    address = address_of(client)
    return settings.enabled and address is not None and not any(address in net for net in settings.unchecked_networks)


async def check(arrival: Arrival, resolver: Resolver, settings: AuthresSettings, *, server: str, now: float) -> Verdict:
    """`server` is the authserv-id, `now` seconds since the epoch."""
    began = asyncio.get_running_loop().time()
    senders, deadline = began + _FOR_SENDERS * settings.timeout, began + settings.timeout
    verifier = Verifier(arrival.content, resolver, settings, now)
    domain = arrival.sender.rpartition("@")[2] or arrival.helo
    spf, arc, signatures = await asyncio.gather(
        _within(
            senders,
            check_host(resolver, arrival.client, arrival.sender, arrival.helo),
            lambda: Spf("temperror", domain),
        ),
        _within(senders, verify_chain(verifier), lambda: Arc("fail", "there was no time", next=None)),
        _all(
            _within(senders, verifier.verify(field), partial(verifier.unfinished, field))
            for field in verifier.signatures()
        ),
    )
    verdicts: list[Dmarc]
    if arrival.authors is None or len(arrival.authors) > settings.max_authors:
        # RFC 9989 §11.5: what shows an author and lets nobody say which one is not to be believed
        verdicts = [Dmarc("permerror", "", "quarantine", "quarantine")]
    elif not arrival.authors:
        verdicts = [Dmarc("none", "")]
    else:
        verdicts = await _all(
            _within(deadline, evaluate(resolver, author, spf, signatures), partial(Dmarc, "temperror", author))
            for author in arrival.authors
        )
    verdicts = [_overridden(verdict, arc, arrival.trusted) for verdict in verdicts]
    wanted: Disposition = "none"
    for verdict in verdicts:
        if verdict.wanted == "reject" or wanted == "none":
            wanted = verdict.wanted
    field = results_field(server, spf, signatures, verdicts, arc, arrival.client)
    return Verdict(field, wanted, spf, tuple(signatures), tuple(verdicts), arc)


def _overridden(verdict: Dmarc, arc: Arc, trusted: Collection[str]) -> Dmarc:
    """RFC 8617 §7.2.1: by what a trusted server saw before it changed the message, or sent it under its own name."""
    if verdict.wanted == "none" or not vouched(arc, verdict.domain, trusted):
        return verdict
    return replace(verdict, wanted="none", vouched=True)


async def _within(deadline: float, work: Coroutine[Any, Any, T], otherwise: Callable[[], T]) -> T:
    try:
        async with asyncio.timeout_at(deadline):
            return await work
    except TimeoutError:
        return otherwise()


async def _all(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """At the same time; the usual one alone needs no task of its own."""
    waiting = list(works)
    return [await waiting[0]] if len(waiting) == 1 else await asyncio.gather(*waiting)
