"""Bytes in, commands out: each dialogue is fed whole, byte by byte, and with what follows it."""

from __future__ import annotations

import datetime
import gc
import time
from contextlib import nullcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailpod.errors import TooBig
from mailpod.imap import syntax as s
from mailpod.imap import syntax_search as q
from mailpod.imap import syntax_urlauth as u
from mailpod.imap.lexer import BadCommand, Cursor, Frame
from mailpod.imap.parser import Event, Limits, NeedLiteral, Parser, Rejected
from mailpod.imap.syntax import Command

LIMITS = Limits(command=1000, literals=5)


def feed(data: bytes, step: int, limits: Limits = LIMITS, max_message: int = 2000) -> list[Event]:
    """All events; every literal is accepted but messages larger than `max_message`."""
    parser, buffer, events = Parser(limits), bytearray(), []
    for start in range(0, len(data), step):
        buffer += data[start : start + step]
        while (event := parser.next(buffer)) is not None:
            events.append(event)
            if isinstance(event, NeedLiteral):
                if event.message and event.size > max_message:
                    parser.refuse(TooBig())
                else:
                    parser.accept()
    return events


def commands(data: bytes) -> list[Event]:
    """What comes out without the literals asked about, the same however it is cut."""
    whole = [str(event) for event in feed(data, max(1, len(data)))]
    for step in (1, 2, 7):
        assert [str(event) for event in feed(data, step)] == whole
    return [event for event in feed(data, max(1, len(data))) if not isinstance(event, NeedLiteral)]


def one(data: bytes) -> object:
    """The arguments of a command that is followed by another."""
    first, second = commands(data + b"\r\nz NOOP\r\n")
    assert isinstance(first, Command), first
    assert second == Command(b"z", "NOOP", s.NoArgs())
    return first.args


def bad(data: bytes, tag: bytes = b"a") -> str:
    """The text of the refusal; the next command is still understood."""
    first, second = commands(data + b"\r\nz NOOP\r\n")
    assert isinstance(first, Rejected), first
    assert first.tag == tag
    assert second == Command(b"z", "NOOP", s.NoArgs())
    return first.error.text


def test_commands_in_order() -> None:
    assert commands(b"1 noop\r\n2 Capability\n\r\n3 LOGOUT\r\n") == [
        Command(b"1", "NOOP", s.NoArgs()),
        Command(b"2", "CAPABILITY", s.NoArgs()),
        Command(b"3", "LOGOUT", s.NoArgs()),
    ]


@pytest.mark.parametrize(
    "line",
    [
        b"a LOGIN fred secret",
        b'a LOGIN "fred" "secret"',
        b"a LOGIN {4}\r\nfred {6}\r\nsecret",
        b"a LOGIN {4+}\r\nfred {6+}\r\nsecret",
        b'a login fred "se\\"cr\\\\et"',
        b"a LOGIN {0}\r\n {0+}\r\n",
    ],
)
def test_login(line: bytes) -> None:
    args = one(line)
    assert isinstance(args, s.LoginArgs)
    assert args.username in ("fred", "")
    assert args.password in ("secret", 'se"cr\\et', "")


def test_authenticate() -> None:
    assert one(b"a AUTHENTICATE plain") == s.AuthenticateArgs("PLAIN", None)
    assert one(b"a AUTHENTICATE PLAIN =") == s.AuthenticateArgs("PLAIN", b"")
    assert one(b"a AUTHENTICATE PLAIN AGZyZWQA") == s.AuthenticateArgs("PLAIN", b"\0fred\0")
    assert bad(b"a AUTHENTICATE PLAIN A") == "Invalid base64"


def test_mailbox_names() -> None:
    assert one(b"a SELECT inBOX") == s.SelectArgs("INBOX")
    assert one(b"a SELECT Inbox/x") == s.SelectArgs("INBOX/x")
    assert one(b'a EXAMINE "Entw&APw-rfe"') == s.SelectArgs("Entwürfe")
    assert one(b"a EXAMINE {11}\r\nEntw&APw-fe") == s.SelectArgs("Entwüfe")
    assert one(b"a CREATE foo/") == s.CreateArgs("foo")
    assert one(b"a CREATE foo (USE (\\sent \\Other))") == s.CreateArgs("foo", ("\\Sent", "\\Other"))
    assert one(b"a RENAME a&-b c/") == s.RenameArgs("a&b", "c")
    assert "UTF-7" in bad(b"a SELECT a&b")
    assert one(b'a SELECT "Entw\xc3\xbcrfe"') == s.SelectArgs("Entwürfe")


