"""From nothing: the documentation's commands, one after the other, with the programs that people use; each step timed.

The chart is installed as the documentation says, for all namespaces. It is alone in the cluster, and gone afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster import images
from tests.cluster.fixtures import RESTRICTED, Cluster
from tests.e2e.installed import FIGURES, ROOT, Installation, domain, mailbox
from tests.harness.clients import private
from tests.harness.need import need, need_perl
from tests.harness.processes import wait_until

pytestmark = pytest.mark.cluster

EXAMPLES = ROOT / "examples" / "cluster"
REPLICAS = 3
HOSTNAME = "mail.mailpod.test"
NO_CONNECTION = 2  # swaks(1), "EXIT CODES"
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
    """Of the images that this machine built; another's cluster has its own."""
    for image in images.ALL if cluster.running else ():
        FIGURES.say(f"image {image.reference}, unpacked", f"{images.size(images.build(image)):>8}")


@pytest.fixture(scope="module")
def passwords(fresh: Installation, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Of alice and bob, each in a file."""
    folder = tmp_path_factory.mktemp("passwords")
    return {name: private(folder / name, fresh.password(name)) for name in ("alice", "bob")}


def _swaks(fresh: Installation, word: str, *options: str) -> None:
    """A pod is Ready before every kube-proxy knows of it: what could not connect tries again, as clients do."""
    host = fresh.host("example")
    letter = ("--header", f"Subject: {word}", "--body", f"the word is {word}", "--silent", "2", "--timeout", "5")
    command = (need("swaks"), "--server", host, "--to", "bob@mailpod.test", "--helo", "test", *letter, *options)
    for _ in range(6):
        done = fresh.cluster.run(*command, check=False)
        if done.returncode != NO_CONNECTION:
            break
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"


def _tls(port: int) -> int:
    return {143: 993, 10143: 10993}.get(port, port)


def _mbsync(fresh: Installation, folder: Path, password: Path, address: str, port: int, ssl: str) -> set[str]:
    """The words of all letters that mbsync brings down into an empty folder from mail.mailpod.test at an address.

    Its certificate is checked, name and all; an /etc/hosts of this one process's stands for the DNS record.
    """
    folder.mkdir()
    ca = private(folder / "ca.pem", fresh.ask("certificate", host=address, port=_tls(port))["pem"])
    text = MBSYNC.format(host=HOSTNAME, port=port, password=password, ssl=ssl, ca=ca, mail=folder)
    config = private(folder / "mbsyncrc", text)
    hosts = private(folder / "hosts", f"127.0.0.1 localhost\n{address} {HOSTNAME}\n")
    script = f"mount --bind {hosts} /etc/hosts && exec {need('mbsync')} -c {config} -q all"
    fresh.program("unshare", "--mount", "sh", "-c", script)
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
    places += [(fresh.address("example"), 993, "IMAPS"), (fresh.address("example"), 143, "STARTTLS")]
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
    kinds = "maildomain,mailbox,deployment,pod,service,configmap,secret"
    wait_until(
        lambda: "mailpod-test" not in fresh.kubectl("get", kinds, "-o", "name"), 90, "helm test to leave nothing"
    )


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
    pods = [pod for pod in fresh.get("pods")["items"] if not pod["metadata"].get("deletionTimestamp")]
    parts = {pod["metadata"]["labels"].get("app.kubernetes.io/component") for pod in pods}
    assert {"operator", "trial-s3"} < parts, parts
    assert len(pods) == 2 + REPLICAS
    assert all(status["restartCount"] == 0 for pod in pods for status in pod["status"]["containerStatuses"])
    assert not [event for event in fresh.get("events")["items"] if "PodSecurity" in event["message"]]


def test_kubectl_reads_well(fresh: Installation) -> None:
    """Columns that a person needs; `describe` and `explain` have text for what they show."""
    table = fresh.kubectl("get", "maildomain,mailbox", "-o", "wide")
    print(table)
    rows = {line.split()[0]: line.split() for line in table.splitlines() if line}
    assert rows["maildomain.mailpod.dev/example"][1:5] == ["mailpod.test", "True", "mail.mailpod.test", "2"]
    assert rows["mailbox.mailpod.dev/alice"][1:3] == ["alice@mailpod.test", "True"]
    assert "5Gi" in rows["mailbox.mailpod.dev/alice"]
    assert "alice-password" in rows["mailbox.mailpod.dev/alice"]
    names = {kinds: set(fresh.kubectl("get", kinds, "-o", "name").split()) for kinds in ("mail", "md,mbx")}
    assert names["mail"] == names["md,mbx"]
    for kind, name in (("maildomain", "example"), ("mailbox", "alice")):
        described = fresh.kubectl("describe", kind, name)
        print(described)
        assert re.search(r"Events:\s+Type\s+Reason", described)
        for path in (kind, f"{kind}.spec", f"{kind}.status"):
            said = fresh.kubectl("explain", path)
            print(said)
            assert "<empty>" not in said
