"""CHUNKING and BINARYMIME (RFC 3030): a message in counted pieces, and the end that it has in common with DATA's.

- The octets of a chunk are read whatever becomes of it: left in the buffer they would be taken for commands.
- A command whose count cannot be read ends the connection, for the same reason.
- What a message may weigh, and how long it may take, is the same by BDAT and by DATA, and counts over all its chunks.
"""

from __future__ import annotations

from typing import Final

from mailpod.errors import Busy, MailError, TooBig
from mailpod.smtp import data, replies
from mailpod.smtp.connection import Connection
from mailpod.smtp.session import BDAT
from mailpod.smtp.syntax import SyntaxProblem, parse_chunk

DROP_FACTOR: Final = 10  # what is over the limit is read to its end, up to so many times the limit
_PROGRESS: Final = 1024  # octets of a chunk that is not counted as a command
_NO_COUNT: Final = "521 5.5.4 Syntax: BDAT <octets> [LAST], closing"
_SPOILT: Final = "503 5.5.1 An earlier chunk was refused, send RSET"


class Chunking(Connection):
    """BDAT, and what happens to a complete message."""

    async def smtp_BDAT(self, arg: str) -> None:
        try:
            size, last = parse_chunk(arg)
        except SyntaxProblem:
            self.leave(_NO_COUNT)
        refused = self.refused_chunk(size)
        await self._read_chunk(size, keep=refused is None)
        if refused is None and not last and size >= _PROGRESS:
            self._commands -= 1  # a large message in small chunks is no idling
        await self.end_chunk(refused, last, f"250 2.0.0 {size} octets received")

    async def end_chunk(self, refused: str | None, last: bool, received: str) -> None:
        """A chunk is there, or was refused; `received` is the reply to one that others follow."""
        envelope = self.envelope
        if refused is not None:
            if envelope.chunks is not None:
                envelope.spoil()
            if last and envelope.chunks is not None:
                await self.conclude(refused)
            else:
                self.refuse(refused)
        elif last:
            assert envelope.chunks is not None
            await self.conclude(self.keep(bytes(envelope.chunks)))
        else:
            self.reply(received)

    def refused_chunk(self, size: int) -> str | None:
        """Why the chunk is not wanted. Where it is, its room is held."""
        if refused := self._refusal(BDAT, "", "BDAT"):
            return refused
        envelope = self.envelope
        if not envelope.recipients:
            return self.no_recipients
        if envelope.spoilt:
            return _SPOILT
        if envelope.chunks is None:
            envelope.chunks, envelope.began = bytearray(), self.stream.now
        whole = len(envelope.chunks) + size
        if whole > self.settings.max_message_bytes:
            return replies.from_error(TooBig())
        return None if envelope.hold(whole) else replies.from_error(Busy())

    async def _read_chunk(self, size: int, *, keep: bool) -> None:
        stream, settings, chunks = self.stream, self.settings, self.envelope.chunks
        if size > settings.max_message_bytes * DROP_FACTOR:
            self.leave(replies.from_error(TooBig()))
        began = self.envelope.began if keep else stream.now
        done, before = 0, len(chunks or b"")
        while True:
            piece = min(size - done, len(stream.buffer))
            if keep and chunks is not None:
                with memoryview(stream.buffer) as view:
                    chunks += view[:piece]
            del stream.buffer[:piece]
            done += piece
            # also where all of it is here already: one octet at a time must not go on for ever
            deadline = began + settings.data_timeout + (before + done) / settings.min_data_rate
            if stream.now > deadline:
                self.leave(replies.TIMED_OUT)
            if done == size:
                return
            await stream.more(deadline)

    def keep(self, content: bytes) -> str | None:
        """Make the content the envelope's, or say why it is refused."""
        if not self.envelope.binary and data.has_bare_newline(content):
            if self.settings.bare_newlines == "reject":
                return replies.BARE_NEWLINE_IN_DATA
            content = data.normalized(content)
        if len(content) > self.settings.max_message_bytes:
            return replies.from_error(TooBig())
        self.envelope.content = content
        return None

    async def conclude(self, refused: str | None) -> None:
        """Accept the message, unless it is refused already; the transaction is over either way."""
        try:
            status = refused or await self._call_handler_hook("DATA")
        except MailError as error:
            status = replies.from_error(error)
        finally:
            self._set_rset_state()
        if status.startswith("2"):
            self.accepted()
            self.reply(status)
        else:
            self.refuse(status)
