"""Manifests as the directory entries they become."""

from pathlib import Path

from mailoperator.entries import build_entries
from mailoperator.manifests import load
from mailpod.directory import LATER, AliasEntry, DomainEntry, MailboxEntry

MANIFEST = """\
apiVersion: mailpod.dev/v1alpha1
kind: MailDomain
metadata: {name: example, generation: 3, uid: u-d}
spec:
  domainName: Example.COM
  maxMessageSize: 1Mi
  mailboxDefaults:
    quota: {storage: 1Gi, messages: 1000}
    protocols: [POP3, IMAP]
    retention: [{folder: Trash, days: 30}, {folder: Junk, days: 14}]
---
apiVersion: mailpod.dev/v1alpha1
kind: Mailbox
metadata: {name: alice, creationTimestamp: "2026-02-02T00:00:00Z"}
spec:
  domainRef: {name: example}
  aliases: [info]
---
apiVersion: mailpod.dev/v1alpha1
kind: Mailbox
metadata: {name: bob, uid: u-b, creationTimestamp: "2026-01-01T00:00:00Z"}
spec:
  domainRef: {name: example}
  localPart: Bob.B
  quota: {storage: 2Gi}
  protocols: []
  retention: []
  suspended: true
"""


def test_entries(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(MANIFEST)
    found = load([tmp_path])
    assert build_entries(found, {("default", "alice"): "$argon2id$a", ("default", "bob"): "$argon2id$b"}) == [
        DomainEntry(
            name="example.com",
            hostname="mail.example.com",
            max_message_bytes=1 << 20,
            postmaster="bob.b@example.com",  # the oldest
            reads=LATER,
            owner="u-d",
            generation=3,
        ),
        MailboxEntry(
            address="alice@example.com",
            domain="example.com",
            local="alice",
            verifiers=("$argon2id$a",),
            quota_bytes=1 << 30,
            quota_messages=1000,
            protocols=("imap", "pop3"),
            retention={"Trash": 30, "Junk": 14},
            owner="file:default/alice",
        ),
        AliasEntry(
            address="info@example.com",
            domain="example.com",
            local="info",
            targets=("alice@example.com",),
            owner="file:default/alice",
        ),
        MailboxEntry(
            address="bob.b@example.com",
            domain="example.com",
            local="bob.b",
            verifiers=("$argon2id$b",),
            quota_bytes=2 << 30,
            quota_messages=1000,
            protocols=(),
            suspended=True,
            owner="u-b",
        ),
    ]


def test_postmaster_is_who_the_domain_names(tmp_path: Path) -> None:
    text = MANIFEST.replace("spec:\n  domainName", "spec:\n  postmasterRef: {name: alice}\n  domainName")
    (tmp_path / "m.yaml").write_text(text)
    domain = build_entries(load([tmp_path]), {("default", "alice"): "", ("default", "bob"): ""})[0]
    assert isinstance(domain, DomainEntry) and domain.postmaster == "alice@example.com"
