"""CONTEXT in tests: a client with INBOX selected, and the account as another session holds it."""

from __future__ import annotations

from tests.mailpod.imap.dialogue import Client, World
from tests.mailpod.imap.selected import letter

from mailpod.store import Account, NewMessage


async def deliver(account: Account, *subjects: str, flags: tuple[str, ...] = ()) -> list[int]:
    new = [NewMessage(letter(subject), frozenset(flags), 0) for subject in subjects]
    return (await account.append("INBOX", new)).uids


async def filled(world: World, *subjects: str, enable: bytes = b"") -> tuple[Client, Account]:
    """A client that selected INBOX with these messages, and the account as another session holds it."""
    account = await world.account()
    await deliver(account, *subjects)
    client = await world.login()
    if enable:
        await client.ok(b"ENABLE " + enable)
    await client.ok(b"SELECT INBOX")
    return client, account


async def updates(client: Client, command: bytes = b"NOOP") -> list[bytes]:
    """What a command brings of ESEARCH and of EXPUNGE, EXISTS and FETCH, in order."""
    return [line.removeprefix(b"* ") for line in await client.ok(command) if b"RECENT" not in line.split(b" (")[0]]
