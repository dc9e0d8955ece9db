"""`mail-operator`: the console script of the control plane."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

import uvloop

from mailoperator.local import Local, Options
from mailoperator.localstate import LocalState, StateError
from mailoperator.manifests import ManifestError
from mailoperator.pods import PodFailed
from mailoperator.ports import PortError, Ports
from mailpod.directory import open_bucket
from mailpod.logs import configure

_STATUS: Final = "exit status: 0 it was told to stop, 2 something is to be mended, which it says\n"
_EXAMPLES: Final = """\
for example, in a clone:
  mail-operator local examples/quickstart.yaml   what `make run` does
  mail-operator local --help                     says more of it

`mailpod --help` has the tools for what is in the bucket.
"""
_LOCAL_EXAMPLES: Final = f"""\
for example, in a clone:
  mail-operator local examples/quickstart.yaml                            what `make run` does
  mail-operator local examples/quickstart.yaml --pods 2                   two pods; one may be killed
  mail-operator local mail/ --data /srv/mail --host :: --port-offset 0    the standard ports, as root
  mail-operator local mail/ --bucket 's3://mail?endpoint=http://s3:8333'  mail in S3, with AWS_* variables

{_STATUS}"""
_RUN_EXAMPLES: Final = f"""\
for example:
  mail-operator run                                                       in a pod, as the helm chart starts it
  mail-operator run --config operator.yaml --kubeconfig ~/.kube/config    from outside, to try changes

{_STATUS}"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 0, or 2 with a message on standard error for what the user must mend."""
    parsed = _parser().parse_args(arguments)
    try:
        if parsed.command == "run":
            uvloop.run(_run(parsed))  # thousands of requests over TLS
        else:
            asyncio.run(_local(parsed))
    except (ManifestError, StateError, PortError, PodFailed, SettingsError) as error:
        print(f"mail-operator: {error}".replace("\n", "\n  "), file=sys.stderr)  # noqa: T201
        return 2
    return 0


class SettingsError(Exception):
    """The operator's settings cannot be used."""


async def _run(parsed: argparse.Namespace) -> None:
    """In a cluster. Its libraries are loaded here: local mode needs none of them."""
    from mailoperator.run import run
    from mailoperator.settings import load_settings

    try:
        settings = load_settings(parsed.config)
    except (OSError, ValueError) as error:
        raise SettingsError(f"settings: {error}") from None
    configure(pod=settings.pod_name)
    await run(settings, kubeconfig=parsed.kubeconfig)


async def _local(parsed: argparse.Namespace) -> None:
    ports = Ports(parsed.host, parsed.port_offset, parsed.pods)
    bucket = _bucket(parsed.bucket or str(parsed.data))
    state = LocalState(parsed.data)
    try:
        ports.check_free()
        try:
            objects = await open_bucket(bucket)
        except (ValueError, OSError) as error:
            raise StateError(f"bucket: {error}") from None
        options = Options(
            parsed.manifest, parsed.data, bucket, ports, hints=not parsed.no_hints, resolver=parsed.resolver
        )
        try:
            await Local(options, state, objects).run()
        finally:
            await objects.close()
    finally:
        state.close()


def _bucket(written: str) -> str:
    """A path is made absolute: the pods may be elsewhere."""
    return written if "://" in written else str(Path(written).absolute())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mail-operator",
        description="The operator of Mailpod: it makes MailDomains and Mailboxes into mail that is served.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"Mailpod {version('mailpod')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    local = commands.add_parser(
        "local",
        help="serve mail on this machine, from manifests in files",
        description="Serve mail on this machine, from manifests in files, and follow changes to them, until Ctrl-C.",
        epilog=_LOCAL_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    local.add_argument("manifest", nargs="+", type=Path, metavar="MANIFEST", help="YAML file, or a folder of them")
    local.add_argument(
        "--data", type=Path, default=Path("data"), metavar="DIR", help="the bucket, and .local in it; by default data"
    )
    local.add_argument(
        "--bucket", metavar="URL", help="a bucket elsewhere: a folder, or s3://bucket/prefix?endpoint=URL"
    )
    local.add_argument("--host", default="127.0.0.1", help="address to listen on; by default 127.0.0.1")
    local.add_argument(
        "--port-offset", type=int, default=10_000, metavar="N", help="added to the standard ports; by default 10000"
    )
    local.add_argument("--pods", type=int, default=1, metavar="N", help="mail pods that share the ports; by default 1")
    local.add_argument(
        "--no-hints", action="store_true", help="pods do not tell each other of new mail; they look every 5 s"
    )
    local.add_argument("--resolver", metavar="ADDRESS:PORT", help="the DNS server to ask about other domains")
    cluster = commands.add_parser(
        "run",
        help="serve the MailDomains and Mailboxes of a Kubernetes cluster",
        description="Serve the MailDomains and Mailboxes of a Kubernetes cluster, until told to stop.",
        epilog=_RUN_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    cluster.add_argument("--config", type=Path, metavar="FILE", help="settings; by default /etc/mailpod/operator.yaml")
    cluster.add_argument("--kubeconfig", metavar="FILE", help="the cluster; by default the one that this pod is in")
    return parser


if __name__ == "__main__":
    sys.exit(main())
