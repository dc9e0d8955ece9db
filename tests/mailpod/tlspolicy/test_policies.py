"""Which policy holds for a domain: opportunistic, MTA-STS, DANE before it, REQUIRETLS on top."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.harness.pki import Pair, authority, issue
from tests.harness.zone import Zone

from mailpod.clock import SystemClock
from mailpod.dns.answers import Answer
from mailpod.tlspolicy.failure import CannotFetch, Deferred, Failure
from mailpod.tlspolicy.policies import TlsPolicies
from mailpod.tlspolicy.policy import Policy
from mailpod.tlspolicy.roots import Roots
from mailpod.tlspolicy.settings import TlsPolicySettings
from mailpod.tlspolicy.sts import StsPolicy

ROOT = authority()
BELOW = authority("Intermediate", ROOT)
GOOD = issue(ROOT, "mx.example")
STRANGER = issue(authority("Another"), "mx.example")
ENFORCED = StsPolicy("enforce", 86400, ("mx.example", "*.backup.example"))
ANNOUNCED = '_mta-sts.example TXT "v=STSv1; id=1"'


class Site:
    """The HTTPS server of the domain's policy."""

    def __init__(self, policy: StsPolicy | None) -> None:
        self.policy_there = policy

    async def policy(self, domain: str) -> StsPolicy:
        if self.policy_there is None:
            raise CannotFetch("sts-policy-fetch-error", "nobody answers")
        return self.policy_there


@pytest.fixture
def roots(tmp_path_factory: pytest.TempPathFactory) -> Roots:
    return Roots(ROOT.write(tmp_path_factory.mktemp("roots"))[0])


class World:
    """`example`, whose exchanger is `mx.example`, as the sender finds it."""

    def __init__(self, roots: Roots, *records: str, sts: StsPolicy | None = None, secure: bool = False) -> None:
        self.zone = Zone(*records, authentic=secure)
        self.secure = secure
        self.policies = TlsPolicies(TlsPolicySettings(), self.zone.resolver(), roots, Site(sts), SystemClock())

    async def at(self, host: str = "mx.example", canonical: str = "", **message: bool) -> Policy:
        policy = await self.policies.policy_for("example", secure=self.secure, **message)
        return await self.policies.at_host(policy, host, Answer(("192.0.2.1",), self.secure, 60, canonical or host))


def says(policy: Policy, pair: Pair, host: str = "mx.example") -> str | None:
    failure = policy.verify(host, pair.chain) if policy.verify else None
    return failure and failure.result


def tlsa(usage: int, selector: int, matching: int, pair: Pair, host: str = "mx.example") -> str:
    key = pair.certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    data = key if selector else pair.der
    data = {0: bytes, 1: lambda d: hashlib.sha256(d).digest(), 2: lambda d: hashlib.sha512(d).digest()}[matching](data)
    return f"_25._tcp.{host} TLSA {usage} {selector} {matching} {data.hex()}"


async def test_without_a_policy_anything_goes(roots: Roots) -> None:
    policy = await World(roots).at()
    assert (policy.kind, policy.mandatory, policy.verify) == ("none", False, None)
    assert policy.allows("anything.example")


async def test_sts_enforced(roots: Roots) -> None:
    policy = await World(roots, ANNOUNCED, sts=ENFORCED).at()
    assert (policy.kind, policy.mandatory) == ("sts", True)
    assert policy.allows("mx.example") and policy.allows("MX2.backup.example")
    assert not policy.allows("mx.elsewhere.example")
    assert says(policy, GOOD) is None
    assert says(policy, STRANGER) == "certificate-not-trusted"
    assert says(policy, GOOD, "mx2.backup.example") == "certificate-host-mismatch"
    assert policy.lines == (
        "version: STSv1",
        "mode: enforce",
        "mx: mx.example",
        "mx: *.backup.example",
        "max_age: 86400",
    )


