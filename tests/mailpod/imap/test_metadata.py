"""METADATA (RFC 5464), LIST-METADATA (RFC 9590), and special uses as metadata (RFC 6154 §4)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.mailpod.imap.dialogue import MakeWorld, World, other_pod, user

from mailpod.imap.annotations import chosen
from mailpod.imap.grammar_metadata import get_metadata, set_metadata
from mailpod.imap.lexer import Cursor, Frame
from mailpod.imap.syntax_metadata import Entries


async def test_set_get_and_remove(world: World) -> None:
    client = await world.login(select="INBOX")
    assert await client.ok(b'SETMETADATA inbox (/private/Comment "My own" /shared/comment {4+}\r\na\r\nb)') == []
    assert await client.ok(b"GETMETADATA INBOX (/PRIVATE/comment /shared/comment)") == [
        b'* METADATA INBOX (/private/comment "My own" /shared/comment {4}\r\na\r\nb)'
    ]
    await client.ok(b"SETMETADATA INBOX (/private/comment NIL /private/absent NIL)")
    assert await client.ok(b"GETMETADATA INBOX /private/comment") == [b"* METADATA INBOX (/private/comment NIL)"]
    assert await client.ok(b'GETMETADATA INBOX "/shared/comment"') == [
        b"* METADATA INBOX (/shared/comment {4}\r\na\r\nb)"
    ]


async def test_entries_without_parentheses(world: World) -> None:
    """As in RFC 5464 §4.4.1's examples before erratum 3868; in one set of parentheses, or without any."""
    client = await world.login()
    await client.ok(b'SETMETADATA INBOX (/private/comment "x" /shared/comment "y")')
    assert await client.ok(b"GETMETADATA INBOX /private/comment /shared/comment") == [
        b'* METADATA INBOX (/private/comment "x" /shared/comment "y")'
    ]
    for bad in (
        b"GETMETADATA INBOX (/private/comment) /shared/comment",
        b'LIST "" INBOX RETURN (METADATA /private/comment /shared/comment)',
        b'SETMETADATA INBOX /private/comment "x"',
    ):
        assert (await client.refused(bad)).startswith(b"a BAD"), bad


async def test_any_octets(world: World) -> None:
    client = await world.login()
    await client.ok(b'SETMETADATA INBOX (/private/bin ~{4+}\r\n\x00\xff\r\n /private/empty "")')
    assert await client.ok(b"GETMETADATA (DEPTH 1) INBOX /private") == [
        b'* METADATA INBOX (/private/bin ~{4}\r\n\x00\xff\r\n /private/empty "")'
    ]


async def test_depth(world: World) -> None:
    """RFC 5464 §4.2.2: entries at a name, those immediately below, and all below."""
    client = await world.login()
    entries = b'/private/a "1" /private/a/b "2" /private/a/b/c "3" /private/ab "4"'
    await client.ok(b"SETMETADATA INBOX (%b)" % entries)
    assert await client.ok(b"GETMETADATA INBOX (DEPTH 0) /private/a") == [b'* METADATA INBOX (/private/a "1")']
    assert await client.ok(b"GETMETADATA (DEPTH 1) INBOX /private/a") == [
        b'* METADATA INBOX (/private/a "1" /private/a/b "2")'
    ]
    assert await client.ok(b"GETMETADATA (DEPTH infinity) INBOX (/private/a)") == [
        b'* METADATA INBOX (/private/a "1" /private/a/b "2" /private/a/b/c "3")'
    ]
    await client.ok(b"SETMETADATA INBOX (/private/a NIL)")
    assert await client.ok(b"GETMETADATA INBOX (DEPTH 1) (/private/a)") == [b'* METADATA INBOX (/private/a/b "2")'], (
        "a name without a value is left out, as in the example"
    )


async def test_maxsize_and_longentries(world: World) -> None:
    client = await world.login()
    await client.ok(b'SETMETADATA INBOX (/private/a "12345" /private/b "123" /private/c "1234567")')
    *told, tagged = await client.ask(b"GETMETADATA INBOX (MAXSIZE 4) (/private/a /private/b /private/c)")
    assert told == [b'* METADATA INBOX (/private/b "123")']
    assert tagged.startswith(b"a OK [METADATA LONGENTRIES 7] ")
    *told, tagged = await client.ask(b"GETMETADATA (MAXSIZE 7 DEPTH 1) INBOX /private")
    assert len(told) == 1 and b"LONGENTRIES" not in tagged


