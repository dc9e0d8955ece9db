"""imapflow, which many mail services are written with: IMAP4rev2, CONDSTORE, QRESYNC and OBJECTID as it uses them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from tests.harness.need import missing, need
from tests.harness.target import Account, Target

VERSION = "2.10.2"
SESSION = Path(__file__).with_name("imapflow_session.mjs")


@pytest.mark.slow
def test_a_day_of_imapflow(target: Target, account: Account, tmp_path: Path) -> None:
    node, npm = need("node"), need("npm")
    install = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(tmp_path), f"imapflow@{VERSION}"]
    if subprocess.run(install, capture_output=True, timeout=120, check=False).returncode:
        missing(f"imapflow {VERSION} from npm")
    command = [node, SESSION, tmp_path, target.host, str(target.port("imaps")), account.address, account.password]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["enabled"] == ["CONDSTORE", "IMAP4REV2", "QRESYNC", "UTF8=ACCEPT"]
    assert found["special"] == ["\\Archive", "\\Drafts", "\\Inbox", "\\Junk", "\\Sent", "\\Trash"]
    assert found["names"] == ["Projekte", "Projekte/Größe"]
    assert found["status"] == {"messages": 4, "unseen": 0, "uidNext": 5}
    assert found["subjects"] == [[subject, True, True] for subject in ("one", "two", "three", "four")]
    assert (found["search"], found["download"], found["objectId"]) == ([3], True, "string")
    assert found["told"] == [
        ["expunge", 2, True],
        ["exists", 4],
        ["flags", 4, ["\\Flagged", "\\Seen"]],
        ["expunge", 1, True],
    ]
    assert found["moved"] == [[1, 1]]
    # what SELECT with QRESYNC tells who comes back with the MODSEQ of the beginning
    assert found["back"] == [
        *(["expunge", uid, True] for uid in (1, 2, 4)),
        ["flags", 3, ["\\Answered", "\\Seen"]],
        ["flags", 5, []],
    ]
    assert (found["left"], found["deleted"]) == ([3, 5], "Projekte/Größe")