def test_list() -> None:
    assert one(b'a LIST "" *') == s.ListArgs("", ("*",))
    assert one(b"a LSUB foo/ %.[x]") == s.ListArgs("foo/", ("%.[x]",))
    assert one(b'a LIST (SPECIAL-USE) "" (a% {1}\r\nb) RETURN (CHILDREN SUBSCRIBED)') == s.ListArgs(
        "", ("a%", "b"), frozenset(["SPECIAL-USE"]), frozenset(["CHILDREN", "SUBSCRIBED"]), extended=True
    )
    assert one(b'a LIST () "" "" RETURN ()') == s.ListArgs("", ("",), extended=True)
    assert one(b'a LIST "" x RETURN (STATUS (UNSEEN))') == s.ListArgs(
        "", ("x",), returns=frozenset(["STATUS"]), extended=True, items=("UNSEEN",)
    )
    assert "option FOO" in bad(b'a LIST (FOO) "" *')


def test_status() -> None:
    assert one(b"a STATUS x (messages UNSEEN messages)") == s.StatusArgs("x", ("MESSAGES", "UNSEEN"))
    bad(b"a STATUS x ()")
    bad(b"a STATUS x (FOO)")


def test_sequence_sets() -> None:
    assert one(b"a COPY 1,3:*,*,4:2 x") == s.CopyArgs(
        s.SequenceSet(((1, 1), (3, None), (None, None), (4, 2))), "x", False
    )
    assert one(b"a UID EXPUNGE 4294967295") == s.ExpungeArgs(s.SequenceSet(((4294967295, 4294967295),)))
    for wrong in (b"0", b"1:", b":1", b"1,,2", b"4294967296", b"1:2:3", b"x", b"", b"-1", b"01", b"$,1", b"1,$"):
        bad(b"a UID EXPUNGE " + wrong)


def test_fetch() -> None:
    fast = (s.FetchAttr("FLAGS"), s.FetchAttr("INTERNALDATE"), s.FetchAttr("RFC822.SIZE"))
    numbers = s.SequenceSet(((1, 1),))
    assert one(b"a FETCH 1 fast") == s.FetchArgs(numbers, fast, False)
    assert one(b"a FETCH 1 FULL") == s.FetchArgs(numbers, (*fast, s.FetchAttr("ENVELOPE"), s.FetchAttr("BODY")), False)
    assert one(b"a UID FETCH 1 (UID BODY body.peek[])") == s.FetchArgs(
        numbers,
        (s.FetchAttr("UID"), s.FetchAttr("BODY"), s.FetchBody((), "", (), True, None, b"BODY[]")),
        True,
    )
    for wrong in (b"(FAST)", b"()", b"FOO", b"BODY[", b"BODY[FOO]", b"BODY[MIME]", b"BODY[1.]", b"BODY[0]"):
        bad(b"a FETCH 1 " + wrong)
    for wrong in (b"BODY[]<1.0>", b"BODY[]<>", b"BODY[HEADER.FIELDS ()]", b"BODY[HEADER.FIELDS]", b"BODY[1.2.3.x]"):
        bad(b"a FETCH 1 " + wrong)


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (b"BODY[1.MIME]<0.9>", s.FetchBody((1,), "MIME", (), False, (0, 9), b"BODY[1.MIME]<0>")),
        (b"BODY.PEEK[text]", s.FetchBody((), "TEXT", (), True, None, b"BODY[TEXT]")),
        (b"BODY[1.2.HEADER]", s.FetchBody((1, 2), "HEADER", (), False, None, b"BODY[1.2.HEADER]")),
        (b"BODY[3]", s.FetchBody((3,), "", (), False, None, b"BODY[3]")),
        (
            b'BODY[2.header.fields (Date "X Y")]',
            s.FetchBody((2,), "HEADER.FIELDS", (b"Date", b"X Y"), False, None, b'BODY[2.HEADER.FIELDS (Date "X Y")]'),
        ),
        (
            b"BODY[HEADER.FIELDS.NOT ({4}\r\nDate)]",
            s.FetchBody((), "HEADER.FIELDS.NOT", (b"Date",), False, None, b"BODY[HEADER.FIELDS.NOT (Date)]"),
        ),
    ],
)
def test_fetch_sections(item: bytes, expected: s.FetchBody) -> None:
    args = one(b"a FETCH 1 " + item)
    assert isinstance(args, s.FetchArgs)
    assert args.items == (expected,)


