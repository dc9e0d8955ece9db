"""Bytes in, commands out: where one ends, literals, and what is refused without losing the next."""

from __future__ import annotations

import gc
import time
from contextlib import nullcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mailpod.imap.parsing import LIMITS, bad, commands, feed, one

from mailpod.errors import TooBig
from mailpod.imap import syntax as s
from mailpod.imap.lexer import BadCommand, Cursor, Frame
from mailpod.imap.parser import Limits, NeedLiteral, Parser, Rejected
from mailpod.imap.parser import _understood as repeated
from mailpod.imap.syntax import Command


def test_commands_in_order() -> None:
    assert commands(b"1 noop\r\n2 Capability\n\r\n3 LOGOUT\r\n") == [
        Command(b"1", "NOOP", s.NoArgs()),
        Command(b"2", "CAPABILITY", s.NoArgs()),
        Command(b"3", "LOGOUT", s.NoArgs()),
    ]


def test_append() -> None:
    body = b"Subject: x\r\n\r\n{5}\r\n"
    literal = b"{%d}\r\n%b" % (len(body), body)
    assert one(b"a APPEND x " + literal) == s.AppendArgs("x", (s.AppendMessage((), None, body),))
    assert one(b'a APPEND {1}\r\nx (\\seen \\Recent) " 1-Jan-1970 01:00:01 +0100" ' + literal) == s.AppendArgs(
        "x", (s.AppendMessage(("\\Seen",), 1, body, zone=60),)
    )
    assert one(b"a APPEND x () {1500+}\r\n" + b"m" * 1500) == s.AppendArgs(
        "x", (s.AppendMessage((), None, b"m" * 1500),)
    )
    bad(b'a APPEND x "no date" {3+}\r\nabc')
    bad(b"a APPEND x abc")
    bad(b"a APPEND x {3+}\r\nabc x")
    eight = s.AppendMessage((), None, b"abc", binary=True)
    assert one(b"a APPEND x UTF8 (~{3+}\r\nabc)") == s.AppendArgs("x", (eight,))
    bad(b"a APPEND x UTF8 (~{3+}\r\nabc")
    bad(b"a APPEND x UTF8 (~{3+}\r\nabc {3+}\r\nabc)")
    bad(b"a APPEND x ~{3+}\r\nabc) {3+}\r\nabc")


def test_append_of_several() -> None:
    limits = Limits(command=200, literals=1, messages=2000)
    data = b"a APPEND {5}\r\nINBOX" + b" (x) {1+}\r\nm" * 2000 + b"\r\n"
    start = time.process_time()
    *_, command = feed(data, len(data), Limits(command=200_000, literals=1, messages=2000))
    assert isinstance(command, Command)
    assert command.args == s.AppendArgs("INBOX", (s.AppendMessage(("x",), None, b"m"),) * 2000)
    assert time.process_time() - start < 1, "each message is parsed twice, not again for each that follows"
    *_, command = feed(data, len(data), limits)
    assert isinstance(command, Rejected), "what is no message counts"
    several = b"a APPEND x utf8 (~{3+}\r\nabc) (y) UTF8 ({3+}\r\nabc) ~{3+}\r\nabc\r\n"
    *_, command = feed(several, 1, limits)
    eight = s.AppendMessage((), None, b"abc", binary=True)
    assert isinstance(command, Command)
    assert command.args == s.AppendArgs("x", (eight, s.AppendMessage(("y",), None, b"abc"), eight))


FORMS = (
    (b" {3+}\r\nabc", s.AppendMessage((), None, b"abc")),
    (b" {0+}\r\n", s.AppendMessage((), None, b"")),
    (b"  {3+}\r\nabc", s.AppendMessage((), None, b"abc")),
    (b" (\\seen) {3+}\r\nabc", s.AppendMessage(("\\Seen",), None, b"abc")),
    (b" ~{3+}\r\nabc", s.AppendMessage((), None, b"abc", binary=True)),
    (b" UTF8 ({3+}\r\nabc)", s.AppendMessage((), None, b"abc")),
)


@given(st.lists(st.sampled_from(FORMS), min_size=1, max_size=6), st.integers(1, 40))
def test_each_message_of_an_append_is_as_it_would_be_alone(
    forms: list[tuple[bytes, s.AppendMessage]], step: int
) -> None:
    data = b"a APPEND x" + b"".join(written for written, _ in forms) + b"\r\n"
    *_, found = feed(data, step, Limits(messages=6))
    assert found == Command(b"a", "APPEND", s.AppendArgs("x", tuple(message for _, message in forms)))


