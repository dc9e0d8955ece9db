"""Which keys a domain signs with, out of the operator's files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from mailoperator import dkim, keysecrets
from mailoperator.dkim import KeyPair
from mailoperator.keysecrets import DomainKeys
from mailpod.dkim.keys import SigningKeys
from mailpod.dkim.signer import Signer
from mailpod.net.keyfiles import label_of

DOMAIN = "example.com"


@pytest.fixture(scope="module")
def pairs() -> tuple[KeyPair, KeyPair]:
    first = dkim.make([], 1_700_000_000)
    return first, dkim.make([first.id], 1_700_000_000)


def mount(keys: Path, files: dict[str, bytes], folder: str = "07") -> None:
    """As a kubelet does: all files of a moment by one symlink."""
    home = keys / folder
    home.mkdir(parents=True, exist_ok=True)
    moment = home / f"..moment{len(list(home.glob('..moment*')))}"
    moment.mkdir()
    for name, content in files.items():
        (moment / name).write_bytes(content)
    (home / "..new").symlink_to(moment.name)
    (home / "..new").rename(home / "..data")


def written(*pairs: KeyPair, domain: str = DOMAIN) -> dict[str, bytes]:
    return keysecrets.written(label_of(domain), DomainKeys(dkim=pairs))


def selectors(keys: SigningKeys, domain: str = DOMAIN) -> Sequence[str]:
    return [key.selector for key in keys.of(domain)]


def used(pair: KeyPair, *, retired: float | None = None) -> KeyPair:
    return KeyPair(pair.id, pair.rsa, pair.ed25519, pair.made, used=1.0, retired=retired)


def told(what: str) -> float | None:
    return REGISTRY.get_sample_value(f"mailpod_dkim_{what}_timestamp_seconds", {"domain": DOMAIN})


def test_the_pair_in_use_signs(tmp_path: Path, pairs: tuple[KeyPair, KeyPair]) -> None:
    first, second = pairs
    mount(tmp_path, written(used(first), second))
    keys = SigningKeys(tmp_path)
    assert selectors(keys) == [f"{first.id}r", f"{first.id}e"]
    assert [key.algorithm for key in keys.of(DOMAIN)] == ["rsa-sha256", "ed25519-sha256"]
    assert told("key_used") == 1.0 and told("next_key") == 1_700_000_000
    mount(tmp_path, written(used(first, retired=2.0), used(second)))
    keys.reload()
    assert selectors(keys) == [f"{second.id}r", f"{second.id}e"]
    assert told("key_used") == 1.0 and told("next_key") == 0
    mount(tmp_path, {})
    keys.reload()
    assert told("key_used") is None
    assert selectors(keys) == []


def test_what_cannot_be_read_leaves_the_pair_in_use(tmp_path: Path, pairs: tuple[KeyPair, KeyPair]) -> None:
    good = written(used(pairs[0]))
    mount(tmp_path, good)
    keys = SigningKeys(tmp_path)
    before = selectors(keys)
    state, private = f"{DOMAIN}.dkim.json", f"{pairs[0].id}r._domainkey.{DOMAIN}.dkim"
    for damaged in ({state: b"{"}, {state: b'{"pairs": 3}'}, {private: b"-----BEGIN"}):
        mount(tmp_path, good | damaged)
        keys.reload()
        assert selectors(keys) == before
    mount(tmp_path, {name: content for name, content in good.items() if name != private})
    keys.reload()
    assert selectors(keys) == before


def test_a_long_domain_has_a_short_label(tmp_path: Path, pairs: tuple[KeyPair, KeyPair]) -> None:
    domain = ".".join(["a" * 60] * 4)
    assert label_of(domain) == keysecrets.label_of(domain) != domain
    assert label_of(DOMAIN) == keysecrets.label_of(DOMAIN)
    mount(tmp_path, written(used(pairs[0]), domain=domain))
    assert selectors(SigningKeys(tmp_path), domain)


def test_no_folder(tmp_path: Path) -> None:
    assert SigningKeys(None).of(DOMAIN) == ()
    assert SigningKeys(tmp_path / "none").of(DOMAIN) == ()


async def test_an_alias_domain_signs_with_its_owners_keys(tmp_path: Path, pairs: tuple[KeyPair, KeyPair]) -> None:
    mount(tmp_path, written(used(pairs[0])))
    signer = Signer(tmp_path)
    message = b"From: a@example.org\r\n\r\nbody\r\n"
    fields = await signer.sign(message, domain="example.org", owner=DOMAIN, seconds=1.0, queue_id="id")
    assert fields.count(b" d=example.org;") == 2
    assert await signer.sign(message, domain="a.example", owner="a.example", seconds=1.0, queue_id="id") == b""


async def test_a_message_that_cannot_be_signed_goes_unsigned(
    tmp_path: Path, pairs: tuple[KeyPair, KeyPair], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*given: object, **named: object) -> bytes:
        raise RuntimeError("broken")

    mount(tmp_path, written(used(pairs[0])))
    monkeypatch.setattr("mailpod.dkim.signer.signature_fields", fails)
    assert await Signer(tmp_path).sign(b"", domain=DOMAIN, owner=DOMAIN, seconds=1.0, queue_id="id") == b""


def test_what_was_rewritten_with_an_old_pair_is_known_as_long_as_that_is_kept(
    tmp_path: Path, pairs: tuple[KeyPair, KeyPair]
) -> None:
    first, second = pairs
    mount(tmp_path, written(used(first)))
    keys = SigningKeys(tmp_path)
    (old,) = keys.secrets(DOMAIN)
    mount(tmp_path, written(used(first), second))  # other pods may begin with it before we look again
    keys.reload()
    assert keys.secrets(DOMAIN)[0] == old and len(keys.secrets(DOMAIN)) == 2
    mount(tmp_path, written(used(first, retired=2.0), used(second)))
    keys.reload()
    assert keys.secrets(DOMAIN)[1] == old and keys.secrets("other.example") == ()
    mount(tmp_path, written(used(second)))
    keys.reload()
    assert len(keys.secrets(DOMAIN)) == 1 and old not in keys.secrets(DOMAIN)
