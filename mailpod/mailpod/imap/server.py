"""One IMAP connection: input to commands, commands to handlers, errors to replies.

Invariants
- Commands run one after the other, in the order they came (RFC 3501 §5.5); a task exists only while one runs, and
  an idle connection, IDLE and NOTIFY included, has none but while results are tested again (RFC 5267) or new messages
  are fetched for NOTIFY.
- Only the running command, or nobody, feeds the parser; what the client pipelines meanwhile stays in the buffer, and
  beyond `_PIPELINE` octets in the kernel.
- Octets of a message literal are taken from the budget before the client may send them, and given back when the
  command that holds them is over.
- Every command gets exactly one tagged reply, unless the connection goes first.
"""

from __future__ import annotations

import asyncio
import re
from array import array
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from mailpod import logs, metrics
from mailpod.errors import AccountClosed, Busy, MailError, TooBig
from mailpod.imap import reply
from mailpod.imap.capability import capabilities
from mailpod.imap.commands import COMMANDS, fetch, notify
from mailpod.imap.enabled import UidRequired
from mailpod.imap.grammar_search import UnsavedCharset
from mailpod.imap.lexer import BadCommand
from mailpod.imap.notified import own_change
from mailpod.imap.parser import NeedLiteral, Rejected
from mailpod.imap.progress import Progress
from mailpod.imap.reply import Done, Held
from mailpod.imap.session import Leaving, Session
from mailpod.imap.states import Rule
from mailpod.imap.syntax import Command
from mailpod.imap.syntax_search import searches_by_number

if TYPE_CHECKING:
    from mailpod.imap.watching import Own
    from mailpod.services import Services

_PIPELINE: Final = 64 * 1024
_TURN: Final = 32  # commands in a row
_UNAUTHENTICATE: Final = re.compile(rb" UNAUTHENTICATE *\r?\n\Z", re.IGNORECASE)
_UNAUTHENTICATE_ROOM: Final = 64
_GO_AHEAD: Final = b"+ Ready for literal data\r\n"


@dataclass(frozen=True, slots=True)
class NewMessages:
    """Work between commands: messages came that are to be fetched unasked, or mailboxes to be watched (RFC 5465)."""


_NEW_MESSAGES: Final = NewMessages()


class ServerBug(MailError):
    """An exception of ours; it is in the log."""

    imap = ("NO", "SERVERBUG")
    text = "Internal error"