BARE = st.one_of(
    st.sampled_from(FORMS).map(lambda form: form[0]),
    st.integers(0, 30).map(lambda size: b" {%d+}\r\n%b" % (size, b"m" * size)),
)


@given(
    st.lists(BARE, min_size=1, max_size=12), st.integers(1, 60), st.integers(0, 90), st.integers(1, 30), st.booleans()
)
def test_messages_taken_together_are_those_that_come_one_by_one(
    written: list[bytes], step: int, room: int, largest: int, broken: bool
) -> None:
    data = b"a APPEND x" + b"".join(written) + (b" (\r\n" if broken else b"\r\n") + b"b NOOP\r\n"
    for limits in (Limits(messages=12), Limits(messages=5), Limits(command=80, messages=12)):
        one_by_one = [str(event) for event in feed(data, step, limits) if not isinstance(event, NeedLiteral)]
        parser, buffer, events, sizes = Parser(limits), bytearray(), [], [0]
        for start in range(0, len(data), step):
            buffer += data[start : start + step]
            while (event := parser.next(buffer)) is not None:
                if isinstance(event, NeedLiteral):
                    parser.accept()
                    sizes.append(parser.take_messages(buffer, room, largest))
                else:
                    events.append(str(event))
        assert events == one_by_one
        assert max(sizes) <= room


def test_messages_that_may_not_come_are_not_taken() -> None:
    buffer = bytearray(b"a APPEND x {1+}\r\na {2+}\r\nbb {3+}\r\nccc {4+}\r\nddd")
    parser = Parser(Limits(messages=5))
    assert isinstance(parser.next(buffer), NeedLiteral)
    parser.accept()
    assert parser.take_messages(buffer, room=10, largest=2) == 2
    assert buffer.startswith(b" {3+}")
    assert isinstance(parser.next(buffer), NeedLiteral)
    parser.accept()
    assert parser.take_messages(buffer, room=10, largest=10) == 0, "the next has not come whole"
    assert buffer == b" {4+}\r\nddd"


def test_nothing_of_an_append_is_left_to_the_garbage_collector() -> None:
    """What is held by a cycle, the message itself, would stay in memory long after its octets of the budget."""
    gc.collect()
    gc.disable()
    try:
        feed(b"a APPEND x (\\Seen) {3+}\r\nabc {2}\r\nde\r\n" * 9, 100, Limits(messages=2))
        feed(b'a REPLACE 1 x CATENATE (TEXT {3+}\r\nabc URL "u" TEXT {1}\r\nd)\r\n' * 9, 100, Limits(messages=2))
        assert not [each for each in gc.get_objects() if isinstance(each, Frame)]
    finally:
        gc.enable()


def test_append_too_big_is_refused_before_it_is_sent_or_swallowed() -> None:
    assert bad(b"a APPEND x {3000}") == TooBig.text
    assert bad(b"a APPEND x {3000+}\r\n" + b"b NOOP\r\n" * 375 + b"trailing {2+}\r\nxx") == TooBig.text


def test_errors_before_a_literal() -> None:
    """RFC 3501 §2.2.1: BAD instead of `+`, and the client does not send the literal."""
    assert bad(b"a FROB {10}") == "Unknown command"
    assert "end" in bad(b"a NOOP {10}")
    assert bad(b"a FROB {9+}\r\nb NOOP\r\n\n x {2+}\r\nyy") == "Unknown command"
    assert "1000 octets" in bad(b"a SELECT {1001}")
    assert "5 literals" in bad(b"a SEARCH" + b" TEXT {1+}\r\nx" * 6)


def test_a_literal_is_asked_for_by_the_whole_name() -> None:
    events = feed(b"a uid search TEXT {1}\r\nx TEXT {1}\r\ny\r\n", 5)
    assert [event.name for event in events if isinstance(event, NeedLiteral)] == ["UID SEARCH", "UID SEARCH"]
    assert isinstance(events[-1], Command)


def test_one_empty_line_is_passed_over_and_no_more() -> None:
    assert commands(b"\r\na NOOP\r\n\nb NOOP\r\n") == [
        Command(b"a", "NOOP", s.NoArgs()),
        Command(b"b", "NOOP", s.NoArgs()),
    ]
    assert [str(event)[:8] for event in commands(b"\r\n\r\n\r\nb NOOP\r\n")] == ["Rejected", "Rejected", "Command("]


