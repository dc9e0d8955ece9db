"""Time is linear: twice the message takes about twice the time, for the shapes that hurt parsers."""

from __future__ import annotations

from collections.abc import Callable
from time import process_time

import pytest

from mailpod.mime.dates import parse_date
from mailpod.mime.envelopes import heads
from mailpod.mime.msgids import message_ids
from mailpod.mime.preview import preview
from mailpod.mime.scan import scan
from mailpod.mime.sections import body_from_bodystructure, header_fields, locate
from mailpod.mime.text import decode_header, decoded_text, subject_base

MIXED = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"

SHAPES: dict[str, Callable[[int], bytes]] = {
    "many parts": lambda n: MIXED + b"--b\r\n\r\nx\r\n" * (n // 40),
    "parts beyond the limit": lambda n: MIXED + b"--b\r\n" * (10_000 + n * 10),
    "many multiparts that never open": lambda n: (
        MIXED + b"".join(b"--b\r\nContent-Type: multipart/x; boundary=c%d\r\n\r\n" % i for i in range(n // 60))
    ),
    "a hundred deep, all closed": lambda n: (
        b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (i, i) for i in range(99))
        + b"\r\n"
        + b"--b98\r\n\r\nx\r\n" * (n // 40)
    ),
    "messages in messages": lambda n: b"Content-Type: message/rfc822\r\n\r\n" * 100 + b"x\r\n" * n * 20,
    "deep": lambda n: b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (i, i) for i in range(n // 2000)
    ),
    "one field after another": lambda n: b"A: b\r\n" * n,
    "one name after another": lambda n: b"".join(b"A%d: b\r\n" % i for i in range(n)),
    "one huge field": lambda n: b"Subject: " + b"word\r\n " * n * 10,
    "no colon": lambda n: b"\r\n".join([b"word"] * n * 2),
    "a long line": lambda n: b"\r\n" + b"x" * n * 400,
    "a header of one line": lambda n: b"x" * n * 400,
    "almost boundaries": lambda n: MIXED + b"--a\r\n" * n * 20,
    "dashes": lambda n: MIXED + b"-" * n * 200,
    "bare CR": lambda n: b"To: a\r" * n,
    "open quotes": lambda n: b"To: " + b'"a\\" <' * n,
    "open quote": lambda n: b'To: "' + b"a\\" * n * 2,
    "quotes": lambda n: b"To: " + b'"a"' * n + b"@" + b":" * n,
    "open comments": lambda n: b"To: " + b"(a" * n,
    "comments": lambda n: b"To: " + b"(a)" * n,
    "addresses": lambda n: b"To: " + b"a@b, Bob <c@d>," * n,
    "fields of addresses": lambda n: b"To: a@b\r\n" * n,
    "words without an address": lambda n: b"To: " + b"word " * n,
    "atoms and dots": lambda n: b"To: " + b"a." * n + b" <" * n,
    "groups": lambda n: b"To: " + b"g:" * n + b";" * n,
    "routes": lambda n: b"To: <" + b"@a," * n,
    "open tags": lambda n: b"Content-Type: text/html\r\n\r\n" + b"<style></style <!-- <a <script >" * n + b"<" * n * 20,
    "open ids": lambda n: b"References: " + b'<"a\\' * n + b"<a.b" * n + b'<""' * n,
    "open literals": lambda n: b"To: " + b"a@[" * n,
    "angles": lambda n: b"To: " + b"<" * n + b">" * n,
    "parameters": lambda n: b"Content-Type: text/plain" + b"; a=b" * n,
    "continuations": lambda n: b"Content-Type: text/plain" + b"".join(b"; a*%d*=b" % i for i in range(n)),
    "parameters that are none": lambda n: b"Content-Type: text/plain" + b";" * n * 2,
    "open parameters": lambda n: b"Content-Type: text/plain" + b';a="\\"' * n,
    "comments in parameters": lambda n: b"Content-Type: text/plain" + b";(a" * n,
    "languages": lambda n: b"Content-Language: " + b"en," * n,
    "long boundary": lambda n: b"Content-Type: multipart/x; boundary=" + b"b" * n + b"\r\n\r\n--" + b"b" * n,
    "encoded words": lambda n: b"Subject: " + b"=?utf-8?q?a?= " * n,
    "almost encoded words": lambda n: b"Subject: " + b"=?" * n + b"=?a?q?" * n + b"=?a?q?b" * n,
    "base64": lambda n: b"Content-Transfer-Encoding: base64\r\n\r\n" + b"YQ==\r\n" * n * 4,
    "quoted-printable": lambda n: b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + b"=\r\n=4" * n * 4,
}


def everything(data: bytes) -> None:
    """All that reads a message."""
    found = scan(data)
    body_from_bodystructure(found.bodystructure)
    header_fields(data[: found.header_size], frozenset([b"to"]), False)
    locate(found.parts, len(data), found.header_size, (9_999,), "")
    for _ in decoded_text(data, found.parts, found.header_size, headers=True):
        pass
    decode_header(data)
    heads(found.envelope)
    message_ids(data)
    preview(data, found.parts, found.header_size)


def ratio(work: Callable[[int], Callable[[], object]], size: int) -> float:
    """CPU time at twice the size over that at the size, each the least of some runs."""
    small, large = work(size), work(2 * size)
    return min(_time(large) for _ in range(2)) / max(min(_time(small) for _ in range(2)), 1e-4)


def _time(call: Callable[[], object]) -> float:
    start = process_time()
    call()
    return process_time() - start


@pytest.mark.parametrize("shape", SHAPES)
def test_twice_the_message_takes_twice_the_time(shape: str) -> None:
    def work(size: int) -> Callable[[], object]:
        data = SHAPES[shape](size)
        return lambda: everything(data)

    # the sizes are some tens of milliseconds here; 2 is linear, 4 is quadratic, the rest is other people's noise
    assert any(ratio(work, 4_000) < 3 for _ in range(5))


@pytest.mark.parametrize(
    "piece", ["[a]", "re: ", "[fwd: ", "(fwd)", " ", "re[", "[a] re:", "[", "]", "[fwd:]", "fwd[a]:"]
)
def test_twice_the_subject_takes_twice_the_time(piece: str) -> None:
    def work(size: int) -> Callable[[], object]:
        subject = piece * size + "x" + "]" * size
        return lambda: subject_base(subject)

    assert any(ratio(work, 20_000) < 3 for _ in range(5))


@pytest.mark.parametrize("piece", [b"1 ", b"(", b"1 Jan ", b"1:", b" ", b"Jan ", b"()"])
def test_a_date_is_looked_at_no_further_than_dates_go(piece: bytes) -> None:
    assert _time(lambda: parse_date(piece * 1_000_000)) < 0.2
