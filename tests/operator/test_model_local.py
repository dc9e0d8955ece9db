"""What the cluster's fields mean where there is no cluster."""

from pathlib import Path

import pytest

from mailoperator.entries import build_entries
from mailoperator.localonly import check_local, left_aside
from mailoperator.manifests import ManifestError, Manifests, load
from mailoperator.references import check
from mailpod.directory import AliasEntry, DomainEntry, MailboxEntry

EXAMPLES = Path(__file__).parents[2] / "examples"
DOMAIN = """\
apiVersion: mailpod.dev/v1alpha1
kind: MailDomain
metadata: {name: example}
spec:
  domainName: example.com
"""
ALICE = """\
---
apiVersion: mailpod.dev/v1alpha1
kind: Mailbox
metadata: {name: alice}
spec:
  domainRef: {name: example}
"""


def loaded(tmp_path: Path, text: str) -> Manifests:
    (tmp_path / "m.yaml").write_text(text)
    found = load([tmp_path / "m.yaml"])
    check(found)
    check_local(found)
    return found


def told(tmp_path: Path, text: str) -> str:
    with pytest.raises(ManifestError) as caught:
        loaded(tmp_path, text)
    return str(caught.value)


def test_the_cluster_s_examples_are_good_here_too() -> None:
    found = load([EXAMPLES / "cluster"])
    check(found)
    check_local(found)
    (line,) = left_aside(found)
    assert line.endswith("MailDomain default/example: spec.server is for a cluster, and left aside")
    assert not found.secrets, "passwords are made"


ADDRESSES = """\
  groups: [{localPart: Team, members: [alice, info]}]
  catchAll: info
"""


def test_groups_and_catch_all_hold_in_every_domain(tmp_path: Path) -> None:
    text = DOMAIN + "  aliasDomains: [example.net]\n" + ADDRESSES + ALICE + "  aliases: [info]\n"
    entries = build_entries(loaded(tmp_path, text), {("default", "alice"): "$argon2id$x"})
    for entry in (entry for entry in entries if isinstance(entry, DomainEntry)):
        assert entry.groups == {"team": ("alice@example.com", "info@example.com")}
        assert entry.catch_all == "info@example.com"


def test_trusted_sealers(tmp_path: Path) -> None:
    (entry,) = build_entries(loaded(tmp_path, DOMAIN + "  trustedSealers: [Lists.Example.ORG]\n"), {})
    assert isinstance(entry, DomainEntry) and entry.trusted_sealers == ("lists.example.org",)


def test_forwarding_stays_inside(tmp_path: Path) -> None:
    inside = DOMAIN + ALICE + "  forwarding: {to: [Bob@Example.COM], keepCopy: Disabled}\n"
    (entry,) = (
        entry
        for entry in build_entries(loaded(tmp_path, inside), {("default", "alice"): "$argon2id$x"})
        if isinstance(entry, MailboxEntry)
    )
    assert (entry.forward_to, entry.keep_copy) == (("bob@example.com",), False)
    outside = told(tmp_path, inside.replace("Bob@Example.COM", "me@far.example"))
    assert (
        "spec.forwarding.to[0]: me@far.example is of no domain here, and forwardingPolicy Internal of MailDomain"
        " default/example lets no mail go there"
    ) in outside


@pytest.mark.parametrize(
    ("policy", "entry"),
    [
        ("forwardingPolicy: Any", ("any", ())),
        ("forwardingPolicy: Listed\n  forwardingDomains: [FAR.example]", ("listed", ("far.example",))),
        ("forwardingPolicy: Listed\n  forwardingDomains: [other.example]", None),
    ],
)
def test_forwarding_to_other_domains(tmp_path: Path, policy: str, entry: tuple[str, tuple[str, ...]] | None) -> None:
    text = DOMAIN + f"  {policy}\n" + ALICE + "  forwarding: {to: [me@far.example]}\n"
    if entry is None:
        assert "forwardingPolicy Listed of MailDomain default/example lets no mail go there" in told(tmp_path, text)
        return
    entries = build_entries(loaded(tmp_path, text), {("default", "alice"): "$argon2id$x"})
    (domain,) = (found for found in entries if isinstance(found, DomainEntry))
    assert (domain.forwarding, domain.forwarding_domains) == entry