def test_long_lines_are_skipped() -> None:
    assert "1000 octets" in bad(b"a SELECT " + b"x" * 1000)
    assert "1000 octets" in bad(b"a SELECT " + b"x" * 5000 + b" {7+}\r\nb NOOP\n y")
    assert "1000 octets" in bad(b"x" * 3000, tag=b"*")


def test_tags() -> None:
    for wrong in (b"* NOOP", b"+a NOOP", b"(a NOOP", b" NOOP", b"\xff NOOP"):
        bad(wrong, tag=b"*")
    bad(b"a")
    bad(b"a ")
    bad(b"a  NOOP")
    bad(b"a UID NOOP")


def test_spaces_that_can_mean_nothing_else_are_forgiven() -> None:
    """RFC 3501 §9 (2) wants exactly one; clients send more of them."""
    assert one(b"a NOOP ") == s.NoArgs()
    assert one(b"a STATUS  INBOX ( MESSAGES  UNSEEN ) ") == s.StatusArgs("INBOX", ("MESSAGES", "UNSEEN"))
    assert one(b"a STORE 1  +FLAGS ( \\Seen x )") == one(b"a STORE 1 +FLAGS (\\Seen x)")
    assert one(b"a STORE 1 FLAGS \\Seen ") == one(b"a STORE 1 FLAGS \\Seen")
    assert one(b"a SEARCH  OR ( ALL  SEEN )  2 ") == one(b"a SEARCH OR (ALL SEEN) 2")
    assert one(b"a FETCH 1 ( UID  BODY[HEADER.FIELDS ( from )] ) ") == one(
        b"a FETCH 1 (UID BODY[HEADER.FIELDS (from)])"
    )
    assert one(b'a LIST ""  "%"   ') == one(b'a LIST "" "%"')
    assert one(b"a LIST ( SUBSCRIBED ) {0+}\r\n  {1+}\r\n% ") == one(b'a LIST (SUBSCRIBED) "" "%"')
    for wrong in (
        b"a NOOP\t",
        b"a STORE 1\t+FLAGS (x)",
        b"a STATUS INBOX (MESSAGES UNSEEN)x",
        b"a STATUSINBOX (MESSAGES)",
    ):
        bad(wrong)


@given(st.text(alphabet=" a()", max_size=8), st.booleans())
def test_a_space_is_taken_as_any_of_several(text: str, pending: bool) -> None:
    line = text.encode()
    for at in range(len(line) + 1):
        one, any_of_them = (Cursor(Frame([line], pending=pending)) for _ in range(2))
        one.at = any_of_them.at = at
        taken = any_of_them.take(b" ")
        with nullcontext() if taken else pytest.raises(BadCommand):
            one.space()
        assert one.at == any_of_them.at


_REPEATED = [b"SELECT INBOX", b"select &AOk- (CONDSTORE)", b"EXAMINE &AOk-", b"SELECT {1+}\r\nx", b"NOOP", b"NOOP x"]


@given(st.lists(st.tuples(st.sampled_from([*_REPEATED, b"(", b"SELECT"]), st.booleans()), max_size=12))
def test_what_is_said_again_means_the_same(lines: list[tuple[bytes, bool]]) -> None:
    def heard(line: bytes, utf8: bool) -> str:
        parser = Parser(LIMITS)
        parser.utf8 = utf8
        return str(parser.next(bytearray(line + b"\r\n")))

    repeated.clear()
    for number, (line, utf8) in enumerate(lines):
        for tag in (b"a%d " % number, b""):
            remembered = dict(repeated)
            repeated.clear()
            alone = heard(tag + line, utf8)
            repeated.update(remembered)
            assert [heard(tag + line, utf8) for _ in range(2)] == [alone] * 2


def test_what_is_remembered_of_what_is_said() -> None:
    repeated.clear()
    for number in range(2000):
        one(b"a SELECT m%d" % number)
    assert len(repeated) == 1024 and (b" SELECT m1999", False) in repeated
    for line in (b"a LOGIN user secret", b"a SELECT " + b"m" * 100, b"a STATUS m1 (UIDNEXT)", b"a SELECT {2+}\r\nm0"):
        before = dict(repeated)
        one(line)
        assert repeated == before


