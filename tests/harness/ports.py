"""Free ports for a whole local Mailpod: one offset at which every port of every pod can be bound.

Offsets lie where no port of ours falls into Linux's ephemeral range (32768 up), so no client's own port is in the way.
"""

from __future__ import annotations

import random
import socket

from tests.harness.target import STANDARD

EXTRA = (24, 99)
"""LMTP and the hints' port: not always bound, kept free all the same."""
HTTPS = 443
HTTP = 8080


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind((host, port))
            except OSError:
                return False
    return True


def wanted(offset: int, pods: int = 1) -> list[int]:
    """Every port that a Mailpod of so many pods may bind at this offset, each pod's own set included."""
    clients = (*STANDARD.values(), HTTPS)
    mail = [offset + port for port in (*clients, *EXTRA)]
    own = [offset + 1000 * (pod + 1) + port for pod in range(pods) for port in (*clients, 24) if pods > 1]
    return mail + own + [offset + HTTP + pod for pod in range(pods)]


def free_offset(pods: int = 1) -> int:
    """An offset at which all of `wanted` is free now. Random, so that two test runs on one machine seldom meet."""
    chooser = random.SystemRandom()
    for _ in range(500):
        offset = chooser.randrange(10_000, 24_000)
        if all(is_free(port) for port in wanted(offset, pods)):
            return offset
    raise RuntimeError("no port offset is free")


_given: dict[int, None] = {}
"""Ports that this process was given, the newest last: what is to listen there may not do so yet."""
_KEPT = 1000


def free_port() -> int:
    """One that is free for TCP and UDP, below all offsets and the ephemeral range: no client's own port takes it."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """As many of them, all different, and none that was given a short while ago."""
    chooser, found = random.SystemRandom(), list[int]()
    for _ in range(500):
        port = chooser.randrange(3_000, 10_000)
        if port not in _given and is_free(port):
            _given[port] = None
            found.append(port)
        if len(_given) > _KEPT:
            del _given[next(iter(_given))]
        if len(found) == count:
            return found
    raise RuntimeError("no port is free")
