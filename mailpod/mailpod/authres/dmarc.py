"""DMARC (RFC 9989): the author domain's policy, found by the tree walk, and whether SPF or DKIM speaks for that domain.

- The organisational domain is what the DNS says (§4.10), not a list of suffixes that ages in an image.
- What cannot be looked up is a temperror, and nothing is refused by it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from mailpod.authres.dkim import Dkim
from mailpod.authres.spf import Spf
from mailpod.authres.tags import sound_tags
from mailpod.dns.answers import LookupFailed, Missing, NoSuchName
from mailpod.dns.resolver import Resolver

Result: TypeAlias = Literal["none", "pass", "fail", "temperror", "permerror"]
Disposition: TypeAlias = Literal["none", "quarantine", "reject"]

_POLICIES: Final[tuple[Disposition, ...]] = ("none", "quarantine", "reject")
_MOST_LABELS: Final = 8  # §4.10: a longer name's walk goes on at its last seven labels


@dataclass(frozen=True, slots=True)
class Policy:
    """A record (§4.7) and the domain it is of."""

    domain: str
    policy: Disposition
    subdomains: Disposition
    missing: Disposition  # np: of subdomains that do not exist
    strict_dkim: bool = False
    strict_spf: bool = False
    public_suffix: str = "u"
    testing: bool = False
    reported: bool = False  # rua: somebody wants aggregate reports


@dataclass(frozen=True, slots=True)
class Dmarc:
    """The outcome, and what the author's domain wants done. `record` is what it was found by, where it was found."""

    result: Result
    domain: str
    wanted: Disposition = "none"
    policy: Disposition = "none"  # as published, before t=
    record: Policy | None = None
    spf: bool = False  # passed, and speaks for the author's domain
    dkim: bool = False
    vouched: bool = False  # it fails, and a trusted server saw it pass (arc.py)


async def evaluate(resolver: Resolver, author: str, spf: Spf, signatures: Sequence[Dkim]) -> Dmarc:
    """Of one domain in From. Raises nothing."""
    try:
        policy = await find_policy(resolver, author)
        if policy is None:
            return Dmarc("none", author)
        spoken = await _spoken(resolver, author, spf, strict=policy.strict_spf)
        signed = {await _spoken(resolver, author, signature, strict=policy.strict_dkim) for signature in signatures}
        found = {spoken, *signed}
        if "pass" in found:
            published = policy.policy if policy.domain == author else policy.subdomains
            return Dmarc("pass", author, "none", published, policy, spf=spoken == "pass", dkim="pass" in signed)
        if "temperror" in found:
            return Dmarc("temperror", author)
        published = await _applicable(resolver, author, policy)
        wanted = _POLICIES[max(0, _POLICIES.index(published) - 1)] if policy.testing else published
        return Dmarc("fail", author, wanted, published, policy)
    except LookupFailed:
        return Dmarc("temperror", author)


async def _spoken(resolver: Resolver, author: str, said: Spf | Dkim, *, strict: bool) -> str:
    """Its result where it speaks for the author's domain; "" where it does not."""
    if said.result not in ("pass", "temperror"):
        return ""
    try:
        return said.result if await _aligned(resolver, author, said.domain, strict=strict) else ""
    except LookupFailed:
        return "temperror"


async def find_policy(resolver: Resolver, author: str) -> Policy | None:
    """The author domain's own record, else its organisational domain's (§4.10.1). Raises LookupFailed."""
    own = await _record(resolver, author)
    if own is not None:
        return own
    found = await _walk(resolver, author)
    return _organisational(author, found)[1]


async def organisational_domain(resolver: Resolver, domain: str) -> str:
    """§4.10.2. Raises LookupFailed."""
    return _organisational(domain, await _walk(resolver, domain))[0]


def _organisational(domain: str, found: Sequence[Policy]) -> tuple[str, Policy | None]:
    """The domain, and the record that speaks for it: `found` is of a walk, the longest name first."""
    for policy in found:
        if policy.public_suffix == "n":
            return policy.domain, policy
        if policy.public_suffix == "y" and policy.domain != domain:
            labels = policy.domain.count(".") + 2
            below = ".".join(domain.split(".")[-labels:])
            own = next((one for one in found if one.domain == below), policy)
            return below, own
    return (found[-1].domain, found[-1]) if found else (domain, None)


async def _walk(resolver: Resolver, domain: str) -> list[Policy]:
    found = []
    for name in walked(domain):
        policy = await _record(resolver, name)
        if policy is not None:
            found.append(policy)
            if policy.public_suffix in ("n", "y"):
                break
    return found


def walked(domain: str) -> Iterator[str]:
    """The names of a tree walk, at most eight of them."""
    labels = domain.split(".")
    yield domain
    start = 1 if len(labels) < _MOST_LABELS else len(labels) - (_MOST_LABELS - 1)
    for at in range(start, len(labels)):
        yield ".".join(labels[at:])


async def _record(resolver: Resolver, domain: str) -> Policy | None:
    try:
        records = (await resolver.txt(f"_dmarc.{domain}")).records
    except Missing:
        return None
    found = [policy for policy in (parse_record(record, domain) for record in records) if policy is not None]
    return found[0] if len(found) == 1 else None  # §4.10: several are none


def parse_record(raw: bytes, domain: str) -> Policy | None:
    """None for what is no DMARC record of version 1. A policy that is not known is none (§4.7)."""
    try:
        tags = sound_tags(raw.decode("ascii"))  # §4.7: what else is malformed is left out
    except UnicodeDecodeError:
        return None
    if tags.get("v") != "DMARC1" or next(iter(tags)) != "v":
        return None
    policy = _policy(tags.get("p"), "none")
    subdomains = _policy(tags.get("sp"), policy)
    return Policy(
        domain,
        policy,
        subdomains,
        _policy(tags.get("np"), subdomains),
        strict_dkim=tags.get("adkim", "r").lower() == "s",
        strict_spf=tags.get("aspf", "r").lower() == "s",
        public_suffix=tags.get("psd", "u").lower(),
        testing=tags.get("t", "n").lower() == "y",
        reported=bool(tags.get("rua")),
    )


def _policy(written: str | None, otherwise: Disposition) -> Disposition:
    return next((policy for policy in _POLICIES if policy == (written or "").lower()), otherwise)


async def _aligned(resolver: Resolver, author: str, domain: str, *, strict: bool) -> bool:
    """§4.4. Names elsewhere are not looked up: a DNS of theirs that does not answer must not make anything unsure."""
    domain = domain.rstrip(".").lower()
    if domain == author or strict:
        return domain == author
    ours = await organisational_domain(resolver, author)
    if domain != ours and not domain.endswith(f".{ours}"):
        return False
    return ours == await organisational_domain(resolver, domain)


async def may_align(resolver: Resolver, author: str, domain: str) -> bool:
    """Whether SPF of `domain` may speak for `author`, where DMARC is relaxed; also where the DNS does not tell."""
    try:
        return await _aligned(resolver, author, domain, strict=False)
    except LookupFailed:
        return True


async def _applicable(resolver: Resolver, author: str, policy: Policy) -> Disposition:
    if policy.domain == author:
        return policy.policy
    if policy.missing != policy.subdomains:
        try:
            await resolver.a(author)
        except NoSuchName:
            return policy.missing
        except Missing:
            pass
    return policy.subdomains