async def test_the_server_has_annotations_of_its_own(world: World) -> None:
    """The account's private ones, and what its pods say of themselves; nobody sets what all would share."""
    ann, bob = await world.login(), await world.login("bob")
    await ann.ok(b'SETMETADATA "" (/private/vendor/x/y "mine")')
    entries = b'GETMETADATA "" (/private/vendor/x/y /shared/admin /shared/comment)'
    admin = b'/shared/admin "mailto:postmaster@example.org" /shared/comment NIL)'
    assert await ann.ok(entries) == [b'* METADATA "" (/private/vendor/x/y "mine" ' + admin]
    assert b"/private/vendor/x/y NIL" in (await bob.ok(entries))[0]
    for entry in (b"/shared/admin", b"/shared/comment"):
        assert (await ann.refused(b'SETMETADATA "" (/private/a "1" %b "x")' % entry)).startswith(b"a NO [CANNOT]")
    assert await ann.ok(b'GETMETADATA "" /private/a') == [b'* METADATA "" (/private/a NIL)']


async def test_limits(make: MakeWorld) -> None:
    """RFC 5464 §4.3: nothing of a command that fails is set."""
    world = await make(store={"annotation_bytes": 1024, "annotations": 10})
    client = await world.login()
    most = await client.refused(b'SETMETADATA INBOX (/private/a "1" /private/b {1025+}\r\n%b)' % (b"x" * 1025))
    assert most.startswith(b"a NO [METADATA MAXSIZE 1024]")
    for sync in (b"", b"+"):  # longer than a whole command may be
        await client.send(b"a SETMETADATA INBOX (/private/b {70000%b}\r\n" % sync)
        if sync:
            await client.send(b"%b)\r\n" % (b"x" * 70000))
        assert (await client.line()).startswith(b"a NO [METADATA MAXSIZE 1024]")
    many = b" ".join(b'/private/%d ""' % n for n in range(11))
    assert (await client.refused(b"SETMETADATA INBOX (%b)" % many)).startswith(b"a NO [METADATA TOOMANY]")
    assert await client.ok(b"GETMETADATA (DEPTH infinity) INBOX /private") == []
    assert (await client.refused(b'SETMETADATA nowhere (/private/a "")')).startswith(b"a NO [NONEXISTENT]")
    assert (await client.refused(b"GETMETADATA nowhere /private/a")).startswith(b"a NO [NONEXISTENT]")


async def test_names_that_no_entry_has_are_bad(world: World) -> None:
    """RFC 5464 §3.2."""
    client = await world.login()
    for name in (
        b"/other/a",
        b"/private",
        b"/private/",
        b"/private//a",
        b"/private/a/",
        b"private/a",
        b'"/private/a*"',
        b"/shared/vendor",
        b"/Private/Vendor/token",
    ):
        assert (await client.refused(b'SETMETADATA INBOX (%b "x")' % name)).startswith(b"a BAD"), name
    await client.ok(b'SETMETADATA INBOX (/private/vendor/token/a "x")')
    assert await client.ok(b"GETMETADATA (DEPTH 1) INBOX /private/vendor/token") == [
        b'* METADATA INBOX (/private/vendor/token/a "x")'
    ]
    for bad in (
        b"GETMETADATA INBOX ()",
        b"GETMETADATA (DEPTH 2) INBOX /private/a",
        b'GETMETADATA INBOX "/private/\xc3"',
    ):
        assert (await client.refused(bad)).startswith(b"a BAD"), bad


async def test_another_pod_has_it_and_rename_and_delete_take_it_along(world: World) -> None:
    here, there = await world.login(), await (await other_pod(world)).login()
    await here.ok(b"CREATE Work")
    await here.ok(b'SETMETADATA Work (/shared/comment "it")')
    assert await there.ok(b"GETMETADATA Work /shared/comment") == [b'* METADATA Work (/shared/comment "it")']
    await here.ok(b"RENAME Work Old")
    assert await there.ok(b"GETMETADATA Old /shared/comment") == [b'* METADATA Old (/shared/comment "it")']
    await here.ok(b"DELETE Old")
    await here.ok(b"CREATE Old")
    assert await there.ok(b"GETMETADATA Old /shared/comment") == [b"* METADATA Old (/shared/comment NIL)"]


