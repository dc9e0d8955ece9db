"""What commands know of their connection: state, account, selected mailbox, and how to answer.

Invariants: the account is held from log-in until the connection and its last command are gone; what is sent is queued
until `drained`, the end of the command, or `_QUEUE` octets, so a reply is one write and never unbounded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar, Final

from mailpod.errors import MailError
from mailpod.imap import reply
from mailpod.imap.enabled import Enabled
from mailpod.imap.notified import Notified
from mailpod.imap.parser import Limits, Parser
from mailpod.imap.progress import Progress
from mailpod.imap.states import State
from mailpod.imap.syntax_notify import NotifyArgs
from mailpod.imap.updating import updates
from mailpod.net.wire import Wire

if TYPE_CHECKING:
    from mailpod.auth.identity import Identity
    from mailpod.imap.messagelimit import Limited
    from mailpod.imap.places import Place
    from mailpod.imap.view import View
    from mailpod.imap.watching import Own
    from mailpod.services import Services
    from mailpod.store import Account

_QUEUE: Final = 64 * 1024
_PIECE: Final = 256 * 1024  # octets compressed in a row
_BEFORE_LOGIN: Final = Limits(command=8192, literals=4)  # what an unknown peer may cost


class Leaving(Exception):
    """The session must end now, before its command does."""


class Session(Wire):
    """State of one connection. `selected` is the view of the selected mailbox, None when there is none."""

    __slots__ = (
        "_account", "_bye", "_cut", "_failures", "_identity", "_line", "_out", "_parser", "_queued", "_renewal",
        "_selected", "_url_key", "annotates", "authorizes", "enabled", "limited", "notified", "progress", "shares",
        "tag",
    )  # fmt: skip

    protocol: ClassVar[str] = "imap"
    refusal: ClassVar[bytes] = reply.bye(b"Too many connections, try again later")

    def __init__(self, services: Services, *, implicit_tls: bool = False) -> None:
        super().__init__(services, implicit_tls=implicit_tls)
        self._selected: View | None = None
        self.enabled = Enabled()
        self.annotates = False  # METADATA is offered
        self.authorizes = False  # URLAUTH is offered
        self.limited: Limited | None = None  # what the running command did not process of its messages
        self.notified: Notified | None = None
        self.shares = False  # ACL is offered
        self.tag = b""  # of the running command
        self.progress = Progress(b"", 0.0, services.settings.imap.progress_seconds)  # its
        self._identity: Identity | None = None
        self._account: Account | None = None
        self._parser = Parser(_BEFORE_LOGIN)
        self._out: list[bytes | memoryview] = []
        self._queued = 0
        self._line: asyncio.Future[bytes] | None = None
        self._bye: bytes | None = None
        self._cut = False
        self._failures = 0
        self._renewal: object | None = None  # of contexts, while no command runs
        self._url_key = ""  # of the selected mailbox, as far as the client was told

    @property
    def state(self) -> State:
        if self._account is None:
            return State.NOT_AUTHENTICATED
        return State.AUTHENTICATED if self.selected is None else State.SELECTED

    @property
    def account(self) -> Account:
        """Of a logged-in session; the table of states says which commands have it."""
        assert self._account is not None
        return self._account

    @property
    def identity(self) -> Identity:
        assert self._identity is not None
        return self._identity

    @property
    def view(self) -> View:
        """Of a session in the selected state."""
        assert self.selected is not None
        return self.selected

    @property
    def selected(self) -> View | None:
        return self._selected

    @selected.setter
    def selected(self, view: View | None) -> None:
        before, self._selected = self._selected, view
        self._url_key = view.mailbox.url_key if view is not None else ""
        if before is not None and before.close is not None:
            before.close()

    @property
    def watched(self) -> Account:
        """The account whose changes the client is told of."""
        return self.account if self._selected is None else self._selected.account

    @property
    def read_only(self) -> bool:
        return self.selected is not None and self.selected.read_only

    def send(self, data: bytes | Sequence[bytes | memoryview]) -> None:
        """Queue untagged responses. Await `drained` between pieces of much."""
        if isinstance(data, bytes):
            self._out.append(data)
            self._queued += len(data)
        else:
            self._out += data
            self._queued += sum(map(len, data))
        if self._queued > _QUEUE and not self.compressed:
            self.flush()

    def flush(self) -> None:
        """Give what is queued to the transport."""
        out, self._out, self._queued = self._out, [], 0
        if len(out) == 1 and isinstance(out[0], bytes):
            self.write(out[0])
        elif out:
            self.write(out)

    async def drained(self) -> None:
        """Flush, and wait while the client does not read. Raises ConnectionResetError when it is gone."""
        if self.compressed and self._queued > _PIECE:
            await self._flush_in_pieces()
        self.flush()
        if self._cut:
            raise Leaving
        await super().drained()

    async def _flush_in_pieces(self) -> None:
        """Compressing takes a while: others run in between."""
        out, self._out, self._queued = memoryview(b"".join(self._out)), [], 0
        for at in range(0, len(out), _PIECE):
            self.write([out[at : at + _PIECE]])
            await super().drained()
            await asyncio.sleep(0)

    async def read_line(self) -> bytes:
        """The client's next line, as a part of the running command (RFC 3501 §6.2.2). Raises BadCommand when long."""
        self.flush()
        line = self._parser.line(self.buffer)
        if line is not None:
            return line
        self._line = asyncio.get_running_loop().create_future()
        try:
            return await self._line
        finally:
            self._line = None

    def names_in_utf8(self, utf8: bool) -> None:
        """Mailbox names come in UTF-8 from the next command on (Enabled.utf8_names)."""
        self._parser.utf8 = utf8

    def log_in(self, identity: Identity, account: Account, reads: Collection[str] = ()) -> None:
        """The session owns `account`'s hold from here on. `reads`: what all pods of its domain do (entries.py)."""
        self.annotates, self.shares, self.authorizes = (each in reads for each in ("annotate", "grant", "urlkey"))
        settings, value = self.services.settings.imap, self.services.settings.store.annotation_bytes
        self._identity, self._account = identity, account
        self._parser.limits = Limits(settings.command_bytes, messages=settings.multiappend_messages, value=value)
        self.idle_timeout = settings.idle_timeout
        self.services.registry.add(self, identity, self.protocol)

    def login_failed(self) -> None:
        """Count a wrong password; the connection ends after too many."""
        self._failures += 1
        if self._failures >= self.services.settings.login_failures:
            self.leave(b"Too many failed log-ins")

    def unauthenticate(self) -> None:
        """As after the greeting (RFC 8437 §3): only TLS, compression and the count of wrong passwords are left."""
        self.log_out()
        self.enabled = Enabled()
        self.names_in_utf8(False)
        self._parser.limits = _BEFORE_LOGIN
        self.idle_timeout = self.services.settings.login_timeout

    def log_out(self) -> None:
        """Undo `log_in`."""
        self._end_notified()
        self.selected = None
        identity, account = self._identity, self._account
        self._identity = self._account = None
        if identity is not None:
            self.services.registry.remove(self, identity)
        if account is not None:
            account.release()

    def notified_of(self, args: NotifyArgs, places: Sequence[Place] = ()) -> Notified:
        """What `notify` may be given; it owns the hold of `places` from there on."""
        return Notified(self, args.selected, args.groups, places)

    def notify(self, notified: Notified) -> None:
        """What is told from now on, in commands and between them (RFC 5465 §3.1)."""
        self._end_notified()
        self.enabled.notify = True
        self.notified = notified
        notified.begin(self)

    def watch_annotations(self) -> None:
        """Changes of annotations are told with what is told of the selected mailbox (RFC 5464 §4.4)."""
        if self.notified is None:
            self.notified = Notified(self, None, (), plain=True)
        elif not self.notified.plain:
            self.notified.add_annotations()

    def _end_notified(self) -> None:
        notified, self.notified = self.notified, None
        if notified is not None:
            notified.end()

    def poll(self, expunge: bool, own: Own | None = None) -> None:
        """Queue what changed since the client was last told: in the selected mailbox, and what NOTIFY asked for but
        `own`."""
        if self._cut:
            return
        if self.selected is not None:
            self._poll_selected(self.selected, expunge)
        if self.notified is not None and self._bye != b"":  # after BYE nothing more is told
            self.send(self.notified.others(self, own))
            unfetched = len(self.selected.unfetched) if self.selected is not None else 0
            if unfetched > self.services.settings.imap.notify_messages:
                self.send(b"* OK [NOTIFICATIONOVERFLOW] Too many new messages at once\r\n")  # RFC 5465 §5.8
                self.notify(self.notified_of(NotifyArgs(none=True)))
                if self.selected is not None:
                    self.selected.unfetched.clear()

    def _poll_selected(self, view: View, expunge: bool) -> None:
        if view.mailbox.deleted:
            self.selected = None
            # RFC 2180 §3.3; before the running command's reply, as LOGOUT's, since nothing else can follow
            self.send(reply.bye(b"The selected mailbox was deleted"))
            self.leave(b"")
        else:
            self.send(view.poll(expunge) if self.notified is None else self.notified.poll(view, expunge))
            if view.mailbox.url_key != self._url_key and view.access.who is None:
                self._url_key = view.mailbox.url_key
                self.send(reply.URL_MECHANISMS)  # RFC 4467 §7, RESETKEY: by whatever session of the user

    async def renew(self, wanted: Callable[[], bool] = lambda: True) -> None:
        """Queue what changed in the results of searches, as the client was last polled. Raises what reading raises."""
        view = self.selected
        if view is not None and view.contexts and not self._cut:
            async for update in updates(view, self.services, lambda: wanted() and self.selected is view):
                self.send(update)

    def news(self) -> None:
        """Something may have changed that NOTIFY asked for; the server's session tells it between commands."""

    def fetch_new(self) -> None:
        """Begin to fetch what is to be fetched unasked; the server's session does it, between commands."""

    def tell(self, expunge: bool = True) -> None:
        """Send what changed while no command runs (IDLE); later, when the client does not read."""
        if self._write_paused:
            return
        self.poll(expunge)
        if self._bye is not None:
            self.say_bye()
        self.flush()
        if self._renewal is None and self._has_news():
            self._renewal = renewal = object()
            self.spawn(self._renew(renewal))

    def _has_news(self) -> bool:
        view = self.selected
        return view is not None and any(context.due(view) for context in view.contexts.values())

    async def _renew(self, renewal: object) -> None:
        """Between commands; when one begins it is the command's to tell, and what is under way is dropped."""
        with suppress(MailError):
            while self._renewal is renewal and self._has_news() and not self._write_paused:
                await self.renew(lambda: self._renewal is renewal)
                if self._renewal is renewal:
                    self.flush()
        if self._renewal is renewal:
            self._renewal = None
            self.fetch_new()

    def shut_out(self) -> None:
        """The right to read the selected mailbox was taken (RFC 4314 §5.1.1): nothing more is told of it."""
        self.leave(b"Access to the selected mailbox was withdrawn")
        self._cut = True

    def leave(self, text: bytes) -> None:
        """BYE after the running command's reply; the first text counts. An empty one: BYE was said already."""
        if self._bye is None:
            self._bye = text

    def say_bye(self, text: bytes = b"") -> None:
        """The end: BYE with what `leave` was told, or `text`."""
        if self._upgrading:
            self.abort()  # nothing can be said in the middle of a handshake
            return
        if self._bye != b"":
            self.send(reply.bye(self._bye or text))
        self.flush()
        self.close()