def test_modifiers() -> None:
    numbers, modseq = s.SequenceSet(((1, 1),)), s.FetchAttr("MODSEQ")
    assert one(b"a UID FETCH 1 FLAGS (changedsince 5 VANISHED)") == s.FetchArgs(
        numbers, (s.FetchAttr("FLAGS"), modseq), True, 5, vanished=True
    )
    assert one(b"a FETCH 1 (MODSEQ) (CHANGEDSINCE 9223372036854775807)") == s.FetchArgs(
        numbers, (modseq,), False, 2**63 - 1
    )
    assert one(b"a STORE 1 (UNCHANGEDSINCE 0) +FLAGS x") == s.StoreArgs(numbers, "add", False, ("x",), False, 0)
    for wrong in (b"FLAGS (CHANGEDSINCE 9223372036854775808)", b"FLAGS (CHANGEDSINCE 1", b"FLAGS (VANISHED)"):
        bad(b"a UID FETCH 1 " + wrong)


def test_select() -> None:
    assert one(b"a SELECT x") == s.SelectArgs("x")
    assert one(b"a EXAMINE x (CONDSTORE QRESYNC (7 8 1:3,5 (1,2 3,4)))") == s.SelectArgs(
        "x",
        True,
        s.Resync(
            7, 8, s.SequenceSet(((1, 3), (5, 5))), s.SequenceSet(((1, 1), (2, 2))), s.SequenceSet(((3, 3), (4, 4)))
        ),
    )
    for wrong in (b"()", b"(FOO)", b"(QRESYNC)", b"(QRESYNC (1 1 1 2))", b"(QRESYNC (1 1 (1)))", b"(QRESYNC (1 1 *))"):
        bad(b"a SELECT x " + wrong)


def test_store() -> None:
    numbers = s.SequenceSet(((1, 2),))
    assert one(b"a STORE 1:2 +FLAGS (\\seen $Junk)") == s.StoreArgs(numbers, "add", False, ("\\Seen", "$Junk"), False)
    assert one(b"a UID STORE 1:2 flags.silent ()") == s.StoreArgs(numbers, "set", True, (), True)
    assert one(b"a STORE 1:2 -FLAGS.SILENT \\Deleted x") == s.StoreArgs(
        numbers, "remove", True, ("\\Deleted", "x"), False
    )
    for wrong in (b"FLAGS", b"FLAGS ", b"FLAGS (", b"FLAGS (\\Recent)", b"FLAGS (\\Foo)", b"*FLAGS x", b"FLAGSx y"):
        bad(b"a STORE 1 " + wrong)


def test_rights() -> None:
    """RFC 4314 §7."""
    assert one(b'a SETACL inbox "a@x.test" +lr') == s.AclArgs("INBOX", "a@x.test", "+lr")
    assert one(b'a SETACL x {3}\r\n\xc3\xbcx ""') == s.AclArgs("x", "\xfcx", "")
    assert one(b"a DELETEACL x -a") == one(b"a LISTRIGHTS x -a") == s.AclArgs("x", "-a")
    assert one(b"a GETACL x") == one(b"a MYRIGHTS x") == s.MailboxArgs("x")
    for wrong in (b"SETACL x a", b"SETACL x a l r", b"DELETEACL x", b"LISTRIGHTS x a b", b"GETACL", b"MYRIGHTS x y"):
        bad(b"a " + wrong)


def test_authorized_urls() -> None:
    """RFC 4467 §9, RFC 5524 §5."""
    assert one(b"a GENURLAUTH imap://x internal {1}\r\ny XSAMPLE") == u.GenUrlAuthArgs(
        ((b"imap://x", "INTERNAL"), (b"y", "XSAMPLE"))
    )
    assert one(b"a RESETKEY") == u.ResetKeyArgs(None)
    assert one(b"a RESETKEY inbox") == u.ResetKeyArgs("INBOX")
    assert one(b'a RESETKEY "x y" internal XSAMPLE') == u.ResetKeyArgs("x y", ("INTERNAL", "XSAMPLE"))
    assert one(b'a URLFETCH "x" (y) (z body BODYPARTSTRUCTURE) ({1}\r\nz BINARY)') == u.UrlFetchArgs(
        (
            u.UrlWanted(b"x"),
            u.UrlWanted(b"y"),
            u.UrlWanted(b"z", frozenset(["BODY", "BODYPARTSTRUCTURE"])),
            u.UrlWanted(b"z", frozenset(["BINARY"])),
        )
    )
    for wrong in (
        b"GENURLAUTH",
        b"GENURLAUTH x",
        b"GENURLAUTH x INTERNAL y",
        b"URLFETCH",
        b"URLFETCH ()",
        b"URLFETCH (x",
    ):
        bad(b"a " + wrong)
    for items in (b"BODY BINARY", b"BINARY BODY", b"BODY BODY", b"FLAGS", b"(BODY)"):  # RFC 5524 §3.1
        bad(b"a URLFETCH (x %b)" % items)


