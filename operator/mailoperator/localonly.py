"""What local mode does without: its bucket is --data or --bucket, and its certificate is its own."""

from __future__ import annotations

from collections.abc import Iterator

from mailoperator.manifests import ManifestError, Manifests
from mailoperator.model import MailDomain


def check_local(found: Manifests) -> None:
    """Raises ManifestError where manifests ask for what only a cluster has, and mail would not be where they say."""
    problems = [
        f"{found.place(domain)}: {problem}" for domain in found.domains.values() for problem in _refused(domain)
    ]
    if problems:
        raise ManifestError(problems)


def left_aside(found: Manifests) -> list[str]:
    """Lines about what is read and has no effect here."""
    return [
        f"{found.place(domain)}: spec.server is for a cluster, and left aside"
        for domain in found.domains.values()
        if domain.spec.server is not None
    ]


def _refused(domain: MailDomain) -> Iterator[str]:
    server, tls = domain.spec.server, domain.spec.tls
    if server and server.storage:
        yield "spec.server.storage: local mode keeps mail in --data or --bucket: leave storage out, or use a cluster"
    if tls and tls.self_signed is None:
        source = "secretRef" if tls.secret_ref else "issuerRef"
        yield f"spec.tls.{source}: local mode has a certificate of its own: leave tls out, or use a cluster"
