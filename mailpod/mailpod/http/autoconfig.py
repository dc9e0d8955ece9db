"""Mozilla's autoconfig, which Thunderbird, Evolution, KMail and K-9 read. Pure.

Format: https://www.bucksch.org/1/projects/thunderbird/autoconfiguration/config-file-format.html
"""

from __future__ import annotations

from typing import Final
from xml.etree import ElementTree as xml

from mailpod.http.site import Server, Site

PATHS: Final = ("/mail/config-v1.1.xml", "/.well-known/autoconfig/mail/config-v1.1.xml")
KIND: Final = "text/xml; charset=utf-8"
_SOCKET: Final = {"TLS": "SSL", "STARTTLS": "STARTTLS"}


def document(site: Site) -> bytes:
    """The answer for every address of the domain: %EMAILADDRESS% is the client's to fill in."""
    root = xml.Element("clientConfig", version="1.1")
    provider = xml.SubElement(root, "emailProvider", id=site.domain)
    for name, text in (("domain", site.domain), ("displayName", site.domain), ("displayShortName", site.domain)):
        xml.SubElement(provider, name).text = text
    for server in site.servers():
        _add(provider, server)
    return bytes(xml.tostring(root, encoding="utf-8", xml_declaration=True))


def _add(provider: xml.Element, server: Server) -> None:
    direction = "outgoing" if server.protocol == "SMTP" else "incoming"
    made = xml.SubElement(provider, f"{direction}Server", type=server.protocol.lower())
    for name, text in (
        ("hostname", server.host),
        ("port", str(server.port)),
        ("socketType", _SOCKET[server.security]),
        ("authentication", "password-cleartext"),  # within TLS
        ("username", "%EMAILADDRESS%"),
    ):
        xml.SubElement(made, name).text = text
