"""What is damaged in storage costs its own messages: every other one of the mailbox is answered (STORE.md rule 16)."""

from __future__ import annotations

from tests.mailpod.imap.selected import Desk, desk, letter

from mailpod.store.checkpoint import decode_root


def _flip(at: Desk, key: str, place: int) -> None:
    data, time = at.objects._objects[key]
    place %= len(data)
    at.objects._objects[key] = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :], time


async def test_a_damaged_message_is_refused_and_the_others_are_given() -> None:
    async with desk() as at:
        for number in range(1, 5):
            await at.deliver(letter(f"number {number}", f"text {number}\r\n"))
        (key,) = at.objects_with(b"text 2\r\n")
        _flip(at, key, -3)
        client = (await at.other_pod()).select()
        answer = await client.say("FETCH 1:* BODY.PEEK[]")
        assert [f"text {number}".encode() in answer for number in range(1, 5)] == [True, False, True, True]
        assert answer.endswith(b"NO [CORRUPTION] The message is damaged in storage; contact the administrator\r\n"), (
            answer
        )
        assert (await client.say("FETCH 2 ENVELOPE")).endswith(b"OK FETCH completed\r\n"), "its index is whole"


async def test_a_damaged_page_costs_its_messages_only() -> None:
    async with desk(page_messages=2) as at:
        await at.deliver(*(letter(f"number {number}", f"text {number}\r\n") for number in range(1, 7)))
        assert await at.store.checkpoint(at.account)
        (entry,) = await at.objects.list(f"{at.ref.prefix}checkpoint/")
        page = decode_root(await at.objects.get(entry.key)).boxes[0].pages[1]
        _flip(at, f"{at.ref.prefix}page/{page.id}", 20)
        client = (await at.other_pod()).select()
        for items in ("(UID ENVELOPE)", "(UID BODY.PEEK[])"):
            answer = await client.say(f"FETCH 1:* {items}")
            assert [f"number {number}".encode() in answer for number in range(1, 7)] == [True] * 2 + [False] * 2 + [
                True
            ] * 2
            assert b"NO [CORRUPTION] The index of 2 messages is damaged" in answer
        answer = await client.say("FETCH 1:* FLAGS")
        assert answer.count(b" FETCH (FLAGS") == 6 and answer.endswith(b"OK FETCH completed\r\n")
        assert b"OK STORE completed" in await client.say("STORE 3 +FLAGS (\\Flagged)"), "flags are in other pages"


async def test_a_damaged_log_is_read_up_to_the_damage_and_takes_no_changes() -> None:
    async with desk() as at:
        for number in range(1, 5):
            await at.deliver(letter(f"number {number}", f"text {number}\r\n"))
        (key,) = at.objects_with(b"text 3\r\n")
        _flip(at, key, 0)
        client = (await at.other_pod()).select()
        answer = await client.say("FETCH 1:* (UID BODY.PEEK[])")
        assert [f"text {number}".encode() in answer for number in range(1, 5)] == [True, True, False, False]
        assert answer.endswith(b"OK FETCH completed\r\n")
        for command in ("STORE 1 +FLAGS (\\Seen)", "COPY 1 Archive"):
            assert b"NO [CONTACTADMIN] Mailbox is read-only" in await client.say(command)
        answer = await client.say("FETCH 1 BODY[]")  # \\Seen cannot be set, and that is no reason to give nothing
        assert b"text 1" in answer and answer.endswith(b"OK FETCH completed\r\n")
        assert b"OK SEARCH" in await client.say("SEARCH SUBJECT number")


async def test_a_search_goes_past_a_damaged_page() -> None:
    async with desk(page_messages=2) as at:
        await at.deliver(*(letter(f"number {number}", f"text {number}\r\n") for number in range(1, 7)))
        assert await at.store.checkpoint(at.account)
        (entry,) = await at.objects.list(f"{at.ref.prefix}checkpoint/")
        page = decode_root(await at.objects.get(entry.key)).boxes[0].pages[1]
        _flip(at, f"{at.ref.prefix}page/{page.id}", 20)
        client = (await at.other_pod()).select()
        assert b"* SEARCH 1 2 5 6\r\n" in await client.say("SEARCH SUBJECT number")
        assert b"* SEARCH 1 2 5 6\r\n" in await client.say("SEARCH BODY text")