class ImapSession(Session):
    """What the listeners make of each connection."""

    __slots__ = ("_bad", "_busy", "_eof", "_held", "_held_command", "_queuing", "_taken", "_task")

    def __init__(self, services: Services, *, implicit_tls: bool = False) -> None:
        super().__init__(services, implicit_tls=implicit_tls)
        self._busy = False
        self._eof = False
        self._task: asyncio.Task[None] | None = None
        self._held: Held | None = None
        self._held_command: Command | None = None
        self._taken = 0  # octets of the budget
        self._queuing = False  # for the budget
        self._bad = 0

    # Wire calls these, in the loop.

    def on_connect(self) -> None:
        self.write(b"* OK [CAPABILITY %b] Mailpod ready\r\n" % capabilities(self))

    def on_input(self, buffer: bytearray) -> None:
        if self.compressed and _UNAUTHENTICATE.search(buffer[-_UNAUTHENTICATE_ROOM:]):
            self.pause()  # RFC 8437 §4.1: what follows comes without compression
        if not self._busy:
            self._start(self._advance())
            if not self._busy:
                self.resume()
        elif self._line is not None and not self._line.done():
            self._feed_line(self._line)
        elif len(buffer) > _PIPELINE:
            self.pause()

    def on_eof(self) -> None:
        if self._queuing or self._line is not None:
            self.abort()  # the command waits for what will never come
        elif self._busy:
            self._eof = True  # what was asked is still answered
        else:
            self.close()

    def on_lost(self) -> None:
        self._release_held()
        if self._line is not None and not self._line.done():
            self._line.set_exception(ConnectionResetError("connection lost"))
        if not self._busy:
            self._forget()
        elif self._queuing and self._task is not None:
            self._task.cancel()

    def on_idle_timeout(self) -> None:
        if not self._busy:
            self.say_bye(b"Autologout; idle for too long")  # RFC 3501 §5.4

    def on_drain(self) -> None:
        self.leave(b"Server is shutting down")
        if not self._busy:
            self.say_bye()

    def on_revoked(self) -> None:
        self.leave(b"The account changed; log in again")
        self._cut = True
        if not self._busy:
            self.say_bye()

    def shut_out(self) -> None:
        super().shut_out()
        if not self._busy:
            self.say_bye()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._held is not None:
            self.tell()
        self.news()

    def news(self) -> None:
        """Also called between commands: what came while one ran."""
        notified = self.notified
        if notified is None or notified.plain or self._busy or self._write_paused or self.closing:
            return
        self.tell(expunge=self._held is not None or notified.at_once)
        if self._renewal is None:  # RFC 5465 §5.2: FETCH follows ESEARCH ADDTO; `_renew` begins it then
            self.fetch_new()

    def fetch_new(self) -> None:
        if not self._busy and not self.closing and self._has_work():
            self._start(_NEW_MESSAGES)

    def _has_work(self) -> bool:
        if self.notified is not None and self.notified.missed(self):
            return True
        return self.selected is not None and bool(self.selected.unfetched)

    # From input to commands.

    def _start(self, event: Command | NeedLiteral | NewMessages | None) -> None:
        if event is not None:
            self._busy = True
            self._renewal = None
            self._task = self.spawn(self._work(event))

    def _advance(self) -> Command | NeedLiteral | None:
        """The next command, or a literal that the budget has no room for yet; None when more input is needed."""
        while not self.closing:
            if self._bye is not None:
                self.say_bye()
                break
            if self._held is not None:
                if not self._end_held(self._held):
                    break
                continue
            event = self._parser.next(self.buffer)
            if isinstance(event, Rejected):
                self._reject(event)
            elif isinstance(event, NeedLiteral) and self._admit(event):
                self._accept(event)
            elif event is None or isinstance(event, Command) or self._parser.asked:
                return event
        return None

    async def _work(self, event: Command | NeedLiteral | NewMessages | None) -> None:
        """Commands, until there is none to run. The only task of a connection."""
        commands = 0
        try:
            while event is not None:
                if isinstance(event, NeedLiteral):
                    await self._wait_for_budget(event)
                elif isinstance(event, NewMessages):
                    await self._fetch_new()
                    self.flush()
                else:
                    await self._run(event)
                    commands += 1
                    await self._make_way(commands)
                event = self._advance()
        finally:
            self._busy = False
            self._task = None
            if self._lost:
                self._forget()
        if self._eof:
            self.close()
        self.resume()
        self.news()

    async def _fetch_new(self) -> None:
        await notify.widen(self)
        if self.selected is not None and self.selected.unfetched:
            await fetch.run_unasked(self, self.selected)

    async def _make_way(self, commands: int) -> None:
        """Between pipelined commands: the client must read the answers, and other sessions have their turn."""
        if not self.closing and self._write_paused:
            await self.drained()
        if commands % _TURN == 0:
            await asyncio.sleep(0)

    def _feed_line(self, waiting: asyncio.Future[bytes]) -> None:
        try:
            line = self._parser.line(self.buffer)
        except BadCommand as error:
            waiting.set_exception(error)
            return
        if line is not None:
            waiting.set_result(line)

    # Literals.

    def _admit(self, asked: NeedLiteral) -> bool:
        """Whether the literal may come now. If not it was refused, or it waits for the budget."""
        settings = self.services.settings.imap
        if self.state not in COMMANDS[asked.name].states:
            self._parser.refuse(self._wrong_state(asked.name))
        elif not asked.message:
            return True
        elif asked.size > settings.append_bytes or (self._taken and self._taken + asked.size > self._most()):
            self._parser.refuse(TooBig())
        elif self.services.budget.try_take(asked.size):
            self._taken += asked.size
            return True
        elif self._taken:
            self._parser.refuse(Busy())  # nobody waits for the budget while holding some of it
        return False

    def _most(self) -> int:
        """Octets that the messages of one APPEND may have together (RFC 3502): they are held until it is over."""
        return max(self.services.settings.imap.append_bytes, self.services.budget.total // 4)

    def _accept(self, asked: NeedLiteral) -> None:
        self._parser.accept()
        if asked.sync:
            self.write(_GO_AHEAD)
        elif asked.message:  # and those that came with it, as far as each would be admitted
            budget, largest = self.services.budget, self.services.settings.imap.append_bytes
            more = self._parser.take_messages(self.buffer, min(self._most() - self._taken, budget.free), largest)
            self._taken += more if budget.try_take(more) else 0

    async def _wait_for_budget(self, asked: NeedLiteral) -> None:
        self._queuing = True
        try:
            await self.services.budget.take(asked.size)
        finally:
            self._queuing = False
        self._taken += asked.size
        self._accept(asked)

    def _give_back(self) -> None:
        taken, self._taken = self._taken, 0
        if taken:
            self.services.budget.give(taken)

    # Commands.

    async def _run(self, command: Command) -> None:
        rule = COMMANDS[command.name]
        clock = self.services.clock
        started = clock.elapsed()
        self.tag = command.tag
        self.limited = None
        self.progress = Progress(command.tag, started, self.services.settings.imap.progress_seconds)
        try:
            if self.state not in rule.states:
                raise self._wrong_state(command.name)
            if self.enabled.uidonly and (rule.numbers or searches_by_number(command.args)):
                raise UidRequired  # whatever the mailbox has
            done = await rule.run(self, command.args)
        except Leaving:
            done = None
        except MailError as error:
            self._fail(command, rule, error)
        except ConnectionError:
            raise
        except Exception as error:
            logs.crash("imap.command.crashed", error, command=command.name, user=self._user())
            metrics.SESSION_CRASHES.labels(self.protocol).inc()
            self._fail(command, rule, ServerBug())
        else:
            await self._succeed(command, rule, done)
        finally:
            self._give_back()
        metrics.command_seconds(self.protocol, command.name).observe(clock.elapsed() - started)

    async def _succeed(self, command: Command, rule: Rule, done: Done | Held | None) -> None:
        self._bad = 0
        if isinstance(done, Held):
            self._held, self._held_command = done, command
            self.flush()
            return
        done = done or Done()
        self._poll_after(command, rule, own_change(command) if self.notified is not None else None)
        if self.selected is not None and self.selected.contexts:
            with suppress(MailError):  # the command is done; what its answer lacks comes with the next change
                await self.renew()
        if self._has_work():
            await self._fetch_new()
        if self.limited is not None and done.code is None:
            done, self.limited = replace(done, code=self.limited.code), None
        self._tell_limited()
        self._answer(command.name, "ok", reply.accepted(command.tag, command.name, done))
        if done.after is not None:
            await done.after()

    def _poll_after(self, command: Command, rule: Rule, own: Own | None = None) -> None:
        # RFC 7162 §3.2.10.2: a UID command may be answered with VANISHED, but not a search that has message numbers
        self.poll(rule.expunge and not searches_by_number(command.args), own)

    def _tell_limited(self) -> None:
        if self.limited is not None:
            self.send(self.limited.untagged)

    def _fail(self, command: Command, rule: Rule, error: MailError) -> None:
        if isinstance(error, AccountClosed):
            self.leave(b"The mailbox was closed; log in again")
        self._poll_after(command, rule)
        self._tell_limited()
        self._answer(command.name, error.imap[0].lower(), reply.refused(command.tag, error))
        self._count_bad(error)

    def _reject(self, rejected: Rejected) -> None:
        """A command that never got as far as to run."""
        self._give_back()
        if isinstance(rejected.error, UnsavedCharset) and self.selected is not None:
            self.selected.saved = array("I")  # RFC 5182 §2.1: after a NO the result is empty
        self.write(reply.refused(rejected.tag, rejected.error))
        self._count_bad(rejected.error)
        if rejected.fatal:
            self.leave(b"Cannot follow what the client sends")

    def _count_bad(self, error: MailError) -> None:
        if error.imap[0] == "BAD":
            self._bad += 1
            if self._bad >= self.services.settings.imap.bad_commands:
                self.leave(b"Too many bad commands")

    def _answer(self, name: str, outcome: str, line: bytes) -> None:
        metrics.command_count(self.protocol, name, outcome).inc()
        self.send(line)
        self.flush()

    def _wrong_state(self, name: str) -> BadCommand:
        return BadCommand(f"{name} is not allowed in the {self.state.value} state")

    # IDLE.

    def _end_held(self, held: Held) -> bool:
        """Whether the line came that ends the held command."""
        command = self._held_command
        assert command is not None
        try:
            line = self._parser.line(self.buffer)
            if line is None:
                return False
            self._release_held()
            done = held.finish(line)
        except BadCommand as error:
            self._release_held()
            self._fail(command, COMMANDS[command.name], error)
        else:
            self.poll(expunge=True)
            self._answer(command.name, "ok", reply.accepted(command.tag, command.name, done))
        return True

    def _release_held(self) -> None:
        held, self._held = self._held, None
        self._renewal = None
        if held is not None:
            held.cancel()

    # The end.

    def _forget(self) -> None:
        self._give_back()
        self.log_out()

    def _user(self) -> str:
        return self._identity.address if self._identity is not None else ""