async def test_special_use(world: World) -> None:
    """RFC 6154 §4: what LIST says is what the entry says, either way round."""
    client = await world.login()
    assert await client.ok(b"GETMETADATA Sent /private/specialuse") == [
        b'* METADATA Sent (/private/specialuse "\\\\Sent")'
    ]
    assert await client.ok(b"GETMETADATA INBOX /private/specialuse") == [b"* METADATA INBOX (/private/specialuse NIL)"]
    await client.ok(b"CREATE Gesendet")
    taken = await client.refused(b'SETMETADATA Gesendet (/private/specialuse "\\\\Sent")')
    assert taken.startswith(b"a NO [USEATTR]")
    for value in (b"\\\\Sent \\\\Trash", b"\\\\All", b"Sent"):
        reply = await client.refused(b'SETMETADATA Gesendet (/private/specialuse "%b")' % value)
        assert reply.startswith(b"a NO [USEATTR]")
    await client.ok(b"SETMETADATA Sent (/private/specialuse NIL)")
    await client.ok(b'SETMETADATA Gesendet (/private/specialuse "\\\\SENT \\\\sent")')
    assert await client.ok(b'LIST (SPECIAL-USE) "" %ent* RETURN (SPECIAL-USE)') == []
    assert await client.ok(b'LIST (SPECIAL-USE) "" G%') == [b'* LIST (\\Sent) "/" Gesendet']


async def test_list_metadata(world: World) -> None:
    """RFC 9590: a METADATA response behind each LIST; none for a name that no mailbox has."""
    client = await world.login()
    await client.ok(b"CREATE a/b/c")
    await client.ok(b"DELETE a/b")
    await client.ok(b'SETMETADATA a (/shared/color "#b71c1c" /private/x "y")')
    assert await client.ok(b'LIST "" (a a/*) RETURN (METADATA (/shared/color) SUBSCRIBED)') == [
        b'* LIST () "/" a',
        b'* METADATA a (/shared/color "#b71c1c")',
        b'* LIST (\\NonExistent) "/" a/b',
        b'* LIST () "/" a/b/c',
        b"* METADATA a/b/c (/shared/color NIL)",
    ]
    *told, tagged = await client.ask(b'LIST "" a RETURN (METADATA (MAXSIZE 3) (/shared/color) STATUS (MESSAGES))')
    assert told == [b'* LIST () "/" a', b"* STATUS a (MESSAGES 0)"]
    assert tagged.startswith(b"a OK [METADATA LONGENTRIES 7]")


TEAM = b'"Other Users/ann@example.org/Team"'


@pytest.mark.parametrize("rights", [b"lr", b"ls", b"lw", b"li", b"lp"])
async def test_of_anothers_mailbox(world: World, rights: bytes) -> None:
    """RFC 5464 §3.3: with `l` and any of `rswip` what is shared is read and set; what is private is the owner's."""
    ann, bob = await world.login(), await world.login("bob")
    await ann.ok(b"CREATE Team")
    await ann.ok(b'SETMETADATA Team (/shared/comment "ours" /private/comment "mine")')
    await ann.ok(b"SETACL Team bob@example.org %b" % rights)
    both = b"GETMETADATA %b (/shared/comment /private/comment)" % TEAM
    assert await bob.ok(both) == [b'* METADATA %b (/shared/comment "ours" /private/comment NIL)' % TEAM]
    assert await bob.ok(b"GETMETADATA (DEPTH infinity) %b /private" % TEAM) == []
    private = await bob.refused(b'SETMETADATA %b (/shared/comment "x" /private/comment "y")' % TEAM)
    assert private.startswith(b"a NO [METADATA NOPRIVATE]")
    await bob.ok(b'SETMETADATA %b (/shared/comment "changed")' % TEAM)
    told = b'* METADATA Team (/shared/comment "changed" /private/comment "mine")'
    assert await ann.ok(b"GETMETADATA Team (/shared/comment /private/comment)") == [told]
    listed = await bob.ok(b'LIST "" %b RETURN (METADATA (/shared/comment))' % TEAM)
    assert listed[1:] == [b'* METADATA %b (/shared/comment "changed")' % TEAM]


