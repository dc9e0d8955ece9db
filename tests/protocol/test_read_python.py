"""imaplib, imapclient and poplib read, keep and delete, in the clear, after STARTTLS or STLS, and over TLS."""

from __future__ import annotations

import imaplib
import poplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from imapclient import IMAPClient
from tests.harness.clients import fill, letter, stored
from tests.harness.target import Account, Target

modes = pytest.mark.parametrize("tls", ["plain", "starttls", "tls"])


def checked(target: Target) -> ssl.SSLContext:
    """The TLS context of a library that checks the name it dialled, which here is an address: the chain is checked."""
    context = target.tls()
    context.check_hostname = False
    return context


def imaplib_client(target: Target, tls: str) -> imaplib.IMAP4:
    if tls == "tls":
        return imaplib.IMAP4_SSL(target.host, target.port("imaps"), ssl_context=checked(target), timeout=30)
    client = imaplib.IMAP4(target.host, target.port("imap"), timeout=30)
    if tls == "starttls":
        client.starttls(ssl_context=checked(target))
    return client


@modes
def test_imaplib_reads_keeps_and_deletes(target: Target, account: Account, tls: str) -> None:
    words = fill(target, account, 3)
    with imaplib_client(target, tls) as client:
        client.login(account.address, account.password)
        assert client.select("INBOX") == ("OK", [b"3"])
        typ, data = client.fetch("1:3", "(UID FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        assert typ == "OK"
        subjects = [part[1].strip() for part in data if isinstance(part, tuple)]
        assert subjects == [f"Subject: {word}".encode() for word in words]
        typ, found = client.search(None, "SUBJECT", words[1])
        assert (typ, found) == ("OK", [b"2"])
        assert client.copy("1", "Archive")[0] == "OK"
        assert client.store("1", "+FLAGS", "(\\Deleted)")[0] == "OK"
        assert client.expunge() == ("OK", [b"1"])
        assert client.close()[0] == "OK"
    assert [word.encode() in message for word, message in zip(words[1:], stored(target, account), strict=True)] == [
        True
    ] * 2
    (archived,) = stored(target, account, "Archive")
    assert words[0].encode() in archived


@modes
def test_imaplib_appends_with_flags_and_date(target: Target, account: Account, tls: str) -> None:
    word, message = letter()
    with imaplib_client(target, tls) as client:
        client.login(account.address, account.password)
        date = '"05-Jan-2021 10:11:12 +0200"'
        typ, answer = client.append("Drafts", "(\\Draft \\Seen)", date, message)
        assert typ == "OK"
        assert b"APPENDUID" in answer[0]  # RFC 4315 §3
        client.select("Drafts", readonly=True)
        _, (line,) = client.fetch("1", "(FLAGS INTERNALDATE RFC822.SIZE)")
        assert isinstance(line, bytes)
        assert b"RFC822.SIZE %d" % len(message) in line
        assert imaplib.Internaldate2tuple(line) is not None
        assert datetime(2021, 1, 5, 8, 11, 12, tzinfo=UTC).timestamp() == seconds(line)
        assert {b"\\Draft", b"\\Seen"} <= set(imaplib.ParseFlags(line))
    assert stored(target, account, "Drafts") == [message]
    assert word.encode() in message


def seconds(line: bytes) -> float:
    """INTERNALDATE of a FETCH line as Unix time."""
    import re

    found = re.search(rb'INTERNALDATE "([^"]+)"', line)
    assert found is not None
    return datetime.strptime(found[1].decode().strip(), "%d-%b-%Y %H:%M:%S %z").timestamp()


@contextmanager
def imapclient_client(target: Target, tls: str) -> Iterator[IMAPClient]:
    port = target.port("imaps" if tls == "tls" else "imap")
    context = checked(target) if tls == "tls" else None
    with IMAPClient(target.host, port, ssl=tls == "tls", ssl_context=context, timeout=30) as client:
        if tls == "starttls":
            client.starttls(checked(target))
        yield client


@modes
def test_imapclient_reads_moves_and_idles(target: Target, account: Account, tls: str) -> None:
    words = fill(target, account, 2)
    with imapclient_client(target, tls) as client:
        client.login(account.address, account.password)
        for capability in (
            b"IMAP4REV1",
            b"IDLE",
            b"UIDPLUS",
            b"MOVE",
            b"SPECIAL-USE",
            b"NAMESPACE",
            b"UNSELECT",
            b"ENABLE",
            b"ID",
        ):
            assert client.has_capability(capability), capability
        folders = {name: flags for flags, _, name in client.list_folders()}
        assert b"\\Sent" in folders["Sent"]
        assert client.select_folder("INBOX")[b"EXISTS"] == 2
        found = client.fetch(client.search(), ["ENVELOPE", "BODYSTRUCTURE", "FLAGS"])
        assert [data[b"ENVELOPE"].subject.decode() for data in found.values()] == words
        first, second = sorted(found)
        assert client.sort(["REVERSE ARRIVAL", "SUBJECT"]) in ([second, first], [first, second])
        assert {uid for thread in client.thread("REFERENCES") for uid in thread} == {first, second}
        client.add_flags([first], ["\\Flagged", "$Label1"])
        assert {b"\\Flagged", b"$Label1"} <= set(client.get_flags([first])[first])
        client.move([first], "Archive")
        assert client.search() == [second]
        client.idle()
        (word,) = fill(target, account, 1)
        told = client.idle_check(timeout=10)
        client.idle_done()
        assert (2, b"EXISTS") in told
        (new,) = client.search(["HEADER", "X-Word", word])
        client.delete_messages([new])
        client.uid_expunge([new])
        assert client.search() == [second]


@modes
def test_imapclient_makes_renames_and_drops_folders(target: Target, account: Account, tls: str) -> None:
    with imapclient_client(target, tls) as client:
        client.login(account.address, account.password)
        client.create_folder("Projekte/Grün & Blau")
        client.subscribe_folder("Projekte/Grün & Blau")
        client.append("Projekte/Grün & Blau", letter()[1])
        assert "Projekte/Grün & Blau" in [name for _, _, name in client.list_sub_folders()]
        client.rename_folder("Projekte", "日本語")
        assert client.folder_status("日本語/Grün & Blau", ["MESSAGES"]) == {b"MESSAGES": 1}
        client.delete_folder("日本語/Grün & Blau")
        assert not client.folder_exists("日本語/Grün & Blau")


def poplib_client(target: Target, tls: str) -> poplib.POP3:
    if tls == "tls":
        return poplib.POP3_SSL(target.host, target.port("pop3s"), context=checked(target), timeout=30)
    client = poplib.POP3(target.host, target.port("pop3"), timeout=30)
    if tls == "starttls":
        client.stls(context=checked(target))
    return client


@modes
def test_poplib_reads_keeps_and_deletes(target: Target, account: Account, tls: str) -> None:
    words = fill(target, account, 3)
    client = poplib_client(target, tls)
    assert {"UIDL", "TOP", "SASL", "RESP-CODES", "PIPELINING"} <= set(client.capa())
    client.user(account.address)
    client.pass_(account.password)
    count, _ = client.stat()
    assert count == 3
    uids = [line.split()[1] for line in client.uidl()[1]]
    assert len(set(uids)) == 3
    assert words[2].encode() in b"\r\n".join(client.retr(3)[1])
    assert b"A line." not in b"\r\n".join(client.top(2, 0)[1])
    client.dele(1)
    client.dele(2)
    client.rset()
    client.dele(2)
    client.quit()
    again = poplib_client(target, tls)
    again.user(account.address)
    again.pass_(account.password)
    assert [line.split()[1] for line in again.uidl()[1]] == [
        uids[0],
        uids[2],
    ]  # RFC 1939 §7: an id lives with its message
    again.quit()
    assert len(stored(target, account)) == 2


def test_poplib_that_is_cut_off_deletes_nothing(target: Target, account: Account) -> None:
    fill(target, account, 2)
    client = poplib_client(target, "plain")
    client.user(account.address)
    client.pass_(account.password)
    client.dele(1)
    client.close()  # without QUIT: RFC 1939 §6, no UPDATE state
    assert len(stored(target, account)) == 2
