"""Postfix's master.cf: the services that every Postfix here has, and those that one has beside them."""

from __future__ import annotations

from collections.abc import Sequence

Service = tuple[str, ...]
"""Name, type, private, unprivileged, chroot, wakeup, maxproc, command: master(5)."""

_ALWAYS: Sequence[Service] = (
    ("pickup", "unix", "n", "-", "n", "60", "1", "pickup"),
    ("cleanup", "unix", "n", "-", "n", "-", "0", "cleanup"),
    ("qmgr", "unix", "n", "-", "n", "300", "1", "qmgr"),
    ("tlsmgr", "unix", "-", "-", "n", "1000?", "1", "tlsmgr"),
    ("rewrite", "unix", "-", "-", "n", "-", "-", "trivial-rewrite"),
    ("bounce", "unix", "-", "-", "n", "-", "0", "bounce"),
    ("defer", "unix", "-", "-", "n", "-", "0", "bounce"),
    ("trace", "unix", "-", "-", "n", "-", "0", "bounce"),
    ("verify", "unix", "-", "-", "n", "-", "1", "verify"),
    ("flush", "unix", "n", "-", "n", "1000?", "0", "flush"),
    ("proxymap", "unix", "-", "-", "n", "-", "-", "proxymap"),
    ("error", "unix", "-", "-", "n", "-", "-", "error"),
    ("retry", "unix", "-", "-", "n", "-", "-", "error"),
    ("anvil", "unix", "-", "-", "n", "-", "1", "anvil"),
    ("scache", "unix", "-", "-", "n", "-", "1", "scache"),
    ("postlog", "unix-dgram", "n", "-", "n", "-", "1", "postlogd"),
)


def listener(place: str, command: str = "smtpd") -> Service:
    """An SMTP server at a port, or an address and port."""
    return (place, "inet", "n", "-", "n", "-", "-", command)


def client(name: str, *, chroot: bool = False) -> Service:
    """A delivery agent that speaks to other servers: `smtp` or `lmtp`."""
    return (name, "unix", "-", "-", "y" if chroot else "n", "-", "-", name)


VIRTUAL: Service = ("virtual", "unix", "-", "n", "n", "-", "-", "virtual")
"""Delivery into Maildirs."""


def master_cf(*services: Service) -> str:
    return "\n".join("  ".join(service) for service in (*services, *_ALWAYS)) + "\n"
