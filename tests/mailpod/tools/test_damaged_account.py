"""A pod that meets damage in a log: what came before stays readable, nothing is appended (STORE.md rule 16)."""

from __future__ import annotations

import msgspec
import pytest
from prometheus_client import REGISTRY
from tests.mailpod.store.faults import mail

from mailpod.errors import AccountReadOnly
from mailpod.store import Account, NewMessage
from mailpod.store.names import log_key
from mailpod.store.ops import Expunge, Flags, decode_header, encode_header

from .planted import Planted, plant


def _read_only() -> float:
    return REGISTRY.get_sample_value("mailpod_accounts_read_only") or 0.0


async def _is_read_only(account: Account) -> None:
    before = account.head
    with pytest.raises(AccountReadOnly):
        await account.append("INBOX", [NewMessage(mail(99))])
    with pytest.raises(AccountReadOnly):
        await account.store_flags(account.mailbox("INBOX"), [1], "add", ["\\Answered"])
    await account.refresh()
    assert account.head == before


async def test_what_came_before_a_damaged_commit_is_read() -> None:
    planted = await plant()
    await planted.flip(log_key(planted.alice.prefix, 5), 1)
    before = _read_only()
    account = await planted.store().open(planted.alice)
    assert account.head == 4 and list(account.mailbox("INBOX").uids) == [1, 2, 3]
    assert _read_only() == before + 1
    await _is_read_only(account)
    account.log.let_go()
    assert _read_only() == before


async def test_a_commit_that_applies_by_half_is_not_shown_at_all() -> None:
    planted = await plant()
    key = log_key(planted.alice.prefix, 15)
    data = await planted.objects.get(key)
    header = decode_header(data.partition(b"\n")[0])
    wrong = msgspec.structs.replace(header, ops=(Expunge(1, "1:9"), Flags(77, "1", add=("\\Seen",))))
    await planted.objects.put(key, [encode_header(wrong)])
    account = await planted.store().open(planted.alice)
    assert account.head == 14 and account.mailbox("INBOX").exists == 12
    await _is_read_only(account)
    running = await planted.store().open(planted.bob)
    assert running.log.broken is None, "another account is not concerned"


async def test_a_running_pod_that_meets_such_a_commit_goes_back_before_it() -> None:
    planted = await plant()
    account = await planted.store().open(planted.alice)
    header = account.log.state
    line = {
        "v": 1, "id": "f" * 24, "prev": header.head_id, "seq": header.head + 1, "at": 0, "by": "x", "bytes": 0,
        "ops": [{"op": "expunge", "box": 1, "uids": "1:9"}, {"op": "delete", "box": 77}],
    }  # fmt: skip
    await planted.objects.create(log_key(planted.alice.prefix, header.head + 1), [msgspec.json.encode(line) + b"\n"])
    with pytest.raises(AccountReadOnly):
        await account.refresh()
    assert account.mailbox("INBOX").exists == 12
    await _is_read_only(account)


async def _two_checkpoints(planted: Planted) -> list[str]:
    for number in range(2):
        account = await planted.checkpoint()
        await account.append("INBOX", [NewMessage(mail(20 + number))])
    return await planted.keys("checkpoint/")


async def test_a_head_below_the_checkpoint_is_no_head() -> None:
    """Else the account would go on from an old state, under sequences that were used before."""
    planted = await plant()
    newest, older = await _two_checkpoints(planted)
    await planted.flip(newest, 40)
    account = await planted.store().open(planted.alice)
    assert account.log.broken is None and account.mailbox("INBOX").exists == 14, "the one before, and the log"
    commits = await planted.keys("log/")
    base = 10**20 - 1 - int(older.rsplit("/", 1)[1])
    await planted.objects.delete(commits[base:])
    account = await planted.store().open(planted.alice)
    assert account.head == base and "below its checkpoint" in str(account.log.broken)
    await _is_read_only(account)


async def test_an_account_whose_index_is_gone_is_damaged_and_not_missing() -> None:
    planted = await plant()
    for key in await _two_checkpoints(planted):
        await planted.flip(key, 40)
    await planted.objects.delete([log_key(planted.alice.prefix, 1)])
    with pytest.raises(AccountReadOnly):
        await planted.store().open(planted.alice)
