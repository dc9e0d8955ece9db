"""Mailboxes shared across two pods on SeaweedFS, without hints between them: nothing lost, no right leaked."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fixtures_seaweed import Seaweed
from tests.harness import manifest
from tests.harness.clients import digest, letter
from tests.harness.imap import Imap, Result
from tests.harness.processes import wait_until
from tests.harness.server import Mailpod
from tests.harness.target import Account

_STEPS = 60
_RIGHTS = ("", "l", "lr", "lri", "lrit", "lrite", "lrswite")


@pytest.fixture(scope="module")
def server(seaweed: Seaweed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mailpod]:
    home: Path = tmp_path_factory.mktemp("shared-mailboxes")
    bucket = seaweed.url("shares", seaweed.new_bucket())
    mailpod = Mailpod(home, manifest.accounts(4), bucket=bucket, environment=seaweed.environment, pods=2, hints=False)
    mailpod.start()
    yield mailpod
    mailpod.stop()


def shown(owner: Account) -> str:
    return f'"Other Users/{owner.address}/Team"'


def granted(guest: Imap, name: str) -> str:
    """Rights, without the virtual ones."""
    result = guest.command(f"MYRIGHTS {name}")
    return re.sub("[cd]", "", result.texts(b"MYRIGHTS")[0].decode().split()[-1]) if result.ok else ""


@pytest.mark.slow
def test_each_right_holds_from_the_next_command_on_at_the_other_pod(server: Mailpod) -> None:
    """The owner at one pod, the guest at the other: after each change every command is answered as the log has it."""
    owner, guest = server.accounts[:2]
    name, rng = shown(owner), random.Random(1)
    messages: list[str] = []
    with Imap(server.pod_target(0), owner) as theirs, Imap(server.pod_target(1), guest) as ours:
        theirs.ok("CREATE Team")
        for _ in range(_STEPS):
            rights = rng.choice(_RIGHTS)
            theirs.ok(f'SETACL Team {guest.address} "{rights}"')
            assert granted(ours, name) == "".join(right for right in "lrswite" if right in rights)
            message = letter()[1]
            added = ours.append(name.strip('"'), message)
            assert added.ok == ("i" in rights), (rights, added)
            messages += [digest(message)] if added.ok else []
            _look(ours, name, rights)
        theirs.ok("SELECT Team")
        assert [digest(body) for body in theirs.bodies().values()] == messages  # each once, and no other
        theirs.ok(f'SETACL Team {guest.address} "lrswite"')
        # hints are believed for 5 s
        wait_until(lambda: ours.ok('LIST "" "Other*"').texts(b"LIST"), 15, "the shared mailbox is not listed")
        ours.ok(f"SELECT {name}")
        ours.ok("MOVE 1:* Archive")
        ours.ok("SELECT Archive")
        assert [digest(body) for body in ours.bodies().values()] == messages
        theirs.ok(f"DELETEACL Team {guest.address}")
        assert not ours.command(f"SELECT {name}").ok
        assert ours.ok('LIST "" "Other*"').texts(b"LIST") == []


def _look(guest: Imap, name: str, rights: str) -> None:
    listed = any(name.encode() in line for line in guest.ok('LIST "" "Other*"').texts(b"LIST"))
    assert "l" in rights or not listed
    status = guest.command(f"STATUS {name} (MESSAGES)")
    assert status.ok == ("r" in rights)
    if not status.ok:
        assert _code(status) == ("NOPERM" if "l" in rights else "NONEXISTENT")
        return
    guest.ok(f"SELECT {name}")
    assert guest.command("EXPUNGE").ok == ("e" in rights)
    guest.ok("UNSELECT")


def _code(result: Result) -> str:
    found = re.search(rb"\[([A-Z]+)", result.tagged)
    return found[1].decode() if found else ""


@pytest.mark.slow
def test_who_has_it_selected_at_another_pod_is_closed_out(server: Mailpod) -> None:
    owner, guest = server.accounts[2:]
    with Imap(server.pod_target(0), owner) as theirs, Imap(server.pod_target(1), guest) as ours:
        theirs.ok("CREATE Team")
        theirs.ok(f"SETACL Team {guest.address} lr")
        theirs.append("Team", letter()[1])
        ours.ok(f"SELECT {shown(owner)}")
        assert len(ours.bodies()) == 1
        theirs.ok(f"DELETEACL Team {guest.address}")
        theirs.append("Team", letter()[1])
        assert ours.ok("NOOP").untagged == []
        assert b"BYE Access to the selected mailbox was withdrawn" in ours.response().text
