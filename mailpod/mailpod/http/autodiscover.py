"""Outlook's autodiscover, plain old XML (MS-OXDSCLI §2.2.3 and §2.2.4). Pure.

The request is searched for the one text that is needed and not parsed: no entity, no depth, no parser to attack.
"""

from __future__ import annotations

import re
from typing import Final
from xml.etree import ElementTree as xml

from mailpod.http.site import Server, Site

PATH: Final = "/autodiscover/autodiscover.xml"
KIND: Final = "text/xml; charset=utf-8"
_ADDRESS: Final = re.compile(rb"<(?:\w+:)?EMailAddress>\s*([^<>&\s]{3,320})\s*</", re.IGNORECASE)
_OUTER: Final = "http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006"
_INNER: Final = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"


def address_in(body: bytes) -> str:
    """Whose settings are asked for; empty where that is not told."""
    found = _ADDRESS.search(body)
    return found[1].decode("utf-8", "replace") if found else ""


def document(site: Site, address: str) -> bytes:
    """The settings of `address`, of the servers with TLS from the first byte."""
    root = xml.Element("Autodiscover", xmlns=_OUTER)
    response = xml.SubElement(root, "Response", xmlns=_INNER)
    account = xml.SubElement(response, "Account")
    xml.SubElement(account, "AccountType").text = "email"
    xml.SubElement(account, "Action").text = "settings"
    for server in site.servers():
        if server.security == "TLS":
            _add(account, server, address)
    return bytes(xml.tostring(root, encoding="utf-8", xml_declaration=True))


def _add(account: xml.Element, server: Server, address: str) -> None:
    made = xml.SubElement(account, "Protocol")
    for name, text in (
        ("Type", server.protocol),
        ("Server", server.host),
        ("Port", str(server.port)),
        ("LoginName", address),
        ("SPA", "off"),
        ("SSL", "on"),
        ("AuthRequired", "on"),
    ):
        xml.SubElement(made, name).text = text
