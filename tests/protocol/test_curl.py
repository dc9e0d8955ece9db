"""curl reads by IMAP and POP3, and deletes, on every port."""

from __future__ import annotations

import pytest
from tests.harness.clients import fill, letter, run, stored
from tests.harness.imap import Imap
from tests.harness.need import need
from tests.harness.target import Account, Target

modes = pytest.mark.parametrize("tls", ["plain", "starttls", "tls"])


def curl(target: Target, account: Account, kind: str, tls: str, path: str, *options: str) -> bytes:
    """One curl call; `kind` is imap or pop3. The certificate and its name are checked wherever there is TLS."""
    port = target.port(f"{kind}s" if tls == "tls" else kind)
    scheme = f"{kind}s" if tls == "tls" else kind
    command = [need("curl"), "-sS", "--user", f"{account.address}:{account.password}"]
    command += ["--resolve", f"{target.hostname}:{port}:{target.host}"]
    if tls != "plain":
        command += ["--cacert", str(target.ca), "--ssl-reqd"]
    return run([*command, *options, f"{scheme}://{target.hostname}:{port}/{path}"]).stdout


@modes
def test_curl_imap(target: Target, account: Account, tls: str) -> None:
    word, message = letter()
    with Imap(target, account) as imap:
        assert imap.append("INBOX", message).ok
    assert b"INBOX" in curl(target, account, "imap", tls, "")
    assert curl(target, account, "imap", tls, "INBOX;MAILINDEX=1") == message
    assert curl(target, account, "imap", tls, "INBOX;MAILINDEX=1;SECTION=TEXT") == b"A line.\r\n"
    assert b"SEARCH 1" in curl(target, account, "imap", tls, f"INBOX?HEADER%20X-Word%20{word}")
    curl(target, account, "imap", tls, "INBOX", "--request", "STORE 1 +FLAGS (\\Deleted)")
    curl(target, account, "imap", tls, "INBOX", "--request", "EXPUNGE")
    assert stored(target, account) == []


@modes
def test_curl_imap_uploads(target: Target, account: Account, tls: str, tmp_path: pytest.TempPathFactory) -> None:
    word, message = letter()
    file = tmp_path / "letter"  # type: ignore[operator]
    file.write_bytes(message)
    curl(target, account, "imap", tls, "Drafts", "--upload-file", str(file))
    (found,) = stored(target, account, "Drafts")
    assert word.encode() in found
    assert found == message


@modes
def test_curl_pop3(target: Target, account: Account, tls: str) -> None:
    words = fill(target, account, 2)
    listing = curl(target, account, "pop3", tls, "")
    assert [line.split()[0] for line in listing.splitlines()] == [b"1", b"2"]
    assert words[1].encode() in curl(target, account, "pop3", tls, "2")
    curl(target, account, "pop3", tls, "1", "--request", "DELE", "--head")
    (left,) = stored(target, account)
    assert words[1].encode() in left
