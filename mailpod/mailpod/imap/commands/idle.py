"""IDLE (RFC 2177): the client is told of changes as they happen, until it says DONE.

Invariant: an idling session has no timer, and no task but while searches that it keeps are tested again; changes of
this pod arrive by Account.watch, those of others by the look that all watchers of an account share.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mailpod.imap.lexer import BadCommand
from mailpod.imap.reply import Done, Held

if TYPE_CHECKING:
    from mailpod.imap.session import Session
    from mailpod.imap.syntax import NoArgs

_DONE: Final = b"DONE"


async def run(session: Session, _args: NoArgs) -> Held:
    unwatch = session.watched.watch(session.tell)
    unfollow = session.services.followers.follow(session.watched, session.services.settings.imap.idle_refresh_seconds)

    def cancel() -> None:
        unwatch()
        unfollow()

    session.send(b"+ idling\r\n")
    session.tell()  # what came before the watch
    return Held(_finish, cancel)


def _finish(line: bytes) -> Done:
    if line.strip().upper() != _DONE:
        raise BadCommand("Expected DONE")
    return Done()
