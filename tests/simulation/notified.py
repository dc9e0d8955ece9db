"""A client that NOTIFY tells of all mailboxes (RFC 5465): what it has pieced together must be what is so."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, cast

from mailpod.imap.annotations import of_mailbox
from mailpod.imap.enabled import Enabled
from mailpod.imap.syntax_notify import EventGroup
from mailpod.imap.watching import Watch
from mailpod.store import Account, Mailbox

from .truth import Broken

_EVENTS = (
    *("MESSAGENEW", "MESSAGEEXPUNGE", "FLAGCHANGE"),
    *("MAILBOXNAME", "SUBSCRIPTIONCHANGE", "MAILBOXMETADATACHANGE", "SERVERMETADATACHANGE"),
)
_LIST = re.compile(rb'\* LIST \(([^)]*)\) "/" (\S+)(?: \("OLDNAME" \((\S+)\)\))?\r\n')
_STATUS = re.compile(rb"\* STATUS (\S+) \(([^)]*)\)\r\n")
_METADATA = re.compile(rb"\* METADATA (\S+) ([^\r]*)\r\n")


@dataclass
class _Box:
    messages: int = 0
    uidnext: int = 1
    unseen: int = 0
    annotations: dict[str, str] = field(default_factory=dict)


def _now(box: Mailbox) -> _Box:
    return _Box(box.exists, box.uidnext, box.unseen, dict(of_mailbox(box)))


class Told:
    """By name, as the client knows them."""

    def __init__(self, account: Account) -> None:
        session = SimpleNamespace(account=account, enabled=Enabled(), selected=None)
        self._account = account
        self._watch = Watch(cast(Any, session), (EventGroup("PERSONAL", (), frozenset(_EVENTS)),))
        self._boxes = {name: _now(box) for name, box in account.mailboxes.items()}
        self._subscribed = set(account.subscriptions)
        self._server = dict(account.annotations)

    def poll(self) -> None:
        lines = self._watch.poll()
        for line in lines:
            self._take(line)
        boxes = {name: _now(box) for name, box in self._account.mailboxes.items()}
        if (self._boxes, self._subscribed) != (boxes, self._account.subscriptions):
            raise Broken(f"a notified client has {self._boxes}, {self._subscribed} and not {boxes} after {lines}")
        if self._server != self._account.annotations:
            raise Broken(f"a notified client has annotations {self._server}, not {self._account.annotations}")

    def _take(self, line: bytes) -> None:
        if found := _LIST.fullmatch(line):
            self._list(found[1].decode().split(), found[2].decode(), (found[3] or b"").decode())
        elif found := _STATUS.fullmatch(line):
            words = found[2].decode().split()
            values = dict(zip(words[::2], map(int, words[1::2]), strict=True))
            known = {"MESSAGES": "messages", "UIDNEXT": "uidnext", "UNSEEN": "unseen"}
            name = found[1].decode()
            self._boxes[name] = replace(self._boxes[name], **{known[at]: values[at] for at in known.keys() & values})
        elif found := _METADATA.fullmatch(line):
            self._fetch(found[1].decode(), found[2].decode().split())
        else:
            raise Broken(f"a notified client was told {line!r}")

    def _list(self, attributes: list[str], name: str, old: str) -> None:
        (self._subscribed.add if "\\Subscribed" in attributes else self._subscribed.discard)(name)
        if "\\NonExistent" in attributes:
            self._boxes.pop(name, None)
            return
        if old == "INBOX":  # which stays, as do those below it
            old = ""
        for each in [each for each in self._boxes if old and (each == old or each.startswith(old + "/"))]:
            self._boxes[name + each[len(old) :]] = self._boxes.pop(each)
        self._boxes.setdefault(name, _Box())

    def _fetch(self, name: str, entries: list[str]) -> None:
        """As GETMETADATA answers."""
        if name == '""':
            known, there = self._server, dict(self._account.annotations)
        else:
            known, there = self._boxes[name].annotations, dict(of_mailbox(self._account.mailboxes[name]))
        for entry in entries:
            known.pop(entry, None)
            if entry in there:
                known[entry] = there[entry]
