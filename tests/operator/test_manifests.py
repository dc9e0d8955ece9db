"""Manifests as people write them, right and wrong, and what they are told."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailoperator.manifests import ManifestError, Manifests, load
from mailoperator.quantity import parse_quantity
from mailoperator.references import check, password_secret

EXAMPLES = Path(__file__).parents[2] / "examples"

DOMAIN = """\
apiVersion: mailpod.dev/v1alpha1
kind: MailDomain
metadata: {name: example}
spec:
  domainName: example.com
"""
ALICE = """\
apiVersion: mailpod.dev/v1alpha1
kind: Mailbox
metadata:
  name: alice
spec:
  domainRef: {name: example}
"""


def loaded(tmp_path: Path, *documents: str) -> Manifests:
    file = tmp_path / "mail.yaml"
    file.write_text("---\n".join(documents))
    found = load([file])
    check(found)
    return found


def told(tmp_path: Path, *documents: str) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        loaded(tmp_path, *documents)
    return [problem.removeprefix(f"{tmp_path}/") for problem in caught.value.problems]


def test_the_quickstart() -> None:
    found = load([EXAMPLES / "quickstart.yaml"])
    check(found)
    assert [mailbox.title for mailbox in found.mailboxes.values()] == ["Mailbox default/alice", "Mailbox default/bob"]
    for mailbox in found.mailboxes.values():
        secret = password_secret(mailbox, found)
        assert secret is not None and secret[0].value(secret[1])


def test_the_smallest(tmp_path: Path) -> None:
    found = loaded(tmp_path, DOMAIN, ALICE)
    assert found.domains["default", "example"].hostname == "mail.example.com"
    assert found.mailboxes["default", "alice"].local_part == "alice"


def test_what_is_written_is_normalised(tmp_path: Path) -> None:
    found = loaded(
        tmp_path,
        DOMAIN.replace("example.com", "BÜCHER.example"),
        ALICE + "  localPart: Jürgen.MÜLLER\n  aliases: [INFO]\n  quota: {storage: 1.5Ki}\n",
    )
    assert found.domains["default", "example"].spec.domain_name == "xn--bcher-kva.example"
    mailbox = found.mailboxes["default", "alice"]
    assert (mailbox.local_part, mailbox.spec.aliases) == ("jürgen.müller", ["info"])
    assert mailbox.spec.quota.storage == 1536


def test_what_kubectl_prints_can_be_read(tmp_path: Path) -> None:
    metadata = '  creationTimestamp: "2026-01-01T00:00:00Z"\n  managedFields: []\n  resourceVersion: "5"\n  uid: u-1\n'
    found = loaded(tmp_path, DOMAIN, ALICE.replace("spec:", metadata + "spec:") + "status: {conditions: []}\n")
    assert found.mailboxes["default", "alice"].metadata.uid == "u-1"


def test_a_folder_is_its_manifests(tmp_path: Path) -> None:
    (tmp_path / "b.yml").write_text(ALICE)
    (tmp_path / "a.yaml").write_text(DOMAIN)
    (tmp_path / "c.json").write_text(
        '{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"password": "cMOkc3M="}}'
    )
    (tmp_path / "README.md").write_text("- not a manifest")
    (tmp_path / ".a.yaml.swp.yaml").write_text("- an editor's")
    found = load([tmp_path])
    assert (len(found.domains), len(found.mailboxes)) == (1, 1)
    assert found.secrets["default", "s"].value("password") == "päss"


def test_other_apis_are_left_alone(tmp_path: Path) -> None:
    found = loaded(tmp_path, DOMAIN, "apiVersion: v1\nkind: Namespace\nmetadata: {name: mail}\n", "\n")
    assert [ignored.removeprefix(f"{tmp_path}/") for ignored in found.ignored] == [
        "mail.yaml:7: Namespace default/mail"
    ]


@pytest.mark.parametrize(
    ("field", "problem"),
    [
        ("quota: {storage: 5XB}", 'spec.quota.storage: "5XB" is not a quantity (try 5Gi)'),
        ("quota: {storage: true}", 'spec.quota.storage: "True" is not a quantity (try 5Gi)'),
        ("quota: {storage: 0}", "spec.quota.storage: must be greater than 0"),
        ("quota: {messages: '5'}", "spec.quota.messages: must be a valid integer"),
        ("quota: 5Gi", "spec.quota: must be a mapping of fields"),
        ("quotas: {}", "spec.quotas: is not a field (did you mean quota?)"),
        ("quota: {size: 5Gi}", "spec.quota.size: is not a field (there are storage, messages)"),
        ("passwordSecretRef: {nam: x}", "spec.passwordSecretRef.name: is required"),
        ("passwordSecretRef: {name: A_B}", 'spec.passwordSecretRef.name: "A_B" is not a name: '),
        ("protocols: [imap]", 'spec.protocols[0]: "imap" is not one of Submission, IMAP or POP3'),
        ("suspended: 'yes'", "spec.suspended: must be a valid boolean"),
        ("deletionPolicy: Keep", 'spec.deletionPolicy: "Keep" is not one of Retain or Delete'),
        ("localPart: 5", 'spec.localPart: must be a string, and 5 is not one (write "5")'),
        ("localPart: a b", "spec.localPart: 'a b' is not a local part"),
        ("aliases: [b, c@example.com]", 'spec.aliases[1]: "c@example.com" has an @: write only what is before it'),
        ("passwordSecretRef: {name: nope}", "spec.passwordSecretRef: no Secret default/nope"),
        ("aliases: [Alice]", "spec.aliases[0]: alice@example.com is Mailbox default/alice's already (spec.localPart)"),
    ],
)
def test_a_bad_field(tmp_path: Path, field: str, problem: str) -> None:
    first = told(tmp_path, DOMAIN, ALICE + f"  {field}\n")[0]
    place, title, rest = first.split(": ", 2)
    assert place in ("mail.yaml:13", "mail.yaml:7")  # the field's line, or the object's where two objects disagree
    assert title == "Mailbox default/alice"
    assert rest.startswith(problem)


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (ALICE.replace("v1alpha1", "v1"), 'apiVersion: "mailpod.dev/v1" is not known (use mailpod.dev/v1alpha1)'),
        (ALICE.replace("Mailbox", "MailBox"), 'kind: "MailBox" is not known (did you mean Mailbox?)'),
        (ALICE.replace("{name: example}", "{name: other}"), "spec.domainRef.name: no MailDomain default/other"),
        (ALICE.replace("name: alice", "name: alice\n  namespace: b"), "spec.domainRef.name: no MailDomain b/example"),
        (ALICE.replace("alice", "a" * 65), "metadata.name cannot be the local part"),
        (ALICE + "  suspended: true\n  suspended: false\n", "suspended stands twice in one mapping"),
        (
            DOMAIN.replace("{name: example}", "{name: b}"),
            'spec.domainName: "example.com" is MailDomain default/example\'s',
        ),
        (DOMAIN, "stands in "),
        ("kind: Mailbox\n", "apiVersion and kind are required"),
        ("- a\n", "is not an object with apiVersion and kind"),
        ("a: [\n", "is not YAML: "),
        ("a: !!python/object:os.system x\n", "is not YAML: could not determine a constructor"),
        (
            DOMAIN.replace("{name: example}", "{name: b}") + "  postmasterRef: {name: nope}\n",
            "spec.postmasterRef.name: no Mailbox default/nope",
        ),
    ],
)
def test_a_bad_document(tmp_path: Path, document: str, problem: str) -> None:
    assert any(problem in line for line in told(tmp_path, DOMAIN, document))


def test_an_address_that_two_want(tmp_path: Path) -> None:
    bob = ALICE.replace("name: alice", "name: bob") + "  aliases: [ALICE]\n"
    assert told(tmp_path, DOMAIN, ALICE, bob) == [
        "mail.yaml:14: Mailbox default/bob: spec.aliases[0]: "
        "alice@example.com is Mailbox default/alice's already (spec.localPart)"
    ]


@pytest.mark.parametrize(
    ("secret", "ref", "problem"),
    [
        ("stringData: {password: x}", "{name: s, key: other}", "Secret default/s has no key other"),
        ("stringData: {other: x}", "{name: s}", "Secret default/s has no key password, nor verifier"),
        ("stringData: {password: ''}", "{name: s}", "password of Secret default/s is empty"),
        ("stringData: {verifier: hunter2}", "{name: s}", "verifier of Secret default/s is not an argon2id hash"),
        ("data: {password: hunter2}", "{name: s}", "data.password of Secret default/s is not the base64 of a text"),
    ],
)
def test_a_bad_secret_is_not_quoted(tmp_path: Path, secret: str, ref: str, problem: str) -> None:
    text = f"apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\n{secret}\n"
    (line,) = told(tmp_path, DOMAIN, ALICE + f"  passwordSecretRef: {ref}\n", text)
    assert problem in line
    assert "hunter2" not in line


def test_a_secret_that_is_no_text_is_not_quoted(tmp_path: Path) -> None:
    text = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: 987654}\n"
    assert told(tmp_path, text) == [
        "mail.yaml:4: Secret default/s: stringData.password: must be a string (put it in quotes)"
    ]


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    assert len(told(tmp_path, DOMAIN + "  hostnam: x\n", ALICE + "  suspended: 1\n  quota: {storage: x}\n")) == 3


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"no\.yaml: No such file"):
        load([tmp_path / "no.yaml"])


@pytest.mark.parametrize(
    ("written", "size"),
    [("5Gi", 5 << 30), ("1k", 1000), ("1.5Mi", 3 << 19), ("0.0001", 1), (17, 17), ("2P", 2 * 10**15)],
)
def test_quantity(written: str | int, size: int) -> None:
    assert parse_quantity(written) == size


@given(st.text() | st.integers() | st.floats() | st.none())
def test_any_quantity_is_bytes_or_refused(written: object) -> None:
    with contextlib.suppress(ValueError):
        assert 0 <= parse_quantity(written) < 2**63


@given(st.text(alphabet="a: -[]{}&*!|>'\"\n#?%@\t0", max_size=60) | st.text(max_size=60))
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        load([file])
    except ManifestError as error:
        assert error.problems