def test_search() -> None:
    def key(program: bytes) -> q.SearchKey:
        args = one(b"a SEARCH " + program)
        assert isinstance(args, q.SearchArgs)
        return args.key

    assert key(b"all") == q.All()
    assert key(b"NEW 1:*") == q.And(
        (q.And((q.Recent(True), q.Flag("\\Seen", False))), q.Seq(s.SequenceSet(((1, None),))))
    )
    assert key(b"OR (FROM x NOT SEEN) UID 3") == q.Or(
        q.And((q.Header(b"from", "x"), q.Not(q.Flag("\\Seen", True)))), q.Uid(s.SequenceSet(((3, 3),)))
    )
    assert key(b"CHARSET iso-8859-1 SUBJECT {1}\r\n\xfc") == q.Header(b"subject", "ü")
    assert key(b'HEADER X-Foo ""') == q.Header(b"x-foo", "")
    assert key(b"SINCE 1-feb-1994") == q.DateKey("internal", "since", datetime.date(1994, 2, 1))
    assert key(b'SENTON "01-Feb-1994"') == q.DateKey("sent", "on", datetime.date(1994, 2, 1))
    assert key(b"LARGER 10 UNKEYWORD x") == q.And((q.Size("larger", 10), q.Flag("x", False)))
    for wrong in (b"", b"FOO", b"NOT", b"OR ALL", b"()", b"(ALL", b"ON 31-Feb-2020", b"ALL\t", b"LARGER x"):
        bad(b"a SEARCH " + wrong)


def test_contexts() -> None:
    """RFC 5267 §5."""
    args = one(b"a UID SEARCH RETURN (UPDATE Context COUNT PARTIAL 1:2) ALL")
    assert isinstance(args, q.SearchArgs)
    assert args.returns == q.Return(frozenset(("COUNT",)), (1, 2), update=True)
    args = one(b"a SORT RETURN (UPDATE) (DATE) UTF-8 ALL")
    assert isinstance(args, q.SortArgs)
    assert args.search.returns == q.Return(frozenset(), update=True)
    assert one(b'a CANCELUPDATE "b" "c d"') == q.CancelArgs((b"b", b"c d"))
    for wrong in (b"CANCELUPDATE", b"CANCELUPDATE b", b"SEARCH RETURN (PARTIAL 1:2 PARTIAL 1:2) ALL"):
        bad(b"a " + wrong)


def test_fuzzy() -> None:
    """RFC 6203 §7."""
    args = one(b"a SEARCH RETURN (RELEVANCY ALL) FUZZY (SUBJECT x NOT SEEN) FROM y")
    assert isinstance(args, q.SearchArgs)
    fuzzy = q.Fuzzy(q.And((q.Header(b"subject", "x"), q.Not(q.Flag("\\Seen", True)))))
    assert args.key == q.And((fuzzy, q.Header(b"from", "y")))
    assert args.fuzzy
    args = one(b"a SORT RETURN (RELEVANCY) (RELEVANCY) UTF-8 FUZZY TEXT x")
    assert isinstance(args, q.SortArgs)
    assert args.criteria == (q.SortKey("RELEVANCY", False),)
    for wrong in (b"SEARCH FUZZY", b"SEARCH RETURN (RELEVANCY) TEXT x", b"SORT (RELEVANCY) UTF-8 TEXT x"):
        bad(b"a " + wrong)
    bad(b"a SEARCH" + b" FUZZY" * 60 + b" ALL")


def test_multisearch() -> None:
    """RFC 7377 §4."""
    search = q.SearchArgs(q.Flag("\\Seen", False), None, uid=True)
    for sources, found in {
        b"": (q.MailboxFilter("SELECTED"),),
        b"in (selected) ": (q.MailboxFilter("SELECTED"),),
        b'IN (mailboxes "a b" Subtree (INBOX/ x) personal) ': (
            *(q.MailboxFilter("MAILBOXES", ("a b",)), q.MailboxFilter("SUBTREE", ("INBOX", "x"))),
            q.MailboxFilter("PERSONAL"),
        ),
        b'IN (subtree-one "" inboxes subscribed) ': (
            *(q.MailboxFilter("SUBTREE-ONE", ("",)), q.MailboxFilter("INBOXES"), q.MailboxFilter("SUBSCRIBED")),
        ),
    }.items():
        assert one(b"a ESEARCH %bUNSEEN" % sources) == q.MultisearchArgs(found, search)
    args = one(b"a ESEARCH IN (personal) RETURN (COUNT) CHARSET UTF-8 UNSEEN")
    assert isinstance(args, q.MultisearchArgs)
    assert args.search.returns == q.Return(frozenset(("COUNT",)))
    for wrong in (b"()", b"(personal", b"(mailboxes)", b"(mailboxes ())", b"(selected-delayed)", b"(personal (x y))"):
        bad(b"a ESEARCH IN %b ALL" % wrong)
    bad(b"a ESEARCH IN (personal)")
    bad(b"a ESEARCH")