async def test_sts_in_testing_reports_and_delivers(roots: Roots) -> None:
    policy = await World(roots, ANNOUNCED, sts=StsPolicy("testing", 86400, ("mx.example",))).at()
    assert not policy.mandatory and policy.allows("mx.elsewhere.example")
    assert says(policy, STRANGER) == "certificate-not-trusted"


async def test_sts_none_is_no_policy(roots: Roots) -> None:
    assert (await World(roots, ANNOUNCED, sts=StsPolicy("none", 86400)).at()).kind == "none"


async def test_an_announced_policy_that_cannot_be_had_is_reported(roots: Roots) -> None:
    policy = await World(roots, ANNOUNCED, sts=None).at()
    assert policy.kind == "none" and not policy.mandatory
    assert policy.fault == Failure("sts-policy-fetch-error", "nobody answers")


@pytest.mark.parametrize("selector", [0, 1])
@pytest.mark.parametrize("matching", [0, 1, 2])
async def test_dane_end_entity(roots: Roots, selector: int, matching: int) -> None:
    """RFC 7672 §3.1.1: name, dates and issuer do not matter."""
    mine = issue(None, "another.name", days=-1)
    policy = await World(roots, tlsa(3, selector, matching, mine), secure=True).at()
    assert (policy.kind, policy.mandatory) == ("dane", True)
    assert says(policy, mine) is None
    assert says(policy, GOOD) == "validation-failure"


@pytest.mark.parametrize("selector", [0, 1])
@pytest.mark.parametrize("matching", [0, 1, 2])
async def test_dane_trust_anchor(roots: Roots, selector: int, matching: int) -> None:
    """RFC 7672 §3.1.2: the anchor stands in the chain; names and dates count."""
    policy = await World(roots, tlsa(2, selector, matching, BELOW), secure=True).at()
    assert says(policy, issue(BELOW, "mx.example")) is None
    assert says(policy, issue(BELOW, "example")) is None  # the recipient's domain will do
    assert says(policy, issue(BELOW, "other.example")) == "certificate-host-mismatch"
    assert says(policy, issue(BELOW, "mx.example", days=-1)) == "certificate-expired"
    assert says(policy, GOOD) in ("validation-failure", "certificate-not-trusted")
    pretender = issue(ROOT, "mx.example")  # shows the anchor, but was not signed by it
    assert says(policy, Pair(pretender.certificate, pretender.key, (BELOW.certificate,))) == "certificate-not-trusted"


async def test_dane_trust_anchor_left_out_of_the_chain(roots: Roots) -> None:
    leaf = issue(BELOW, "mx.example")
    alone = Pair(leaf.certificate, leaf.key)
    assert says(await World(roots, tlsa(2, 0, 0, BELOW), secure=True).at(), alone) is None
    assert says(await World(roots, tlsa(2, 0, 1, BELOW), secure=True).at(), alone) == "validation-failure"


async def test_a_leaf_is_no_trust_anchor(roots: Roots) -> None:
    leaf = issue(None, "mx.example")
    assert says(await World(roots, tlsa(2, 1, 1, leaf), secure=True).at(), leaf) == "validation-failure"


@pytest.mark.parametrize(
    "record", [tlsa(1, 1, 1, GOOD), "_25._tcp.mx.example TLSA 3 1 9 00ff", "_25._tcp.mx.example TLSA 3 0 0 00ff"]
)
async def test_unusable_records_ask_for_tls_with_anybody(roots: Roots, record: str) -> None:
    """RFC 7672 §2.2."""
    policy = await World(roots, record, secure=True).at()
    assert (policy.kind, policy.mandatory, policy.verify) == ("dane", True, None)


async def test_unusable_records_beside_sts_leave_its_certificates(roots: Roots) -> None:
    policy = await World(roots, tlsa(1, 1, 1, GOOD), ANNOUNCED, sts=ENFORCED, secure=True).at()
    assert policy.mandatory and says(policy, STRANGER) == "certificate-not-trusted"


