"""One POP3 connection: lines to commands, in order, errors to -ERR.

- Every command gets exactly one answer, in the order they came (RFC 2449 §6.6, PIPELINING).
- A task exists only while a command waits for something; what is pipelined meanwhile stays in the buffer, and beyond
  `_PIPELINE` octets in the kernel.
- Answers to what was pipelined leave together: before anything is waited for that may take long, and at the end.
"""

from __future__ import annotations

from collections.abc import Awaitable

from mailpod import logs, metrics
from mailpod.errors import MailError
from mailpod.pop3 import reply
from mailpod.pop3.session import Session
from mailpod.pop3.syntax import MAX_LINE, MAX_SASL_LINE, LineTooLong, Refused, parse, take_line
from mailpod.services import Services

_PIPELINE = 16 * 1024


class Pop3Session(Session):
    """What the listeners make of each connection."""

    __slots__ = ("_bad", "_busy", "_eof", "_quiet")

    def __init__(self, services: Services, *, implicit_tls: bool = False) -> None:
        super().__init__(services, implicit_tls=implicit_tls)
        self._bad = 0
        self._busy = self._eof = self._quiet = False

    # Wire calls these, in the loop.

    def on_connect(self) -> None:
        self.write(reply.ok(b"Mailpod POP3 ready"))
        self.flush()

    def on_input(self, buffer: bytearray) -> None:
        self._quiet = False
        if not self._busy:
            self._advance()
        elif len(buffer) > _PIPELINE:
            self.pause()

    def on_eof(self) -> None:
        self._eof = True  # what it asked for is still answered
        if not self._busy:
            self.close()

    def on_lost(self) -> None:
        if not self._busy:
            self.forget()

    def on_idle_timeout(self) -> None:
        if not self._busy:
            self.close()  # RFC 1939 §3: without a word, and without deleting

    def on_drain(self) -> None:
        self._end()

    def on_revoked(self) -> None:
        self._end()

    def on_tick(self, now: float, slack: float) -> None:
        super().on_tick(now, slack)
        if self._quiet and not self._busy and self._reader is not None and self._reader.holding:
            self._reader.drop()  # a client that pauses does not keep the pod's budget
        self._quiet = True

    # From lines to commands.

    def _end(self) -> None:
        self.leave()
        if not self._busy:
            self.close()

    def _advance(self) -> None:
        """Run what is in the buffer, until a command has to wait."""
        waiting = self._next()
        if waiting is None:
            self.flush()
        else:
            self._busy = True
            self.spawn(self._work(waiting))

    async def _work(self, waiting: Awaitable[None]) -> None:
        """Commands until there is none. The only task of a connection."""
        try:
            following: Awaitable[None] | None = waiting
            while following is not None:
                await following
                following = None if self.closing else self._next()
            self.flush()
        finally:
            self._busy = False
            if self._lost:
                self.forget()
        if self._eof:
            self.close()
        self.resume()

    def _next(self) -> Awaitable[None] | None:
        """Run commands that need not wait; returns the first that does. None: there is no whole command left."""
        while not self.closing:
            if self._write_paused and self.buffer:
                return self.drained()  # whoever pipelines without reading waits here
            try:
                line = take_line(self.buffer, MAX_LINE if self._exchange is None else MAX_SASL_LINE)
            except LineTooLong as error:
                self.write(reply.error(error))
                self.close()
                return None
            if line is None:
                return None
            waiting = self._start(line)
            if waiting is not None:
                return waiting
        return None

    def _start(self, line: bytes) -> Awaitable[None] | None:
        if self._exchange is not None:
            return self._run("AUTH", self.answer_challenge(line))
        try:
            command = parse(line, self.state)
            result: Awaitable[None] | None = getattr(self, f"do_{command.name}")(command)
        except MailError as error:
            self._fail("", error)
            return None
        if result is not None:
            return self._run(command.name, result)
        self._done(command.name)
        return None

    async def _run(self, name: str, work: Awaitable[None]) -> None:
        clock = self.services.clock
        started = clock.elapsed()
        try:
            await work
        except MailError as error:
            self._fail(name, error)
        except ConnectionError:
            raise
        except Exception as error:
            logs.crash("pop3.command.crashed", error, command=name)
            metrics.SESSION_CRASHES.labels(self.protocol).inc()
            self._fail(name, Crashed())
        else:
            self._done(name)
        metrics.command_seconds(self.protocol, name).observe(clock.elapsed() - started)

    def _done(self, name: str) -> None:
        self._bad = 0
        metrics.command_count(self.protocol, name, "ok").inc()
        if self._leaving:
            self.close()

    def _fail(self, name: str, error: MailError) -> None:
        self.write(reply.error(error))
        metrics.command_count(self.protocol, name or "other", "err").inc()
        if isinstance(error, Refused):
            self._bad += 1
        if self._leaving or self._bad >= self.services.settings.pop3.bad_commands:
            self.close()


class Crashed(MailError):
    """An error of ours; it is in the log."""

    pop3 = "SYS/TEMP"
    text = "Internal error"
