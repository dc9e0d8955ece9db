"""One transaction, as a dialogue without a network."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailpod.relay.capabilities import Capabilities
from mailpod.relay.envelope import Envelope, Unsuited
from mailpod.relay.replies import BadReply, Reply
from mailpod.relay.transaction import Do, Transaction
from mailpod.store.outbound import SpoolEntry

ALL = Capabilities(pipelining=True, eightbit=True, smtputf8=True, dsn=True, size=0)


def envelope(
    *recipients: str, message: bytes = b"\r\nbody\r\n", sender: str = "a@x.test", **fields: object
) -> Envelope:
    entry = SpoolEntry("id", sender, recipients or ("b@far.test",), 0.0, **fields)  # type: ignore[arg-type]
    return Envelope(entry, entry.recipients, message)


def said(transaction: Transaction, *replies: str) -> tuple[Do, bytes]:
    """What is next after all of these."""
    done = Do.WAIT, b""
    for reply in replies:
        done = transaction.take(Reply(int(reply[:3]), (reply[4:],)))
    return done


def test_in_one_write() -> None:
    transaction = Transaction(envelope("b@far.test", "c@far.test"), ALL)
    assert transaction.begin() == (
        b"MAIL FROM:<a@x.test> SIZE=8\r\nRCPT TO:<b@far.test>\r\nRCPT TO:<c@far.test>\r\nDATA\r\n"
    )
    assert said(transaction, "250 ok", "250 ok", "550 5.1.1 no", "354 go") == (Do.CONTENT, b"")
    assert said(transaction, "250 taken") == (Do.END, b"")
    assert transaction.accepted == ["b@far.test"] and list(transaction.refused) == ["c@far.test"]
    assert transaction.answer == Reply(250, ("taken",))


def test_one_command_at_a_time() -> None:
    transaction = Transaction(envelope(), Capabilities())
    assert transaction.begin() == b"MAIL FROM:<a@x.test>\r\n"
    assert said(transaction, "250 ok") == (Do.SEND, b"RCPT TO:<b@far.test>\r\n")
    assert said(transaction, "250 ok") == (Do.SEND, b"DATA\r\n")
    assert said(transaction, "354 go") == (Do.CONTENT, b"")
    assert said(transaction, "250 taken") == (Do.END, b"")


@pytest.mark.parametrize("replies", [["550 no"], ["250 ok", "550 no"]])
def test_nobody_accepted_one_at_a_time(replies: list[str]) -> None:
    transaction = Transaction(envelope(), Capabilities())
    transaction.begin()
    assert said(transaction, *replies) == (Do.SEND, b"RSET\r\n")
    assert said(transaction, "250 ok") == (Do.END, b"")
    assert transaction.refused == {"b@far.test": Reply(550, ("no",))}


def test_nobody_accepted_and_data_taken_all_the_same() -> None:
    """RFC 2920 §3.1."""
    transaction = Transaction(envelope(), ALL)
    transaction.begin()
    assert said(transaction, "250 ok", "450 busy", "354 go") == (Do.EMPTY, b"")
    assert said(transaction, "554 no valid recipients") == (Do.SEND, b"RSET\r\n")
    assert said(transaction, "250 ok") == (Do.END, b"")
    assert transaction.refused == {"b@far.test": Reply(450, ("busy",))} and transaction.answer is None


def test_a_refusal_of_data_is_everybodys() -> None:
    transaction = Transaction(envelope("b@far.test", "c@far.test"), ALL)
    transaction.begin()
    assert said(transaction, "250 ok", "250 ok", "550 5.1.1 no", "451 full") == (Do.SEND, b"RSET\r\n")
    assert said(transaction, "250 ok") == (Do.END, b"")
    assert {name: reply.code for name, reply in transaction.refused.items()} == {"b@far.test": 451, "c@far.test": 550}


def test_a_server_that_refuses_rset_gets_nothing_more() -> None:
    transaction = Transaction(envelope(), ALL)
    transaction.begin()
    said(transaction, "250 ok", "450 busy", "554 no valid recipients")
    with pytest.raises(BadReply):
        said(transaction, "500 what")


def test_421_ends_it_anywhere() -> None:
    transaction = Transaction(envelope("b@far.test", "c@far.test"), ALL)
    transaction.begin()
    assert said(transaction, "250 ok", "250 ok", "421 closing") == (Do.END, b"")
    assert set(transaction.refused) == {"b@far.test", "c@far.test"}


@given(st.lists(st.sampled_from(["250 ok", "354 go", "450 no", "550 no", "421 bye"]), max_size=12), st.booleans())
def test_any_replies_come_to_an_end_with_a_word_on_everybody(replies: list[str], pipelining: bool) -> None:
    transaction = Transaction(envelope("b@far.test", "c@far.test"), Capabilities(pipelining=pipelining))
    transaction.begin()
    for reply in [*replies, *["550 no"] * 12]:
        try:
            do, _ = transaction.take(Reply(int(reply[:3]), ("x",)))
        except BadReply:
            return
        if do is Do.END:
            break
    else:
        raise AssertionError("it does not end")
    assert set(transaction.accepted) | set(transaction.refused) == {"b@far.test", "c@far.test"}
    assert not transaction.accepted or transaction.answer is not None


@pytest.mark.parametrize(
    ("made", "offered", "status"),
    [
        (envelope(message="é\r\n".encode()), Capabilities(), "5.6.3"),
        (envelope("ö@far.test"), Capabilities(eightbit=True), "5.6.7"),
        (envelope(message="Subject: é\r\n\r\n".encode(), smtputf8=True), Capabilities(eightbit=True), "5.6.7"),
        (envelope(message=b"x" * 11), Capabilities(size=10), "5.3.4"),
    ],
)
def test_what_a_server_cannot_take(made: Envelope, offered: Capabilities, status: str) -> None:
    with pytest.raises(Unsuited) as caught:
        Transaction(made, offered)
    assert caught.value.status == status


def test_utf8_in_the_body_alone_needs_no_smtputf8() -> None:
    made = envelope(message="\r\n\r\né\r\n".encode(), smtputf8=True)
    assert Transaction(made, Capabilities(eightbit=True)).begin() == b"MAIL FROM:<a@x.test> BODY=8BITMIME\r\n"
    assert b" SMTPUTF8" in Transaction(envelope("ö@far.test"), ALL).begin()


@given(st.lists(st.sampled_from([b".", b"..", b"a", b"\r\n", b"\r\n."]), max_size=12).map(b"".join))
def test_dots_and_the_end(message: bytes) -> None:
    content, end = envelope(message=message).content()
    lines = (content + end).split(b"\r\n")
    assert lines[-2:] == [b".", b""] and b"." not in lines[:-2]
    whole = b"".join(line.removeprefix(b".") + b"\r\n" for line in lines[:-2])
    assert whole == message or whole == message + b"\r\n"
