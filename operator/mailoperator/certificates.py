"""Which certificate a domain is served with, and what CertificateReady says of it.

- A new pair replaces the one in use only where it is better: a Secret that is half written, expired or for other names
  takes no working TLS away.
- What is served may still be faulty, where there is nothing better; the condition then says so.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from mailoperator.build import names as child_names
from mailoperator.certificate import is_good_for, self_signed
from mailoperator.conditions import AS_WANTED, CERTIFICATE_READY, Condition
from mailoperator.model import MailDomain
from mailoperator.offered import Raw, Reader, Refused, offered, value

# Reasons of CertificateReady, beside SecretMissing and SecretNotOffered
SELF_SIGNED: Final = "SelfSigned"  # true: clients must be told to trust it
HOST_CERTIFICATE: Final = "HostCertificate"  # true: the server's own has the name
EXPIRES_SOON: Final = "ExpiresSoon"  # true, still: nobody renewed it
EXPIRED: Final = "Expired"
NOT_YET_VALID: Final = "NotYetValid"
NAMES_MISSING: Final = "NamesMissing"  # it is for other names
CERTIFICATE_INVALID: Final = "CertificateInvalid"  # it cannot be read, or the key is another's
ISSUING: Final = "Issuing"  # cert-manager has not written it yet
ISSUER_UNAVAILABLE: Final = "IssuerUnavailable"  # the cluster has no cert-manager

_SOON: Final = 14 * 86_400.0  # cert-manager renews with a third of the time left


@dataclass(frozen=True, slots=True)
class TlsPair:
    """A certificate chain and its key, PEM."""

    certificate: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SelfSigned:
    """To be made here."""


@dataclass(frozen=True, slots=True)
class HostsOwn:
    """The serving MailDomain's, where it has the name; a self-signed one where it has not."""


Offer: TypeAlias = TlsPair | SelfSigned | HostsOwn | Refused
"""What a MailDomain's `tls` gives, or why it gives nothing."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A pair, looked at. `rank`: 2 is good, 1 can be served for want of another, 0 cannot be served."""

    rank: int
    reason: str
    message: str
    expires: float | None = None


def judge(pair: TlsPair, names: Iterable[str], now: float) -> Judgement:
    """Whether a pair will do for these names. Seconds since the epoch."""
    try:
        leaf = x509.load_pem_x509_certificates(pair.certificate)[0]
        key = load_pem_private_key(pair.key, None, unsafe_skip_rsa_key_validation=True)  # the pods' OpenSSL checks it
        same = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) == (
            leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        )
    except (ValueError, TypeError) as error:
        return Judgement(0, CERTIFICATE_INVALID, f"the certificate or its key cannot be read: {_short(error)}")
    except Exception as error:  # cryptography's UnsupportedAlgorithm is no ValueError
        return Judgement(0, CERTIFICATE_INVALID, f"the certificate or its key is of an unknown kind: {_short(error)}")
    if not same:
        return Judgement(0, CERTIFICATE_INVALID, "the private key is not the certificate's")
    return _judge_leaf(leaf, names, now)


def _judge_leaf(leaf: x509.Certificate, names: Iterable[str], now: float) -> Judgement:
    expires = leaf.not_valid_after_utc.timestamp()
    if expires <= now:
        return Judgement(1, EXPIRED, f"the certificate expired on {_day(expires)}", expires)
    if (begins := leaf.not_valid_before_utc.timestamp()) > now:
        return Judgement(1, NOT_YET_VALID, f"the certificate is valid from {_day(begins)}", expires)
    held = names_in(leaf)
    if missing := [name for name in names if not covers(held, name)]:
        has = ", ".join(held[:5]) or "none"
        return Judgement(
            1, NAMES_MISSING, f"the certificate is not for {', '.join(missing)} (its names: {has})", expires
        )
    if expires - now < _SOON:
        return Judgement(2, EXPIRES_SOON, f"the certificate expires on {_day(expires)}", expires)
    reason = SELF_SIGNED if leaf.issuer == leaf.subject else AS_WANTED
    return Judgement(2, reason, f"until {_day(expires)}", expires)


def names_in(leaf: x509.Certificate) -> list[str]:
    """The DNS names it is for; a common name is none (RFC 9525 §2)."""
    try:
        extension = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return []
    return [name.lower() for name in extension.value.get_values_for_type(x509.DNSName)]


