"""What becomes of each command's arguments."""

from __future__ import annotations

import datetime

import pytest
from tests.mailpod.imap.parsing import bad, commands, feed, one

from mailpod.imap import syntax as s
from mailpod.imap import syntax_search as q
from mailpod.imap import syntax_urlauth as u
from mailpod.imap.parser import Limits, NeedLiteral, Rejected
from mailpod.imap.syntax import Command


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
    for wrong in (b"QRESYNC (0 1)", b"QRESYNC (1 0)", b"CONDSTORE CONDSTORE"):  # RFC 7162 §3.2.5, §7; RFC 4466 §2.1
        bad(b"a SELECT x (%b)" % wrong)


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
    for twice in (b"ALL ALL", b"UPDATE COUNT UPDATE"):  # RFC 9394 §3.1
        bad(b"a SEARCH RETURN (%b) ALL" % twice)


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


def test_id_and_enable() -> None:
    assert one(b"a ID NIL") == s.IdArgs(None)
    assert one(b'a ID ("name" "x" "os" nil)') == s.IdArgs(((b"name", b"x"), (b"os", None)))
    assert one(b"a ID ()") == s.IdArgs(())
    assert one(b"a ENABLE condstore X") == s.EnableArgs(("CONDSTORE", "X"))
    bad(b'a ID ("name")')
    bad(b"a ENABLE")
