"""The images, built by buildah from the Dockerfiles of `docker/` and kept by a hash of what goes into them.

- The same Dockerfiles as everyone's; only the base image differs (BASE), since no registry is asked: Debian's minimal
  system with Python, made by debootstrap.
- Dependencies are an earlier layer than the source: a change of the source takes seconds.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.cluster import binaries, need, versions
from tests.cluster.cache import digest, home, locked, made

ROOT = Path(__file__).parents[2]
TAG = "dev"
_FORMAT = "docker-archive"

_INCLUDE = "python3,python3-venv,ca-certificates"
_NOT_KEPT = [
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/info",
    "var/cache/apt",
    "var/lib/apt/lists",
]


@dataclass(frozen=True, slots=True)
class Image:
    """One of the project's images."""

    name: str
    dockerfile: str
    inputs: tuple[str, ...]
    """Files and folders, from the repository's root, that its Dockerfile copies."""

    @property
    def reference(self) -> str:
        """What a pod's `image` says."""
        return f"localhost/{self.name}:{TAG}"

    def recipe(self) -> str:
        """A hash of all that goes into it."""
        parts: list[str | bytes] = [_FORMAT, _base_name()]
        for path in _files(self.dockerfile, *self.inputs):
            parts += [str(path.relative_to(ROOT)), path.read_bytes()]
        return digest(*parts)


_BUILD = ("docker/build.txt", "pyproject.toml", "README.md", "LICENSE")
MAILPOD = Image("mailpod", "docker/pod.Dockerfile", (*_BUILD, "requirements/pod.txt", "mailpod/mailpod"))
OPERATOR = Image(
    "mail-operator",
    "docker/operator.Dockerfile",
    (*_BUILD, "requirements/operator.txt", "mailpod/mailpod", "operator/mailoperator"),
)
WEED = Image("weed", "docker/weed.Dockerfile", ("docker/weed.txt",))
ALL = (MAILPOD, OPERATOR, WEED)
VALUES = {"images.operator": OPERATOR, "images.pod": MAILPOD, "images.trialS3": WEED}
"""The chart's values that name them."""


def build(image: Image, say: Callable[[str], None] = print) -> Path:
    """The image as an archive. Raises need.Missing, and RuntimeError with buildah's words."""
    name = f"images/{image.name}-{image.recipe()}"
    archive = home() / name / "image.tar"
    if not archive.exists():
        need.check(need.images())
        base(say)
        start = time.monotonic()
        made(name, lambda folder: _build(image, folder))
        say(f"built {image.reference} in {time.monotonic() - start:.0f} s")
        _forget_older(image, archive.parent)
    return archive


def size(archive: Path) -> str:
    """An image's size, unpacked."""
    return f"{archive.stat().st_size / 1e6:.0f} MB"


def pause(program: Path) -> Path:
    """The image of the process that holds a pod's namespaces: an archive."""

    def make(folder: Path) -> None:
        shutil.copy(program, folder / "pause")
        (folder / "Dockerfile").write_text('FROM scratch\nCOPY pause /pause\nENTRYPOINT ["/pause"]\n')
        _buildah("bud", "--tag=localhost/pause:1", str(folder))
        _push("localhost/pause:1", folder / "image.tar")

    return made(f"images/pause-{digest(binaries.PAUSE.folder)}", make) / "image.tar"


def base(say: Callable[[str], None] = print) -> str:
    """The base image's name in buildah's storage; the first time it is made, in about a minute."""
    name = _base_name()

    def make(folder: Path) -> None:
        say(f"making the base image ({versions.DEBIAN}, {_INCLUDE}) with debootstrap: once, about a minute")
        root = folder / "root"
        _run(
            "nice", "-n", "19", "debootstrap", "--variant=minbase", f"--include={_INCLUDE}", versions.DEBIAN, str(root)
        )
        for path in _NOT_KEPT:
            shutil.rmtree(root / path, ignore_errors=True)
        _run("tar", "-C", str(root), "-cf", str(folder / "rootfs.tar"), ".")
        shutil.rmtree(root)
        (folder / "Dockerfile").write_text("FROM scratch\nADD rootfs.tar /\n")
        _buildah("bud", f"--tag={name}", str(folder))
        (folder / "rootfs.tar").unlink()

    made(f"base-{name.rpartition(':')[2]}", make)
    return name


def _base_name() -> str:
    return f"localhost/mailpod-base:{versions.DEBIAN}-{digest(versions.DEBIAN, _INCLUDE, *_NOT_KEPT)}"


def _build(image: Image, folder: Path) -> None:
    _buildah(
        "bud", "--layers", "--network=host", f"--file={ROOT / image.dockerfile}", f"--tag={image.reference}",
        f"--ignorefile={ROOT / image.dockerfile}.dockerignore", f"--build-arg=BASE={_base_name()}",
        "--volume=/etc/ssl/certs:/etc/ssl/certs:ro",  # this machine's own authorities
        str(ROOT),
    )  # fmt: skip
    _push(image.reference, folder / "image.tar")


def _push(reference: str, archive: Path) -> None:
    """Uncompressed: an oci-archive would spend most of a rebuild in gzip."""
    _buildah("push", reference, f"docker-archive:{archive}:{reference}")


def _buildah(command: str, *arguments: str) -> None:
    """One at a time: two builds would each unpack the same layers."""
    isolation = ["--isolation=chroot"] if command == "bud" else []
    storage = home() / "storage" / _driver()
    with locked("buildah"):
        _run(
            "nice", "-n", "10", "buildah", f"--root={storage}", f"--runroot={storage}-run",
            f"--storage-driver={_driver()}", command, *isolation, *arguments,
        )  # fmt: skip


@cache
def _driver() -> str:
    """overlay where the file system under the cache can carry it; vfs copies every layer, and works anywhere."""
    trial = home() / "trial"
    shutil.rmtree(trial, ignore_errors=True)
    for name in ("lower", "upper", "work", "merged"):
        (trial / name).mkdir(parents=True)
    options = f"lowerdir={trial}/lower,upperdir={trial}/upper,workdir={trial}/work"
    mounted = subprocess.run(
        ["mount", "-t", "overlay", "overlay", "-o", options, str(trial / "merged")], capture_output=True
    )
    if mounted.returncode == 0:
        subprocess.run(["umount", str(trial / "merged")], check=True)
    shutil.rmtree(trial, ignore_errors=True)
    return "vfs" if mounted.returncode else "overlay"


def _run(*command: str) -> None:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout[-3000:]}")


def _files(*paths: str) -> Iterator[Path]:
    for name in paths:
        path = ROOT / name
        if path.is_dir():
            yield from (file for file in sorted(path.rglob("*")) if file.is_file() and "__pycache__" not in file.parts)
        else:
            yield path


def _forget_older(image: Image, kept: Path) -> None:
    """Remove archives of earlier sources, but for the last: a running `up` may be reading it."""
    length = len(kept.name)
    found = [folder for folder in kept.parent.glob(f"{image.name}-*") if len(folder.name) == length and folder != kept]
    for folder in sorted(found, key=lambda folder: folder.stat().st_mtime)[:-1]:
        shutil.rmtree(folder, ignore_errors=True)
