"""Two pods on one bucket: each sees the other's changes at its next NOOP (hints off)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from tests.harness import manifest
from tests.harness.clients import letter, stored
from tests.harness.imap import Imap
from tests.harness.pop3 import Pop3
from tests.harness.server import Mailpod
from tests.harness.smtp import Smtp
from tests.harness.target import Account, Target


@dataclass
class Pods:
    server: Mailpod
    one: Target
    two: Target


@pytest.fixture(scope="module")
def pods(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pods]:
    server = Mailpod(tmp_path_factory.mktemp("two-pods"), manifest.accounts(20), pods=2, hints=False)
    server.start()
    yield Pods(server, server.pod_target(0), server.pod_target(1))
    server.stop()


@pytest.fixture(scope="module")
def fresh(pods: Pods) -> Iterator[Account]:
    return iter(pods.server.accounts)


@pytest.fixture
def mine(fresh: Iterator[Account]) -> Account:
    return next(fresh)


def exists(imap: Imap) -> int | None:
    """The last EXISTS that a NOOP brought."""
    counts = [
        int(found[1]) for text in imap.ok("NOOP").texts(b"EXISTS") if (found := re.match(rb"\* (\d+) EXISTS", text))
    ]
    return counts[-1] if counts else None


def test_the_pods_are_two_processes(pods: Pods) -> None:
    first, second = pods.server.pod_processes()
    assert first.pid != second.pid
    assert set(pods.one.ports.values()).isdisjoint(pods.two.ports.values())


def test_an_append_on_one_is_seen_on_the_other_at_noop(pods: Pods, mine: Account) -> None:
    with Imap(pods.one, mine) as one, Imap(pods.two, mine) as two:
        one.ok("SELECT INBOX")
        two.ok("SELECT INBOX")
        for count in range(1, 6):
            writer, reader = (one, two) if count % 2 else (two, one)
            assert writer.append("INBOX", letter()[1]).ok
            assert exists(reader) == count


def test_flags_and_expunges_are_seen_at_noop(pods: Pods, mine: Account) -> None:
    with Imap(pods.one, mine) as one, Imap(pods.two, mine) as two:
        for _ in range(3):
            one.append("INBOX", letter()[1])
        one.ok("SELECT INBOX")
        two.ok("SELECT INBOX")
        one.ok("STORE 2 +FLAGS.SILENT (\\Flagged $Mine)")
        (told,) = two.ok("NOOP").texts(b"FETCH")
        assert told.startswith(b"* 2 FETCH")
        assert b"\\Flagged" in told
        assert b"$Mine" in told
        one.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
        one.ok("EXPUNGE")
        assert two.ok("NOOP").texts(b"EXPUNGE") == [b"* 1 EXPUNGE"]
        assert one.uids() == two.uids()


def test_a_delivery_to_one_is_fetched_from_the_other(pods: Pods, mine: Account) -> None:
    word, message = letter()
    with Pop3(pods.two, mine) as pop3:
        assert pop3.ok("STAT").split()[1] == b"0"
        pop3.ok("QUIT")
    with Smtp(pods.one) as smtp:
        assert smtp.deliver("a@elsewhere.test", [mine.address], message).code == 250
    with Pop3(pods.two, mine) as pop3:
        assert word.encode() in pop3.multi("RETR 1")
        pop3.ok("DELE 1")
        pop3.ok("QUIT")
    assert stored(pods.one, mine) == []


def test_folders_made_on_one_are_seen_on_the_other(pods: Pods, mine: Account) -> None:
    with Imap(pods.one, mine) as one, Imap(pods.two, mine) as two:
        one.ok('CREATE "Work/2026"')
        two.ok('STATUS "Work/2026" (MESSAGES UIDVALIDITY)')
        two.ok('RENAME "Work" "Job"')
        one.ok("NOOP")
        assert any(b'"Job/2026"' in text or b" Job/2026" in text for text in one.ok('LIST "" "*"').texts(b"LIST"))
        assert two.append("Job/2026", letter()[1]).ok
        assert one.exists("Job/2026") == 1


def test_both_append_at_once_and_no_uid_is_given_twice(pods: Pods, mine: Account) -> None:
    with Imap(pods.one, mine) as one, Imap(pods.two, mine) as two:
        given = []
        for _ in range(30):
            for session in (one, two):
                _, message = letter()
                session.send(b"A APPEND INBOX {%d+}\r\n%s\r\n" % (len(message), message))
            given += [session.finish(b"A").code(b"APPENDUID").split()[1] for session in (one, two)]
        assert len(set(given)) == len(given) == 60
        one.ok("SELECT INBOX")
        two.ok("SELECT INBOX")
        assert one.uids() == two.uids() == sorted(int(uid) for uid in given)


def test_the_shared_ports_reach_both(pods: Pods, mine: Account) -> None:
    shared = pods.server.target()
    for _ in range(10):
        with Imap(shared, mine) as imap:
            imap.ok("SELECT INBOX")
