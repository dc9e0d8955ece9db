"""Mail that flows while others take things away: a program for inside the cluster's network, a job on standard input.

    {"host": …, "accounts": {address: password}, "unopened": {address: password}, "every": seconds, "pace": seconds,
     "ledger": path, "stop": path}

At each turn a letter comes in on port 25, another is submitted with a password, and a mailbox is read by IMAP and by
POP3; every so often it is the turn of an account that was never opened before. Each is tried again until it succeeds,
for a minute at most. The ledger has a line of JSON for each: what, whose, when, how many attempts, and the letter's id,
which is another for each attempt. It ends when the file `stop` is there.
"""

from __future__ import annotations

import imaplib
import itertools
import json
import poplib
import smtplib
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

_PATIENCE = 60.0  # seconds
_TIMEOUT = 20.0
_TEMPORARY = (OSError, EOFError, smtplib.SMTPException, imaplib.IMAP4.error, poplib.error_proto)


class Flow:
    """The clients, one after the other."""

    def __init__(self, job: dict[str, Any]) -> None:
        self._host: str = job["host"]
        self._passwords: dict[str, str] = {**job["accounts"], **job["unopened"]}
        self._unopened: list[str] = list(job["unopened"])
        self._open: list[str] = list(job["accounts"])
        self._every, self._pace = float(job["every"]), float(job["pace"])
        self._ledger, self._stop = Path(job["ledger"]), Path(job["stop"])
        self._ids = itertools.count(1)
        self._turns = itertools.count()

    def run(self) -> None:
        firsts = self._firsts()
        due = time.monotonic() + self._every
        while not self._stop.exists():
            began = time.monotonic()
            if began >= due and self._unopened:
                due = began + self._every
                next(firsts)()
            self._turn()
            time.sleep(max(0.0, began + self._pace - time.monotonic()))

    def _turn(self) -> None:
        number = next(self._turns)
        one, other = (self._open[(number + step) % len(self._open)] for step in (0, 1))
        self._do("receive", one, lambda id: self._receive(one, id))
        self._do("submit", one, lambda id: self._submit(one, other, id), to=other)
        self._do("imap", other, lambda _: self._imap(other))
        self._do("pop3", one, lambda _: self._pop3(one))

    def _firsts(self) -> Iterator[Callable[[], None]]:
        """What an account is used for first, by turns."""
        for kind in itertools.cycle(("first imap", "first receive", "first pop3", "first submit")):
            yield lambda kind=kind: self._first(kind)  # type: ignore[misc]

    def _first(self, kind: str) -> None:
        address = self._unopened.pop(0)
        match kind:
            case "first imap":
                self._do(kind, address, lambda _: self._imap(address))
            case "first pop3":
                self._do(kind, address, lambda _: self._pop3(address))
            case "first receive":
                self._do(kind, address, lambda id: self._receive(address, id))
            case _:
                self._do(kind, address, lambda id: self._submit(address, address, id), to=address)
        self._open.insert(0, address)

    def _do(self, what: str, whose: str, attempt: Callable[[str], None], to: str = "") -> None:
        began, attempts, complaints = time.time(), 0, []
        while True:
            id = f"flow-{next(self._ids)}"
            attempts += 1
            try:
                attempt(id)
                done = True
                break
            except _TEMPORARY as error:
                complaints.append(f"{type(error).__name__}: {error}"[:200])
                if time.time() - began > _PATIENCE:
                    done = False
                    break
                time.sleep(0.5)
        line = {
            "what": what, "whose": whose, "to": to or whose, "id": id, "done": done, "began": began,
            "ended": time.time(), "attempts": attempts, "complaints": complaints,
        }  # fmt: skip
        with self._ledger.open("a") as ledger:
            ledger.write(json.dumps(line) + "\n")

    def _receive(self, recipient: str, id: str) -> None:
        with smtplib.SMTP(self._host, 25, timeout=_TIMEOUT) as client:
            client.sendmail("someone@elsewhere.test", [recipient], _letter(id))

    def _submit(self, sender: str, recipient: str, id: str) -> None:
        with smtplib.SMTP_SSL(self._host, 465, timeout=_TIMEOUT, context=_trusting()) as client:
            client.login(sender, self._passwords[sender])
            client.sendmail(sender, [recipient], _letter(id))

    def _imap(self, address: str) -> None:
        with imaplib.IMAP4_SSL(self._host, 993, ssl_context=_trusting(), timeout=_TIMEOUT) as client:
            client.login(address, self._passwords[address])
            status, told = client.select("INBOX", readonly=True)
            count = int((told[0] or b"0").decode())
            if status == "OK" and count:
                status, _ = client.fetch(str(count), "(BODY.PEEK[])")
            if status != "OK":
                raise imaplib.IMAP4.error(str(told))

    def _pop3(self, address: str) -> None:
        client = poplib.POP3_SSL(self._host, 995, timeout=_TIMEOUT, context=_trusting())
        try:
            client.user(address)
            client.pass_(self._passwords[address])
            count, _ = client.stat()
            if count:
                client.top(count, 0)
            client.quit()
        finally:
            client.close()


def subjects(host: str, passwords: dict[str, str]) -> dict[str, list[str]]:
    """The subjects of all letters in each INBOX."""
    found: dict[str, list[str]] = {}
    for address, password in passwords.items():
        with imaplib.IMAP4_SSL(host, 993, ssl_context=_trusting(), timeout=_TIMEOUT) as client:
            client.login(address, password)
            client.select("INBOX", readonly=True)
            parts: Any = client.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]
            lines = [part[1].decode() for part in parts if isinstance(part, tuple)]
            found[address] = [line.partition(":")[2].strip() for line in lines]
    return found


def _letter(id: str) -> str:
    return f"Subject: {id}\r\nMessage-ID: <{id}@flow.test>\r\n\r\nA letter.\r\n"


def _trusting() -> ssl.SSLContext:
    """The trials' certificates are self-signed; that they are right is tested elsewhere."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def main() -> None:
    job = json.load(sys.stdin)
    if "subjects" in job:
        print(json.dumps(subjects(job["host"], job["subjects"])))
    else:
        Flow(job).run()


if __name__ == "__main__":
    main()
