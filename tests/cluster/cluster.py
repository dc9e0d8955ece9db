"""A cluster seen from outside: started in namespaces of its own, entered, and ended without a trace.

- Everything that it is hangs on one process, process 1 of its namespaces; its folder says which (`process`: pid and
  start time, so that a pid used again is never taken for it).
- A cluster that a test run started dies with that run, however it ends; its folder and cgroups go at the next `up`.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import binaries, need
from tests.cluster.cache import home, locked
from tests.cluster.images import pause

ROOT = Path(__file__).parents[2]
DEFAULT = "default"
_START = 180.0  # seconds; it takes about ten


class ClusterError(Exception):
    """The cluster could not be started, or is not there; the text says why."""


@dataclass(frozen=True, slots=True)
class Running:
    """One cluster that runs."""

    name: str

    @property
    def folder(self) -> Path:
        return _folder(self.name)

    @property
    def kubeconfig(self) -> Path:
        """The administrator's; its address is reached only from inside."""
        return self.folder / "admin.kubeconfig"

    def command(self, command: Sequence[str | Path]) -> list[str]:
        """`command` as it runs inside, in the caller's current folder, with kubectl, helm and ctr in PATH."""
        process = _process(self.folder)
        if process is None:
            raise ClusterError(f"no cluster {self.name!r} runs: make cluster")
        path = f"{self.folder / 'bin'}:{os.environ.get('PATH', '')}:{need.SBIN}"
        return [
            "nsenter", f"--target={process}", "--net", "--pid", "--mount", f"--wd={Path.cwd()}", "--",
            "env", f"PATH={path}", f"KUBECONFIG={self.kubeconfig}", *map(str, command),
        ]  # fmt: skip

    def load(self, archive: Path) -> None:
        """Make an image known to the node."""
        done = subprocess.run(
            self.command(["ctr", "-n", "k8s.io", "images", "import", archive]), capture_output=True, text=True
        )
        if done.returncode:
            raise ClusterError(f"containerd did not take {archive}: {done.stderr}")

    def stop(self, component: str) -> None:
        """Kill a component (`kube-apiserver`, `kubelet` …), and return when it is gone."""
        self._tell("stop", component, there=False)

    def start(self, component: str) -> None:
        """Start a component that was stopped, on the state that it left."""
        self._tell("start", component, there=True)

    def _tell(self, verb: str, component: str, *, there: bool) -> None:
        with (self.folder / "control").open("w") as control:
            control.write(f"{verb} {component}\n")
        deadline = time.monotonic() + 30
        while (self.folder / "running" / component).exists() != there:
            if time.monotonic() > deadline:
                raise ClusterError(f"{component} did not {verb}")
            time.sleep(0.05)


def find(name: str = DEFAULT) -> Running | None:
    """The cluster of that name, where it runs and is ready."""
    folder = _folder(name)
    return Running(name) if _process(folder) is not None and (folder / "ready").exists() else None


def up(name: str = DEFAULT, *, owned: bool = False) -> Running:
    """Start a cluster, or find it running. `owned`: it dies with this process.

    Raises need.Missing and ClusterError.
    """
    need.check(need.node(), need.images(), binaries.missing())
    programs = binaries.build()
    image = pause(programs["pause"])
    with locked(f"cluster-{name}"):
        running = find(name)
        if running:
            return running
        down(name)
        sweep()
        folder = _prepare(name, programs, image)
        try:
            _launch(folder, owned)
        except ClusterError:
            keep = home() / "failed.log"
            keep.write_text((folder / "node.log").read_text(errors="replace"))
            down(name)
            raise
        return Running(name)


def down(name: str = DEFAULT) -> bool:
    """End a cluster and remove what it left; False where there was none."""
    folder = _folder(name)
    if not folder.exists():
        return False
    for file in ("process", "outer"):
        pid = _alive(folder / file)
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            _gone(folder / file)
    if (folder / "made.json").exists():
        for path in json.loads((folder / "made.json").read_text()):
            with suppress(OSError):  # another cluster has it mounted, or somebody has put something there
                Path(path).rmdir()
    if (folder / "cluster.json").exists():
        for top in json.loads((folder / "cluster.json").read_text())["cgroups"]:
            _remove_cgroups(Path(top))
    shutil.rmtree(folder)
    return True


def sweep() -> None:
    """Remove the folders and cgroups of clusters that died."""
    for folder in _clusters().glob("*"):
        age = time.time() - folder.stat().st_mtime
        if _process(folder) is None and age > _START:
            down(folder.name)


def _clusters() -> Path:
    return home() / "clusters"


def _folder(name: str) -> Path:
    return _clusters() / name


