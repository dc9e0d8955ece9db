"""URLAUTH: RFC 4467, with RFC 5092 §6.1 and RFC 5524's URLAUTH=BINARY. Ann shows messages around; bob is shown them."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from tests.mailpod.imap.authorizing import HERE, MIXED, ann, authorized, drafts, fetched, opens
from tests.mailpod.imap.dialogue import Client, World, eventually, user

from mailpod.store import NewMessage

__all__ = ["ann"]


NOT_A_URL = b"a BAD Not the URL of a message in a mailbox of yours that ends with ;URLAUTH= and for whom it is"


async def test_what_fetch_would_give_in_no_state_but_logged_in(ann: Client, world: World) -> None:
    """RFC 4467 §7, URLFETCH: nothing need be selected, and the message stays unseen."""
    bob = await world.login("bob")
    text = MIXED.partition(b"\r\n\r\n")[2]
    url = await drafts(ann)
    assert await fetched(bob, url) == b"{%d}\r\n%b" % (len(text), text)
    await bob.ok(b"SELECT INBOX")
    assert await fetched(bob, await drafts(ann, section=b"/;SECTION=2/;PARTIAL=1.2")) == b"{2}\r\nAE"
    assert await fetched(bob, await drafts(ann, section=b"")) == b"{%d}\r\n%b" % (len(MIXED), MIXED)
    await ann.ok(b"SELECT Drafts")
    assert await ann.ok(b"SEARCH SEEN") == [b"* SEARCH"]
    stranger = await world.connect()
    assert (await stranger.refused(b'URLFETCH "%b"' % url)).startswith(b"a BAD ")


async def test_a_server_that_is_the_users_domain(ann: Client, world: World) -> None:
    """imaptest's urlauth asks for imap://user@domain/ of user@domain."""
    bob = await world.login("bob")
    url = await authorized(ann, b"imap://ann@example.org/Drafts/;UID=1;URLAUTH=user+bob@example.org")
    assert await opens(bob, url)
    bobs = b"imap://bob@example.org/Drafts/;UID=1;URLAUTH=user+bob@example.org"
    assert await ann.refused(b'GENURLAUTH "%b" INTERNAL' % bobs) == NOT_A_URL
    assert not await opens(ann, url)


async def test_several_at_once(ann: Client, world: World) -> None:
    """RFC 4467 §9: pairs of a URL and a mechanism; a bad URL among good ones is NIL."""
    one, two = (b"%b/Drafts/;UID=1/;SECTION=%b;URLAUTH=anonymous" % (HERE, part) for part in (b"2", b"4.HEADER"))
    [answer] = await ann.ok(b'GENURLAUTH "%b" internal "%b" INTERNAL' % (one, two))
    first, second = answer.removeprefix(b"* GENURLAUTH ").split(b" ")
    assert first.startswith(b'"%b:INTERNAL:01' % one) and second.startswith(b'"%b:INTERNAL:01' % two)
    bob = await world.login("bob")
    assert await bob.ok(b'URLFETCH %b "" (%b BINARY) x' % (first, second)) == [
        b"* URLFETCH %b {4}\r\nAAEC" % first,
        b'* URLFETCH "" NIL',
        b"* URLFETCH %b (BINARY {18}\r\nSubject: inner\r\n\r\n)" % second,
        b'* URLFETCH "x" NIL',
    ]


async def test_whom_it_is_for(ann: Client, world: World) -> None:
    """RFC 4467 §3. No IMAP session is a submission server's; who is nobody is given a URL that opens for nobody."""
    bob = await world.login("bob")
    for access, for_ann, for_bob in (
        (b"user+bob%40example.org", False, True),
        (b"USER+BOB%40Example.ORG", False, True),
        (b"user+ann%40example.org", True, False),
        (b"authuser", True, True),
        (b"anonymous", True, True),
        (b"submit+bob%40example.org", False, False),
        (b"submit+ann%40example.org", False, False),
        (b"user+nobody%40example.org", False, False),
        (b"user+bob", False, False),
    ):
        url = await drafts(ann, access)
        assert (await opens(ann, url), await opens(bob, url)) == (for_ann, for_bob), access


async def test_who_is_nobody_is_not_told_and_not_given_anything_later(ann: Client, world: World) -> None:
    """RFC 4467 §7, GENURLAUTH: a token that always fails, not one that waits for who is called so next."""
    url = await drafts(ann, b"user+eve%40example.org")
    await world.publish(user("ann"), user("bob"), user("eve"))
    world.services.directory.forget("eve@example.org")
    eve = await world.login("eve")
    assert not await opens(eve, url)
    assert await opens(eve, await drafts(ann, b"user+eve%40example.org"))


