"""The tools as an administrator runs them: exit statuses, words, JSON, and a bar only on a terminal."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.mailpod.store.faults import mail

from mailpod import cli
from mailpod.store import NewMessage
from mailpod.store.folder import FolderObjects
from mailpod.store.names import log_key
from mailpod.tools.bucket import with_prefix
from mailpod.tools.output import Bar, size

from .planted import KEY, Planted, plant, queue

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def planted(folder: Path) -> Planted:
    async def make() -> Planted:
        made = await plant(FolderObjects(folder))
        await made.checkpoint()
        await queue(made)
        return made

    made = asyncio.run(make())
    (folder / ".local").mkdir()
    (folder / ".local" / "signing.key").write_bytes(KEY)
    return made


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str, bucket: bool = True) -> tuple[int, str, str]:
        status = cli.main([*arguments, *(["--bucket", str(folder)] if bucket else [])])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def test_fsck_of_a_clean_bucket(planted: Planted, run: Run) -> None:
    status, out, err = run("fsck")
    assert (status, err) == (0, "")
    assert out.splitlines()[-1].startswith("2 accounts, 18 messages, 5.") and out.endswith("1 queued: clean\n")


def test_fsck_says_what_is_damaged_repairs_what_it_can_and_exits_1(planted: Planted, run: Run) -> None:
    commit = log_key(planted.alice.prefix, 5)
    (checkpoint,) = asyncio.run(planted.keys("checkpoint/"))
    asyncio.run(planted.flip(commit, -5))
    asyncio.run(planted.flip(checkpoint, 30))
    status, out, _ = run("fsck", "--json")
    document = json.loads(out)
    assert status == 1 and document["clean"] is False and document["counts"]["damage"] == 2
    kinds = {item["kind"]: item for item in document["findings"]}
    assert kinds["bytes-damaged"]["object"] == commit and kinds["bytes-damaged"]["account"] == "alice@x.test"
    assert kinds["checkpoint-damaged"]["object"] == checkpoint
    status, out, _ = run("fsck", "--account", "alice@x.test")
    assert status == 1 and "mailpod restore alice@x.test" in out and "mend it with --repair" in out
    status, out, _ = run("fsck", "--account", "alice@x.test", "--repair")
    assert status == 1 and "repaired: A new checkpoint was made" in out and "2 damages, 1 repaired" in out
    status, out, _ = run("fsck", "--quick")
    assert status == 0, "what is left is in the bytes, which are not read"
    assert run("fsck", "--account", "bob@x.test")[0] == 0


def test_what_cannot_run_exits_2(planted: Planted, run: Run, tmp_path: Path) -> None:
    status, out, err = run("fsck", "--bucket", str(tmp_path / "mistyped"), bucket=False)
    assert (status, out) == (2, "") and "there is no folder" in err and not (tmp_path / "mistyped").exists()
    assert run("fsck", "--account", "nobody@x.test")[0] == 2
    assert run("fsck", "--account", "no address")[0] == 2
    assert run("fsck", "--public-key", "short")[0] == 2
    assert run("fsck", "--bucket", "gs://b", bucket=False)[0] == 2
    refused = run("fsck", "--bucket", "s3://b/?endpoint=http://127.0.0.1:9&read_deadline=0.1", bucket=False)
    assert refused[0] == 2 and "not finished" in refused[2]
    assert run("inspect", "nobody@x.test")[0] == 2 and run("du", "nobody@x.test")[0] == 2


def test_fsck_takes_the_keys_that_it_is_given(planted: Planted, run: Run) -> None:
    other = base64.b64encode(bytes(range(1, 33))).decode()
    status, out, _ = run("fsck", "--public-key", other)
    assert status == 1 and out.count("entry-bad") == 3


def test_a_prefix_of_a_bucket() -> None:
    assert with_prefix("/data", "") == ("/data", "/data") and with_prefix("/data/", "/a/b/") == ("/data/a/b", "/data/")
    url = "s3://b/deep?endpoint=http://h:1&region=r"
    assert with_prefix(url, "er") == (
        "s3://b/deep/er?endpoint=http://h:1&region=r",
        "s3://b/?endpoint=http://h:1&region=r",
    )


def test_du(planted: Planted, run: Run) -> None:
    status, out, _ = run("du")
    lines = out.splitlines()
    assert status == 0 and lines[0].split()[:3] == ["ADDRESS", "MESSAGES", "MAIL"] and len(lines) == 4
    assert lines[1].startswith("alice@x.test") and lines[3].startswith("in all")
    (alice,) = json.loads(run("du", "alice@x.test", "--json")[1])
    assert alice["messages"] == 17 and alice["mail"] == sum(len(mail(n, 5000 if n == 12 else 0)) for n in range(1, 13))
    assert alice["packs"] == {"objects": 1, "bytes": len(mail(12, 5000)), "live": len(mail(12, 5000))}
    assert alice["objects"] == len(asyncio.run(planted.keys())) and alice["dead"] == 0

    async def expunge() -> None:
        account = await planted.store().open(planted.alice)
        await account.expunge(account.mailbox("INBOX"), [12])

    asyncio.run(expunge())
    (alice,) = json.loads(run("du", "alice@x.test", "--json")[1])
    assert alice["dead"] == len(mail(12, 5000)) and alice["packs"]["live"] == 0


def test_inspect(planted: Planted, capfdbinary: Any) -> None:
    def look(*arguments: str) -> Any:
        status = cli.main(["inspect", "alice@x.test", *arguments, "--bucket", str(planted_folder)])
        captured = capfdbinary.readouterr()
        assert status == 0, captured.err
        return json.loads(captured.out) if "--raw" not in arguments else captured.out

    planted_folder = planted.objects._tree.root  # type: ignore[attr-defined]
    summary = look("--json")
    assert summary["incarnations"]["1"] == {"id": planted.alice.incarnation, "state": "in use"}
    assert summary["log"]["last"] == 15 and summary["checkpoints"] == {"15": "whole"}
    assert {box["name"]: box["messages"] for box in summary["folders"]}["INBOX"] == 12
    assert [op["op"] for op in look("log", "5")["ops"]] == ["append"]
    checkpoint = look("checkpoint")
    assert (checkpoint["seq"], checkpoint["broken"]) == (15, [])
    ref = checkpoint["boxes"][0]["pages"][0]
    page = look("page", ref["id"])
    assert page["kind"] == "metadata" and [row["uid"] for row in page["messages"]] == [1, 2, 3, 4]
    assert look("page", checkpoint["boxes"][0]["state"][0]["id"])["kind"] == "state"
    (pack,) = summary["packs"]
    assert [(one["folder"], one["uid"]) for one in look("pack", pack)["live"]] == [("INBOX", 12)]
    message = look("message", "3")
    assert message["flags"] == ["\\Seen"] and "message 3" in message["envelope"]
    assert look("message", "3", "--raw") == mail(3)
    for wrong in (
        ("log", "99"),
        ("log", "x"),
        ("checkpoint", "3"),
        ("page", "none"),
        ("pack", "none"),
        ("message", "44"),
    ):
        assert cli.main(["inspect", "alice@x.test", *wrong, "--bucket", str(planted_folder)]) == 2
        assert capfdbinary.readouterr().err.startswith(b"mailpod: ")


def test_inspect_of_a_message_of_which_the_log_has_the_bytes_only(planted: Planted, run: Run) -> None:
    async def many() -> str:
        account = await planted.store().open(planted.alice)
        await account.append("INBOX", [NewMessage(mail(number)) for number in range(20, 40)], later=True)
        return str(account.head)

    head = asyncio.run(many())
    [op] = json.loads(run("inspect", "alice@x.test", "log", head)[1])["ops"]
    assert (op["op"], op["uid"], len(op["sizes"])) == ("appends", 13, 20)
    assert "message 21" in json.loads(run("inspect", "alice@x.test", "message", "14")[1])["envelope"]
    assert run("fsck")[0] == 0


def test_inspect_shows_no_key(planted: Planted, run: Run) -> None:
    """RFC 4467 §10: a mailbox access key is a secret, wherever it stands."""

    async def authorize() -> str:
        account = await planted.store().open(planted.alice)
        [key] = await account.url_keys.of(["INBOX"])
        await planted.checkpoint()
        return key.hex()

    key = asyncio.run(authorize())
    assert run("fsck")[0] == 0
    shown = [
        run("inspect", "alice@x.test", *what)[1] for what in (("--json",), ("log", "16"), ("checkpoint", "16"), ())
    ]
    assert ['"secret"' in out for out in shown] == [True, True, True, False]
    assert not any(key in out for out in shown)
    assert json.loads(shown[1])["ops"] == [{"op": "urlkey", "box": 1, "key": "secret"}]


def test_a_bar_is_drawn_on_a_terminal_only() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal, pipe = Terminal(), io.StringIO()
    for stream in (terminal, pipe):
        bar = Bar(stream)
        bar(0.5, "alice@x.test")
        bar(1.0, "")
        bar.close()
    assert "[############............]  50 %  alice@x.test" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[K") and pipe.getvalue() == ""


def test_sizes() -> None:
    assert [size(n) for n in (0, 999, 1500, 2_000_000)] == ["0 B", "999 B", "1.5 kB", "2.0 MB"]


def test_inspect_for_people(planted: Planted, run: Run) -> None:
    status, out, _ = run("inspect", "alice@x.test")
    facts, _, folders = out.partition("\n\n")
    assert status == 0 and f"incarnation 1  {planted.alice.incarnation}, in use\n" in facts
    assert "\nlog            15 commits, 1 to 15: whole\ncheckpoints    15 whole\n" in facts
    head, inbox, *_ = folders.splitlines()
    assert head.split()[:5] == ["FOLDER", "USE", "MESSAGES", "UNSEEN", "SIZE"]
    assert inbox.split()[:2] == ["INBOX", "12"]


@pytest.mark.parametrize("command", ["", "serve", "fsck", "du", "inspect", "queue", "restore"])
def test_the_examples_in_the_help_are_commands(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([*filter(None, [command]), "--help"])
    said = capsys.readouterr().out
    examples = [line.strip() for line in said.splitlines() if line.startswith(f"  mailpod {command}")]
    assert ended.value.code == 0 and len(examples) >= (1 if command == "serve" else 2)
    assert not command or "\nexit status: 0 " in said
    for example in examples:
        words = example.partition("  ")[0].split()[1:]
        assert cli.main([re.sub("^(data|s3://mail)", "/nowhere/at/all", word) for word in words]) == 2
        assert "usage:" not in capsys.readouterr().err