def _prepare(name: str, programs: dict[str, Path], image: Path) -> Path:
    folder = _folder(name)
    if Path("/run") in folder.parents:
        raise ClusterError(f"{folder} cannot be in /run: set MAILPOD_CLUSTER_CACHE to another place")
    (folder / "bin").mkdir(parents=True)
    for program, path in programs.items():
        (folder / "bin" / program).symlink_to(path)
    shutil.copy(image, folder / "pause.tar")
    name_there = f"mailpod-{secrets.token_hex(4)}"
    cgroups = [str(hierarchy / name_there) for hierarchy in _hierarchies()]
    (folder / "cluster.json").write_text(json.dumps({"programs": "/run/mailpod/bin", "cgroups": cgroups}))
    for cgroup in cgroups:
        _make_cgroup(Path(cgroup))
    return folder


def _launch(folder: Path, owned: bool) -> None:
    command = [
        "unshare", "--net", "--pid", "--fork", "--mount", "--cgroup", "--kill-child", "--mount-proc",
        sys.executable, "-m", "tests.cluster.node", str(folder),
    ]  # fmt: skip
    if owned:
        command = ["setpriv", "--pdeathsig=KILL", *command]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{os.environ.get('PATH', '')}:{need.SBIN}"}
    cgroups = json.loads((folder / "cluster.json").read_text())["cgroups"]
    with (folder / "node.log").open("wb") as log:
        outer = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=environment,
            cwd="/",
            preexec_fn=lambda: _enter(cgroups),
        )
    (folder / "outer").write_text(_identity(outer.pid) or "")
    deadline = time.monotonic() + _START
    while not (folder / "ready").exists():
        _note_process(folder, outer.pid)
        if outer.poll() is not None or time.monotonic() > deadline:
            raise ClusterError(f"the cluster did not start:\n{_tail(folder / 'node.log')}")
        time.sleep(0.05)


def _note_process(folder: Path, outer: int) -> None:
    """Write down process 1 of the cluster as it is known outside: the child of `unshare`."""
    if not (folder / "process").exists():
        children = Path(f"/proc/{outer}/task/{outer}/children").read_text().split()
        identity = _identity(int(children[0])) if children else None
        if identity:
            (folder / "process").write_text(identity)
            _leave(outer)


def _process(folder: Path) -> int | None:
    return _alive(folder / "process")


def _alive(file: Path) -> int | None:
    """The pid in the file, while it is the process that it was."""
    try:
        identity = file.read_text()
        pid = int(identity.split()[0])
    except (OSError, ValueError, IndexError):
        return None
    return pid if _identity(pid) == identity else None


def _identity(pid: int) -> str | None:
    """Pid and start time; None for one that is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else f"{pid} {fields[19]}"


def _gone(file: Path) -> None:
    deadline = time.monotonic() + 30
    while _alive(file) is not None:
        if time.monotonic() > deadline:
            raise ClusterError(f"process {file.read_text()} does not die")
        time.sleep(0.05)


def _hierarchies() -> list[Path]:
    """Where cgroups are: one tree, or one a controller."""
    top = Path("/sys/fs/cgroup")
    if (top / "cgroup.controllers").exists():
        return [top]
    return [path for path in top.iterdir() if (path / "cgroup.procs").exists() and not path.is_symlink()]


def _make_cgroup(path: Path) -> None:
    path.mkdir()
    for name in ("cpuset.cpus", "cpuset.mems"):  # in the old hierarchy they begin empty, and nothing can run
        if (path / name).exists() and not (path / "cgroup.controllers").exists():
            (path / name).write_text((path.parent / name).read_text())


def _enter(cgroups: list[str]) -> None:
    """Move this process into them: a cgroup namespace begins where the process is that makes it."""
    for path in cgroups:
        Path(path, "cgroup.procs").write_text("0")


def _leave(pid: int) -> None:
    """With one hierarchy, take `unshare` out again: only a cgroup without processes can hand its controllers down."""
    top = Path("/sys/fs/cgroup")
    if _hierarchies() == [top]:
        ours = Path("/proc/self/cgroup").read_text().strip().rpartition("::/")[2]
        (top / ours / "cgroup.procs").write_text(str(pid))


def _remove_cgroups(top: Path) -> None:
    for place, _, _ in os.walk(top, topdown=False):
        _remove_cgroup(Path(place))


def _remove_cgroup(place: Path) -> None:
    """A cgroup can be removed a moment after its last process has died."""
    for _ in range(100):
        try:
            place.rmdir()
            return
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.05)
    raise ClusterError(f"{place} still has processes")


def _tail(file: Path) -> str:
    return "\n".join(file.read_text(errors="replace").splitlines()[-25:])
