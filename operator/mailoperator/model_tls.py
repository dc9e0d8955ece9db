"""Whose certificate a domain has."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

from mailoperator.model_base import Matching, Model, ObjectName, ObjectRef, rule


class IssuerRef(Model):
    """An issuer of cert-manager, which makes and renews the certificate."""

    ATOMIC = True

    name: ObjectName
    """Its name."""
    kind: Annotated[str, StringConstraints(max_length=63), Matching(r"^[A-Z][A-Za-z0-9]*$", "a kind")] = "Issuer"
    """`Issuer` of this namespace, or `ClusterIssuer`."""
    group: Annotated[
        str, StringConstraints(max_length=253), Matching(r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", "an API group")
    ] = "cert-manager.io"
    """The issuer's API group."""


class SelfSigned(Model):
    """A certificate that nobody trusts, for trials."""


class Tls(Model):
    """The certificate of hostname and domainName. Clients that name a host get that host's own (SNI)."""

    secret_ref: ObjectRef | None = None
    """A Secret of type kubernetes.io/tls."""
    issuer_ref: IssuerRef | None = None
    """An issuer of cert-manager."""
    self_signed: SelfSigned | None = None
    """A certificate that nobody trusts, for trials: `{}`."""

    @rule(
        "[has(self.secretRef), has(self.issuerRef), has(self.selfSigned)].filter(given, given).size() == 1",
        "exactly one of secretRef, issuerRef and selfSigned is required",
    )
    def _one_source(self) -> bool:
        return [self.secret_ref, self.issuer_ref, self.self_signed].count(None) == 2
