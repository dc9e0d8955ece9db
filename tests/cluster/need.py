"""What a machine must have, and what it lacks: each with the way to get it."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

GO = (1, 26)

SBIN = "/usr/local/sbin:/usr/sbin:/sbin"

NODE = {
    "containerd": "containerd",
    "runc": "runc",
    "ctr": "containerd",
    "nft": "nftables",
    "ip": "iproute2",
    "conntrack": "conntrack",
    "mount": "mount",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
}
"""Program or file, and Debian's package of it: to run a cluster."""

IMAGES = {"buildah": "buildah", "debootstrap": "debootstrap", "runc": "runc", "tar": "tar"}
"""The same, to build the images."""

PACKAGES = sorted({*NODE.values(), *IMAGES.values()} - {"mount", "util-linux", "tar"})
"""What a plain Debian has to install for all of it."""


class Missing(Exception):
    """The machine lacks something; the text says what, a line each."""

    def __init__(self, what: list[str]) -> None:
        super().__init__("; ".join(what))
        self.what = what


def find(program: str) -> str | None:
    """Where a program is, the sbin folders included; None where it is not."""
    return shutil.which(program, path=os.environ.get("PATH", "") + ":" + SBIN)


def go() -> list[str]:
    """What is missing to build the binaries."""
    if find("go"):
        return []
    return [f"Go {GO[0]}.{GO[1]} or newer (`go` in PATH), to build Kubernetes, etcd, CoreDNS and helm"]


def node() -> list[str]:
    """What is missing to run a cluster."""
    return [*_root("to run a cluster in namespaces of its own"), *_programs(NODE), *_overlay()]


def images() -> list[str]:
    """What is missing to build the images."""
    return [*_root("to build images without Docker"), *_programs(IMAGES)]


def check(*lists: list[str]) -> None:
    """Raises Missing where any of the lists names something."""
    what = list(dict.fromkeys(line for one in lists for line in one))
    if what:
        raise Missing(what)


def _root(why: str) -> list[str]:
    if sys.platform != "linux":
        return ["Linux"]
    return [] if os.geteuid() == 0 else [f"root, {why}"]


def _programs(wanted: dict[str, str]) -> list[str]:
    absent = {program: package for program, package in wanted.items() if not _there(program)}
    if not absent:
        return []
    packages = " ".join(sorted(set(absent.values())))
    return [f"{', '.join(absent)} (Debian: apt-get install --no-install-recommends {packages})"]


def _there(program: str) -> bool:
    return Path(program).exists() if program.startswith("/") else find(program) is not None


def _overlay() -> list[str]:
    known = Path("/proc/filesystems").read_text().split() if Path("/proc/filesystems").exists() else []
    return [] if "overlay" in known else ["the kernel's overlay filesystem (modprobe overlay)"]
