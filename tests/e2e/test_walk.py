"""A newcomer's walk on a cluster: the documentation's commands, word for word, on a fresh clone, to the first mail.

The images are built and loaded already; how long the rest takes is told. Nothing of it is left.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster.fixtures import Cluster
from tests.e2e.installed import FIGURES, ROOT
from tests.harness.need import need, need_perl

pytestmark = pytest.mark.cluster

NAMESPACE = "mailpod-system"
PORTS = (2525, 9930)


def blocks(page: str) -> list[str]:
    """The indented blocks of a page of docs/."""
    return [textwrap.dedent(block) for block in re.findall(r"(?:^    .*\n)+", (ROOT / page).read_text(), re.MULTILINE)]


def commands(block: str) -> list[str]:
    """Each whole, however many lines it has."""
    return [command for command in re.split(r"(?<![\\|])\n(?!  )", block.strip()) if command]


def one(page: str, word: str) -> list[str]:
    """The commands of the only block in which a word stands."""
    [found] = [block for block in blocks(page) if word in block]
    return commands(found)


@pytest.fixture
def clone(cluster: Cluster, tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "mailpod"
    subprocess.run([need("git"), "clone", "-q", ROOT, folder], check=True, capture_output=True)
    yield folder
    cluster.kubectl("delete", "--ignore-not-found", "--timeout=90s", "-f", folder / "examples" / "cluster")
    cluster.run("helm", "uninstall", "mailpod", "--namespace", NAMESPACE, "--wait", check=False)
    cluster.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=90s")
    cluster.kubectl("delete", "--ignore-not-found", "--timeout=90s", "-f", folder / "crds")


def test_the_documentations_commands_lead_to_the_first_mail(cluster: Cluster, clone: Path) -> None:
    need("swaks")
    need_perl("Net::SSLeay")
    kind = one("docs/cluster.md", "kind create cluster")
    install = kind[next(number for number, command in enumerate(kind) if command.startswith("helm install")) :]
    trial = one("docs/install-kubernetes.md", "helm test mailpod")
    wait, check = [command for command in trial if command.startswith(("kubectl wait", "helm test"))]
    first_mail = one("docs/install-kubernetes.md", "port-forward")

    with FIGURES.timed("a newcomer's walk, from `helm install` to the first mail read"):
        for step in (install, [wait], [check], first_mail):
            script = "\n".join(map(answered, step))
            with FIGURES.timed(f"  {step[0].splitlines()[0][:60]} …"):
                said = walk(cluster, clone, script)
    assert "This is a test mailing" in said
    assert "alice@mailpod.test" in said and "bob@mailpod.test" in said


def answered(command: str) -> str:
    """What runs on in the background has a person's time to begin: until it listens."""
    if not command.endswith("&"):
        return command
    listens = " && ".join(f"(exec 3<>/dev/tcp/127.0.0.1/{port}) 2>/dev/null" for port in PORTS)
    return f"{command}\nfor _ in $(seq 100); do {listens} && break; sleep 0.1; done"


def walk(cluster: Cluster, folder: Path, script: str) -> str:
    for ours, other in (("mailpod", cluster.mailpod), ("mail-operator", cluster.operator), ("weed", cluster.weed)):
        script = script.replace(f"localhost/{ours}:dev", other)
    script = (
        f"trap 'kill $(jobs -p) 2>/dev/null || :' EXIT\ncd {shlex.quote(str(folder))}\nset -eo pipefail\n{script}\n"
    )
    return cluster.run("bash", "-c", script, timeout=420).stdout
