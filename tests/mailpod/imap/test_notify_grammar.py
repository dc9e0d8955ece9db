"""NOTIFY's arguments: what is written is what is parsed, and what is refused (RFC 5465 §8)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mailpod.imap.dialogue import World

from mailpod.imap import wire
from mailpod.imap.grammar_notify import BadEvent, TooMuch, notify
from mailpod.imap.lexer import BadCommand, Cursor, Frame
from mailpod.imap.syntax_notify import EventGroup, NotifyArgs, SelectedEvents


def parsed(arguments: bytes) -> NotifyArgs:
    cursor = Cursor(Frame([b" " + arguments]))
    found = notify(cursor)
    cursor.end()
    return found


def test_grammar() -> None:
    new = frozenset(("MESSAGENEW", "MESSAGEEXPUNGE"))
    assert parsed(b"none") == NotifyArgs(none=True)
    assert parsed(b"set status (Selected-Delayed (messagenew messageexpunge))") == NotifyArgs(
        SelectedEvents(new, delayed=True), status=True
    )
    assert parsed(b"SET (mailboxes (INBOX a) (MailboxName)) (subtree b NONE)") == NotifyArgs(
        groups=(
            EventGroup("MAILBOXES", ("INBOX", "a"), frozenset(("MAILBOXNAME",))),
            EventGroup("SUBTREE", ("b",), frozenset()),
        )
    )
    loose = parsed(b"SET (selected MessageNew (uid body.peek[header.fields (from)]) MessageExpunge)")
    assert loose.selected is not None and len(loose.selected.items) == 2 and loose.selected.events == new


@pytest.mark.parametrize(
    "arguments",
    [
        *(b"", b"SET", b"SET STATUS", b"SET ()", b"SET (selected)", b"SET (selected ())", b"SET (other (MailboxName))"),
        *(b"SET (selected (MessageNew))", b"SET (personal (MessageExpunge))", b"SET (personal (FlagChange))"),
        *(b"SET (selected (MailboxName))", b"SET (subtree (MailboxName))", b"NONE x", b"SET (personal (MailboxName)) "),
        b"SET (selected (MessageNew MessageExpunge)) (selected-delayed NONE)",
        b"SET (personal (MessageNew (UID) MessageExpunge))",
        b"SET (selected (MessageNew () MessageExpunge))",
    ],
)
def test_what_is_bad(arguments: bytes) -> None:
    with pytest.raises(BadCommand):
        parsed(arguments + b"x" if arguments.endswith(b" ") else arguments)


async def test_unsupported_events(world: World) -> None:
    """RFC 5465 §3.1: NO and not BAD, with all that are supported."""
    client = await world.login()
    for event in (b"AnnotationChange", b"Lunch"):
        reply = await client.refused(b"NOTIFY SET (personal (MailboxName %b))" % event)
        assert reply.startswith(
            b"a NO [BADEVENT (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange"
            b" MailboxMetadataChange ServerMetadataChange)]"
        )


_FILTERS = st.sampled_from(("INBOXES", "PERSONAL", "SUBSCRIBED"))
_NAME = st.text("ab/é ", min_size=1).filter(lambda name: not name.endswith("/"))
_NAMED = st.tuples(st.sampled_from(("SUBTREE", "SUBTREE-ONE", "MAILBOXES")), st.lists(_NAME, min_size=1, max_size=3))
_GROUP = st.tuples(
    st.one_of(_FILTERS.map(lambda kind: (kind, [])), _NAMED),
    st.sets(st.sampled_from(("MAILBOXNAME", "SUBSCRIPTIONCHANGE", "MAILBOXMETADATACHANGE", "SERVERMETADATACHANGE"))),
    st.booleans(),
)


@given(st.lists(_GROUP, min_size=1, max_size=4), st.booleans())
def test_what_is_written_is_what_is_parsed(
    groups: list[tuple[tuple[str, list[str]], set[str], bool]], status: bool
) -> None:
    wanted, words = [], [b"SET", *([b"STATUS"] if status else [])]
    for (kind, mailboxes), events, messages in groups:
        chosen = [*events, *(("MessageNew", "MESSAGEEXPUNGE") if messages else ())]
        quoted = b" (%b)" % b" ".join(map(wire.mailbox, mailboxes)) if mailboxes else b""
        listed = b"(%b)" % " ".join(chosen).encode() if chosen else b"NONE"
        words.append(b"(%b%b %b)" % (kind.lower().encode(), quoted, listed))
        wanted.append(EventGroup(kind, tuple(mailboxes), frozenset(map(str.upper, chosen))))
    assert parsed(b" ".join(words)) == NotifyArgs(None, tuple(wanted), status)


@given(
    st.lists(
        st.sampled_from(b"SET NONE ( ) selected MessageNew MessageExpunge (UID) STATUS mailboxes a FlagChange".split())
    )
)
def test_any_words(words: list[bytes]) -> None:
    try:
        parsed(b" ".join(words))
    except (BadCommand, BadEvent, TooMuch):
        return
