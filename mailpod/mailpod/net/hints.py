"""Best-effort hints to the other pods, by UDP, so that a client that idles hears of mail at once (hintcode.py: bytes).

- Nothing relies on them. A pod without keys, without peers or without the port serves as well, and looks every
  `idle_refresh_seconds`.
- Commits of a few milliseconds share a datagram, and an account is named once in it with its newest commit.
- Nobody waits for a datagram: what the kernel does not take at once is lost.
- Only an account that somebody here watches is looked at, so that hints cost a pod nothing otherwise.
- Keys are files that are read again: at most two are valid, and a new one is used for sending when it had time to reach
  every pod.
"""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mailpod import logs, metrics
from mailpod.clock import Clock
from mailpod.net.hintcode import SENDER_BYTES, BadDatagram, Hint, decode, encode, parse_keys

if TYPE_CHECKING:
    from mailpod.config import HintSettings

NAME: Final = "hints.keys"
_VALID: Final = 2  # keys at a time
_SPREAD_SECONDS: Final = 600.0  # a kubelet brings a changed Secret within two minutes

Address = tuple[Any, ...]


class Hints(asyncio.DatagramProtocol):
    """A pod's end. `tell` says that a commit is durable; `on_hint` is called with what others said."""

    def __init__(
        self,
        settings: HintSettings,
        on_hint: Callable[[str, int], None],
        *,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._settings = settings
        self._on_hint = on_hint
        self._clock = clock
        self._sender = rng.randbytes(SENDER_BYTES)
        self._keys: list[tuple[float, bytes]] = []
        self._named: set[Address] = set()  # what the names of `peers` resolved to
        self._heard: dict[Address, float] = {}  # pods that wrote to us, and when
        self._waiting: dict[str, int] = {}
        self._transport: asyncio.DatagramTransport | None = None
        self._flush: asyncio.TimerHandle | None = None
        self._sought: dict[str, Any] = {}  # of getaddrinfo: addresses that our socket can send to

    async def run(self) -> None:
        """Listen, and keep keys and peers fresh, until cancelled. A port that cannot be had is said; raises OSError."""
        loop = asyncio.get_running_loop()
        try:
            transport, _ = await loop.create_datagram_endpoint(lambda: self, sock=_bound(self._settings))
        except OSError as error:
            logs.event("hints.unavailable", level="warning", port=self._settings.port, error=str(error))
            await self._clock.sleep(self._settings.peers_seconds)
            raise
        self._transport = transport
        self._sought = _sought(transport.get_extra_info("socket").family)
        try:
            while True:
                self._keys = await asyncio.to_thread(_read_keys, self._settings.keys)
                self._named = await self._resolve(loop)
                self._forget_silent()
                self._send([])  # so that pods whose names are not resolved yet learn of us
                await self._clock.sleep(self._settings.peers_seconds)
        finally:
            self._transport = None
            transport.close()

    @property
    def peers(self) -> int:
        """Addresses that hints go to; ourselves may be among them."""
        return len(self._named | self._heard.keys())

    def tell(self, prefix: str, head: int) -> None:
        """Commit `head` of an account is durable. Returns at once; never raises."""
        if self._transport is None or not self._keys:
            return
        self._waiting[prefix] = max(head, self._waiting.get(prefix, 0))
        if self._flush is None:
            self._flush = asyncio.get_running_loop().call_later(self._settings.gather_seconds, self._send_waiting)

    def _send_waiting(self) -> None:
        self._flush = None
        waiting, self._waiting = self._waiting, {}
        self._send([Hint(*item) for item in waiting.items()])

    def _send(self, hints: Sequence[Hint]) -> None:
        key = self._sending_key()
        if self._transport is None or key is None:
            return
        for data in encode(self._sender, hints, key):
            for peer in self._named | self._heard.keys():
                self._transport.sendto(data, peer)
                metrics.HINTS.labels("sent").inc()

    def _sending_key(self) -> bytes | None:
        """The newest that every pod surely has; of keys that are all new, the oldest."""
        if not self._keys:
            return None
        settled = [key for made, key in self._keys if self._clock.now() - made >= _SPREAD_SECONDS]
        return settled[-1] if settled else self._keys[0][1]

    def datagram_received(self, data: bytes, address: Address) -> None:
        try:
            found = decode(data, [key for _, key in self._keys])
        except BadDatagram:
            metrics.HINTS.labels("refused").inc()
            return
        if found.sender == self._sender:
            return
        metrics.HINTS.labels("received").inc()
        known = address in self._heard or len(self._heard) < self._settings.max_peers
        if address not in self._named and known:
            self._heard[address] = self._clock.elapsed()
        for hint in found.hints:
            self._on_hint(hint.prefix, hint.head)

    def error_received(self, exc: Exception) -> None:
        """A pod that is gone, mostly (ICMP port unreachable)."""

    async def _resolve(self, loop: asyncio.AbstractEventLoop) -> set[Address]:
        """Every address of every peer; a name that does not resolve now keeps what it had."""
        found: set[Address] = set()
        for peer in self._settings.peers:
            host, _, port = peer.rpartition(":")
            try:
                answers = await loop.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_DGRAM, **self._sought)
            except OSError:
                return self._named | found
            found |= {answer[4] for answer in answers}
        return set(sorted(found)[: self._settings.max_peers])

    def _forget_silent(self) -> None:
        """Every pod says that it is there each `peers_seconds`; three times missed, it is gone."""
        since = self._clock.elapsed() - 3.5 * self._settings.peers_seconds
        self._heard = {
            address: heard for address, heard in self._heard.items() if heard > since and address not in self._named
        }


def _bound(settings: HintSettings) -> socket.socket:
    """A socket of our own: with the host empty, of both families. Raises OSError."""
    host = settings.host
    both = not host and socket.has_dualstack_ipv6()
    bound = socket.socket(socket.AF_INET6 if both or ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        bound.setblocking(False)
        if both:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        bound.bind((host, settings.port))
    except OSError:
        bound.close()
        raise
    return bound


def _sought(family: int) -> dict[str, Any]:
    """A socket of both families reaches IPv4's as mapped addresses (RFC 3493 §3.7)."""
    flags = socket.AI_V4MAPPED | socket.AI_ALL if family == socket.AF_INET6 else 0
    return {"family": family, "flags": flags}


def _read_keys(places: Iterable[Path]) -> list[tuple[float, bytes]]:
    """The newest valid keys, oldest first. A file that is not there, or cannot be read, has none."""
    found: set[tuple[float, bytes]] = set()
    for place in places:
        for file in sorted(place.glob(f"*/{NAME}")) if place.is_dir() else [place]:
            try:
                found |= set(parse_keys(file.read_text()))
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                logs.event("hints.bad_keys", level="warning", file=str(file), error=type(error).__name__)
    return sorted(found)[-_VALID:]