def covers(held: Sequence[str], name: str) -> bool:
    """RFC 9525 §6.3: a wildcard stands for exactly the leftmost label."""
    return name in held or f"*.{name.partition('.')[2]}" in held


def choose(offer: Offer, current: TlsPair | None, names: Sequence[str], now: float) -> tuple[TlsPair | None, Condition]:
    """The pair to serve, and the condition. A HostsOwn comes here only where the host's has not the names."""
    if isinstance(offer, TlsPair):
        return _better(offer, current, names, now)
    if isinstance(offer, Refused):
        kept = f"; the last good certificate is still served ({_told(current, names, now)})" if current else ""
        return current, Condition(CERTIFICATE_READY, "False", offer.reason, offer.message + kept)
    pair = current if current and _is_ours(current, names) else TlsPair(*self_signed(names))
    judged = judge(pair, names, now)
    return pair, Condition(
        CERTIFICATE_READY, "True", SELF_SIGNED, f"self-signed, {judged.message}: clients must be told to trust it"
    )


def _better(
    offer: TlsPair, current: TlsPair | None, names: Sequence[str], now: float
) -> tuple[TlsPair | None, Condition]:
    judged = judge(offer, names, now)
    status = "True" if judged.rank == 2 else "False"
    condition = Condition(CERTIFICATE_READY, "True" if status == "True" else "False", judged.reason, judged.message)
    if judged.rank == 2 or current is None:
        return (offer if judged.rank else None), condition
    before = judge(current, names, now)
    if before.rank > judged.rank:
        message = f"{judged.message}; the last good certificate is still served ({before.message})"
        return current, Condition(CERTIFICATE_READY, "False", judged.reason, message)
    return (offer if judged.rank else current), condition


def host_covers(host: TlsPair | None, names: Sequence[str], now: float) -> bool:
    return host is not None and judge(host, names, now).rank == 2


async def offer_of(domain: MailDomain, kube: Reader, *, known: Raw | None, has_cert_manager: bool) -> Offer:
    """What a MailDomain's `tls` gives. `known` is its Secret, where the watch has it. Raises ApiError."""
    tls = domain.spec.tls
    if tls is None:
        return HostsOwn() if domain.spec.served_by_ref else SelfSigned()
    try:
        if tls.secret_ref:
            return _pair_in(await offered(kube, domain.metadata.namespace, tls.secret_ref.name, "tls", known))
        if tls.issuer_ref:
            return await _issued(domain, kube, known, has_cert_manager)
    except Refused as refused:
        return refused
    return SelfSigned()


def secret_name(domain: MailDomain) -> str | None:
    """The Secret that holds a MailDomain's certificate, to look up `known` by; None where there is none."""
    tls = domain.spec.tls
    if tls and tls.secret_ref:
        return tls.secret_ref.name
    return child_names.certificate_secret(domain) if tls and tls.issuer_ref else None


async def _issued(domain: MailDomain, kube: Reader, known: Raw | None, has_cert_manager: bool) -> TlsPair:
    if not has_cert_manager:
        raise Refused(ISSUER_UNAVAILABLE, "the cluster has no cert-manager (cert-manager.io/v1): use tls.secretRef")
    name = child_names.certificate_secret(domain)
    secret = known or await kube.get("v1", "Secret", domain.metadata.namespace, name)
    if secret is None:
        raise Refused(ISSUING, f"cert-manager has not written Secret {name} yet: see Certificate {name}")
    return _pair_in(await offered(kube, domain.metadata.namespace, name, "tls", secret))


def _pair_in(secret: Raw) -> TlsPair:
    certificate, key = value(secret, "tls.crt"), value(secret, "tls.key")
    if not certificate or not key:
        raise Refused(ISSUING, f"Secret {secret['metadata']['name']} has no certificate in it yet")
    return TlsPair(certificate, key)


def _is_ours(pair: TlsPair, names: Sequence[str]) -> bool:
    try:
        leaf = x509.load_pem_x509_certificate(pair.certificate)
    except ValueError:
        return False
    return leaf.issuer == leaf.subject and set(names_in(leaf)) == set(names) and is_good_for(pair.certificate, names)


def _told(pair: TlsPair | None, names: Sequence[str], now: float) -> str:
    return judge(pair, names, now).message if pair else "none"


def _day(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d")


def _short(error: Exception) -> str:
    return (str(error).partition("\n")[0] or type(error).__name__)[:120]
