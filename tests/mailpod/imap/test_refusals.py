"""What is refused, in each state (RFC 3501 §3, §7.1, §9): BAD is for what breaks the grammar or the state, NO for what
cannot be done. Every answer is followed by the next command's: the connection stays in step."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from tests.mailpod.imap.dialogue import Client, World

from mailpod.imap.commands import COMMANDS
from mailpod.imap.states import State
from mailpod.store import NewMessage

NUMBERS = (b"4", b"3:4", b"4:*", b"4294967295")  # of no message where there are three
NO_SETS = (
    b"",
    b"0",
    b"1:0",
    b"1,",
    b",1",
    b"1::2",
    b"1:2:3",
    b"-1",
    b"**",
    b"$,1",
    b'"1"',
    b"{1+}\r\n1",
    b"4294967296",
)
FAR = (b"9223372036854775808", b"99999999999999999999999")


@pytest.fixture
async def client(world: World) -> Client:
    """Three messages are selected."""
    await (await world.account()).append("INBOX", [NewMessage(b"Subject: a\r\n\r\nb\r\n")] * 3)
    return await world.login(select="INBOX")


async def answers(client: Client, commands: Sequence[bytes]) -> dict[bytes, bytes]:
    """The first word of each reply, and a code if it has one."""
    found = {}
    for command in commands:
        reply = (await client.ask(command))[-1].removeprefix(b"a ")
        found[command] = reply[: reply.index(b"]") + 1] if b" [" in reply[:5] else reply.split()[0]
        assert await client.ask(b"NOOP", b"b") != [], command
    return found


async def test_commands_of_another_state(world: World) -> None:
    """RFC 3501 §3: it is an error to attempt a command while in an inappropriate state."""
    client, last = await world.connect(), {}
    for state in State:
        if state is State.AUTHENTICATED:
            await client.ok(b"LOGIN ann@example.org secret")
        elif state is State.SELECTED:
            await client.ok(b"SELECT INBOX")
        elsewhere = [name.encode() for name, rule in COMMANDS.items() if state not in rule.states]
        assert elsewhere
        last = await answers(client, elsewhere)
        assert set(last.values()) == {b"BAD"}, state
    assert {b"LOGIN", b"AUTHENTICATE", b"ENABLE"} <= last.keys()


async def test_numbers_of_no_message(client: Client) -> None:
    """RFC 3501 §9 seq-number: BAD; §6.4.8: UIDs of no message are no error, and 4:* is the last one."""
    for number in NUMBERS:
        by_number = [b"FETCH %b UID" % number, b"STORE %b FLAGS ()" % number, b"COPY %b Sent" % number]
        assert set((await answers(client, [*by_number, b"MOVE %b Sent" % number])).values()) == {b"BAD"}
        by_uid = await answers(client, [b"UID FETCH %b UID" % number, b"UID STORE %b FLAGS ()" % number])
        assert set(by_uid.values()) == {b"OK"}
    assert await client.ok(b"UID FETCH 4:* UID") == [b"* 3 FETCH (UID 3)"]
    assert await client.ok(b"UID FETCH 4 UID") == []
    assert await client.ok(b"FETCH *:2 UID") == [b"* 2 FETCH (UID 2)", b"* 3 FETCH (UID 3)"]


@pytest.mark.parametrize("command", [b"FETCH %b UID", b"UID FETCH %b UID", b"STORE %b FLAGS ()", b"UID COPY %b Sent"])
async def test_what_is_no_set(client: Client, command: bytes) -> None:
    found = await answers(client, [command % wrong for wrong in (*NO_SETS, *FAR)])
    assert set(found.values()) == {b"BAD"}


async def test_arguments_that_are_missing_or_too_many(client: Client) -> None:
    """Each command of the selected state without arguments, unless it takes none, and with one more."""
    bare = {name.encode() for name, rule in COMMANDS.items() if State.SELECTED in rule.states}
    alone = b"CAPABILITY NOOP LOGOUT NAMESPACE IDLE CHECK CLOSE UNSELECT EXPUNGE UNAUTHENTICATE".split()
    assert set(alone) < bare
    more = (b"%b x y ) z" % name for name in bare)
    found = await answers(client, [*bare.difference(alone, [b"RESETKEY"]), *more])
    assert set(found.values()) == {b"BAD"}


async def test_nuls_and_octets_above_ascii(client: Client) -> None:
    """RFC 3501 §9 TEXT-CHAR and ATOM-CHAR. An 8-bit search string is a matter of its charset (§6.4.4)."""
    wrong = (b"a\0b", b'"a\0b"', b"\xe9", b'"a\\b"', b'"a', b'a"')
    for shape in (b"SEARCH SUBJECT %b", b"STATUS %b (MESSAGES)", b"FETCH 1 BODY[HEADER.FIELDS (%b)]"):
        assert set((await answers(client, [shape % each for each in wrong])).values()) == {b"BAD"}, shape
    found = await answers(client, [b'SEARCH SUBJECT "\xe9"', b'STATUS "\xe9" (MESSAGES)', b"SEARCH SUBJECT {1+}\r\n\0"])
    assert list(found.values()) == [b"NO [BADCHARSET (UTF-8 US-ASCII)]", b"BAD", b"OK"]


async def test_strings_wherever_they_may_stand(client: Client) -> None:
    """RFC 3501 §9 astring: an atom, a quoted string or a literal say the same."""
    for command in (
        b"SELECT %b INBOX",
        b"STATUS %b INBOX (MESSAGES)",
        b"COPY 1 %b INBOX",
        b"SUBSCRIBE %b INBOX",
        b'LIST "" %b INBOX',
        b"RENAME nowhere %b INBOX",
        b"SEARCH HEADER %b Subject a",
        b"SEARCH CHARSET %b UTF-8 ALL",
        b"FETCH 1 BODY.PEEK[HEADER.FIELDS (%b Subject)]",
        b"GETQUOTAROOT %b INBOX",
    ):
        before, _, rest = command.partition(b"%b ")
        word = rest.replace(b")", b" ").split()[0]
        after = rest[len(word) :]
        spellings = (word, b'"%b"' % word, b"{%d+}\r\n%b" % (len(word), word))
        replies = [(await client.ask(before + spelling + after))[-1] for spelling in spellings]
        assert replies[0].split()[:2] == replies[1].split()[:2] == replies[2].split()[:2], command
        assert not replies[0].startswith(b"a BAD"), replies[0]
        await client.ok(b"SELECT INBOX")