async def test_until_when(ann: Client, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 4467 §3, EXPIRE: RFC 3339's date-time, in any zone."""
    bob, now = await world.login("bob"), 1_900_000_000.0  # 2030-03-17T17:46:40Z
    urls = {
        at: await authorized(ann, b"%b/Drafts/;UID=1;EXPIRE=%b;URLAUTH=authuser" % (HERE, at))
        for at in (b"2030-03-17T17:46:40Z", b"2030-03-17t19:46:41.5+02:00", b"2030-03-17T17:46:39-00:00")
    }
    monkeypatch.setattr(world.services.clock, "now", lambda: now, raising=False)
    assert [await opens(bob, url) for url in urls.values()] == [False, True, False]
    assert not await opens(bob, urls[b"2030-03-17T17:46:40Z"].replace(b"2030", b"2031", 1))
    for wrong in (b"2030-02-30T00:00:00Z", b"2030-03-17", b"2030-03-17T17:46:40", b"x"):
        assert await ann.refused(
            b'GENURLAUTH "%b/Drafts/;UID=1;EXPIRE=%b;URLAUTH=authuser" INTERNAL' % (HERE, wrong)
        ) == (NOT_A_URL)


async def test_nothing_of_it_can_be_changed(ann: Client, world: World) -> None:
    bob = await world.login("bob")
    url = await drafts(ann, b"user+bob%40example.org")
    assert await opens(bob, url)
    rump, _, token = url.rpartition(b":")
    for wrong in (
        url.replace(b"TEXT", b"HEADER"),
        url.replace(b"UID=1", b"UID=2"),
        url.replace(b"user+bob%40example.org", b"authuser"),
        url.replace(b"/;SECTION=TEXT", b""),
        url.replace(b"Drafts", b"drafts"),
        url.replace(b"localhost", b"LOCALHOST"),
        url.replace(b"INTERNAL", b"XSAMPLE"),
        b"%b:%b" % (rump, token[::-1]),
        b"%b:%b" % (rump, token[:-1]),
        b"%b:%b0" % (rump, token),
        b"%b:02%b" % (rump, token[2:]),
        b"%b:%b" % (rump, b"0" * 42),
        url.partition(b":INTERNAL")[0],
        url.partition(b";URLAUTH")[0],
        url + b"\\\\",
        b"x" * 9000,
    ):
        assert (await bob.ok(b'URLFETCH "%b"' % wrong))[0].endswith(b" NIL"), wrong
    assert await opens(bob, b"%b:%b" % (rump, token.upper()))


NONE = (
    b"%b/Drafts/;UID=1" % HERE,
    b"%b/Drafts/;UID=1;URLAUTH=" % HERE,
    b"%b/Drafts/;UID=1;URLAUTH=somebody" % HERE,
    b"%b/Drafts/;UID=1;URLAUTH=user+" % HERE,
    b"%b/Drafts/;UID=1;URLAUTH=user+%%ff" % HERE,
    b"%b/Drafts/;UID=1;URLAUTH=authuser+x" % HERE,
    b"%b/Drafts/;UID=1;URLAUTH=authuser:INTERNAL:%b" % (HERE, b"0" * 42),
    b"%b/Drafts/;UID=1;URLAUTH=authuser;EXPIRE=2030-03-17T17:46:40Z" % HERE,
    b"%b/Drafts/;UID=1/;SECTION=FOO;URLAUTH=authuser" % HERE,
    b"%b/None/;UID=1;URLAUTH=authuser" % HERE,
    b"%b/Drafts;URLAUTH=authuser" % HERE,
    b"%b/;URLAUTH=authuser" % HERE,
    b"%b/Drafts?SUBJECT%%20two;URLAUTH=authuser" % HERE,
    b"/Drafts/;UID=1;URLAUTH=authuser",
    b"imap://localhost/Drafts/;UID=1;URLAUTH=authuser",
    b"imap://bob%40example.org@localhost/INBOX/;UID=1;URLAUTH=authuser",
    b"imap://ann%40example.org@elsewhere/Drafts/;UID=1;URLAUTH=authuser",
    b"%b/Other%%20Users/bob%%40example.org/INBOX/;UID=1;URLAUTH=authuser" % HERE,
)


async def test_what_is_not_authorized(ann: Client, world: World) -> None:
    """RFC 4467 §7, GENURLAUTH's checks, and §3: no URL of more than a message; all of a command, or nothing."""
    bob = await world.login("bob")
    good = b'"%b/Drafts/;UID=1;URLAUTH=authuser" INTERNAL' % HERE
    head = (await world.account()).head
    for url in NONE:
        assert await ann.ask(b'GENURLAUTH %b "%b" INTERNAL' % (good, url)) == [NOT_A_URL], url
        assert (await bob.ok(b'URLFETCH "%b:INTERNAL:%b"' % (url, b"0" * 42)))[0].endswith(b" NIL"), url
    assert (await world.account()).head == head


async def test_mechanisms(ann: Client) -> None:
    url = b'"%b/Drafts/;UID=1;URLAUTH=authuser"' % HERE
    assert await ann.refused(b"GENURLAUTH %b XSAMPLE" % url) == b"a BAD Unknown mechanism XSAMPLE: there is INTERNAL"
    assert await ann.refused(b"RESETKEY INBOX INTERNAL XSAMPLE") == (
        b"a NO [CANNOT] Unknown mechanism XSAMPLE: there is INTERNAL"
    )
    assert await ann.ask(b"RESETKEY INBOX INTERNAL") == [b"a OK [URLMECH INTERNAL] RESETKEY completed"]
    assert b"* OK [URLMECH INTERNAL] Mechanisms of URLAUTH" in await ann.ok(b"SELECT Drafts")
    assert b"* OK [URLMECH INTERNAL] Mechanisms of URLAUTH" in await ann.ok(b"EXAMINE Drafts")


async def test_uidvalidity(ann: Client, world: World) -> None:
    bob, validity = await world.login("bob"), (await world.account()).mailbox("Drafts").uidvalidity
    for number, there in ((validity, True), (validity + 1, False)):
        url = await authorized(ann, b"%b/Drafts;UIDVALIDITY=%d/;UID=1;URLAUTH=authuser" % (HERE, number))
        assert await opens(bob, url) == there


async def test_what_is_not_there_is_authorized_and_opens_nothing(ann: Client, world: World) -> None:
    """RFC 4467 §7 (4): the server may look for the message; it does when it is fetched."""
    for section in (b"/;SECTION=9", b"/;SECTION=1.HEADER", b"/;SECTION=2.1"):
        assert not await opens(ann, await drafts(ann, section=section))
    assert not await opens(ann, await authorized(ann, b"%b/Drafts/;UID=9;URLAUTH=authuser" % HERE))


async def test_names_in_any_letters(world: World) -> None:
    ann, bob = await world.login(), await world.login("bob")
    await ann.ok(b"CREATE &APw-ber/a")
    await ann.ok(b"APPEND &APw-ber/a {1+}\r\nx")
    name = quote("über/a").encode()
    assert await fetched(bob, await authorized(ann, b"%b/%b/;UID=1;URLAUTH=authuser" % (HERE, name))) == b"{1}\r\nx"
    inbox = await authorized(ann, b"%b/inbox/;UID=1;URLAUTH=authuser" % HERE)
    await ann.ok(b"APPEND INBOX {1+}\r\ny")
    assert await fetched(bob, inbox) == b"{1}\r\ny"


async def test_anothers_mailbox_is_not_ones_own_to_show(ann: Client, world: World) -> None:
    """However much of it is granted: only its owner authorizes URLs of it, and resets its key."""
    bob = await world.login("bob")
    name = b'"Other Users/ann@example.org/Drafts"'
    assert (await bob.refused(b"RESETKEY " + name)).startswith(b"a NO [NONEXISTENT] ")
    await ann.ok(b"SETACL Drafts bob@example.org lrswipkxtea")
    assert (await bob.refused(b"RESETKEY " + name)).startswith(b"a NO [NOPERM] ")
    path = b"/Other%20Users/ann%40example.org/Drafts/;UID=1;URLAUTH=authuser"
    for server in (b"imap://bob%40example.org@localhost", HERE):
        assert await bob.refused(b'GENURLAUTH "%b%b" INTERNAL' % (server, path)) == NOT_A_URL
    assert await bob.refused(b'GENURLAUTH "%b/Drafts/;UID=1;URLAUTH=authuser" INTERNAL' % HERE) == NOT_A_URL
    await ann.ok(b'SETACL Drafts bob@example.org ""')
    assert await opens(bob, await drafts(ann)), "a URL opens its message without any right"
    assert (await bob.refused(b"SELECT " + name)).startswith(b"a NO [NONEXISTENT] ")


async def test_a_suspended_owner_shows_nothing(ann: Client, world: World) -> None:
    bob, url = await world.login("bob"), await drafts(ann)
    await world.publish(user("ann", suspended=True), user("bob"))
    world.services.directory.forget("ann@example.org")
    assert not await opens(bob, url)


async def test_catenate_takes_urls_of_its_own_session_only(ann: Client) -> None:
    """RFC 4469 §3: what would need another authorization is outside of CATENATE."""
    url = await drafts(ann, b"user+ann%40example.org")
    assert (await ann.refused(b'APPEND Sent CATENATE (URL "%b")' % url)).startswith(b"a NO [BADURL %b] " % url)


async def test_extended(ann: Client, world: World) -> None:
    """RFC 5524 §3: parentheses around each item; the structure is that of what is given."""
    bob = await world.login("bob")
    text, image = await drafts(ann, section=b"/;SECTION=1"), await drafts(ann, section=b"/;SECTION=2")
    assert await fetched(bob, text, b"BODY") == b"(BODY {14}\r\nfir=\r\nst=C3=BC)"
    assert await fetched(bob, text, b"BINARY") == "(BINARY {7}\r\nfirstü)".encode()
    assert await fetched(bob, image, b"BINARY") == b"(BINARY ~{3}\r\n\0\x01\x02)"
    assert await fetched(bob, text, b"bodypartstructure") == (
        b'(BODYPARTSTRUCTURE ("text" "plain" ("charset" "us-ascii") NIL NIL "quoted-printable" 14 1 NIL NIL NIL NIL))'
    )
    assert await fetched(bob, text, b"BINARY BODYPARTSTRUCTURE") == (
        b'(BODYPARTSTRUCTURE ("text" "plain" ("charset" "us-ascii") NIL NIL "8bit" 7 0 NIL NIL NIL NIL))'
        b" (BINARY {7}\r\nfirst\xc3\xbc)"
    )
    assert await fetched(bob, image, b"BODYPARTSTRUCTURE BINARY") == (
        b'(BODYPARTSTRUCTURE ("image" "png" NIL NIL NIL "binary" 3 NIL NIL NIL NIL)) (BINARY ~{3}\r\n\0\x01\x02)'
    )
    assert await fetched(bob, image, b"BODYPARTSTRUCTURE BODY") == (
        b'(BODYPARTSTRUCTURE ("image" "png" NIL NIL NIL "base64" 4 NIL NIL NIL NIL)) (BODY {4}\r\nAAEC)'
    )
    inner = await fetched(bob, await drafts(ann, section=b"/;SECTION=4.1"), b"BODYPARTSTRUCTURE")
    assert inner.startswith(b'(BODYPARTSTRUCTURE ("text" "plain" ') and b" 5 0 " in inner
    whole = await fetched(bob, await drafts(ann, section=b""), b"BODYPARTSTRUCTURE")
    assert whole.startswith(b'(BODYPARTSTRUCTURE (("text" "plain" ') and b'"mixed" ("boundary" "b") ' in whole


async def test_extended_where_there_is_nothing_to_give(ann: Client, world: World) -> None:
    """RFC 5524 §3.2: an encoding that is not known is a NIL in its parentheses, a URL that opens nothing one without;
    §3: without any item, and so without parentheses, it is RFC 4467's command."""
    bob = await world.login("bob")
    url = await drafts(ann, section=b"/;SECTION=3")
    assert await fetched(bob, url, b"BINARY") == b"(BINARY NIL)"
    assert (await fetched(bob, url, b"BINARY BODYPARTSTRUCTURE")).endswith(b' "x-own" 3 NIL NIL NIL NIL)) (BINARY NIL)')
    assert await fetched(bob, url.replace(b"=3", b"=2"), b"BINARY BODYPARTSTRUCTURE") == b"NIL"
    assert await fetched(bob, await drafts(ann, section=b"/;SECTION=9"), b"BODYPARTSTRUCTURE") == b"NIL"
    assert await bob.ok(b'URLFETCH ("%b")' % url) == [b'* URLFETCH "%b" {3}\r\n123' % url]


async def test_an_empty_part(world: World) -> None:
    await (await world.account()).append("Drafts", [NewMessage(b"Subject: x\r\n\r\n")])
    ann = await world.login()
    url = await drafts(ann)
    assert [await fetched(ann, url, items) for items in (b"", b"BODY", b"BINARY")] == [
        b'""',
        b'(BODY "")',
        b'(BINARY "")',
    ]


async def test_without_numbers_compressed_and_in_a_pipeline(ann: Client, world: World) -> None:
    """RFC 9586, RFC 3501 §5.5: one answer after the other."""
    await ann.ok(b"ENABLE UIDONLY")
    await ann.ok(b"SELECT Drafts")
    url = await drafts(ann, section=b"/;SECTION=2")
    await ann.send(b'a URLFETCH "%b"\r\nb RESETKEY Drafts\r\nc URLFETCH "%b"\r\n' % (url, url))
    assert (await ann.until(b"a"))[0].endswith(b"AAEC")
    assert b"* OK [URLMECH INTERNAL] Mechanisms of URLAUTH" in await ann.until(b"b")
    assert (await ann.until(b"c"))[0].endswith(b" NIL")


async def test_what_is_read_is_of_the_budget_and_given_back(ann: Client, world: World) -> None:
    bob, url, budget = await world.login("bob"), await drafts(ann), world.services.budget
    assert budget.try_take(budget.total)
    await bob.send(b'a URLFETCH "%b"\r\n' % url)
    await eventually(lambda: bool(budget._waiting))
    budget.give(budget.total)
    assert (await bob.until(b"a"))[-1].startswith(b"a OK")
    assert budget.used == 0
