"""The odd-mail corpus, asked of Mailpod and of Dovecot 2.3: CPython's messages, James's, and generated ones.

Both are given lines that end CRLF: where a message is stored with bare LF, Dovecot sends and counts CRLF.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Any

from tests.harness.need import missing
from tests.mailpod.imap.selected import desk
from tests.mailpod.mime import mime4j
from tests.mailpod.mime.corpus import MESSAGES
from tests.mailpod.mime.dovecot import Answer, tagged
from tests.protocol.odd_letters import APPEND_LETTERS

DEEP = 8
"""Parts nested deeper are not asked for one by one."""


def letters() -> dict[str, bytes]:
    """Every message by name, as it is kept by those who collected it."""
    if not MESSAGES:
        missing("test.test_email of this Python (Debian: libpython3.11-testsuite)")
    james = mime4j.messages()
    if not james:
        missing(mime4j.NAME)
    return {path.name: path.read_bytes() for path in MESSAGES} | james | APPEND_LETTERS


def with_crlf(letter: bytes) -> bytes:
    return re.sub(rb"\r?\n", b"\r\n", letter)


async def ours(messages: Sequence[bytes], commands: Sequence[str]) -> list[Answer]:
    """What Mailpod answers; INTERNALDATE is the message's place in seconds, as `dovecot.answers` has it."""
    async with desk() as at:
        for number, message in enumerate(messages):
            await at.deliver(message, date=number)
        ann = at.select()
        said = b"".join([b"%ba %b" % _halves(await ann.say(command)) for command in commands])
    return list(tagged(said))


def _halves(answer: bytes) -> tuple[bytes, bytes]:
    """What is untagged, and the last line."""
    at = answer.rfind(b"\r\n", 0, -2) + 2 if b"\r\n" in answer[:-2] else 0
    return answer[:at], answer[at:]


def comparable(name: bytes, value: Any) -> Any:
    """An item's value but for case that means nothing: Dovecot writes MESSAGE/RFC822 in lower case always."""
    if name not in (b"BODY", b"BODYSTRUCTURE"):
        return value
    if isinstance(value, list):
        return [comparable(name, item) for item in value]
    return value.lower() if value in (b"MESSAGE", b"RFC822") else value


def part_items(*bodies: Any) -> tuple[str, str]:
    """The items that ask for each part, of what BODYs say of one message: those of BODY[…], and those of BINARY[…]."""
    kinds: dict[tuple[int, ...], str] = {}
    for body in bodies:
        kinds |= dict(_parts(body, (), enclosed=True))
    plain: list[str] = []
    binary: list[str] = []
    for path, kind in sorted(kinds.items()):
        number = ".".join(map(str, path))
        plain += [f"BODY.PEEK[{number}]", f"BODY.PEEK[{number}.MIME]"]
        if kind == "message":
            plain += [f"BODY.PEEK[{number}.HEADER]", f"BODY.PEEK[{number}.TEXT]"]
        if kind == "leaf":  # RFC 9051 §6.4.5: BINARY is for leaf parts only
            binary += [f"BINARY.PEEK[{number}]", f"BINARY.SIZE[{number}]"]
    return " ".join(plain), " ".join(binary)


def _parts(body: Any, path: tuple[int, ...], *, enclosed: bool) -> Iterator[tuple[tuple[int, ...], str]]:
    """Part numbers (RFC 3501 §6.4.5) and kinds; `enclosed`: `body` is a whole message's."""
    if len(path) > DEEP:
        return
    if isinstance(body[0], list):
        if not enclosed:
            yield path, "multipart"
        for number, child in enumerate(takewhile(lambda item: isinstance(item, list), body), 1):
            yield from _parts(child, (*path, number), enclosed=False)
        return
    here = (*path, 1) if enclosed else path
    if (body[0].lower(), body[1].lower()) == (b"message", b"rfc822"):
        yield here, "message"
        yield from _parts(body[8], here, enclosed=True)
    else:
        yield here, "leaf"
