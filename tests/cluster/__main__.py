"""`python -m tests.cluster`: build, images, up, in, down, status, clean."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time

from tests.cluster import binaries, cluster, images, need
from tests.cluster.cache import home

_NEXT = """
The cluster runs, with the images {images}. Type next:

  alias k='{python} -m tests.cluster in{name} kubectl' h='{python} -m tests.cluster in{name} helm'
  k get nodes
  h install mailpod charts/mailpod --namespace mailpod-system --create-namespace --set trialS3.enabled=true \\
    {values}
  k apply -f examples/cluster/
  k get maildomain,mailbox --watch

A shell inside, where the cluster's addresses and names are reached: {python} -m tests.cluster in{name} bash
Changed source into it again: {python} -m tests.cluster images --load{name}
End it, without a trace: {down}
"""


def main() -> int:
    options = _parser().parse_args()
    try:
        return int(options.run(options) or 0)
    except need.Missing as error:
        print("The test cluster needs what this machine lacks:", *error.what, sep="\n  - ", file=sys.stderr)
    except (cluster.ClusterError, RuntimeError) as error:
        print(f"cluster: {error}", file=sys.stderr)
    return 1


def _build(options: argparse.Namespace) -> None:
    if options.install:
        _install()
    need.check(binaries.missing(), need.images(), need.node())
    if options.all:
        binaries.build((binaries.VERSITYGW,))
    programs = binaries.build()
    images.base()
    images.pause(programs["pause"])
    if options.all:
        for image in images.ALL:
            images.build(image)
    print(f"{len(programs)} programs and the base image are in {home()}")


def _install() -> None:
    """Install Debian's packages where one is missing."""
    if need.images() or need.node():
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], check=True, env=environment)
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *need.PACKAGES]
        subprocess.run(install, check=True, env=environment, stdout=subprocess.DEVNULL)


def _images(options: argparse.Namespace) -> None:
    running = cluster.find(options.name) if options.load else None
    if options.load and running is None:
        raise cluster.ClusterError(f"no cluster {options.name!r} runs: make cluster")
    for image in images.ALL:
        archive = images.build(image)
        if running:
            running.load(archive)
        print(f"{image.reference:32} {images.size(archive):>8}  {archive}")


def _up(options: argparse.Namespace) -> None:
    start = time.monotonic()
    running = cluster.up(options.name)
    print(f"the node is Ready ({time.monotonic() - start:.1f} s)")
    for image in images.ALL:
        running.load(images.build(image))
    name = "" if options.name == cluster.DEFAULT else f" --name {options.name}"
    python = os.path.relpath(sys.executable)
    down = f"{python} -m tests.cluster down{name}" if name else "make cluster-down"
    names = ", ".join(image.reference for image in images.ALL)
    values = " ".join(f"--set {key}={image.reference}" for key, image in images.VALUES.items())
    print(_NEXT.format(images=names, values=values, python=python, name=name, down=down))


def _in(options: argparse.Namespace) -> None:
    command = cluster.Running(options.name).command(options.command or ["bash"])
    os.execvp(command[0], command)


def _down(options: argparse.Namespace) -> None:
    print("ended" if cluster.down(options.name) else f"there was no cluster {options.name!r}")


def _status(options: argparse.Namespace) -> int:
    running = cluster.find(options.name)
    print(f"runs: {running.folder}" if running else "does not run")
    return 0 if running else 1


def _clean(_: argparse.Namespace) -> None:
    """Remove everything that is kept, running clusters first."""
    for folder in sorted((home() / "clusters").glob("*")):
        cluster.down(folder.name)
    shutil.rmtree(home(), ignore_errors=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.cluster", description="A one-node Kubernetes, without Docker."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: object, text: str, *, named: bool = True) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        if named:
            command.add_argument("--name", default=cluster.DEFAULT, help="several clusters run side by side")
        return command

    build = add("build", _build, "build the programs and the base image, once", named=False)
    build.add_argument("--install", action="store_true", help="install Debian's packages that are missing")
    build.add_argument("--all", action="store_true", help="the images and test-slow's S3 server, too: for .ci/run")
    load = add("images", _images, "build the project's images, and print their sizes")
    load.add_argument("--load", action="store_true", help="into the running cluster too")
    add("up", _up, "start the cluster with the images loaded, building what is not there")
    inside = add("in", _in, "run a command inside, with kubectl and helm; a shell where none is given")
    inside.add_argument("command", nargs=argparse.REMAINDER)
    add("down", _down, "end the cluster; nothing is left behind")
    add("status", _status, "say whether it runs")
    add("clean", _clean, "remove everything that is kept: programs, images, clusters", named=False)
    return parser


if __name__ == "__main__":
    sys.exit(main())
