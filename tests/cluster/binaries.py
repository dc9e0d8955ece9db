"""Kubernetes, etcd, CoreDNS and helm, built with Go once and kept by version.

go.mod and go.sum in `go/` pin the modules of Kubernetes and etcd; CoreDNS and helm are installed at a version, which
Go's checksum database pins. Cold it takes about ten minutes of two cores, at the lowest priority.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import need, versions
from tests.cluster.cache import digest, home, made

SOURCE = Path(__file__).parent / "go"

_STAMP = " ".join(
    ["-s -w"]
    + [
        f"-X k8s.io/component-base/version.{name}={value}"
        for name, value in {
            "gitVersion": f"v{versions.KUBERNETES}",  # without it, it calls itself v0.0.0
            "gitMajor": versions.KUBERNETES.split(".")[0],
            "gitMinor": versions.KUBERNETES.split(".")[1],
        }.items()
    ]
)


@dataclass(frozen=True, slots=True)
class Part:
    """Programs that are built together."""

    name: str
    version: str
    programs: tuple[str, ...]
    module: str
    """A folder of `go/`, where `packages` are built, or the path of a module to install at the version."""
    packages: tuple[str, ...] = ()
    ldflags: str = "-s -w"

    @property
    def folder(self) -> str:
        """Its place in the cache."""
        recipe = [self.module, *self.packages, self.ldflags]
        if self.packages:
            recipe += [path.read_text() for path in sorted((SOURCE / self.module).iterdir())]
        return f"{self.name}-{self.version}-{digest(*recipe)}"


_KUBERNETES = ("kube-apiserver", "kube-controller-manager", "kubectl", "kube-scheduler", "kubelet", "kube-proxy")

KUBERNETES = Part(
    "kubernetes",
    versions.KUBERNETES,
    _KUBERNETES,
    "kubernetes",
    tuple(f"k8s.io/kubernetes/cmd/{program}" for program in _KUBERNETES),
    _STAMP,
)
ETCD = Part("etcd", versions.ETCD, ("etcd",), "etcd", (".",))
PAUSE = Part("pause", "1", ("pause",), "pause", (".",))
COREDNS = Part("coredns", versions.COREDNS, ("coredns",), "github.com/coredns/coredns")
HELM = Part(
    "helm",
    versions.HELM,
    ("helm",),
    "helm.sh/helm/v4/cmd/helm",
    ldflags=f"-s -w -X helm.sh/helm/v4/internal/version.version=v{versions.HELM}",
)

VERSITYGW = Part("versitygw", "1.8.0", ("versitygw",), "github.com/versity/versitygw/cmd/versitygw")
"""No part of the cluster: the S3 server of `tests/fixtures_versitygw.py`."""

CONTROL_PLANE = (KUBERNETES, ETCD)
"""What `tests/apiserver` needs."""
ALL = (KUBERNETES, ETCD, PAUSE, COREDNS, HELM)


def missing(parts: tuple[Part, ...] = ALL) -> list[str]:
    """What the machine lacks to have these: nothing where they are in the cache."""
    return [] if all((home() / part.folder).exists() for part in parts) else need.go()


def build(parts: tuple[Part, ...] = ALL, say: Callable[[str], None] = print) -> dict[str, Path]:
    """The programs by name, built where they are not in the cache.

    Raises need.Missing, and RuntimeError with Go's words.
    """
    need.check(missing(parts))
    found: dict[str, Path] = {}
    for part in parts:
        if not (home() / part.folder).exists():
            say(f"building {part.name} {part.version}: once; Kubernetes takes five minutes or more, others one or two")
        start = time.monotonic()
        folder = made(part.folder, lambda target, part=part: _compile(part, target))  # type: ignore[misc]
        if time.monotonic() - start > 1:
            say(f"built {part.name} {part.version} in {time.monotonic() - start:.0f} s")
        found |= {program: folder / program for program in part.programs}
    return found


def _compile(part: Part, target: Path) -> None:
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-p=2 -buildvcs=false", "GOBIN": str(target)}
    if part.packages:
        place = SOURCE / part.module
        command = [
            "go",
            "build",
            "-mod=readonly",
            "-trimpath",
            "-ldflags",
            part.ldflags,
            "-o",
            f"{target}/",
            *part.packages,
        ]
    else:
        place = target
        command = ["go", "install", "-trimpath", "-ldflags", part.ldflags, f"{part.module}@v{part.version}"]
    done = subprocess.run(
        ["nice", "-n", "19", *command], cwd=place, env=environment, stdout=sys.stderr, stderr=subprocess.PIPE, text=True
    )
    if done.returncode:
        raise RuntimeError(f"go could not build {part.name} {part.version}:\n{done.stderr[-3000:]}")
