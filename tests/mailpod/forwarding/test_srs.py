"""Rewritten senders: what goes out comes back, by nobody's hand but ours, and not for ever."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailpod.forwarding.srs import NoReturn, is_rewritten, original, rewritten

KEY, OTHER = b"k" * 32, b"o" * 32
NOW, DAY = 1.7e9, 86_400.0
ATOMS = st.from_regex(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,30}", fullmatch=True)


def back(address: str, now: float = NOW, keys: tuple[bytes, ...] = (KEY,)) -> str:
    return original(address.rpartition("@")[0], keys, now, 14)


@pytest.mark.parametrize(
    "sender", ["Joe.Doe@Author.example", "a=b=c@author.example", "=@x.example", "joe@bücher.example"]
)
def test_there_and_back(sender: str) -> None:
    address = rewritten(sender, "one.example", KEY, NOW)
    assert address.startswith("SRS0=") and address.endswith("@one.example")
    local, _, domain = sender.rpartition("@")
    wanted = f"{local}@{domain.lower().encode('idna').decode()}"
    assert back(address) == wanted
    assert back(address.lower()).lower() == back(address.upper()).lower() == wanted.lower()


def test_by_a_key_of_ours_alone() -> None:
    address = rewritten("joe@author.example", "one.example", KEY, NOW)
    assert back(address, keys=(OTHER, KEY)) == "joe@author.example"
    for forged in (
        rewritten("joe@author.example", "one.example", OTHER, NOW),
        address.replace("joe", "eve"),
        address.replace("author", "victim"),
        "SRS0=aaaaaaaa=aa=victim.example=eve@one.example",
        "SRS0=@one.example",
        "srs1=x@one.example",
    ):
        assert is_rewritten(forged.rpartition("@")[0]) or forged == "SRS0=@one.example"
        with pytest.raises(NoReturn, match="forged"):
            back(forged)


@pytest.mark.parametrize("began", [0.0, 1.7e9, 1023 * DAY])
def test_for_so_many_days(began: float) -> None:
    address = rewritten("joe@author.example", "one.example", KEY, began)
    assert back(address, began + 14 * DAY) == "joe@author.example"
    for later in (16 * DAY, 500 * DAY, -2 * DAY):
        with pytest.raises(NoReturn, match="expired"):
            back(address, began + later)


def test_through_several_forwarders() -> None:
    first = rewritten("joe@author.example", "one.example", KEY, NOW)
    second = rewritten(first, "two.example", OTHER, NOW)
    assert second.startswith("SRS1=") and second.count("=one.example==") == 1
    third = rewritten(second, "three.example", KEY, NOW)
    assert third.startswith("SRS1=") and third.count("=one.example==") == 1 and "two" not in third
    assert back(third) == back(second, keys=(OTHER,)) == first
    assert back(back(third)) == "joe@author.example"


@pytest.mark.parametrize(
    "sender",
    ["", "x" * 60 + "@author.example", '"joe doe"@author.example', "jürgen@author.example", "joe@[192.0.2.1]", "j"],
)
def test_what_nothing_goes_back_to(sender: str) -> None:
    address = rewritten(sender, "one.example", KEY, NOW)
    assert len(address.partition("@")[0]) <= 64
    with pytest.raises(NoReturn, match="closed"):
        back(address)
    with pytest.raises(NoReturn, match="expired"):
        back(address, NOW + 20 * DAY)


@given(ATOMS, st.from_regex(r"[a-z]{1,30}\.example", fullmatch=True))
def test_every_sender_comes_back_or_nothing_does(local: str, domain: str) -> None:
    address = rewritten(f"{local}@{domain}", "one.example", KEY, NOW)
    assert len(address.partition("@")[0]) <= 64
    try:
        assert back(address) == f"{local}@{domain}"
    except NoReturn as why:
        assert why.kind == "closed" and len(local + domain) > 64 - len("SRS0=12345678=12==")


@given(st.text())
def test_any_text_is_forged(text: str) -> None:
    with contextlib.suppress(NoReturn):
        raise AssertionError(original(text, (KEY,), NOW, 14))
