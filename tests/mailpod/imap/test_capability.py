"""CAPABILITY: RFC 3501 §6.1.1, §7.2.1, and what docs/imap.md says of it."""

from __future__ import annotations

import re
from pathlib import Path

from tests.mailpod.imap.dialogue import MakeWorld, World

from mailpod.config import CertificateFiles

WORDS = (
    b"IMAP4rev1 IMAP4rev2 LITERAL+ SASL-IR ID ENABLE",
    b"IDLE NAMESPACE UIDPLUS MOVE UNSELECT CHILDREN SPECIAL-USE",
    b"CONDSTORE QRESYNC ESEARCH SEARCHRES PARTIAL WITHIN SAVEDATE OBJECTID STATUS=SIZE MULTIAPPEND UIDONLY",
    b"LIST-EXTENDED LIST-STATUS CREATE-SPECIAL-USE NOTIFY SEARCH=FUZZY I18NLEVEL=1",
    b"QUOTA QUOTA=RES-STORAGE QUOTA=RES-MESSAGE",
    b"SORT SORT=DISPLAY ESORT CONTEXT=SEARCH CONTEXT=SORT MULTISEARCH",
    b"THREAD=ORDEREDSUBJECT THREAD=REFERENCES THREAD=REFS",
    b"BINARY PREVIEW REPLACE",
    b"UTF8=ACCEPT CATENATE URL-PARTIAL UIDBATCHES INPROGRESS",
)
BASE = b" ".join((b"* CAPABILITY", *WORDS, b"APPENDLIMIT=104857600"))


async def test_before_and_after_login(world: World) -> None:
    client = await world.connect()
    assert await client.ok(b"CAPABILITY") == [BASE + b" AUTH=PLAIN AUTH=LOGIN"]
    await client.ok(b"LOGIN ann@example.org secret")
    assert await client.ok(b"CAPABILITY") == [
        BASE + b" COMPRESS=DEFLATE METADATA LIST-METADATA ACL RIGHTS=kxte LIST-MYRIGHTS URLAUTH URLAUTH=BINARY"
        b" UNAUTHENTICATE"
    ]


async def test_the_page_says_the_same(make: MakeWorld, certificate: CertificateFiles) -> None:
    """docs/imap.md: `yes` for all that some session is told, and for nothing else; for the others a reason."""
    client = await (await make(certificate)).connect()
    told = await client.ok(b"CAPABILITY")
    await client.ok(b"LOGIN ann@example.org secret")
    told += await client.ok(b"CAPABILITY")
    words = {re.sub("^([A-Z]*LIMIT|RIGHTS)=.*", r"\1=", word) for line in told for word in line.decode().split()[2:]}
    page = (Path(__file__).parents[3] / "docs/imap.md").read_text()
    rows = dict(re.findall(r"^\| `(\S+)` \|[^|]*\| ([^|]*) \|", page, re.MULTILINE))
    assert {word for word, mine in rows.items() if mine == "yes"} == words | {"LOGINDISABLED"}
    reasons = set(re.findall(r"^- \*(.+?)\*:", page, re.MULTILINE))
    assert set(rows.values()) - {"yes"} <= reasons


async def test_tls_is_offered_once(make: MakeWorld, certificate: CertificateFiles) -> None:
    client = await (await make(certificate)).connect()
    assert await client.ok(b"CAPABILITY") == [BASE + b" STARTTLS AUTH=PLAIN AUTH=LOGIN"]
    await client.ok(b"STARTTLS")
    await client.start_tls()
    assert await client.ok(b"CAPABILITY") == [BASE + b" AUTH=PLAIN AUTH=LOGIN"]


async def test_no_password_in_the_clear_from_elsewhere(make: MakeWorld, certificate: CertificateFiles) -> None:
    """The client's address is not ours, as it is behind a Service."""
    world = await make(certificate)
    client = await world.connect()
    for session in world.sessions():
        session.peer = session.peer._replace(local=False)
    assert await client.ok(b"CAPABILITY") == [BASE + b" STARTTLS LOGINDISABLED"]
    privacy = b"a NO [PRIVACYREQUIRED] Start TLS first"
    assert await client.refused(b"LOGIN ann@example.org secret") == privacy
    assert await client.refused(b"AUTHENTICATE PLAIN") == privacy
    await client.ok(b"STARTTLS")
    await client.start_tls()
    await client.ok(b"LOGIN ann@example.org secret")
