"""Mailbox access keys (RFC 4467 §2.2): a secret of each mailbox, by which its owner authorizes URLs of its messages.

- A key is stored, not derived: RESETKEY is one commit, every pod that reads it has the new key, and no secret outside
  the bucket must outlive the URLs. Who can read the log can read the mail that the keys open.
- A key is of one mailbox of one incarnation: it goes with it, keeps to it when it is renamed, and is neither inherited
  nor restored. So what a URL opened is never another message, though UIDVALIDITY be missing in it.
- A key is in no log line, error or tool's output.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from ..errors import NoSuchMailbox
from .ops import UrlKey

if TYPE_CHECKING:
    from .account import Account
    from .draft import Draft
    from .mailbox import Mailbox

_OCTETS: Final = 20  # RFC 4467 §2.2 asks for 128 bits; HMAC-SHA1 makes use of 160 (RFC 2104 §3)


class UrlKeys:
    """Of one account. Only where the domain's entry has "urlkey" in `reads`. Raises NoSuchMailbox, Unavailable."""

    def __init__(self, account: Account, rng: random.Random) -> None:
        self._account = account
        self._rng = rng

    async def of(self, names: Sequence[str]) -> list[bytes]:
        """The access keys of these mailboxes, which get one where they have none."""
        found = [self._account.mailbox(name).url_key for name in names]
        if not all(found):
            found = await self._account.committer.commit(lambda draft: keys(draft, names, self._new), exclusive=True)
        return [bytes.fromhex(key) for key in found]

    async def reset(self, name: str) -> None:
        """What was authorized by a mailbox's key before is so no more."""
        key = self._new()
        await self._account.committer.commit(lambda draft: reset(draft, name, key), exclusive=True)

    async def forget(self) -> None:
        """The same of all mailboxes."""
        await self._account.committer.commit(forget, exclusive=True)

    def _new(self) -> str:
        return self._rng.randbytes(_OCTETS).hex()


def keys(draft: Draft, names: Sequence[str], new: Callable[[], str]) -> list[str]:
    """Of each of these mailboxes, made where there is none (RFC 4467 §7, GENURLAUTH). Raises NoSuchMailbox."""
    boxes = [_box(draft, name) for name in names]
    made = {box.id: new() for box in boxes if not box.url_key}
    draft.operations += (UrlKey(box, key) for box, key in made.items())
    return [box.url_key or made[box.id] for box in boxes]


def reset(draft: Draft, name: str, key: str) -> None:
    """RFC 4467 §7, RESETKEY: another key, whether or not there was one. Raises NoSuchMailbox."""
    draft.operations.append(UrlKey(_box(draft, name).id, key))


def forget(draft: Draft) -> None:
    """RFC 4467 §7, RESETKEY without a mailbox: no key of any."""
    draft.operations += (UrlKey(box.id) for box in draft.state.boxes.values() if box.url_key)


def _box(draft: Draft, name: str) -> Mailbox:
    box = draft.state.find(name)
    if box is None:
        raise NoSuchMailbox(name)
    return box
