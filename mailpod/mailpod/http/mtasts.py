"""A domain's own MTA-STS policy, which other servers fetch before they deliver here (RFC 8461 §3.2). Pure."""

from __future__ import annotations

from typing import Final

from mailpod.http.site import Site

PATH: Final = "/.well-known/mta-sts.txt"
_MAX_AGE: Final = {"enforce": 7 * 86_400, "testing": 86_400, "none": 86_400}  # seconds that it is remembered


def document(site: Site) -> bytes | None:
    """The policy; None where the domain publishes none, or was asked at another name than RFC 8461 §3.3's."""
    if site.by != f"mta-sts.{site.domain}" or site.mta_sts not in _MAX_AGE:
        return None
    lines = [
        "version: STSv1",
        f"mode: {site.mta_sts}",
        f"mx: {site.hostname}",
        f"max_age: {_MAX_AGE[site.mta_sts]}",
    ]
    return "".join(f"{line}\r\n" for line in lines).encode()
