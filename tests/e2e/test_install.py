"""From nothing: the documentation's commands, one after the other, with the programs that people use; each step timed.

The chart is installed as the documentation says, for all namespaces. It is alone in the cluster, and gone afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster.fixtures import RESTRICTED, Cluster
from tests.e2e.installed import FIGURES, ROOT, Installation, domain, mailbox
from tests.harness.clients import private
from tests.harness.need import need, need_perl

pytestmark = pytest.mark.cluster

EXAMPLES = ROOT / "examples" / "cluster"
REPLICAS = 3
MBSYNC = """\
IMAPAccount mailpod
Host {host}
Port {port}
User bob@mailpod.test
PassCmd "cat {password}"
AuthMechs LOGIN
SSLType {ssl}
CertificateFile {ca}

IMAPStore far
Account mailpod

MaildirStore near
Path {mail}/
Inbox {mail}/INBOX

Channel all
Far :far:
Near :near:
Patterns INBOX
Sync Pull
SyncState *
"""


@pytest.fixture(scope="module")
def fresh(cluster: Cluster) -> Iterator[Installation]:
    """helm install, kubectl apply, kubectl wait."""
    _say_sizes(cluster)
    made = Installation(cluster, everywhere=True, prefix="fresh")
    with FIGURES.timed("helm install with the trial S3, until both pods are ready"):
        made.install()
    with FIGURES.timed("kubectl apply -f examples/cluster/"):
        made.apply(EXAMPLES)
    with FIGURES.timed("kubectl wait --for=condition=Ready maildomain/example mailbox/alice mailbox/bob"):
        made.kubectl(
            "wait", "--for=condition=Ready", "--timeout=300s", "maildomain/example", "mailbox/alice", "mailbox/bob",
            timeout=320,
        )  # fmt: skip
    with FIGURES.timed(f"all {REPLICAS} replicas ready"):
        cluster.wait_rollout(made.namespace, "deployment/example")
    yield made
    made.end()


def _say_sizes(cluster: Cluster) -> None:
    wanted = (cluster.mailpod, cluster.operator, cluster.weed)
    for node in cluster.get("nodes")["items"][:1]:
        for image in node["status"].get("images", []):
            for name in set(wanted) & {each.removeprefix("docker.io/") for each in image["names"]}:
                FIGURES.say(f"image {name}", f"{image['sizeBytes'] / 1e6:6.0f} MB")


@pytest.fixture(scope="module")
def passwords(fresh: Installation, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Of alice and bob, each in a file."""
    folder = tmp_path_factory.mktemp("passwords")
    return {name: private(folder / name, fresh.password(name)) for name in ("alice", "bob")}


def _swaks(fresh: Installation, word: str, *options: str) -> None:
    host = fresh.host("example")
    letter = ("--header", f"Subject: {word}", "--body", f"the word is {word}", "--silent", "2")
    fresh.program(need("swaks"), "--server", host, "--to", "bob@mailpod.test", "--helo", "test", *letter, *options)


def _mbsync(fresh: Installation, folder: Path, password: Path, host: str, port: int, ssl: str) -> set[str]:
    """The words of all letters that mbsync brings down from a server into an empty folder."""
    folder.mkdir()
    ca = private(folder / "ca.pem", fresh.ask("certificate", host=fresh.host("example"), port=993)["pem"])
    text = MBSYNC.format(host=host, port=port, password=password, ssl=ssl, ca=ca, mail=folder)
    fresh.program(need("mbsync"), "-c", private(folder / "mbsyncrc", text), "-q", "all")
    found = (file.read_text() for part in ("new", "cur") for file in (folder / "INBOX" / part).iterdir())
    return {word for text in found for word in re.findall(r"the word is (\w+)", text)}


