"""What a stranger's bytes reach first. A target takes any bytes, and only a bug raises out of it.

`SEEDS` are what the fuzzer begins with, `WORDS` what it may put in.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Final

from tests.mailpod.mime.grammar import check_body, check_envelope, read
from tests.protocol.odd_letters import APPEND_LETTERS

from mailpod.imap.parser import Event, Limits, NeedLiteral, Parser
from mailpod.mime.dates import parse_date
from mailpod.mime.msgids import message_ids
from mailpod.mime.partstructure import decoded_structure, part_structure
from mailpod.mime.preview import preview
from mailpod.mime.revisions import structures_for
from mailpod.mime.scan import scan
from mailpod.mime.sections import body_from_bodystructure, header_fields, locate
from mailpod.mime.text import decode_header, decoded_text, subject_base
from mailpod.pop3.syntax import MAX_LINE, LineTooLong, Refused, State, parse, take_line
from mailpod.smtp.data import DataReader, has_bare_newline, normalized, unstuff
from mailpod.smtp.syntax import (
    SyntaxProblem,
    mail_parameters,
    parse_chunk,
    parse_path,
    parse_url,
    rcpt_parameters,
    split_command,
)

LIMITS: Final = Limits(command=4096, literals=5)


def imap(data: bytes) -> None:
    """The first byte says where the rest is cut: the events are the same in pieces."""
    step, rest = (data[0] % 16 + 1, data[1:]) if data else (1, b"")
    assert _events(rest, step) == _events(rest, len(rest) + 1)


def _events(data: bytes, step: int) -> list[str]:
    parser, buffer, events = Parser(LIMITS), bytearray(), list[Event]()
    for start in range(0, len(data), step):
        buffer += data[start : start + step]
        while (event := parser.next(buffer)) is not None:
            events.append(event)
            if isinstance(event, NeedLiteral):
                parser.accept()
    return [str(event) for event in events]


def mime(data: bytes) -> None:
    """All that reads a message, and the grammar of what is sent of it."""
    found = scan(data)
    check_envelope(read(found.envelope))
    check_body(read(found.bodystructure), extension=True)
    check_body(read(body_from_bodystructure(found.bodystructure)), extension=False)
    [rev1] = structures_for([found.bodystructure], rev2=False)
    check_body(read(rev1), extension=True, enclosing=(b"rfc822",))
    rows = found.parts
    for at in range(0, len(rows), 5):
        assert 0 <= rows[at + 2] <= rows[at + 3] <= rows[at + 4] <= len(data)
    locate(rows, len(data), found.header_size, (1, 2), "MIME")
    if structure := part_structure(found.bodystructure, (1, 2)):
        check_body(read(decoded_structure(structure, data)), extension=True)
    header_fields(data[: found.header_size], frozenset([b"to", b"date"]), False)
    for _ in decoded_text(data, rows, found.header_size, headers=True):
        pass
    preview(data, rows, found.header_size)


def header(data: bytes) -> None:
    """One field's value, read as each that there is."""
    parse_date(data)
    message_ids(data)
    subject_base(decode_header(data))
    for name in (b"To", b"Content-Type", b"Content-Disposition"):
        mime(name + b": " + data + b"\r\n\r\nx")


def commands(data: bytes) -> None:
    """SMTP's and POP3's lines, and what follows DATA."""
    for line in data.split(b"\r\n"):
        with contextlib.suppress(SyntaxProblem):
            verb, argument = split_command(line)
            assert verb.isalpha()
            if verb == "BDAT":
                parse_chunk(argument)
            if verb == "BURL":
                parse_url(argument)
            path = parse_path(argument, "TO:" if verb == "RCPT" else "FROM:")
            check = rcpt_parameters if verb == "RCPT" else lambda given: mail_parameters(given, auth=True, binary=True)
            check(path.parameters)
    buffer = bytearray(data)
    reader = DataReader(buffer)
    if reader.complete():
        content = unstuff(reader.take())
        assert not has_bare_newline(normalized(content))
    with contextlib.suppress(LineTooLong):
        while (taken := take_line(buffer, MAX_LINE)) is not None:
            for state in State:
                with contextlib.suppress(Refused):
                    parse(taken, state)


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "imap": imap,
    "mime": mime,
    "header": header,
    "commands": commands,
}
SEEDS: Final[dict[str, list[bytes]]] = {
    "imap": [
        b"\x03a UID FETCH 1:*,5 (FLAGS BODY.PEEK[1.2.HEADER.FIELDS (To {4+}\r\nDate)]<0.5> BINARY[1])\r\n",
        b'\x00a SEARCH RETURN (MIN ALL PARTIAL 1:5) CHARSET UTF-8 OR (NOT FROM "x") HEADER a {1}\r\nb UID 1:*\r\n',
        b"\x09a SORT (REVERSE DATE SUBJECT) UTF-8 SINCE 1-Jan-2020\r\nb THREAD REFERENCES UTF-8 ALL\r\n",
        b'\x01a LIST (SUBSCRIBED) "" (a %) RETURN (STATUS (SIZE))\r\nb SELECT x (QRESYNC (1 2 1:9 (1,3 2,4)))\r\n',
        b'\x02a APPEND x (\\Seen) "01-Jan-2020 00:00:00 +0000" {3+}\r\nabc\r\n',
        b"\x04a STORE 1 (UNCHANGEDSINCE 2) +FLAGS.SILENT (a)\r\nb FETCH 1 FLAGS (CHANGEDSINCE 5 VANISHED)\r\n",
    ],
    "mime": [letter for letter in APPEND_LETTERS.values() if len(letter) < 4096],
    "header": [
        b'Ann "B" <a@b>, g: c@d, <@e:f@g>;, (x) h',
        b"Fri, 21 Nov 1997 09:55:06 -0600 (CST)",
        b"=?utf-8?q?=C3=A9?= =?x?b?YQ==?= Re: [a] (fwd)",
        b"multipart/mixed; boundary=\"a b\"; x*0*=utf-8''%41; x*1=b",
    ],
    "commands": [
        b'EHLO [IPv6:::1]\r\nMAIL FROM:<@a:b@c> SIZE=5 BODY=8BITMIME\r\nRCPT TO:<"a b"@c> NOTIFY=NEVER\r\n',
        b"BDAT 5 LAST\r\n",
        b"..a\r\n.\r\nUSER x\r\nTOP 1 2\r\nUIDL 5\r\n",
    ],
}
WORDS: Final[dict[str, bytes]] = {
    "imap": b"UID FETCH SEARCH APPEND LIST STORE SORT THREAD STATUS SELECT RETURN UPDATE PARTIAL CANCELUPDATE "
    + b"ESEARCH IN SUBTREE FUZZY BODY[ BINARY[ {3} {3+} ~{3} 1:*",
    "mime": b"Content-Type: multipart/mixed message/rfc822 boundary= --b --b-- Content-Transfer-Encoding: \\x0d\\x0a",
    "header": b"=?utf-8?q? ?= <a@b> boundary= *0*= GMT 2020 Jan",
    "commands": b"MAIL FROM:< RCPT TO:< SIZE= BODY= NOTIFY= BDAT LAST \\x0d\\x0a.\\x0d\\x0a TOP RETR",
}
