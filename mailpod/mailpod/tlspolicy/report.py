"""A domain's TLS report: where it goes (RFC 8460 §3), its JSON (§4.4) and its mail (§5.3). No I/O."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from mailpod.daily import Sender
from mailpod.reportmail import Attached, report_mail
from mailpod.tlspolicy.tally import Failed, Seen

_FIELD: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]{0,31})[ \t]*=([\t\x20-\x3a\x3c-\x7e]*)")
_MOST_PLACES: Final = 4  # of one domain that are reported to
_MAILBOX: Final = re.compile(r"[^\x00-\x20<>@\x7f]{1,64}@[A-Za-z0-9.-]{1,253}")


def parse_record(records: Iterable[bytes]) -> tuple[str, ...]:
    """The `rua` addresses (mailto:, https:) among the TXT records of `_smtp._tls.<domain>`; () where there are none."""
    # RFC 8460 §3: what does not begin so is discarded; the rest must be one
    found = [record for record in records if re.match(rb"v=TLSRPTv1[ \t]*;", record)]
    if len(found) != 1:
        return ()
    try:
        _, *fields = found[0].decode("ascii").split(";")
    except UnicodeDecodeError:
        return ()
    for text in fields:
        match = _FIELD.fullmatch(text.strip(" \t"))
        if match and match[1] == "rua":
            places = (place.strip(" \t") for place in match[2].split(","))
            return tuple(place for place in places if _sound(place))[:_MOST_PLACES]
    return ()


def mailbox(place: str) -> str | None:
    """The address of a mailto: URI, which has no header fields."""
    scheme, _, rest = place.partition(":")
    address = unquote(rest.partition("?")[0])
    return address if scheme.lower() == "mailto" and _MAILBOX.fullmatch(address) else None


def _sound(place: str) -> bool:
    try:
        parts = urlsplit(place)
        return mailbox(place) is not None or (parts.scheme.lower() == "https" and bool(parts.hostname))
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Report:
    """Of one domain and one day (`YYYY-MM-DD`, UTC)."""

    sender: Sender
    domain: str
    day: str
    seen: Sequence[Seen]

    @property
    def id(self) -> str:
        """The same whoever reports the day, so that one that comes twice is known (RFC 8460 §4.4)."""
        return f"{self.day}-{self.domain}@{self.sender.domain}"

    def json(self) -> bytes:
        """RFC 8460 §4.4."""
        return json.dumps(
            {
                "organization-name": self.sender.domain,
                "date-range": {
                    "start-datetime": f"{self.day}T00:00:00Z",
                    "end-datetime": f"{self.day}T23:59:59Z",
                },
                "contact-info": self.sender.contact,
                "report-id": self.id,
                "policies": [_policy(seen) for seen in self.seen],
            },
            ensure_ascii=False,
        ).encode()

    def packed(self) -> bytes:
        return gzip.compress(self.json(), mtime=0)

    def filename(self, begin: int) -> str:
        """RFC 8460 §5.1; `begin` is the day's first second, Unix time."""
        return f"{self.sender.domain}!{self.domain}!{begin}!{begin + 86399}!{self.day}.json.gz"

    def mail(self, recipient: str, begin: int, now: float) -> bytes:
        """RFC 8460 §5.3."""
        head = [
            f"From: {self.sender.contact}",
            f"To: {recipient}",
            f"Subject: Report Domain: {self.domain} Submitter: {self.sender.domain} Report-ID: <{self.id}>",
            f"Date: {formatdate(now)}",
            f"Message-ID: <tlsrpt-{self.id}>",
            f"TLS-Report-Domain: {self.domain}",
            f"TLS-Report-Submitter: {self.sender.domain}",
            "TLS-Required: No",  # RFC 8460 §3: the policy that fails must not keep its report away (RFC 8689 §5)
        ]
        return report_mail(
            head,
            'multipart/report; report-type="tlsrpt"',
            f"=_tlsrpt-{self.day}",
            f"TLS report of {self.sender.domain} about {self.domain}, {self.day} (UTC).\r\n",
            Attached("application/tlsrpt+gzip", self.filename(begin), self.packed()),
        )


def _policy(seen: Seen) -> dict[str, Any]:
    policy: dict[str, Any] = {"policy-type": seen.type, "policy-domain": seen.domain}
    if seen.lines:
        policy["policy-string"] = list(seen.lines)
    if seen.hosts:
        policy["mx-host"] = list(seen.hosts)
    failed = sum(each.count for each in seen.failed)
    found: dict[str, Any] = {
        "policy": policy,
        "summary": {"total-successful-session-count": seen.ok, "total-failure-session-count": failed},
    }
    if seen.failed:
        found["failure-details"] = [_failure(each) for each in seen.failed]
    return found


def _failure(failed: Failed) -> dict[str, Any]:
    found: dict[str, Any] = {"result-type": failed.result, "failed-session-count": failed.count}
    if failed.host:
        found["receiving-mx-hostname"] = failed.host
    return found
