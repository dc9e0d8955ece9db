"""ann shares her Team with bob: for the tests of mailboxes of others."""

from __future__ import annotations

from tests.mailpod.imap.dialogue import Client, World

ANN = b"Other Users/ann@example.org"
TEAM = ANN + b"/Team"
MESSAGE = b"Subject: a\r\n\r\nbody\r\n"
GONE = b"Mailbox does not exist"


async def append(client: Client, mailbox: bytes, flags: bytes = b"", message: bytes = MESSAGE) -> list[bytes]:
    return await client.ask(b'APPEND "%b" (%b) {%d+}\r\n%b' % (mailbox, flags, len(message), message))


async def shared(world: World, rights: bytes, messages: int = 1, flags: bytes = b"") -> tuple[Client, Client]:
    """ann, and bob with these rights in her Team."""
    ann, bob = await world.login(), await world.login("bob")
    await ann.ok(b"CREATE Team")
    for _ in range(messages):
        assert (await append(ann, b"Team", flags))[-1].startswith(b"a OK")
    await ann.ok(b'SETACL Team bob@example.org "%b"' % rights)
    return ann, bob


async def flags(client: Client, mailbox: bytes) -> list[bytes]:
    """Those of each message but for \\Recent."""
    await client.ok(b'EXAMINE "%b"' % mailbox)
    found = [line.partition(b"FLAGS (")[2].removesuffix(b"))") for line in await client.ok(b"FETCH 1:* FLAGS")]
    return [b" ".join(flag for flag in each.split() if flag != b"\\Recent") for each in found]
