"""A domain's aggregate report: its XML (RFC 9990 §3.1) and its mail (§3.5). No I/O."""

from __future__ import annotations

import gzip
import re
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import formatdate
from typing import Final
from xml.sax.saxutils import escape

from mailpod.authres.counted import Seen
from mailpod.daily import Sender, began
from mailpod.reportmail import Attached, report_mail

_NAMESPACE: Final = "urn:ietf:params:xml:ns:dmarc-2.0"
_UNPRINTABLE: Final = re.compile(r"[^ -~]")
_DAY: Final = 86400


@dataclass(frozen=True, slots=True)
class Report:
    """Of one policy and one day (`YYYY-MM-DD`, UTC). `number` tells policies that a domain had that day apart."""

    sender: Sender
    day: str
    seen: Sequence[Seen]  # all of one policy, not empty
    number: int = 0

    @property
    def domain(self) -> str:
        return self.seen[0].policy.domain

    @property
    def id(self) -> str:
        """The same whoever reports the day, so that one that comes twice is known (§3.5.1)."""
        return f"{self.day}.{self.number}.{self.domain}@{self.sender.domain}"

    @property
    def begin(self) -> int:
        return int(began(self.day) or 0)

    def xml(self) -> bytes:
        policy = self.seen[0].policy
        parts = [
            _element("version", "1.0"),
            _group(
                "report_metadata",
                _element("org_name", self.sender.domain),
                _element("email", self.sender.contact),
                _element("report_id", self.id),
                _group("date_range", _element("begin", self.begin), _element("end", self.begin + _DAY - 1)),
                _element("generator", "Mailpod"),
            ),
            _group(
                "policy_published",
                _element("domain", policy.domain),
                _element("discovery_method", "treewalk"),
                _element("p", policy.policy),
                _element("sp", policy.subdomains),
                _element("np", policy.missing),
                _element("adkim", policy.adkim),
                _element("aspf", policy.aspf),
                _element("testing", "y" if policy.testing else "n"),
            ),
            *map(_record, self.seen),
        ]
        inside = "".join(parts)
        return f'<?xml version="1.0" encoding="UTF-8"?>\n<feedback xmlns="{_NAMESPACE}">{inside}</feedback>\n'.encode()

    @property
    def filename(self) -> str:
        """§3.5.2; the unique-id is only there where a day has several."""
        unique = f"!{self.number}" if self.number else ""
        return f"{self.sender.domain}!{self.domain}!{self.begin}!{self.begin + _DAY - 1}{unique}.xml.gz"

    def packed(self) -> bytes:
        return gzip.compress(self.xml(), mtime=0)

    def mail(self, recipient: str, now: float) -> bytes:
        """§3.5.2"""
        head = [
            f"From: {self.sender.contact}",
            f"To: {recipient}",
            f"Subject: Report Domain: {self.domain}\r\n Submitter: {self.sender.domain}\r\n Report-ID: <{self.id}>",
            f"Date: {formatdate(now)}",
            f"Message-ID: <dmarc.{self.id}>",
        ]
        return report_mail(
            head,
            "multipart/mixed",
            f"=_dmarc-{self.day}",
            f"DMARC report of {self.sender.domain} about {self.domain}, {self.day} (UTC).\r\n",
            Attached("application/gzip", self.filename, self.packed()),
        )


def _record(seen: Seen) -> str:
    reason = _group("reason", _element("type", seen.reason)) if seen.reason else ""
    signatures = [
        _group(
            "dkim",
            _element("domain", one.domain),
            _element("selector", one.selector),
            _element("result", one.result),
        )
        for one in seen.signatures
    ]
    spf = [_element("domain", seen.spf_domain), _element("scope", "mfrom"), _element("result", seen.spf)]
    return _group(
        "record",
        _group(
            "row",
            _element("source_ip", seen.client),
            _element("count", seen.count),
            _group(
                "policy_evaluated",
                _element("disposition", seen.applied),
                _element("dkim", "pass" if seen.aligned_dkim else "fail"),
                _element("spf", "pass" if seen.aligned_spf else "fail"),
                reason,
            ),
        ),
        _group("identifiers", _element("header_from", seen.author), _element("envelope_from", seen.sender)),
        _group("auth_results", *signatures, _group("spf", *spf)),
    )


def _group(name: str, *inside: str) -> str:
    return f"<{name}>{''.join(inside)}</{name}>"


def _element(name: str, text: str | int) -> str:
    """What a sender made up stands in it too: nothing but printable ASCII, escaped."""
    return f"<{name}>{escape(_UNPRINTABLE.sub('?', str(text)))}</{name}>"
