"""Address lists in ENVELOPE: what RFC 5322 has, and what real mail has in its place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mailpod.mime.grammar import read

from mailpod.mime.addresses import address_list, mailboxes
from mailpod.mime.scan import scan

A_B = b'(NIL NIL "a" "b")'
C_D = b'(NIL NIL "c" "d")'


@pytest.mark.parametrize(
    ("field", "wire"),
    [
        # RFC 5322 appendix A
        (b"John Doe <jdoe@machine.example>", b'("John Doe" NIL "jdoe" "machine.example")'),
        (b'"Joe Q. Public" <john.q.public@example.com>', b'("Joe Q. Public" NIL "john.q.public" "example.com")'),
        (
            b'"Giant; \\"Big\\" Box" <sysservices@example.net>',
            b'("Giant; \\"Big\\" Box" NIL "sysservices" "example.net")',
        ),
        (
            b"A Group:Ed Jones <joe@where.test>,joe@where.test;",
            b'(NIL NIL "A Group" NIL)("Ed Jones" NIL "joe" "where.test")(NIL NIL "joe" "where.test")(NIL NIL NIL NIL)',
        ),
        (b"Undisclosed recipients:;", b'(NIL NIL "Undisclosed recipients" NIL)(NIL NIL NIL NIL)'),
        (b"Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", b'("Pete" NIL "pete" "silly.test")'),
        (
            b"A Group(Some people)\r\n     :Chris Jones <c@(Chris's host.)public.example>,\r\n"
            b"     joe@example.org,\r\n  John <jdoe@one.test> (my dear friend); (the end of the group)",
            b'(NIL NIL "A Group" NIL)("Chris Jones" NIL "c" "public.example")(NIL NIL "joe" "example.org")'
            b'("John" NIL "jdoe" "one.test")(NIL NIL NIL NIL)',
        ),
        (
            b"Mary Smith <@node.test:mary@example.net>, , jdoe@test . example",
            b'("Mary Smith" "@node.test" "mary" "example.net")(NIL NIL "jdoe" "test.example")',
        ),
        # the older form: a comment names the address
        (b"a@b (Bob Example)", b'("Bob Example" NIL "a" "b")'),
        (b"(not a name) a@b", A_B),
        (b"<@x,@y:a@b>", b'(NIL "@x,@y" "a" "b")'),
        (b"a@[192.0.2.1]", b'(NIL NIL "a" "[192.0.2.1]")'),
        (b'"a b"@c', b'(NIL NIL "a b" "c")'),
        (b'"a@b"@c', b'(NIL NIL "a@b" "c")'),
        (b"a.@b, c..d@e", b'(NIL NIL "a." "b")(NIL NIL "c..d" "e")'),
        (b"=?utf-8?q?a_b?= <a@b>", b'("=?utf-8?q?a_b?=" NIL "a" "b")'),
        # RFC 6532: raw UTF-8 is a literal
        (b"caf\xc3\xa9 <a@b>", b'({5}\r\ncaf\xc3\xa9 NIL "a" "b")'),
        (b"caf\xc3\xa9@b", b'(NIL NIL {5}\r\ncaf\xc3\xa9 "b")'),
        # odd, as Dovecot 2.3.19 has it
        (b"root", b'(NIL NIL "root" "MISSING_DOMAIN")'),
        (b"foo@", b'(NIL NIL "foo" "MISSING_DOMAIN")'),
        (b"@foo", b'(NIL NIL "MISSING_MAILBOX" "foo")'),
        (b"Bob Example", b'("Bob Example" NIL "MISSING_MAILBOX" "MISSING_DOMAIN")'),
        (b'"a", "b" <c@d>', b'("a" NIL "MISSING_MAILBOX" "MISSING_DOMAIN")("b" NIL "c" "d")'),
        (b"<>", b'(NIL NIL "MISSING_MAILBOX" "MISSING_DOMAIN")'),
        (b"x <a@b", b'("x" NIL "a" "SYNTAX_ERROR")'),
        (b"<a b@c>", b'(NIL NIL "a" "SYNTAX_ERROR")'),
        (b"a@b c@d", A_B),
        (b"a@b@c", A_B),
        (b'"a"b <c@d>', b'("a b" NIL "c" "d")'),
        (b'"a\r\n\tb" <c@d>', b'("a b" NIL "c" "d")'),
        # odd, where Dovecot loses an address and we do not
        (b"a@b; c@d", A_B + C_D),
        (b"<a@b> x, c@d", A_B + C_D),
        (b"g:a@b; c@d", b'(NIL NIL "g" NIL)(NIL NIL "a" "b")(NIL NIL NIL NIL)(NIL NIL "c" "d")'),
        (b"'a@b' <a@b>", b'("\'a@b\'" NIL "a" "b")'),
        (b"x <<a@b>>", b'("x" NIL "a" "b")'),
        (b"a\0@b", b'(NIL NIL {4}\r\na\xef\xbf\xbd "b")'),
    ],
)
def test_a_field_and_its_list(field: bytes, wire: bytes) -> None:
    assert address_list([b" " + field + b"\r"]) == b"(%b)" % wire


@pytest.mark.parametrize("field", [b"", b" \r", b",", b" , ,\r\n ,", b";", b"(only a comment)"])
def test_a_field_without_addresses_is_nil(field: bytes) -> None:
    assert address_list([field]) == b"NIL"


def test_fields_of_one_name_are_one_list() -> None:
    assert address_list([b" a@b", b"", b" c@d"]) == b"(%b)" % (A_B + C_D)


def test_sender_and_reply_to_are_filled_from_from() -> None:
    envelope = read(scan(b"From: a@b\r\nSender:\r\nReply-To: c@d\r\n\r\n").envelope)
    assert envelope[2] == envelope[3] == [[None, None, b"a", b"b"]]
    assert envelope[4] == [[None, None, b"c", b"d"]]


def test_without_from_sender_stands_alone() -> None:
    envelope = read(scan(b"Sender: a@b\r\n\r\n").envelope)
    assert (envelope[2], envelope[3], envelope[4]) == (None, [[None, None, b"a", b"b"]], None)


@pytest.mark.parametrize(
    ("subject", "wire"),
    [
        (b" Hi", b'"Hi"'),
        (b"", b'""'),
        (b" a\r\n\tb\r\n c", b'"a b c"'),
        (b' "q" \\', b'"\\"q\\" \\\\"'),
        (b" caf\xc3\xa9", b"{5}\r\ncaf\xc3\xa9"),
        (b" a\rb", b'"a b"'),
        (b" a\0b", b"{5}\r\na\xef\xbf\xbdb"),
        (b" " + b"x" * 1000, b"{1000}\r\n" + b"x" * 1000),
    ],
)
def test_subjects(subject: bytes, wire: bytes) -> None:
    assert scan(b"Subject:%b\r\n\r\n" % subject).envelope == b"(NIL %b NIL NIL NIL NIL NIL NIL NIL NIL)" % wire


def test_a_folded_message_id() -> None:
    assert scan(b"Message-ID:\r\n <a@b>\r\n\r\n").envelope.endswith(b' "<a@b>")')


@given(st.lists(st.sampled_from([*b' \t"\\()<>@,;:[]ab.\r\n\0', 0xE9])).map(bytes))
def test_any_field_gives_addresses_of_four_strings(field: bytes) -> None:
    wire = address_list([field])
    if wire != b"NIL":
        assert all(len(address) == 4 for address in read(wire))


words = st.text("abcXYZ019!#$%&'*+/=?^_`{|}~-", min_size=1, max_size=9).map(str.encode)


@given(st.lists(st.tuples(words, words, words), min_size=1))
def test_well_formed_lists_come_back_as_they_are(people: list[tuple[bytes, bytes, bytes]]) -> None:
    field = b", ".join(b"%b <%b@%b>" % person for person in people)
    assert read(address_list([field])) == [[name, None, local, domain] for name, local, domain in people]


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (b"ann@example.org", [b"ann@example.org"]),
        (b'Ann (a) <ann (b)@ (c) example.org>, "bob b"@example.net', [b"ann@example.org", b"bob b@example.net"]),
        (
            b"team: ann @example.org, bob@ example.net;, cid@example.com",
            [b"ann@example.org", b"bob@example.net", b"cid@example.com"],
        ),
        (b"Ann Example", []),
        (b"ann@", []),
        (b"", []),
    ],
)
def test_mailboxes_without_what_is_written_around_them(value: bytes, found: list[bytes]) -> None:
    assert mailboxes(value) == found


@given(st.binary(max_size=60))
def test_mailboxes_of_any_value(value: bytes) -> None:
    assert all(b"@" in each for each in mailboxes(value))