async def test_without_dnssec_there_is_no_dane(roots: Roots) -> None:
    assert (await World(roots, tlsa(3, 1, 1, STRANGER), secure=False).at()).kind == "none"


async def test_an_exchanger_whose_addresses_are_not_authentic_has_no_dane(roots: Roots) -> None:
    world = World(roots, tlsa(3, 1, 1, STRANGER), secure=True)
    policy = await world.policies.policy_for("example", secure=True)
    assert (await world.policies.at_host(policy, "mx.example", Answer(("192.0.2.1",), False))).kind == "none"


async def test_a_failing_tlsa_look_up_defers(roots: Roots) -> None:
    """RFC 7672 §2.1.2: bogus, or no answer."""
    world = World(roots, secure=True)
    world.zone.failing.add("_25._tcp.mx.example")
    with pytest.raises(Deferred) as told:
        await world.at()
    assert told.value.failure.result == "dnssec-invalid"


async def test_dane_goes_before_sts(roots: Roots) -> None:
    """RFC 8461 §2: neither may MTA-STS forbid what DANE allows, nor mend what it refuses."""
    world = World(roots, tlsa(3, 1, 1, STRANGER, "mx.elsewhere.example"), ANNOUNCED, sts=ENFORCED, secure=True)
    policy = await world.at("mx.elsewhere.example")
    assert policy.kind == "dane" and policy.allows("mx.elsewhere.example")
    assert says(policy, STRANGER) is None
    assert says(policy, GOOD) == "validation-failure"


async def test_an_alias_is_asked_for_where_it_leads_first(roots: Roots) -> None:
    """RFC 7672 §2.2.2."""
    there, here = issue(None, "real.example"), issue(None, "mx.example")
    world = World(roots, tlsa(3, 1, 1, there, "real.example"), tlsa(3, 1, 1, here), secure=True)
    policy = await world.at(canonical="real.example")
    assert policy.sni("mx.example") == "real.example" and says(policy, there) is None
    world.zone.remove("_25._tcp.real.example")
    policy = await World(roots, tlsa(3, 1, 1, here), secure=True).at(canonical="real.example")
    assert policy.sni("mx.example") == "mx.example" and says(policy, here) is None


async def test_requiretls_wants_names_vouched_for(roots: Roots) -> None:
    """RFC 8689 §4.2.1."""
    policy = await World(roots).at(require_tls=True)
    assert policy.require_extension and policy.mandatory and not policy.allows("mx.example")
    policy = await World(roots, secure=True).at(require_tls=True)
    assert policy.kind == "requiretls" and policy.allows("mx.example")
    assert says(policy, GOOD) is None and says(policy, STRANGER) == "certificate-not-trusted"
    testing = StsPolicy("testing", 86400, ("mx.example",))
    policy = await World(roots, ANNOUNCED, sts=testing).at(require_tls=True)
    assert policy.mandatory and policy.allows("mx.example") and not policy.allows("mx.elsewhere.example")
    policy = await World(roots, tlsa(3, 1, 1, STRANGER), secure=True).at(require_tls=True)
    assert policy.kind == "dane" and policy.require_extension and says(policy, STRANGER) is None


async def test_tls_required_no_sets_policies_aside(roots: Roots) -> None:
    """RFC 8689 §5, and §4.1 where both are there."""
    world = World(roots, tlsa(3, 1, 1, STRANGER), ANNOUNCED, sts=ENFORCED, secure=True)
    assert (await world.at(ignore=True)).kind == "none"
    assert (await world.at(ignore=True, require_tls=True)).kind == "dane"


def test_a_smarthost_is_verified_where_asked(roots: Roots) -> None:
    policies = World(roots).policies
    checked, unchecked = policies.fixed("mx.example", verify=True), policies.fixed("mx.example", verify=False)
    assert checked.mandatory and unchecked.mandatory
    assert says(checked, STRANGER) == "certificate-not-trusted" and says(checked, GOOD) is None
    assert says(unchecked, STRANGER) is None