def test_members_are_somebody(tmp_path: Path) -> None:
    wrong = told(tmp_path, DOMAIN + ADDRESSES + ALICE)
    assert "spec.catchAll: no Mailbox of MailDomain default/example has info" in wrong
    assert "spec.groups[0].members[1]: no Mailbox of MailDomain default/example has info" in wrong
    taken = told(tmp_path, DOMAIN + "  groups: [{localPart: alice, members: [alice]}]\n" + ALICE)
    assert "spec.groups[0]: alice is a Mailbox's already" in taken


def test_alias_domains_have_every_address(tmp_path: Path) -> None:
    found = loaded(tmp_path, DOMAIN + "  aliasDomains: [example.net]\n" + ALICE + "  aliases: [info]\n")
    entries = build_entries(found, {("default", "alice"): "$argon2id$x"})
    domains = {entry.name: entry for entry in entries if isinstance(entry, DomainEntry)}
    assert set(domains) == {"example.com", "example.net"}
    assert domains["example.net"].postmaster == "alice@example.com"
    assert domains["example.net"].hostname == "mail.example.com"
    assert [entry.address for entry in entries if isinstance(entry, MailboxEntry)] == ["alice@example.com"]
    aliases = {entry.address: entry.targets for entry in entries if isinstance(entry, AliasEntry)}
    assert aliases == dict.fromkeys(
        ["info@example.com", "alice@example.net", "info@example.net"], ("alice@example.com",)
    )


def test_a_domain_is_one_s_only(tmp_path: Path) -> None:
    other = "---\n" + DOMAIN.replace("name: example}", "name: b}").replace("example.com", "example.org")
    assert 'spec.aliasDomains[0]: "example.com" is MailDomain default/example\'s already' in told(
        tmp_path, DOMAIN + other + "  aliasDomains: [EXAMPLE.com]\n"
    )


@pytest.mark.parametrize("field", ["localPart: Postmaster", "aliases: [admin]"])
def test_local_parts_of_the_owner_take_an_allow_list(tmp_path: Path, field: str) -> None:
    manifest = ALICE + f"  {field}\n"
    said = told(tmp_path, DOMAIN + manifest)
    assert "stands for the domain's owner: write " in said and "in allowedReservedLocalParts of" in said
    loaded(tmp_path, DOMAIN + "  allowedReservedLocalParts: [postmaster, admin]\n" + manifest)


@pytest.mark.parametrize(
    ("field", "problem"),
    [
        ("server: {storage: {bucket: mail}}", "spec.server.storage: local mode keeps mail in --data or --bucket"),
        ("tls: {secretRef: {name: x}}", "spec.tls.secretRef: local mode has a certificate of its own"),
        ("tls: {issuerRef: {name: x}}", "spec.tls.issuerRef: local mode has a certificate of its own"),
        ("servedByRef: {name: nope}", "spec.servedByRef.name: no MailDomain default/nope"),
    ],
)
def test_what_only_a_cluster_has_is_refused(tmp_path: Path, field: str, problem: str) -> None:
    assert problem in told(tmp_path, DOMAIN + f"  {field}\n")


def test_whoever_serves_others_is_not_served(tmp_path: Path) -> None:
    def domain(name: str, field: str) -> str:
        renamed = DOMAIN.replace("name: example}", f"name: {name}}}").replace("example.com", f"{name}.example.com")
        return f"---\n{renamed}  {field}\n"

    b = domain("b", "servedByRef: {name: example}")
    loaded(tmp_path, DOMAIN + b)
    assert "MailDomain default/b is itself served by another" in told(
        tmp_path, DOMAIN + b + domain("c", "servedByRef: {name: b}")
    )
