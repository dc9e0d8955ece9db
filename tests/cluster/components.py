"""The command line and the files of each component, as data. Nothing is started here.

`ControlPlane` is shared: the cluster runs it on its node's address, `tests/apiserver` on 127.0.0.1 and free ports.
"""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

SERVICES = "10.96.0.0/16"
PODS = "10.244.0.0/24"

_AUDIT = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "None", "verbs": ["get", "list", "watch"]}, {"level": "Metadata"}],
}
"""Writes only: a test counts what a component wrote."""


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """etcd, kube-apiserver and kube-controller-manager in a folder, on an address."""

    folder: Path
    programs: Path
    """A folder with the programs, or with links to them."""
    address: str
    port: int
    etcd_port: int
    peer_port: int
    node: bool = False
    """Whether there will be a node: then the API server says where it is, and pods reach it."""
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    """Of the user `admin`, who may do everything; the other users' are this with their name."""

    @property
    def url(self) -> str:
        return f"https://{self.address}:{self.port}"

    @property
    def certificate(self) -> Path:
        """The API server's, made by itself when it starts."""
        return self.folder / "apiserver" / "apiserver.crt"

    @property
    def audit_log(self) -> Path:
        """A line of JSON for each write that the API server was asked for."""
        return self.folder / "audit.log"

    def prepare(self) -> None:
        """Write what the API server reads when it starts."""
        self.folder.mkdir(parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        (self.folder / "sa.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        (self.folder / "sa.pub").write_bytes(
            key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        )
        (self.folder / "audit.yaml").write_text(json.dumps(_AUDIT))
        users = [
            f"{self.token},admin,1,system:masters",
            f"{self.token}-scheduler,system:kube-scheduler,2",
            f"{self.token}-node,system:node:node1,3,system:nodes",
        ]
        (self.folder / "tokens.csv").write_text("\n".join(users) + "\n")

    def write_kubeconfigs(self) -> None:
        """admin.kubeconfig and the others; the API server's certificate is in them, so it must have started."""
        for user in ("admin", "scheduler", "node"):
            token = self.token if user == "admin" else f"{self.token}-{user}"
            path = self.folder / f"{user}.kubeconfig"
            path.touch(mode=0o600)
            path.write_text(json.dumps(kubeconfig(self.url, self.certificate.read_bytes(), token), indent=1))

    def etcd(self) -> list[str]:
        client, peer = (f"http://{self.address}:{port}" for port in (self.etcd_port, self.peer_port))
        return [
            str(self.programs / "etcd"), f"--data-dir={self.folder / 'etcd'}", "--unsafe-no-fsync", "--log-level=warn",
            f"--listen-client-urls={client}", f"--advertise-client-urls={client}", f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=default={peer}",
        ]  # fmt: skip

    def apiserver(self) -> list[str]:
        key = self.folder / "sa"
        return [
            str(self.programs / "kube-apiserver"), f"--etcd-servers=http://{self.address}:{self.etcd_port}",
            f"--secure-port={self.port}", f"--bind-address={self.address}", f"--advertise-address={self.address}",
            f"--cert-dir={self.certificate.parent}", f"--token-auth-file={self.folder / 'tokens.csv'}",
            "--authorization-mode=Node,RBAC", f"--service-account-key-file={key}.pub",
            f"--service-account-signing-key-file={key}.key",
            "--service-account-issuer=https://kubernetes.default.svc", f"--service-cluster-ip-range={SERVICES}",
            "--allow-privileged=true", "--kubelet-preferred-address-types=InternalIP",
            f"--audit-policy-file={self.folder / 'audit.yaml'}", f"--audit-log-path={self.audit_log}",
            # a loopback address is refused as an endpoint, again and again
            *([] if self.node else ["--endpoint-reconciler-type=none"]),
        ]  # fmt: skip

    def controller_manager(self) -> list[str]:
        return [
            str(self.programs / "kube-controller-manager"), f"--kubeconfig={self.folder / 'admin.kubeconfig'}",
            "--use-service-account-credentials=true", "--leader-elect=false", "--secure-port=0",
            f"--service-account-private-key-file={self.folder / 'sa.key'}", f"--root-ca-file={self.certificate}",
        ]  # fmt: skip


def kubeconfig(url: str, authority: bytes, token: str) -> dict[str, Any]:
    """A kubeconfig with one user, who has a token."""
    cluster = {"server": url, "certificate-authority-data": base64.b64encode(authority).decode()}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "mailpod",
        "contexts": [{"name": "mailpod", "context": {"cluster": "mailpod", "user": "mailpod"}}],
        "clusters": [{"name": "mailpod", "cluster": cluster}],
        "users": [{"name": "mailpod", "user": {"token": token}}],
    }


def kubelet(folder: Path, address: str) -> dict[str, Any]:
    """The kubelet's configuration."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},  # only the cluster's own network reaches it
        "address": address,
        "port": 10250,
        "healthzPort": 0,
        "failSwapOn": False,
        "failCgroupV1": False,
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": False,
        "enforceNodeAllocatable": [],
        "localStorageCapacityIsolation": False,
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "volumePluginDir": str(folder / "kubelet" / "volumeplugins"),
        "podLogsDir": str(folder / "pods"),
        "clusterDNS": [address],
        "clusterDomain": "cluster.local",
        "resolvConf": str(folder / "resolv.empty"),
        "imageGCHighThresholdPercent": 100,
        # a full disk is the machine's affair
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "0%", "imagefs.available": "0%"},
    }


def containerd(folder: Path) -> str:
    """containerd's configuration: its state is in /run, which is the cluster's own."""
    return f"""\
version = 2
root = "{folder}/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt"]
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{folder}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
"""


def pod_network(folder: Path) -> dict[str, Any]:
    """The CNI configuration: a bridge, and addresses from a file."""
    addresses = {
        "type": "host-local",
        "dataDir": str(folder / "ipam"),
        "ranges": [[{"subnet": PODS}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": True, "hairpinMode": True}
    return {
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [
            {**bridge, "ipam": addresses},
            {"type": "portmap", "capabilities": {"portMappings": True}},
            {"type": "loopback"},
        ],
    }


def corefile(folder: Path, address: str) -> str:
    """CoreDNS: the cluster's names, the zones that tests put into `zones/` as `db.<zone>`, and no other name exists."""
    return f"""\
.:53 {{
  bind {address}
  kubernetes cluster.local in-addr.arpa {{
    kubeconfig {folder}/admin.kubeconfig
    ttl 1
    fallthrough in-addr.arpa
  }}
  auto {{
    directory {folder}/zones
    reload 1s
  }}
  forward . {address}:5300
}}
.:5300 {{
  bind {address}
  template ANY ANY {{
    rcode NXDOMAIN
  }}
}}
"""
