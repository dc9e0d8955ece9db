"""LOGIN: RFC 3501 §6.2.3."""

from __future__ import annotations

from tests.mailpod.imap.dialogue import MakeWorld, World, user


async def test_login_tells_what_is_possible_now(world: World) -> None:
    client = await world.connect()
    (reply,) = await client.ask(b"LOGIN ann@example.org secret")
    (words,) = await client.ok(b"CAPABILITY")
    assert reply == b"a OK [%b] Logged in" % words.removeprefix(b"* ")
    assert await client.refused(b"LOGIN ann@example.org secret") == (
        b"a BAD LOGIN is not allowed in the authenticated state"
    )


async def test_quoted_and_literal(world: World) -> None:
    client = await world.connect()
    await client.send(b'a LOGIN "ann@example.org" {6}\r\n')
    assert (await client.line()).startswith(b"+ ")
    await client.send(b"secret\r\n")
    assert (await client.line()).startswith(b"a OK")


async def test_passwords_of_the_world(world: World) -> None:
    """UTF-8, and the same however the client composes its letters."""
    await world.publish(user("ann", "gr\u00fcn"))
    for typed in ("gr\u00fcn", "gru\u0308n"):
        client = await world.connect()
        await client.ok(b'LOGIN ann@example.org "%b"' % typed.encode())


async def test_wrong_ones_are_told_alike(world: World) -> None:
    client = await world.connect()
    answer = b"a NO [AUTHENTICATIONFAILED] Authentication failed"
    assert await client.refused(b"LOGIN ann@example.org wrong") == answer
    assert await client.refused(b"LOGIN nobody@example.org wrong") == answer


async def test_too_many_failures_end_the_connection(make: MakeWorld) -> None:
    world = await make(login_failures=2, throttle_first_delay=0.01)
    client = await world.connect()
    await client.refused(b"LOGIN ann@example.org wrong")
    await client.refused(b"LOGIN ann@example.org wrong")
    assert await client.line() == b"* BYE Too many failed log-ins"
    assert await client.closed()


async def test_protocol_not_allowed(world: World) -> None:
    await world.publish(user("ann", protocols=("pop3",)))
    client = await world.connect()
    assert (await client.refused(b"LOGIN ann@example.org secret")).startswith(b"a NO [AUTHORIZATIONFAILED]")


async def test_sessions_of_one_account_are_limited(make: MakeWorld) -> None:
    world = await make(imap={"sessions_per_account": 1})
    first = await world.login()
    second = await world.connect()
    assert (await second.refused(b"LOGIN ann@example.org secret")).startswith(b"a NO [LIMIT]")
    await first.ok(b"LOGOUT")
    assert await first.closed()
    await second.ok(b"LOGIN ann@example.org secret")
