"""LIST: RFC 3501 §6.3.8, with what RFC 3348 and RFC 6154 §2 add to it."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mailpod.imap.dialogue import World

from mailpod.imap.matching import Matcher


async def test_all_with_special_uses(world: World) -> None:
    client = await world.login()
    assert await client.ok(b'LIST "" *') == [
        b'* LIST (\\HasNoChildren) "/" INBOX',
        b'* LIST (\\HasNoChildren \\Archive) "/" Archive',
        b'* LIST (\\HasNoChildren \\Drafts) "/" Drafts',
        b'* LIST (\\HasNoChildren \\Junk) "/" Junk',
        b'* LIST (\\HasNoChildren \\Sent) "/" Sent',
        b'* LIST (\\HasNoChildren \\Trash) "/" Trash',
    ]


async def test_the_delimiter(world: World) -> None:
    client = await world.login()
    assert await client.ok(b'LIST "" ""') == [b'* LIST (\\Noselect) "/" ""']
    assert await client.ok(b'LIST Sent ""') == [b'* LIST (\\Noselect) "/" ""']


async def test_reference_and_wildcards(world: World) -> None:
    client = await world.login()
    await client.ok(b"CREATE a/b/c")
    assert await client.ok(b'LIST "" a/%') == [b'* LIST (\\HasChildren) "/" a/b']
    assert await client.ok(b"LIST a/ *c") == [b'* LIST (\\HasNoChildren) "/" a/b/c']
    assert await client.ok(b'LIST "" %/%/c') == [b'* LIST (\\HasNoChildren) "/" a/b/c']
    assert await client.ok(b'LIST "" inbox') == [b'* LIST (\\HasNoChildren) "/" INBOX']
    assert await client.ok(b'LIST "" A*') == [b'* LIST (\\HasNoChildren \\Archive) "/" Archive']


async def test_options_of_special_use(world: World) -> None:
    client = await world.login()
    await client.ok(b"SUBSCRIBE gone")
    await client.ok(b"UNSUBSCRIBE Junk")
    assert await client.ok(b'LIST (SPECIAL-USE) "" (S* D*)') == [
        b'* LIST (\\Drafts) "/" Drafts',
        b'* LIST (\\Sent) "/" Sent',
    ]
    assert await client.ok(b'LIST (SUBSCRIBED) "" *') == [
        b'* LIST (\\Subscribed) "/" INBOX',
        b'* LIST (\\Archive \\Subscribed) "/" Archive',
        b'* LIST (\\Drafts \\Subscribed) "/" Drafts',
        b'* LIST (\\Sent \\Subscribed) "/" Sent',
        b'* LIST (\\Trash \\Subscribed) "/" Trash',
        b'* LIST (\\NonExistent \\Subscribed) "/" gone',
    ]
    assert await client.ok(b'LIST "" S% RETURN (SUBSCRIBED SPECIAL-USE CHILDREN)') == [
        b'* LIST (\\HasNoChildren \\Sent \\Subscribed) "/" Sent',
    ]


_NAME = st.text("abI/", max_size=12)


@given(st.text("abI/%*", max_size=12), _NAME)
def test_matching_agrees_with_a_regular_expression(pattern: str, name: str) -> None:
    expression = "".join({"*": ".*", "%": "[^/]*"}.get(letter, re.escape(letter)) for letter in pattern)
    assert Matcher("", [pattern])(name) == (re.fullmatch(expression, name) is not None)


@pytest.mark.parametrize("pattern", ["*a" * 500, "%a" * 500, "*%" * 500 + "b"])
def test_no_pattern_is_slow(pattern: str) -> None:
    start = time.process_time()
    Matcher("", [pattern])("a" * 1000)
    assert time.process_time() - start < 0.2
