"""Ann shows messages around: for the tests of URLAUTH."""

from __future__ import annotations

import re

import pytest
from tests.mailpod.imap.dialogue import Client, World

from mailpod.store import NewMessage

MIXED = (
    b"Subject: two\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    b"--b\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nfir=\r\nst=C3=BC\r\n"
    b"--b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\nAAEC\r\n"
    b"--b\r\nContent-Type: image/gif\r\nContent-Transfer-Encoding: x-own\r\n\r\n123\r\n"
    b"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\nhello\r\n--b--\r\n"
)
HERE = b"imap://ann%40example.org@localhost"


@pytest.fixture
async def ann(world: World) -> Client:
    """Drafts has MIXED with the UID 1."""
    await (await world.account()).append("Drafts", [NewMessage(MIXED)])
    return await world.login()


async def authorized(client: Client, url: bytes) -> bytes:
    answer, *_ = await client.ok(b'GENURLAUTH "%b" INTERNAL' % url)
    found = re.fullmatch(rb'\* GENURLAUTH "(.*):INTERNAL:01[0-9a-f]{40}"', answer)
    assert found and found[1] == url
    return answer.removeprefix(b'* GENURLAUTH "').removesuffix(b'"')


async def drafts(client: Client, access: bytes = b"authuser", section: bytes = b"/;SECTION=TEXT") -> bytes:
    return await authorized(client, b"%b/Drafts/;UID=1%b;URLAUTH=%b" % (HERE, section, access))


async def opens(client: Client, url: bytes) -> bool:
    [answer] = await client.ok(b'URLFETCH "%b"' % url)
    assert answer.startswith(b'* URLFETCH "%b" ' % url)
    return not answer.endswith(b" NIL")


async def fetched(client: Client, url: bytes, items: bytes = b"") -> bytes:
    """What follows the URL."""
    asked = b'("%b" %b)' % (url, items) if items else b'"%b"' % url
    [answer] = await client.ok(b"URLFETCH " + asked)
    return answer.removeprefix(b'* URLFETCH "%b" ' % url)
