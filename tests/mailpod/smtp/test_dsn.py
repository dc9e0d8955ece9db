"""RFC 3461's parameters: what a sender may ask to be told of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mailpod.smtp.server import serving
from tests.mailpod.smtp.test_submission import ALICE, BOB, LETTER, submitting

from mailpod.smtp.dsn import (
    Reporting,
    original_recipient,
    take_options,
    take_reporting,
)
from mailpod.smtp.syntax import SyntaxProblem
from mailpod.store.outbound import RecipientOptions, SpoolEntry
from mailpod.xtext import xtext_decoded, xtext_encoded


@pytest.mark.parametrize(
    ("given_", "options"),
    [
        ({}, RecipientOptions()),
        ({"NOTIFY": "never"}, RecipientOptions(("NEVER",))),
        ({"NOTIFY": "Delay,SUCCESS"}, RecipientOptions(("SUCCESS", "DELAY"))),
        ({"ORCPT": "rfc822;Bob+2Bx@example.com"}, RecipientOptions((), "rfc822;Bob+2Bx@example.com")),
        ({"ORCPT": "utf-8;j\u00f6rg@b.example"}, RecipientOptions((), "utf-8;j\u00f6rg@b.example")),
        ({"ORCPT": r"UTF-8;j\x{F6}rg@b.example"}, RecipientOptions((), r"UTF-8;j\x{F6}rg@b.example")),
        ({"ORCPT": "x400;+2FA=".removesuffix("=")}, RecipientOptions((), "x400;+2FA")),
    ],
)
def test_options(given_: dict[str, str | None], options: RecipientOptions) -> None:
    assert take_options(given_) == options
    assert given_ == {}


@pytest.mark.parametrize(
    "given_",
    [{"NOTIFY": value} for value in (None, "", "NEVER,DELAY", "ALWAYS", "SUCCESS,,DELAY", "SUCCESS ")]
    + [{"ORCPT": value} for value in (None, "", "a@b", "rfc822;", ";a@b", "rfc822;a=b", "rfc822;a+b", "rfc822;a+2bc")]
    + [{"ORCPT": "rfc822;" + "x" * 494}, {"ORCPT": "rfc822;\u00e4@b"}],
)
def test_options_refused(given_: dict[str, str | None]) -> None:
    with pytest.raises(SyntaxProblem, match=r"501 5\.5\.4"):
        take_options(given_)


def test_reporting() -> None:
    assert take_reporting({"RET": "hdrs", "ENVID": "QQ314159+20x"}) == Reporting("HDRS", "QQ314159+20x")
    assert take_reporting({}) == Reporting()
    bad: list[dict[str, str | None]] = [{"RET": value} for value in (None, "", "BODY")]
    bad += [{"ENVID": value} for value in (None, "", "a=b", "a+0Ab", "+zz", "x" * 101)]
    for given_ in bad:
        with pytest.raises(SyntaxProblem, match=r"501 5\.5\.4"):
            take_reporting(given_)


@given(st.text(alphabet=st.characters(max_codepoint=127), max_size=40))
def test_xtext_there_and_back(text: str) -> None:
    encoded = xtext_encoded(text)
    assert all("!" <= char <= "~" and char != "=" for char in encoded)
    assert xtext_decoded(encoded) == text


@given(st.text(alphabet="ab+=2F \u00e4;\\x{}", max_size=20), st.sampled_from(["NOTIFY", "ORCPT"]))
def test_any_value_is_options_or_a_problem(text: str, name: str) -> None:
    try:
        take_options({name: text})
    except SyntaxProblem as problem:
        assert problem.reply.startswith("501 ")


@given(st.text(min_size=1, max_size=20).filter(str.isprintable))
def test_an_address_that_was_named_can_be_said(address: str) -> None:
    named = original_recipient(address)
    assert take_options({"ORCPT": named}).orcpt == named
    assert named.isascii()


async def test_offered_to_users_only() -> None:
    async with submitting() as (_, client):
        assert "\nDSN\n" in await client.say("EHLO client.example")
    async with serving("mx") as server, server.client() as client:
        assert "DSN" not in await client.hello()
        assert await client.say("MAIL FROM:<> RET=FULL") == "555 5.5.4 Parameter RET is not known"
        await client.say("MAIL FROM:<>")
        assert await client.say(f"RCPT TO:<{BOB}> NOTIFY=NEVER") == "555 5.5.4 Parameter NOTIFY is not known"


async def test_what_was_asked_is_kept_with_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[SpoolEntry] = []

    async def keep(entry: SpoolEntry, message: bytes) -> None:
        kept.append(entry)

    async with submitting() as (server, client):
        monkeypatch.setattr(server.services.spool, "accept", keep)
        await client.say(f"MAIL FROM:<{ALICE}> RET=HDRS ENVID=QQ314159 AUTH=<>")
        await client.say(f"RCPT TO:<{BOB}> NOTIFY=SUCCESS,DELAY")
        await client.say("RCPT TO:<carol@example.com> NOTIFY=NEVER ORCPT=rfc822;dave@far.example")
        await client.say("RCPT TO:<info+x@example.com>")
        await client.say("DATA")
        client.send(LETTER + b".\r\n")
        assert (await client.reply()).startswith("250 ")
    [entry] = kept
    assert (entry.user, entry.sender, entry.ret, entry.envid) == (ALICE, ALICE, "HDRS", "QQ314159")
    assert entry.options == {
        BOB: RecipientOptions(("SUCCESS", "DELAY")),
        "carol@example.com": RecipientOptions(("NEVER",), "rfc822;dave@far.example"),
        ALICE: RecipientOptions((), "rfc822;info+2Bx@example.com"),
    }


@pytest.mark.parametrize("value", ["<>", "a+40b", "user@example.com"])
async def test_auth_is_ignored(value: str) -> None:
    async with submitting() as (_, client):
        assert await client.say(f"MAIL FROM:<{ALICE}> AUTH={value}") == "250 2.1.0 OK"
        await client.say("RSET")
        assert await client.say(f"MAIL FROM:<{ALICE}> AUTH=a+b") == "501 5.5.4 AUTH is xtext or <>"