def test_unknown_charset_is_a_no() -> None:
    first, _ = commands(b"a SEARCH CHARSET klingon TEXT {3+}\r\nabc\r\nz NOOP\r\n")
    assert isinstance(first, Rejected)
    assert first.error.imap == ("NO", "BADCHARSET (UTF-8 US-ASCII)")


def test_search_nesting_and_size_are_bounded() -> None:
    bad(b"a SEARCH " + b"(" * 100 + b"ALL" + b")" * 100)
    bad(b"a SEARCH " + b"NOT " * 100 + b"ALL")


@pytest.mark.parametrize(
    ("shape", "piece", "most", "text"),
    [
        (b"a SEARCH%b", b" ALL", 1000, "More than 1000 search keys"),
        (b"a SEARCH%b SEEN", b" NOT", 50, "Search keys are nested deeper than 50"),
        (b"a ESEARCH IN (mailboxes (x%b)) ALL", b" x", 998, "More than 1000 mailboxes"),
        (b"a ESEARCH IN (personal%b) ALL", b" personal", 999, "More than 1000 mailboxes"),
        (b"a CANCELUPDATE%b", b' "b"', 1000, "More than 1000 tags"),
        (b"a FETCH 1 (FLAGS%b)", b" UID", 499, "More than 500 items"),
        (b"a FETCH 1 BODY[1%b]", b".1", 99, "Part number is deeper than 100"),
        (b"a FETCH 1 BODY[HEADER.FIELDS (a%b)]", b" b", 199, "More than 200 header fields"),
        (b"a STORE 1 FLAGS (a%b)", b" b", 199, "More than 200 flags"),
        (b"a STORE 1 FLAGS (%b)", b"b", 200, "Flag is longer than 200 octets"),
        (b'a LIST "" (a%b)', b" b", 49, "More than 50 patterns"),
        (b"a SORT (DATE%b) UTF-8 ALL", b" SIZE", 19, "More than 20 sort keys"),
        (b'a ID ("a" NIL%b)', b' "b" NIL', 29, "More than 30 ID fields"),
        (b"a CREATE x (USE (\\Junk%b))", b" \\Sent", 19, "More than 20 special uses"),
        (b"a LOGIN %b", b"{1+}\r\nx ", 200, "200 literals"),
        (b"a FETCH 1%b FLAGS", b",1", 32_000, "65536 octets"),
    ],
)
def test_every_limit_is_kept_and_told(shape: bytes, piece: bytes, most: int, text: str) -> None:
    """At the limit a command is not refused for it; beyond it is BAD, and the next one is understood."""

    def refusal(count: int) -> str:
        *events, last = feed(shape % (piece * count) + b"\r\nz NOOP\r\n", 2**16, Limits())
        assert last == Command(b"z", "NOOP", s.NoArgs())
        (found,) = [event for event in events if not isinstance(event, NeedLiteral)]
        if not isinstance(found, Rejected):
            return ""
        assert found.error.imap[0] == "BAD"
        return found.error.text

    assert text not in refusal(most)
    assert text in refusal(most + (1 if most < 32_000 else 1000))


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


def test_a_literal_that_nobody_can_skip_is_fatal() -> None:
    (event,) = feed(b"a FROB {99999999999+}\r\n", 5)
    assert isinstance(event, Rejected)
    assert event.fatal


def test_id_and_enable() -> None:
    assert one(b"a ID NIL") == s.IdArgs(None)
    assert one(b'a ID ("name" "x" "os" nil)') == s.IdArgs(((b"name", b"x"), (b"os", None)))
    assert one(b"a ID ()") == s.IdArgs(())
    assert one(b"a ENABLE condstore X") == s.EnableArgs(("CONDSTORE", "X"))
    bad(b'a ID ("name")')
    bad(b"a ENABLE")


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