def test_mail_by_swaks_is_read_by_mbsync_from_each_pod(
    fresh: Installation, passwords: dict[str, Path], tmp_path: Path
) -> None:
    need_perl("Net::SSLeay")
    alice: tuple[str, ...] = ("--from", "alice@mailpod.test", "--auth", "LOGIN", "--auth-user", "alice@mailpod.test")
    alice += ("--auth-password", passwords["alice"].read_text())
    with FIGURES.timed("swaks: port 25, port 587 with STARTTLS and port 465 with TLS, authenticated"):
        _swaks(fresh, "unauthenticated", "--port", "25", "--from", "someone@elsewhere.test")
        _swaks(fresh, "encrypted", "--port", "25", "--tls", "--from", "someone@elsewhere.test")
        _swaks(fresh, "submitted", "--port", "587", "--tls", *alice)
        _swaks(fresh, "submissions", "--port", "465", "--tls-on-connect", *alice)

    pods = fresh.pods("example")
    assert len(pods) == REPLICAS
    expected = {"unauthenticated", "encrypted", "submitted", "submissions"}
    places = [(address, 10993, "IMAPS") for address in pods.values()]
    places += [(address, 10143, "STARTTLS") for address in pods.values()]
    places += [(fresh.host("example"), 993, "IMAPS"), (fresh.host("example"), 143, "STARTTLS")]
    with FIGURES.timed(f"mbsync from each of {REPLICAS} pods and from the Service, by TLS and STARTTLS"):
        for number, (host, port, ssl) in enumerate(places):
            found = _mbsync(fresh, tmp_path / str(number), passwords["bob"], host, port, ssl)
            assert found == expected, f"{host}:{port}"


def test_without_a_password_nothing_is_submitted_or_read(fresh: Installation) -> None:
    with pytest.raises(AssertionError, match=r"530|550|554"):
        _swaks(fresh, "relayed", "--port", "587", "--tls", "--from", "alice@mailpod.test")
    answer = fresh.ask("login", host=fresh.host("example"), port=993, user="bob@mailpod.test", password="wrong")
    assert not answer["in"]


def test_helm_test(fresh: Installation) -> None:
    with FIGURES.timed("helm test (a MailDomain of its own, a letter sent and read)"):
        said = fresh.cluster.helm("test", fresh.release, "--namespace", fresh.namespace, "--logs", timeout=400)
    assert "sent to mail@helm-test.mailpod.test by SMTP" in said
    assert "read by IMAP" in said
    assert "mailpod-test" not in fresh.kubectl("get", "maildomain,mailbox,pod,secret", "-o", "name")


def test_a_second_domain_costs_no_second_trial_of_the_bucket(fresh: Installation) -> None:
    with FIGURES.timed("a second MailDomain with pods of its own, and its Mailbox: apply until Ready"):
        fresh.apply([domain("second", "second.test"), mailbox("carol", "second")])
        fresh.wait_ready("maildomain", "second")
        fresh.wait_ready("mailbox", "carol")
    with FIGURES.timed("a MailDomain served by the first, and its Mailbox: apply until Ready"):
        fresh.apply([domain("third", "third.test", host="example"), mailbox("dave", "third")])
        fresh.wait_ready("maildomain", "third")
        fresh.wait_ready("mailbox", "dave")
    fresh.kubectl("delete", "mailbox/carol", "mailbox/dave", "maildomain/second", "maildomain/third", "--timeout=60s")


def test_every_pod_runs_under_the_restricted_level(fresh: Installation) -> None:
    labels = fresh.cluster.get("namespace", fresh.namespace)["metadata"]["labels"]
    assert RESTRICTED.items() <= labels.items()
    pods = fresh.get("pods")["items"]
    parts = {pod["metadata"]["labels"].get("app.kubernetes.io/component") for pod in pods}
    assert {"operator", "trial-s3"} < parts, parts
    assert len(pods) == 2 + REPLICAS
    assert all(status["restartCount"] == 0 for pod in pods for status in pod["status"]["containerStatuses"])
    assert not [event for event in fresh.get("events")["items"] if "PodSecurity" in event["message"]]


def test_kubectl_reads_well(fresh: Installation) -> None:
    """Columns that a person needs; `describe` and `explain` have text for what they show."""
    table = fresh.kubectl("get", "maildomain,mailbox", "-o", "wide")
    print(table)
    heads = [line.split() for line in table.splitlines() if line.startswith("NAME")]
    assert heads[0][1] == "READY" or "READY" in heads[0]
    rows = {line.split()[0]: line for line in table.splitlines() if "/" in line.split(" ")[0]}
    assert "True" in rows["maildomain.mailpod.dev/example"]
    assert "alice@mailpod.test" in rows["mailbox.mailpod.dev/alice"]
    assert fresh.kubectl("get", "mail", "-o", "name").split() == fresh.kubectl("get", "md,mbx", "-o", "name").split()
    for kind in ("maildomain", "mailbox"):
        print(fresh.kubectl("describe", f"{kind}s"))
        said = fresh.kubectl("explain", f"{kind}.spec")
        print(said)
        assert "<empty>" not in said
