"""IMAP URLs of messages: RFC 5092."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailpod.imap.names import canonical
from mailpod.imap.url import BadSyntax, MessageUrl, parse


@pytest.mark.parametrize(
    ("url", "found"),
    [
        (b"/INBOX/;UID=1", MessageUrl(None, None, "INBOX", None, 1)),
        (b"/inbox;uidvalidity=7/;uid=20/;section=HEADER", MessageUrl(None, None, "INBOX", 7, 20, b"HEADER")),
        (b"/Drafts/a%20b/;UID=3/;SECTION=1.2.MIME", MessageUrl(None, None, "Drafts/a b", None, 3, b"1.2.MIME")),
        (b"/x/;UID=3/;PARTIAL=0.1024", MessageUrl(None, None, "x", None, 3, b"", (0, 1024))),
        (b"/x/;UID=3/;SECTION=2/;PARTIAL=5", MessageUrl(None, None, "x", None, 3, b"2", (5, None))),
        (b"/Entw%C3%BCrfe/;UID=3", MessageUrl(None, None, "Entwürfe", None, 3)),
        (b"/a%3BUID%3D9/;UID=3", MessageUrl(None, None, "a;UID=9", None, 3)),
        (
            b"imap://ann%40example.org;AUTH=*@mail.example:143/INBOX;UIDVALIDITY=5/;UID=6",
            MessageUrl("ann@example.org", "mail.example", "INBOX", 5, 6),
        ),
        (b"imap://mail.example/INBOX/;UID=6", MessageUrl(None, "mail.example", "INBOX", None, 6)),
        # RFC 4469 §3: relative to imap://user@server/mailbox
        (b";UID=4", MessageUrl(None, None, "Lists/one", None, 4)),
        (b"two/;UID=4", MessageUrl(None, None, "Lists/two", None, 4)),
    ],
)
def test_what_they_name(url: bytes, found: MessageUrl) -> None:
    assert parse(url, "Lists/one") == found


@pytest.mark.parametrize(
    "url",
    [
        b"",
        b"/INBOX",
        b"/INBOX/;UID=0",
        b"/INBOX/;UID=4294967296",
        b"/INBOX/;UID=1/;SECTION=",
        b"/INBOX/;UID=1;SECTION=1",
        b"/INBOX/;UID=1/;PARTIAL=1.0",
        b"/INBOX/;UID=1/;PARTIAL=0.1/;SECTION=1",
        b"/INBOX;UID=1",
        b"/;UID=1",
        b"/a%zz/;UID=1",
        b"/a%ff/;UID=1",
        b"/a b/;UID=1",
        b"/\xc3\xbc/;UID=1",
        b"/INBOX/;UID=1\r\n",
        b"/INBOX?UID%201",
        b"http://mail.example/INBOX/;UID=1",
        b"imap://mail.example;UID=1",
        b"imap://@/INBOX/;UID=1",
        b"//mail.example/INBOX/;UID=1",
        b"a:b/;UID=1",
        b"/" + b"x" * 9000 + b"/;UID=1",
    ],
)
def test_what_is_none(url: bytes) -> None:
    with pytest.raises(BadSyntax):
        parse(url, "INBOX")


def test_relative_to_no_mailbox() -> None:
    with pytest.raises(BadSyntax):
        parse(b";UID=4")
    assert parse(b"Sent/;UID=4").mailbox == "Sent"


_NAMES = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=30)


@given(_NAMES, st.integers(1, 2**32 - 1), st.none() | st.integers(1, 2**32 - 1), st.none() | _NAMES)
def test_what_was_encoded_is_found_again(name: str, uid: int, validity: int | None, section: str | None) -> None:
    url = "/" + quote(name, safe="")
    url += "" if validity is None else f";UIDVALIDITY={validity}"
    url += f"/;UID={uid}"
    url += "" if section is None else f"/;SECTION={quote(section, safe='')}"
    found = parse(url.encode("ascii"))
    assert (found.mailbox, found.uid, found.uidvalidity) == (canonical(name), uid, validity)
    assert found.section == (section or "").encode()


@given(
    st.binary(max_size=80)
    | st.lists(st.sampled_from(b"imap:// a @ h / ; UID = 1 SECTION PARTIAL % 2 .".split())).map(b"".join)
)
@example(b"imap://" + b"%41" * 2000 + b"@h/x/;UID=1")
@example(b"/" + b"x/;UID=1" * 900)
def test_anything(url: bytes) -> None:
    with suppress(BadSyntax):
        assert parse(url, "INBOX").uid > 0