def test_a_literal_that_nobody_can_skip_is_fatal() -> None:
    (event,) = feed(b"a FROB {99999999999+}\r\n", 5)
    assert isinstance(event, Rejected)
    assert event.fatal


def test_lines_that_are_no_commands() -> None:
    parser, buffer = Parser(LIMITS), bytearray(b"DO")
    assert parser.line(buffer) is None
    buffer += b"NE\r\na NOOP\r\n"
    assert parser.line(buffer) == b"DONE"
    assert parser.next(buffer) == Command(b"a", "NOOP", s.NoArgs())
    assert parser.idle


_WORDS = st.sampled_from(
    b"a UID FETCH SEARCH APPEND LIST STORE ( ) {3} {3+} BODY[ ] 1:* \\Seen * NOT OR FLAGS & { } <0.1>".split()
    + b"UTF8 CATENATE URL TEXT".split()
    + b"SORT THREAD ~{3} BINARY[1] (REVERSE DATE) UTF-8 REFERENCES ALL PREVIEW (LAZY)".split()
    + b'GETMETADATA (MAXSIZE DEPTH INFINITY /private/a ("/shared/b" SETMETADATA NIL METADATA /shared'.split()
    + b"NOTIFY SET NONE (SELECTED MESSAGENEW MESSAGEEXPUNGE SUBTREE MAILBOXNAME".split()
    + b"SETACL DELETEACL LISTRIGHTS GETACL MYRIGHTS +lr anyone".split()
    + b"GENURLAUTH RESETKEY URLFETCH INTERNAL BODYPARTSTRUCTURE BINARY BODY".split()
    + b"SELECT x (QRESYNC (1 2 $ CHANGEDSINCE RETURN (MIN PARTIAL -1:-2) STATUS CREATE (USE SETQUOTA MODSEQ".split()
    + b"UPDATE CONTEXT CANCELUPDATE ESEARCH IN (SUBTREE FUZZY RELEVANCY".split()
    + b' |\r\n|{3}\r\n|{3+}\r\n|\n|\r|\0|"'.split(b"|")
)


@given(st.lists(st.one_of(_WORDS, st.binary(max_size=4))).map(b"".join), st.integers(1, 9))
def test_any_bytes_cut_anywhere_give_the_same_events(data: bytes, step: int) -> None:
    assert [str(event) for event in feed(data, step)] == [str(event) for event in feed(data, max(1, len(data)))]


@given(st.lists(st.one_of(_WORDS, st.binary(max_size=4))).map(b"".join))
def test_after_anything_a_command_is_found(data: bytes) -> None:
    """A literal may be open, so what follows is more than any literal here can hold."""
    events = feed(data + b"\r\n" + b"\r\n" * 1500 + b"z NOOP\r\n", 4096, max_message=0)
    assert (
        isinstance(events[-1], NeedLiteral)
        or events[-1] == Command(b"z", "NOOP", s.NoArgs())
        or "fatal=True" in str(events)
    )


@pytest.mark.parametrize(
    "shape",
    [
        *(b"a SEARCH %b ALL\r\n", b"a FETCH 1%b FLAGS\r\n", b'a LIST "" %b\r\n', b"%b\r\n"),
        *(b"a SORT (%b) UTF-8 ALL\r\n", b"a SORT (DATE%b) UTF-8 ALL\r\n", b"a UID SORT (DATE) UTF-8 %b ALL\r\n"),
        *(b"a THREAD REFERENCES UTF-8 %b ALL\r\n", b"a SORT RETURN (ALL%b) (DATE) UTF-8 ALL\r\n"),
    ],
)
@pytest.mark.parametrize(
    "filler", [b" ", b",1", b"%", b"(", b'"', b"\\", b"NOT ", b"{1+}\r\n", b" REVERSE DATE", b"OR ALL "]
)
def test_time_is_linear(shape: bytes, filler: bytes) -> None:
    """Eight times the input may cost that many times as much, with much noise; sixty-four times would be quadratic.

    Python's garbage collector is off meanwhile: it looks at all that other tests left, at moments of its own.
    """
    limits = Limits(command=10**7, literals=200)

    def seconds(count: int) -> float:
        start = time.process_time()
        feed(shape % (filler * count), 2**16, limits)
        return time.process_time() - start

    gc.disable()
    try:
        assert any(seconds(16_000) < 24 * seconds(2_000) + 0.05 for _ in range(3))
    finally:
        gc.enable()
