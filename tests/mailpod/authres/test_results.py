"""The Authentication-Results field, and those of others that bear our name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailpod.authres.dkim import Dkim
from mailpod.authres.dmarc import Dmarc
from mailpod.authres.results import results_field, without_forged
from mailpod.authres.spf import Spf

US = "mx.example.com"
REST = b"From: a@b.example\r\n\r\nAuthentication-Results: mx.example.com; spf=pass\r\n"


def test_field() -> None:
    written = results_field(
        US,
        Spf("softfail", "b.example"),
        [
            Dkim("pass", "b.example", "s1", "rsa-sha256", "abc/+def"),
            Dkim("fail", "c.example", reason="the body has changed"),
        ],
        [Dmarc("fail", "b.example", "none", "quarantine")],
    )
    assert written == (
        b"Authentication-Results: mx.example.com;\r\n"
        b"\tspf=softfail smtp.mailfrom=b.example;\r\n"
        b'\tdkim=pass header.d=b.example header.s=s1 header.a=rsa-sha256 header.b="abc/+def";\r\n'
        b'\tdkim=fail reason="the body has changed" header.d=c.example;\r\n'
        b"\tdmarc=fail (p=quarantine) header.from=b.example\r\n"
    )


def test_what_a_client_says_forges_nothing() -> None:
    written = results_field(US, Spf("none", "x;\r\n dmarc=pass (y"), [], [])
    assert written.count(b"\r\n") == 3 and b"dmarc" not in written.replace(b"x????dmarc", b"")


@pytest.mark.parametrize(
    "field",
    [
        b"Authentication-Results: mx.example.com; spf=pass smtp.mailfrom=b.example\r\n",
        b"authentication-results:MX.Example.COM;dmarc=pass\r\n",
        b"Authentication-Results : mx.example.com; none\r\n",
        b"Authentication-Results:\r\n\tmx.example.com 1;\r\n\tspf=pass\r\n",
        b'Authentication-Results: "mx.example.com"; spf=pass\r\n',
        b'Authentication-Results: "mx\\.example.com"; spf=pass\r\n',
        b"Authentication-Results: (a (nested) one) mx.example.com (b); spf=pass\r\n",
        b"Authentication-Results: mx.example.com.; spf=pass\r\n",
        b"Authentication-Results: mx.example.com\r\n",
        b"Authentication-Results:\r\n",
    ],
)
def test_forged(field: bytes) -> None:
    assert without_forged(field + REST, US) == REST
    assert without_forged(b"X: y\r\n" + field + field + REST, US) == b"X: y\r\n" + REST


@pytest.mark.parametrize(
    "field",
    [
        b"Authentication-Results: mx.example.org; spf=pass\r\n",
        b"Authentication-Results: not.mx.example.com; spf=pass\r\n",
        b"X-Authentication-Results: mx.example.com; spf=pass\r\n",
        b"Subject: x\r\n Authentication-Results: mx.example.com; spf=pass\r\n",
        b"ARC-Authentication-Results: i=1; mx.example.com; spf=pass\r\n",
    ],
)
def test_not_ours(field: bytes) -> None:
    assert without_forged(field + REST, US) == field + REST


@given(st.binary(max_size=300))
def test_nothing_else_changes(content: bytes) -> None:
    assert without_forged(content, US) == content or b"authentication-results" in content.lower()
