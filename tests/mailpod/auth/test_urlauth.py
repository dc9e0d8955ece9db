"""What URLs say of their authorization: RFC 4467 §3, RFC 5092 §11."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailpod.auth.urlauth import BadUrl, authorized, new_key, parse, verified

URL = b"imap://joe@example.com/INBOX/;uid=20/;section=1.2"
TOKEN = b"0" * 40


@pytest.mark.parametrize(
    ("end", "access", "user", "expires"),
    [
        (b";urlauth=submit+fred", "submit", "fred", None),
        (b";URLAUTH=user+a%40b%2Bc", "user", "a@b+c", None),
        (b";URLAUTH=AuthUser", "authuser", "", None),
        (b";expire=1970-01-01T00:01:00Z;urlauth=anonymous", "anonymous", "", 60.0),
        (b";EXPIRE=1970-01-01t01:01:00.25+01:00;URLAUTH=anonymous", "anonymous", "", 60.0),
        (b";EXPIRE=2016-12-31T23:59:60Z;URLAUTH=authuser", "authuser", "", 1483228800.0),  # a leap second
    ],
)
def test_what_they_say(end: bytes, access: str, user: str, expires: float | None) -> None:
    found = parse(URL + end)
    assert (found.url, found.signed, found.mechanism, found.token) == (URL, URL + end, "", b"")
    assert (found.access, found.user, found.expires) == (access, user, expires)
    whole = parse(URL + end + b":internal:" + TOKEN)
    assert (whole.url, whole.signed, whole.mechanism, whole.token) == (URL, URL + end, "INTERNAL", TOKEN)


@pytest.mark.parametrize(
    "end",
    [
        *(b"", b";URLAUTH=", b";URLAUTH=stream", b";URLAUTH=user", b";URLAUTH=user+%ff"),
        *(b";URLAUTH=anonymous:INTERNAL", b";URLAUTH=anonymous:INTERNAL:", b";URLAUTH=anonymous:INTERNAL:" + b"0" * 31),
        *(b";URLAUTH=anonymous;EXPIRE=1970-01-01T00:01:00Z", b";URLAUTH=anonymous\n", b";URLAUTH=anonymous;URLAUTH=x"),
        *(b";EXPIRE=;URLAUTH=anonymous", b";EXPIRE=1970-13-01T00:01:00Z;URLAUTH=anonymous"),
        *(b";EXPIRE=0000-01-01T00:00:00Z;URLAUTH=anonymous", b";EXPIRE=1970-01-01T24:00:00Z;URLAUTH=anonymous"),
        *(b";EXPIRE=0001-01-01T00:00:00+23:59;URLAUTH=x", b"x" * 9000 + b";URLAUTH=anonymous"),
    ],
)
def test_what_is_none(end: bytes) -> None:
    with pytest.raises(BadUrl):
        parse(URL + end)


def test_a_key_opens_what_it_authorized_and_no_other() -> None:
    key, other = new_key(), new_key()
    url = parse(authorized(parse(URL + b";URLAUTH=anonymous"), key))
    assert [verified(url, each) for each in (key, other, b"")] == [True, False, False]
    assert not verified(parse(URL + b";URLAUTH=anonymous"), b"")


@given(
    st.sampled_from((b"submit+x", b"user+x", b"authuser", b"anonymous")), st.binary(min_size=20, max_size=20), st.data()
)
def test_no_octet_can_be_changed(access: bytes, key: bytes, data: st.DataObject) -> None:
    whole = authorized(parse(URL + b";URLAUTH=" + access), key)
    at = data.draw(st.integers(0, len(whole) - 1))
    octet = data.draw(st.integers(0x21, 0x7E))
    changed = whole[:at] + bytes([octet]) + whole[at + 1 :]
    with suppress(BadUrl):
        same = changed.partition(b":INTERNAL:")[0] == whole.partition(b":INTERNAL:")[0]
        assert not verified(parse(changed), key) or (same and changed.lower() == whole.lower())


_DATES = b"1970-01-01T00:01:00Z 9999-12-31T23:59:59-23:59"
_PIECES = (b"imap://a@h/x/ ;UID=1 ;EXPIRE= ;URLAUTH= user+ anonymous :INTERNAL: % " + _DATES).split()


@given(st.binary(max_size=80) | st.lists(st.sampled_from([*_PIECES, TOKEN])).map(b"".join))
@example(b";EXPIRE=" * 1000)
@example(b";EXPIRE=1970-01-01T00:00:00Z;URLAUTH=user+" + b"%41" * 2500)
@example(b";EXPIRE=9999-12-31T23:59:60-23:59;URLAUTH=anonymous")
def test_anything(url: bytes) -> None:
    with suppress(BadUrl):
        found = parse(url)
        assert found.signed.startswith(found.url) and url.startswith(found.signed)
        found.permits("a@example.org", 0)
