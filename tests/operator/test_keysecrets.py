"""The 16 key Secrets: what goes where, what fits, and what is never lost."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.operator.fakekube import FakeKube, Killed
from tests.operator.keykit import DAY, NOW, StillClock, domain, pair

from mailoperator import dkim, hostkeys, keysecrets
from mailoperator.certificates import HOST_CERTIFICATE, HostsOwn, Offer, SelfSigned, TlsPair
from mailoperator.dkim import DkimSchedule, KeyPair
from mailoperator.hostkeys import Member, Rules, reconcile_keys
from mailoperator.keysecrets import CAPACITY, DomainKeys, bucket_of, by_label, fitting, label_of, read, size, written
from mailoperator.kube import ApiError
from mailoperator.model import MailDomain
from mailpod.net.keyfiles import pairs_in
from mailpod.net.tls import TlsContexts

HOST = domain("host.test")
PAIR = dkim.make([], NOW)


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture(autouse=True)
def _cheap_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """RSA takes 0.1 s a key; what is tested here is where keys go."""

    def make(taken: list[str], now: float) -> KeyPair:
        return replace(PAIR, id=f"mp{len(taken)}x{int(now)}", made=now)

    monkeypatch.setattr(dkim, "make", make)


def rules(clock: StillClock, *, resolves: bool = True) -> Rules:
    return Rules(DkimSchedule(), lambda name, pair: resolves, clock.now)


def member(name: str, offer: Offer | None = None) -> Member:
    return Member(name, (f"mail.{name}",), offer or SelfSigned())


def stored(kube: FakeKube, host: MailDomain = HOST) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for (_, kind, _, name), raw in kube.objects.items():
        if kind == "Secret" and name.startswith(f"{host.metadata.name}-keys-"):
            files |= keysecrets.decode(raw)
    return files


def test_hash_is_stable_and_even() -> None:
    assert [bucket_of(name) for name in ("example.org", "host.test", "xn--bcher-kva.example")] == [15, 6, 7]
    counts = [0] * 16
    for number in range(3000):
        counts[bucket_of(f"domain{number}.example")] += 1
    assert min(counts) > 130 and max(counts) < 250


def test_long_domain_still_fits_a_secrets_key() -> None:
    long = ".".join(["a" * 60, "b" * 60, "c" * 60, "d" * 60, "test"])
    files = written(label_of(long), DomainKeys(pair("x.test"), (PAIR,)))
    assert max(map(len, files)) <= 253
    assert read(label_of(long), files) == DomainKeys(TlsPair(*list(files.values())[:2]), (PAIR,))
    assert label_of(long) != label_of(long.replace("test", "tost"))


@given(
    st.dictionaries(
        st.from_regex(r"[-._a-zA-Z0-9]{1,40}(\.crt|\.key|\.dkim|\.dkim\.json)?", fullmatch=True), st.binary(max_size=30)
    )
)
def test_every_file_is_kept_under_one_label(data: dict[str, bytes]) -> None:
    groups = by_label(data)
    assert {name: content for files in groups.values() for name, content in files.items()} == data
    for label, files in groups.items():
        try:
            read(label, files)
        except dkim.DamagedKeys:
            continue


def test_three_hundred_domains_with_two_pairs_and_a_long_chain_fit() -> None:
    chain = b"x" * 5600  # an RSA leaf and two intermediates, as Let's Encrypt sends them
    keys = DomainKeys(TlsPair(chain, b"y" * 1704), (PAIR, replace(PAIR, id="mp20270522")))
    groups: dict[int, dict[str, dict[str, bytes]]] = {}
    for number in range(300):
        name = f"customer-{number}.example.org"
        groups.setdefault(bucket_of(name), {})[name] = written(name, keys)
    largest = max(sum(size(files) for files in bucket.values()) for bucket in groups.values())
    assert largest < CAPACITY / 2  # 16 Secrets take some 1,300 domains
    assert all(not fitting(bucket, [])[1] for bucket in groups.values())


async def test_first_visit_makes_all_and_the_second_writes_nothing(clock: StillClock) -> None:
    kube, members = FakeKube(), [member(f"d{number}.test") for number in range(40)]
    reports = await reconcile_keys(kube, HOST, members, rules(clock))
    assert {report.certificate.reason for report in reports.values()} == {"SelfSigned"}
    before = stored(kube)
    for one in members:
        assert {f"{one.domain}.crt", f"{one.domain}.key"} <= before.keys()
        assert len(reports[one.domain].dkim) == 1
    writes = kube.writes
    assert writes <= 16
    again = await reconcile_keys(kube, HOST, members, rules(clock))
    assert kube.writes == writes
    assert again == reports
    assert stored(kube) == before


async def test_domains_come_in_batches_and_go(clock: StillClock) -> None:
    kube, members = FakeKube(), [member(f"d{number}.test") for number in range(20)]
    first = await reconcile_keys(kube, HOST, members, rules(clock))
    late = member("late.test")
    writes = kube.writes
    await reconcile_keys(kube, HOST, [*members, late], rules(clock), only=frozenset([late.domain]))
    assert kube.writes == writes + 1
    files = stored(kube)
    assert "late.test.crt" in files
    await reconcile_keys(kube, HOST, members, rules(clock))
    assert "late.test.crt" not in stored(kube)
    assert "late.test.dkim.json" in stored(kube)  # a mistake, perhaps: its records are in somebody's DNS

    clock.passed = 29 * DAY
    back = await reconcile_keys(kube, HOST, [*members, late], rules(clock))
    assert read("late.test", by_label(stored(kube))["late.test"]).left is None
    assert back["late.test"].dkim[0].made == NOW
    assert back["d1.test"].dkim == first["d1.test"].dkim

    await reconcile_keys(kube, HOST, members, rules(clock))
    clock.passed = 60 * DAY
    await reconcile_keys(kube, HOST, members, rules(clock))
    assert not [name for name in stored(kube) if "late.test" in name]


async def test_conflict_keeps_what_another_wrote(clock: StillClock) -> None:
    """Another operator, before it noticed that it leads no longer, added a domain to the same Secret."""
    kube = FakeKube()
    await reconcile_keys(kube, HOST, [member("a.test")], rules(clock))
    other = next(f"o{n}.test" for n in range(999) if bucket_of(f"o{n}.test") == bucket_of("a.test"))

    class Racing(FakeKube):
        raced = False

        async def update(self, obj: dict[str, Any]) -> dict[str, Any]:
            if not self.raced:
                self.raced = True
                await reconcile_keys(kube, HOST, [member("a.test"), member(other)], rules(clock))
            return await kube.update(obj)

        async def get(self, *where: Any) -> dict[str, Any] | None:
            return await kube.get(*where)

    third = next(f"p{n}.test" for n in range(999) if bucket_of(f"p{n}.test") == bucket_of("a.test"))
    everyone = [member("a.test"), member(other), member(third)]
    racing = Racing()
    await reconcile_keys(racing, HOST, everyone, rules(clock), only=frozenset([third]))
    assert racing.raced
    files = by_label(stored(kube))
    assert all(f"{name}.dkim.json" in files[name] for name in ("a.test", other, third))


async def test_anothers_secret_is_never_written(clock: StillClock) -> None:
    kube = FakeKube()
    name = f"host-test-keys-{bucket_of('a.test'):02d}"
    foreign = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "mail"}, "data": {}}
    kube.user_applies(foreign)
    reports = await reconcile_keys(kube, HOST, [member("a.test")], rules(clock))
    assert (reports["a.test"].certificate.status, reports["a.test"].certificate.reason) == ("False", "SecretNameTaken")
    assert kube.writes == 0


async def test_damaged_keys_are_told_and_left_alone(clock: StillClock) -> None:
    kube, mate = FakeKube(), next(f"o{n}.test" for n in range(999) if bucket_of(f"o{n}.test") == bucket_of("a.test"))
    await reconcile_keys(kube, HOST, [member("a.test")], rules(clock))
    where = next(where for where in kube.objects if where[1] == "Secret")
    kube.objects[where]["data"]["a.test.dkim.json"] = "e30="
    kube.objects[where]["data"]["stranger.txt"] = "aGk="
    before = stored(kube)
    reports = await reconcile_keys(kube, HOST, [member("a.test"), member(mate)], rules(clock))
    assert reports["a.test"].certificate.reason == hostkeys.KEYS_DAMAGED
    assert reports[mate].certificate.status == "True"
    assert {name: stored(kube)[name] for name in before} == before


async def test_full_secret_refuses_the_newcomer_and_keeps_the_others(
    clock: StillClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    kube = FakeKube()
    mates = [f"o{n}.test" for n in range(400) if bucket_of(f"o{n}.test") == bucket_of("a.test")][:3]
    members = [member(name) for name in mates]
    await reconcile_keys(kube, HOST, members, rules(clock))
    before = stored(kube)
    monkeypatch.setattr(keysecrets, "CAPACITY", size(before) + 100)
    reports = await reconcile_keys(kube, HOST, [*members, member("a.test")], rules(clock))
    assert reports["a.test"].certificate.reason == hostkeys.KEYS_FULL  # though it comes first by name
    assert {reports[name].certificate.status for name in mates} == {"True"}
    assert stored(kube) == before


async def test_certificate_of_the_host_is_enough_where_it_has_the_name(clock: StillClock) -> None:
    kube = FakeKube()
    own = Member("host.test", ("mail.host.test",), pair("mail.host.test", "mail.covered.test"))
    members = [own, member("covered.test", HostsOwn()), member("apart.test", HostsOwn())]
    reports = await reconcile_keys(kube, HOST, members, rules(clock))
    assert reports["covered.test"].certificate.reason == HOST_CERTIFICATE
    assert reports["apart.test"].certificate.reason == "SelfSigned"
    files = stored(kube)
    assert "covered.test.crt" not in files and "apart.test.crt" in files
    limited = await reconcile_keys(kube, HOST, members, rules(clock), only=frozenset(["covered.test"]))
    assert limited["covered.test"].certificate.reason == HOST_CERTIFICATE


async def test_rotation_goes_on_in_the_secrets(clock: StillClock) -> None:
    kube, members = FakeKube(), [member("a.test")]
    await reconcile_keys(kube, HOST, members, rules(clock))
    clock.passed = 181 * DAY
    pairs = (await reconcile_keys(kube, HOST, members, rules(clock, resolves=False)))["a.test"].dkim
    assert [pair.used is not None for pair in pairs] == [True, False]
    clock.passed = 190 * DAY
    pairs = (await reconcile_keys(kube, HOST, members, rules(clock, resolves=False)))["a.test"].dkim
    assert pairs[1].used is None
    pairs = (await reconcile_keys(kube, HOST, members, rules(clock)))["a.test"].dkim
    assert pairs[1].used is not None and pairs[0].retired is not None
    assert len([name for name in stored(kube) if name.endswith(".dkim")]) == 4


async def test_refused_write_is_the_callers_to_repeat(clock: StillClock) -> None:
    kube = FakeKube()
    kube.fail = [ApiError(500, "InternalError", "")]
    with pytest.raises(ApiError):
        await reconcile_keys(kube, HOST, [member("a.test")], rules(clock))
    assert (await reconcile_keys(kube, HOST, [member("a.test")], rules(clock)))["a.test"].certificate.status == "True"


@pytest.mark.parametrize("writes", range(17))
async def test_operator_killed_after_any_write_loses_no_key(clock: StillClock, writes: int) -> None:
    kube, members = FakeKube(), [member(f"d{number}.test") for number in range(80)]
    kube.die_after = writes
    with contextlib.suppress(Killed):
        await reconcile_keys(kube, HOST, members, rules(clock))
    before = stored(kube)
    kube.die_after = None
    clock.passed = 60
    reports = await reconcile_keys(kube, HOST, members, rules(clock))
    assert {report.certificate.status for report in reports.values()} == {"True"}
    after = stored(kube)
    assert {name: after[name] for name in before} == before
    assert len([name for name in after if name.endswith(".dkim.json")]) == 80


async def test_pods_serve_what_is_packed(clock: StillClock, tmp_path: Path) -> None:
    """The Secrets as a kubelet mounts them, read by the pods' own code."""
    kube, members = FakeKube(), [member(name) for name in ("host.test", *(f"d{number}.test" for number in range(30)))]
    await reconcile_keys(kube, HOST, members, rules(clock))
    for number in range(16):
        folder = tmp_path / f"{number:02}"
        folder.mkdir()
        name = f"host-test-keys-{number:02}"
        for file, content in keysecrets.decode(await kube.get("v1", "Secret", "mail", name)).items():
            (folder / file).write_bytes(content)
    pairs, unread = pairs_in(tmp_path)
    assert not unread
    assert {pair.domain for pair in pairs} == {one.domain for one in members}
    contexts = TlsContexts(folder=tmp_path, default="host.test")
    assert len(contexts._loaded) == 31
    assert next(iter(contexts._loaded)).endswith("/host.test")
    assert not contexts._complaints
