"""What TLS with a mail exchanger must be: the values that the SMTP client obeys.

- A handshake is never cut by a certificate: `check`, after it and before anything else is sent, tells what is wrong.
  So one way serves policies that bind and those that only report, and the reason is in our words. Nothing is lost by
  it: the handshake has proved who holds the leaf's key, whatever Python was told to verify.
- A failure binds where the policy is `mandatory`, and is only reported elsewhere.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, Protocol, TypeAlias

from mailpod.dns.answers import Answer
from mailpod.tlspolicy.chain import chain_of
from mailpod.tlspolicy.failure import Failure

Kind: TypeAlias = Literal["none", "sts", "dane", "requiretls", "fixed"]

Check: TypeAlias = Callable[[str, Sequence[bytes]], Failure | None]
"""The mail exchanger's name and the chain that it showed (DER, the leaf first): what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Of one recipient's domain; of one mail exchanger, once `Policies.at_host` has looked at it."""

    domain: str
    kind: Kind = "none"
    mandatory: bool = False
    """Without TLS that passes `check` nothing is sent to this host. Else the message may go in the clear."""
    require_extension: bool = False
    """The server must offer REQUIRETLS after STARTTLS, and MAIL says it (RFC 8689 §4.2.1)."""
    secure: bool = False
    """The names of the domain's exchangers are DNSSEC-authentic."""
    hosts: Callable[[str], bool] | None = None
    """Which mail exchangers the policy knows; None: all."""
    verify: Check | None = None
    server_name: str = ""
    """The name for SNI, where it is not the exchanger's."""
    lines: tuple[str, ...] = ()
    """The policy in its own words, for reports (RFC 8460 §4.4 policy-string)."""
    patterns: tuple[str, ...] = ()
    """The exchangers that it names, for reports (mx-host)."""
    fault: Failure | None = None
    """Why a policy that the domain announces could not be had: reported, and nothing else."""

    def allows(self, mx_host: str) -> bool:
        """Whether mail may go to this exchanger at all (RFC 8461 §4.1); `refusal` says why not."""
        return not self.mandatory or self.hosts is None or self.hosts(mx_host)

    def refusal(self, mx_host: str) -> Failure:
        if self.kind == "requiretls":
            return Failure("validation-failure", f"REQUIRETLS: nothing vouches for {mx_host} as the domain's server")
        return Failure("validation-failure", f"{mx_host} is none of the mail servers that the domain's policy names")

    def sni(self, mx_host: str) -> str:
        """The name for the handshake's SNI (RFC 7672 §8.1, RFC 8461 §4.2)."""
        return self.server_name or mx_host

    def context(self, mx_host: str) -> ssl.SSLContext:
        """For the handshake with it."""
        return _strict() if self.mandatory else _lenient()

    def check(self, mx_host: str, connection: ssl.SSLObject | ssl.SSLSocket) -> Failure | None:
        """Run after the handshake. A failure binds where the policy is `mandatory`."""
        if self.hosts is not None and not self.hosts(mx_host):
            return self.refusal(mx_host)
        return None if self.verify is None else self.verify(mx_host, chain_of(connection))

    def no_tls(self, mx_host: str) -> Failure:
        """The server offers no STARTTLS, refuses it, or the handshake failed."""
        return Failure("starttls-not-supported", f"no TLS with {mx_host}")


class Policies(Protocol):
    """What the SMTP client asks; policies.py answers."""

    async def policy_for(self, domain: str, *, secure: bool, require_tls: bool = False, ignore: bool = False) -> Policy:
        """The policy of a recipient's domain. Raises nothing: what cannot be had is no policy, and reported.

        `secure`: the domain's MX records, or that there are none, are DNSSEC-authentic. `require_tls` is the message's
        REQUIRETLS, and `ignore` its `TLS-Required: No` (RFC 8689).
        """

    async def at_host(self, policy: Policy, mx_host: str, addresses: Answer[str]) -> Policy:
        """The policy once the exchanger's addresses are known: the one to ask `allows` and to connect by.

        Raises Deferred where it cannot be told now (RFC 7672 §2.1.2): try the next exchanger, or later.
        """

    def fixed(self, host: str, *, verify: bool) -> Policy:
        """TLS is a must, with a server that was configured (a smarthost); `verify` its certificate for `host`."""

    def record(self, policy: Policy, mx_host: str, failure: Failure | None) -> None:
        """How TLS went with an exchanger, once a connection, for the domain's report (RFC 8460)."""


def opportunistic(domain: str, *, secure: bool = False, fault: Failure | None = None) -> Policy:
    """TLS where it can be had, with anybody; in the clear where not (RFC 7435)."""
    return Policy(domain, secure=secure, fault=fault)


@cache
def _strict() -> ssl.SSLContext:
    context = _context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8997
    return context


@cache
def _lenient() -> ssl.SSLContext:
    """The alternative is the clear, so any key and any version is better than none (RFC 7435 §3)."""
    context = _context()
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    return context


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # `check` verifies, once the handshake is done
    context.options |= ssl.OP_NO_COMPRESSION
    return context
