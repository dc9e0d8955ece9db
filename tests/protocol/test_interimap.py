"""interimap keeps two accounts alike by QRESYNC: every folder, flag, keyword and deletion, in both directions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.harness.clients import fill, letter, private, run
from tests.harness.imap import Imap
from tests.harness.need import need
from tests.harness.target import Account, Target

NAMED = "Gr&APwA3w-e &- mehr (&ZeVnLIqe-)"

CONFIG = """\
database = {home}/state.db
[local]
type = imap
port = {imap}
STARTTLS = YES
username = {near.address}
password = {near.password}
{trust}
[remote]
type = imaps
port = {imaps}
compress = YES
username = {far.address}
password = {far.password}
{trust}
"""
TRUST = "host = localhost\nSSL_CAfile = {ca}\nSSL_hostname = localhost\n"


@pytest.fixture
def config(target: Target, account: Account, other: Account, tmp_path: Path) -> Path:
    trust = TRUST.format(ca=target.ca)
    text = CONFIG.format(home=tmp_path, near=account, far=other, trust=trust, **target.ports)
    return private(tmp_path / "config", text)


def sync(config: Path) -> list[str]:
    """What it did, a line each."""
    done = run([need("interimap"), "--config", config], home=config.parent)
    said = (done.stdout + done.stderr).decode()
    assert "WARNING" not in said, said
    return [line for line in said.splitlines() if "IMAP traffic" not in line]


def folders(target: Target, account: Account) -> dict[str, dict[str, frozenset[bytes]]]:
    """Of each folder the letters, by their words, with their flags."""
    with Imap(target, account) as imap:
        return {name: _letters(imap, name) for name in ("INBOX", "Sent", "Archive", NAMED)}


def _letters(imap: Imap, name: str) -> dict[str, frozenset[bytes]]:
    imap.ok(f'EXAMINE "{name}"')
    flags = imap.flags()
    words = {uid: re.findall(rb"X-Word: (\w+)", message)[0].decode() for uid, message in imap.bodies().items()}
    return {words[uid]: frozenset(flags[uid]) - {b"\\Recent"} for uid in words}


def test_interimap_both_directions(target: Target, account: Account, other: Account, config: Path) -> None:
    with Imap(target, account) as imap:
        imap.ok(f'CREATE "{NAMED}"')
    first, second, third = fill(target, account, 3)
    (named,) = fill(target, account, 1, NAMED, "\\Seen $Forwarded")
    (sent,) = fill(target, other, 1, "Sent", "\\Answered")
    sync(config)
    there = folders(target, other)
    assert there == folders(target, account)
    assert set(there["INBOX"]) == {first, second, third}
    assert there["Sent"] == {sent: {b"\\Answered"}}
    assert there[NAMED] == {named: {b"\\Seen", b"$Forwarded"}}
    sync(config)  # the flags of what it appended are news to it, since the answer to APPEND has no MODSEQ
    assert sync(config) == []

    word, message = letter()
    with Imap(target, account) as imap, Imap(target, other) as far:
        imap.ok("SELECT INBOX")
        imap.ok("STORE 1 +FLAGS (\\Flagged Work)")
        imap.ok("MOVE 3 Archive")
        far.ok("SELECT INBOX")
        far.ok("STORE 2 +FLAGS (\\Deleted)")
        far.ok("EXPUNGE")
        far.ok("SELECT Sent")
        far.ok("STORE 1 FLAGS (\\Seen)")
        assert far.append(NAMED, message, "\\Draft").ok
    sync(config)
    sync(config)
    here = folders(target, account)
    assert here == folders(target, other)
    assert here["INBOX"] == {first: {b"\\Flagged", b"Work"}}
    assert here["Sent"] == {sent: {b"\\Seen"}}
    assert here["Archive"] == {third: set()}
    assert here[NAMED][word] == {b"\\Draft"}
    assert sync(config) == []
