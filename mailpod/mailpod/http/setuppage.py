"""The page for people: how to set a mail client up. One document, nothing from elsewhere, and it works without script.

Its style and its script are allowed by their hashes alone, so that nothing which is slipped into it runs.
"""

from __future__ import annotations

import base64
import hashlib
from html import escape
from importlib.resources import files
from typing import Final
from urllib.parse import quote

import segno

from mailpod.http import mobileconfig
from mailpod.http.site import Server, Site

KIND: Final = "text/html; charset=utf-8"
_STYLE: Final = files(__package__).joinpath("setup.css").read_text()
_SCRIPT: Final = files(__package__).joinpath("setup.js").read_text()


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


FIELDS: Final = {
    "Content-Security-Policy": f"default-src 'none'; style-src {_hash(_STYLE)}; script-src {_hash(_SCRIPT)}; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_TITLES: Final = {"IMAP": "Incoming mail (IMAP)", "SMTP": "Outgoing mail (SMTP)", "POP3": "Instead of IMAP (POP3)"}
_SECURITY: Final = {"TLS": "SSL/TLS", "STARTTLS": "STARTTLS"}


def page(site: Site, address: str, port: str) -> bytes:
    """HTML for an address of the domain, or for anyone of it. `port`: of the request's Host, with its colon."""
    title = escape(address or site.domain)
    url = f"https://{f'[{site.by}]' if ':' in site.by else site.by}{port}/"
    parts = [
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Mail for {title}</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta name="color-scheme" content="light dark"><style>{_STYLE}</style></head><body><main>',
        f"<header><h1>Mail for {title}</h1><p>Most programs find these settings by your address alone.</p></header>",
        _form(site, address),
        *(_server(server, address) for server in _shown(site)),
        _phone(url, address),
        f"</main><script>{_SCRIPT}</script></body></html>",
    ]
    return "\n".join(parts).encode()


def _shown(site: Site) -> list[Server]:
    """The best of each protocol, in the order in which people need them."""
    best = {server.protocol: server for server in reversed(site.servers())}
    return [best["IMAP"], best["SMTP"], best["POP3"]]


def _form(site: Site, address: str) -> str:
    return (
        '<form method="get" action="/"><label for="address">Your address</label><div class="ask">'
        f'<input id="address" name="address" type="email" autocomplete="email" value="{escape(address)}" '
        f'placeholder="you@{escape(site.domain)}"><button>Show</button></div></form>'
    )


def _server(server: Server, address: str) -> str:
    port, security = str(server.port), _SECURITY[server.security]
    lines = [("Server", server.host, True), ("Port", port, True), ("Security", security, False)]
    lines.append(("User name", address or "your whole address", bool(address)))
    lines.append(("Password", "your mailbox's", False))
    rows = "".join(_row(name, value, copied=copied) for name, value, copied in lines)
    return f"<section><h2>{_TITLES[server.protocol]}</h2><dl>{rows}</dl></section>"


def _row(name: str, value: str, *, copied: bool) -> str:
    text = escape(value)
    if not copied:
        return f"<div><dt>{name}</dt><dd>{text}</dd></div>"
    button = f'<button type="button" hidden data-copy="{text}" aria-label="Copy {name}: {text}">Copy</button>'
    return f"<div><dt>{name}</dt><dd><code>{text}</code>{button}</dd></div>"


def _phone(url: str, address: str) -> str:
    query = f"?address={quote(address, safe='@')}" if address else ""
    code = segno.make(f"{url}{query}", error="m").svg_inline(scale=4, border=4, light="white", omitsize=True)
    return (
        '<section class="phone"><div><h2>On a phone</h2>'
        "<p>Point its camera at the code: it opens this page there.</p>"
        f'<p><a class="button" href="{mobileconfig.PATH}{escape(query)}">iPhone, iPad or Mac: install the profile</a>'
        f"</p></div>{code}</section>"
    )