async def test_of_anothers_mailbox_without_the_rights(world: World) -> None:
    ann, bob = await world.login(), await world.login("bob")
    await ann.ok(b"CREATE Team")
    await ann.ok(b'SETMETADATA Team (/shared/comment "ours")')
    for rights, code in ((b"lkxtea", b"a NO [NOPERM]"), (b"rswip", b"a NO [NONEXISTENT]")):
        await ann.ok(b"SETACL Team bob@example.org %b" % rights)
        assert (await bob.refused(b"GETMETADATA %b /shared/comment" % TEAM)).startswith(code)
        assert (await bob.refused(b'SETMETADATA %b (/shared/comment "x")' % TEAM)).startswith(code)
        assert not [x for x in await bob.ok(b'LIST "" "*" RETURN (METADATA (/shared/comment))') if b"ours" in x]
    assert await ann.ok(b"GETMETADATA Team /shared/comment") == [b'* METADATA Team (/shared/comment "ours")']


async def test_only_where_every_pod_reads_it(world: World) -> None:
    """FORMAT.md, "Changing the format": where the domain's entry does not say so, nothing is offered and written."""
    world.reads = ()
    await world.publish(user("ann"))
    client = await (await other_pod(world)).login()
    assert b"METADATA" not in (await client.ok(b"CAPABILITY"))[0]
    assert (await client.refused(b'SETMETADATA INBOX (/private/a "1")')).startswith(b"a NO [UNAVAILABLE]")
    assert await client.ok(b"GETMETADATA INBOX /private/a") == [b"* METADATA INBOX (/private/a NIL)"]


_NAMES = st.lists(st.sampled_from(("a", "b", "vendor/v/a", "x y")), min_size=1, max_size=4).map("/".join)


@given(
    st.dictionaries(st.builds("/{}/{}".format, st.sampled_from(("private", "shared")), _NAMES), st.binary(max_size=9))
)
def test_what_is_set_is_what_is_parsed(entries: dict[str, bytes]) -> None:
    if not entries:
        return
    segments, literals = [b" INBOX ("], []
    for at, (name, value) in enumerate(entries.items()):
        segments[-1] += b' "%b" ' % name.encode() if at else b'"%b" ' % name.encode()
        literals.append(value)
        segments.append(b"")
    segments[-1] += b")"
    frame = Frame(segments)
    frame.literals.extend(literals)
    assert set_metadata(Cursor(frame)).entries == tuple(entries.items())


@settings(max_examples=30)
@given(
    st.dictionaries(st.builds("/private/{}".format, _NAMES), st.text(max_size=9)),
    st.builds("/private/{}".format, _NAMES),
    st.sampled_from((0, 1, None)),
    st.none() | st.integers(0, 9),
)
def test_what_is_chosen(there: dict[str, str], top: str, depth: int | None, most: int | None) -> None:
    """Against RFC 5464 §4.2.1 and §4.2.2 as they are worded."""
    told, longest = chosen(there, Entries((top,), depth, most))
    wanted = {top: there.get(top)} if depth == 0 or top in there else {}
    for name, value in there.items():
        levels = name.count("/") - top.count("/")
        if name.startswith(top + "/") and (depth is None or levels <= depth):
            wanted[name] = value
    long = {name for name, value in wanted.items() if most is not None and len(value or "") > most}
    assert dict(told) == {name: value for name, value in wanted.items() if name not in long}
    assert longest == max((len(there[name]) for name in long), default=0)


@pytest.mark.parametrize("options", ["(MAXSIZE 9 DEPTH infinity) INBOX", "INBOX ( depth INFINITY  maxsize 9 )"])
def test_options_on_either_side(options: str) -> None:
    args = get_metadata(Cursor(Frame([f" {options} (/shared /private/a)".encode()])))
    assert (args.mailbox, args.entries) == ("INBOX", Entries(("/shared", "/private/a"), None, 9))
