"""What CertificateReady says, and which certificate is served."""

from __future__ import annotations

from typing import Any

import pytest
from tests.operator.fakekube import FakeKube
from tests.operator.keykit import DAY, NOW, domain, pair, secret, tls_secret

from mailoperator.certificates import (
    CERTIFICATE_INVALID,
    EXPIRED,
    EXPIRES_SOON,
    ISSUER_UNAVAILABLE,
    ISSUING,
    NAMES_MISSING,
    NOT_YET_VALID,
    HostsOwn,
    SelfSigned,
    TlsPair,
    choose,
    host_covers,
    judge,
    offer_of,
)
from mailoperator.offered import Refused

NAME = ["mail.example.test"]


@pytest.mark.parametrize(
    ("given", "rank", "reason"),
    [
        (pair("mail.example.test"), 2, "AsWanted"),
        (pair("*.example.test"), 2, "AsWanted"),
        (pair("mail.example.test", issuer="mail.example.test"), 2, "SelfSigned"),
        (pair("mail.example.test", ends=NOW + 5 * DAY), 2, EXPIRES_SOON),
        (pair("mail.example.test", begins=NOW - 9 * DAY, ends=NOW - 1), 1, EXPIRED),
        (pair("mail.example.test", begins=NOW + 60), 1, NOT_YET_VALID),
        (pair("example.test"), 1, NAMES_MISSING),
        (pair("*.test"), 1, NAMES_MISSING),
        (TlsPair(pair("mail.example.test").certificate, pair("mail.example.test").key), 0, CERTIFICATE_INVALID),
        (TlsPair(b"half a certif", b""), 0, CERTIFICATE_INVALID),
        (TlsPair(b"", b""), 0, CERTIFICATE_INVALID),
    ],
)
def test_pairs_are_judged(given: TlsPair, rank: int, reason: str) -> None:
    judged = judge(given, NAME, NOW)
    assert (judged.rank, judged.reason) == (rank, reason)
    assert judged.message
    assert "PRIVATE" not in judged.message


def test_better_pair_replaces_and_worse_one_does_not() -> None:
    good, other, expired = pair(*NAME), pair(*NAME), pair(*NAME, begins=NOW - 9 * DAY, ends=NOW - 1)
    assert choose(good, None, NAME, NOW)[0] is good
    assert choose(other, good, NAME, NOW)[0] is other  # renewed
    served, condition = choose(expired, good, NAME, NOW)
    assert served is good
    assert (condition.status, condition.reason) == ("False", EXPIRED)
    assert "still served" in condition.message
    assert choose(good, expired, NAME, NOW)[0] is good


def test_faulty_pair_is_served_for_want_of_another_and_said() -> None:
    wrong = pair("elsewhere.test")
    served, condition = choose(wrong, None, NAME, NOW)
    assert served is wrong
    assert (condition.status, condition.reason) == ("False", NAMES_MISSING)
    assert "elsewhere.test" in condition.message
    served, condition = choose(TlsPair(b"x", b"y"), None, NAME, NOW)
    assert served is None
    assert condition.reason == CERTIFICATE_INVALID


def test_self_signed_is_made_once_and_again_for_another_name() -> None:
    first, condition = choose(SelfSigned(), None, NAME, NOW)
    assert first is not None
    assert (condition.status, condition.reason) == ("True", "SelfSigned")
    assert choose(SelfSigned(), first, NAME, NOW)[0] is first
    assert choose(SelfSigned(), first, ["imap.example.test"], NOW)[0] is not first
    issued = pair(*NAME)
    assert choose(SelfSigned(), issued, NAME, NOW)[0] is not issued


def test_source_that_is_gone_leaves_what_was_served() -> None:
    good = pair(*NAME)
    served, condition = choose(Refused("SecretMissing", "there is no Secret x"), good, NAME, NOW)
    assert served is good
    assert (condition.status, condition.reason) == ("False", "SecretMissing")


def test_hosts_certificate_serves_only_names_that_it_has() -> None:
    assert host_covers(pair("*.example.test"), NAME, NOW)
    assert not host_covers(pair("mail.other.test"), NAME, NOW)
    assert not host_covers(None, NAME, NOW)


async def test_offers_of_each_source() -> None:
    kube, good = FakeKube(), pair(*NAME)
    kube.user_applies(tls_secret("right", good), secret("opaque", {"tls.crt": good.certificate, "tls.key": good.key}))

    async def offer(*, has_cert_manager: bool = True, **spec: Any) -> object:
        return await offer_of(domain(**spec), kube, known=None, has_cert_manager=has_cert_manager)

    assert await offer(tls={"secretRef": {"name": "right"}}) == good
    missing = await offer(tls={"secretRef": {"name": "nowhere"}})
    assert isinstance(missing, Refused) and missing.reason == "SecretMissing"
    taken = await offer(tls={"secretRef": {"name": "opaque"}})
    assert isinstance(taken, Refused) and taken.reason == "SecretNotOffered"
    assert isinstance(await offer(), SelfSigned)
    assert isinstance(await offer(tls={"selfSigned": {}}), SelfSigned)
    assert isinstance(await offer(servedByRef={"name": "host"}), HostsOwn)

    issuer = {"issuerRef": {"name": "letsencrypt"}}
    waiting = await offer(tls=issuer)
    assert isinstance(waiting, Refused) and waiting.reason == ISSUING
    absent = await offer(tls=issuer, has_cert_manager=False)
    assert isinstance(absent, Refused) and absent.reason == ISSUER_UNAVAILABLE
    kube.user_applies(tls_secret("example-test-tls", good))
    assert await offer(tls=issuer) == good
