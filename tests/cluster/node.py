"""Process 1 of a cluster: `python -m tests.cluster.node FOLDER`, inside namespaces that `cluster` made.

- All that it starts dies with it, and its mounts and network go with its namespaces: nothing has to be undone.
- Inside, the cluster's folder is /run/mailpod, whatever its path is outside, since socket paths must be short.
- It writes `ready` when the node is Ready; what goes wrong before is in `node.log`.
- `control` (a fifo) takes `stop NAME` and `start NAME` lines; `running/NAME` exists while a component runs.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

from tests.cluster.components import SERVICES, ControlPlane, containerd, corefile, kubelet, pod_network

ADDRESS = "10.88.0.1"
INSIDE = Path("/run/mailpod")

_HIDDEN = ("/var/log", "/var/lib/cni", "/var/lib/kubelet")
"""Where components write whatever they are told. `down` removes those that were not there (`made.json`)."""

_UNTOUCHED = {
    "vm/overcommit_memory": "1",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}
"""What the kubelet sets for the whole machine. Here it finds it set, in files of its own."""


class Node:
    """The components, started in order and watched."""

    def __init__(self, programs: Path) -> None:
        self.folder = INSIDE
        self.plane = ControlPlane(INSIDE, programs, ADDRESS, port=6443, etcd_port=2379, peer_port=2380, node=True)
        self.commands = self._commands(programs)
        self.pids: dict[int, str] = {}

    def _commands(self, programs: Path) -> dict[str, list[str]]:
        folder = self.folder
        return {
            "containerd": ["containerd", f"--config={folder}/containerd.toml"],
            "etcd": self.plane.etcd(),
            "kube-apiserver": self.plane.apiserver(),
            "kube-controller-manager": [
                *self.plane.controller_manager(), "--cluster-cidr=10.244.0.0/16", "--allocate-node-cidrs=true",
            ],
            "kube-scheduler": [
                f"{programs}/kube-scheduler", f"--kubeconfig={folder}/scheduler.kubeconfig",
                "--leader-elect=false", "--secure-port=0",
            ],
            "kubelet": [
                f"{programs}/kubelet", f"--config={folder}/kubelet.json", f"--kubeconfig={folder}/node.kubeconfig",
                "--hostname-override=node1", f"--root-dir={folder}/kubelet", f"--cert-dir={folder}/kubelet/pki",
                f"--node-ip={ADDRESS}",
            ],
            "kube-proxy": [
                f"{programs}/kube-proxy", f"--kubeconfig={folder}/admin.kubeconfig", "--hostname-override=node1",
                "--proxy-mode=nftables", "--cluster-cidr=10.244.0.0/16", "--conntrack-max-per-core=0",
            ],
            "coredns": [f"{programs}/coredns", f"-conf={folder}/Corefile"],
        }  # fmt: skip

    def boot(self) -> None:
        """From nothing to a node that is Ready."""
        self.plane.prepare()
        self._write_files()
        self.start("containerd")
        self.start("etcd")
        self.start("kube-apiserver")
        self._wait("the API server", lambda: self._get("/readyz") == "ok")
        self.plane.write_kubeconfigs()
        self._wait("containerd", lambda: run("ctr", "version", check=False) == 0)
        run("ctr", "-n", "k8s.io", "images", "import", "/run/mailpod/pause.tar")
        for name in ("kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "coredns"):
            self.start(name)
        self._wait("the node", self._node_ready)

    def start(self, name: str) -> None:
        if name in self.pids.values():
            return
        with (self.folder / "logs" / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(self.commands[name], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        process.returncode = 0  # it is reaped here, not by subprocess
        self.pids[process.pid] = name
        (self.folder / "running" / name).write_text(str(process.pid))

    def stop(self, name: str) -> None:
        """Kill a component, as a crash would."""
        for pid, running in self.pids.items():
            if running == name:
                os.kill(pid, signal.SIGKILL)

    def reap(self) -> None:
        """Collect whoever has died: components, and the orphans that come to process 1."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            name = self.pids.pop(pid, None)
            if name is not None:
                (self.folder / "running" / name).unlink(missing_ok=True)
                say(f"{name} ended: {os.waitstatus_to_exitcode(status)}")

    def serve(self) -> None:
        """Reap and obey, for ever."""
        selector = selectors.DefaultSelector()
        waking, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        control = os.open(self.folder / "control", os.O_RDWR)
        selector.register(waking, selectors.EVENT_READ)
        selector.register(control, selectors.EVENT_READ)
        self.reap()
        while True:
            for key, _ in selector.select():
                data = os.read(key.fd, 4096)
                if key.fd == control:
                    self._obey(data.decode())
                self.reap()

    def _obey(self, lines: str) -> None:
        for verb, name in (line.split() for line in lines.splitlines()):
            (self.start if verb == "start" else self.stop)(name)

    def _write_files(self) -> None:
        folder = self.folder
        for name in ("logs", "running", "zones", "cni", "pods", "kubelet"):
            (folder / name).mkdir(exist_ok=True)
        os.mkfifo(folder / "control", 0o600)
        (folder / "containerd.toml").write_text(containerd(folder))
        (folder / "kubelet.json").write_text(json.dumps(kubelet(folder, ADDRESS)))
        (folder / "cni" / "10.conflist").write_text(json.dumps(pod_network(folder)))
        (folder / "Corefile").write_text(corefile(folder, ADDRESS))

    def _get(self, path: str) -> str:
        request = Request(self.plane.url + path, headers={"Authorization": f"Bearer {self.plane.token}"})
        with urlopen(request, timeout=5, context=ssl._create_unverified_context()) as answer:
            return str(answer.read().decode())

    def _node_ready(self) -> bool:
        conditions = json.loads(self._get("/api/v1/nodes/node1"))["status"].get("conditions", [])
        return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)

    def _wait(self, what: str, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            self.reap_dead()
            try:
                if true():
                    return
            except (URLError, OSError):
                pass
            time.sleep(0.1)
        raise TimeoutError(f"{what} was not ready after two minutes")

    def reap_dead(self) -> None:
        """Raise where a component has died: before the cluster is ready that is final."""
        for pid, name in self.pids.items():
            if os.waitpid(pid, os.WNOHANG)[0]:
                lines = (self.folder / "logs" / f"{name}.log").read_text(errors="replace").splitlines()
                raise RuntimeError(f"{name} ended:\n" + "\n".join(lines[-15:]))


def run(*command: str, check: bool = True) -> int:
    """A command; its output goes to node.log."""
    return subprocess.run(command, stdin=subprocess.DEVNULL, check=check).returncode


def say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", flush=True)


def mounts(outside: Path, cgroups: list[str]) -> None:
    """This mount namespace's own cgroups, /run, logs, resolver and sysctl files."""
    os.chdir("/")
    for path in cgroups:
        mount_cgroups(Path(path).parent)
    resolver = Path("/etc/resolv.conf").resolve()
    run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    INSIDE.mkdir()
    run("mount", "--bind", str(outside), str(INSIDE))
    for path in ("/run/lock", "/run/netns"):
        Path(path).mkdir()
    absent = [path for path in _HIDDEN if not Path(path).exists()]
    (INSIDE / "made.json").write_text(json.dumps(absent))
    for path in _HIDDEN:
        Path(path).mkdir(exist_ok=True)
        run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", path)
    (INSIDE / "resolv.empty").touch()
    (INSIDE / "resolv.conf").write_text(f"nameserver {ADDRESS}\nsearch svc.cluster.local cluster.local\n")
    resolver.parent.mkdir(parents=True, exist_ok=True)
    resolver.touch()
    run("mount", "--bind", str(INSIDE / "resolv.conf"), str(resolver))
    (INSIDE / "sysctl").mkdir(exist_ok=True)
    for number, (name, value) in enumerate(_UNTOUCHED.items()):
        file = INSIDE / "sysctl" / str(number)
        file.write_text(value + "\n")
        if Path("/proc/sys", name).exists():
            run("mount", "--bind", str(file), f"/proc/sys/{name}")


def mount_cgroups(hierarchy: Path) -> None:
    """Mount a hierarchy again: in this cgroup namespace it begins at the cluster's own cgroup."""
    run("umount", "--lazy", str(hierarchy))
    if hierarchy.name == "cgroup":
        run("mount", "-t", "cgroup2", "cgroup2", str(hierarchy))
        # only a cgroup without processes of its own can hand its controllers down
        (hierarchy / "node").mkdir()
        (hierarchy / "node" / "cgroup.procs").write_text("0")
    elif hierarchy.name == "unified":
        run("mount", "-t", "cgroup2", "cgroup2", str(hierarchy))
    else:
        option = "none,name=systemd" if hierarchy.name == "systemd" else hierarchy.name
        run("mount", "-t", "cgroup", "-o", option, "cgroup", str(hierarchy))


def network() -> None:
    """This network namespace's own: the node's address, and a route for Services."""
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", "node", "type", "bridge")  # not every kernel has dummy devices
    run("ip", "address", "add", f"{ADDRESS}/32", "dev", "node")
    run("ip", "link", "set", "node", "up")
    run("ip", "route", "add", SERVICES, "dev", "node")
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def main() -> None:
    outside = Path(sys.argv[1])
    settings = json.loads((outside / "cluster.json").read_text())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        mounts(outside, settings["cgroups"])
        network()
        node = Node(Path(settings["programs"]))
        node.boot()
    except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
        say(f"failed: {error}")
        sys.exit(1)
    (INSIDE / "ready").touch()
    node.serve()


if __name__ == "__main__":
    main()
