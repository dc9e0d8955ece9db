"""The life of a DKIM key pair."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_private_key
from hypothesis import given
from hypothesis import strategies as st
from tests.operator.keykit import DAY, NOW

from mailoperator import dkim
from mailoperator.dkim import DamagedKeys, DkimSchedule, KeyPair, advance, dump_state, in_use, load_state, needs_new

SCHEDULE = DkimSchedule(rotate_days=180, lead_days=2, keep_days=14)
PAIR = dkim.make([], NOW)


def always(pair: KeyPair) -> bool:
    return True


def never(pair: KeyPair) -> bool:
    return False


def test_pair_has_records_that_verify_what_it_signs() -> None:
    assert PAIR.selectors == ("mp20261123r", "mp20261123e")
    texts = PAIR.records()
    public = {name: dict(tag.strip().split("=", 1) for tag in text.split(";")) for name, text in texts.items()}
    assert public["mp20261123r"]["k"] == "rsa"
    assert public["mp20261123e"]["k"] == "ed25519"
    private_rsa = load_pem_private_key(PAIR.rsa, None)
    private_ed = load_pem_private_key(PAIR.ed25519, None)
    assert isinstance(private_rsa, rsa.RSAPrivateKey) and private_rsa.key_size == 2048
    assert isinstance(private_ed, ed25519.Ed25519PrivateKey)
    key = load_der_public_key(base64.b64decode(public["mp20261123r"]["p"]))
    assert isinstance(key, rsa.RSAPublicKey)
    key.verify(private_rsa.sign(b"x", padding.PKCS1v15(), SHA256()), b"x", padding.PKCS1v15(), SHA256())
    raw = base64.b64decode(public["mp20261123e"]["p"])
    assert len(raw) == 32  # RFC 8463 §4.2: the raw key
    ed25519.Ed25519PublicKey.from_public_bytes(raw).verify(private_ed.sign(b"x"), b"x")
    assert "PRIVATE" not in repr(PAIR)


def test_ids_of_one_day_differ() -> None:
    assert dkim.make([PAIR.id], NOW).id == "mp20261123-2"


def test_life_of_a_pair() -> None:
    assert needs_new([], NOW, SCHEDULE)
    keys = advance([PAIR], NOW, SCHEDULE, never)  # nothing else to sign with: used at once
    assert in_use(keys) == keys[0]
    due = NOW + 180 * DAY
    assert not needs_new(keys, due - 1, SCHEDULE)
    assert needs_new(keys, due, SCHEDULE)

    second = replace(PAIR, id="mp20270522", made=due)
    keys = advance([*keys, second], due, SCHEDULE, always)
    assert [pair.used is not None for pair in keys] == [True, False]  # published only
    assert not needs_new(keys, due + 400 * DAY, SCHEDULE)  # one successor at a time
    assert in_use(advance(keys, due + 30 * DAY, SCHEDULE, never)) == keys[0]  # nobody put it into the DNS

    switched = due + 2 * DAY
    assert advance(keys, switched - 1, SCHEDULE, always) == keys
    keys = advance(keys, switched, SCHEDULE, always)
    assert in_use(keys) == keys[1]
    assert [pair.id for pair in keys] == [PAIR.id, second.id]  # the old one is still published
    assert advance(keys, switched + 14 * DAY - 1, SCHEDULE, never) == keys
    assert [pair.id for pair in advance(keys, switched + 14 * DAY, SCHEDULE, never)] == [second.id]


def test_without_a_schedule_nothing_rotates() -> None:
    keys = advance([PAIR], NOW, SCHEDULE, always)
    assert not needs_new(keys, NOW + 9_999 * DAY, DkimSchedule(rotate_days=None))


@given(st.lists(st.tuples(st.floats(0, 400), st.booleans()), max_size=40))
def test_exactly_one_pair_is_in_use_whatever_happens(steps: list[tuple[float, bool]]) -> None:
    keys: tuple[KeyPair, ...] = ()
    now = NOW
    for days, resolves in [(0.0, False), *steps]:
        now += days * DAY
        if needs_new(keys, now, SCHEDULE):
            keys = (*keys, replace(PAIR, id=f"mp{now}", made=now))
        published_before = {pair.id for pair in keys}
        used_before = in_use(keys)
        keys = advance(keys, now, SCHEDULE, lambda pair, resolves=resolves: resolves)  # type: ignore[misc]
        current = in_use(keys)
        assert current is not None and current.id in published_before
        assert used_before is None or used_before.id in {pair.id for pair in keys}  # its mail is on the way
        assert len(keys) <= 3
        assert advance(keys, now, SCHEDULE, lambda pair, resolves=resolves: resolves) == keys  # type: ignore[misc]


def test_state_comes_back_as_it_was() -> None:
    keys = (replace(PAIR, used=NOW, retired=NOW + DAY), replace(PAIR, id="mp20270101"))
    private = {name: PAIR.rsa if name.endswith("r") else PAIR.ed25519 for pair in keys for name in pair.selectors}
    for left in (None, NOW):
        state = dump_state(keys, left)
        assert b"PRIVATE" not in state
        assert load_state(state, private) == (keys, left)
        assert dump_state(*load_state(state, private)) == state


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_damage_is_told(state: bytes) -> None:
    with pytest.raises(DamagedKeys):
        load_state(state, {})


@pytest.mark.parametrize(
    "state", [b'{"version": 2, "pairs": []}', b'{"version": 1, "pairs": [{"id": "a"}]}', b'{"version": 1}', b"[]"]
)
def test_state_of_another_shape_is_damage(state: bytes) -> None:
    with pytest.raises(DamagedKeys):
        load_state(state, {})


def test_missing_or_broken_key_is_damage() -> None:
    state = dump_state([PAIR], None)
    with pytest.raises(DamagedKeys):
        load_state(state, {PAIR.selectors[0]: PAIR.rsa})
    with pytest.raises(DamagedKeys):
        load_state(state, {PAIR.selectors[0]: PAIR.rsa, PAIR.selectors[1]: b"no key"})
