"""What one client of the MX port may do, by its address: not be on a blocklist, and not write to too many.

Roles (postmaster, abuse) are reached by everybody: who is listed by mistake must be able to say so (RFC 5321 §4.5.1).
A client whose address is not known (authres.unchecked_networks, or checks switched off) is not limited by it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailpod import logs, metrics
from mailpod.authres.check import is_checked
from mailpod.directory import ROLES
from mailpod.errors import MailError
from mailpod.net.peer import network_of
from mailpod.smtp.blocklists import listed_by

if TYPE_CHECKING:
    from mailpod.services import Services
    from mailpod.smtp.session import MailSession


class Listed(MailError):
    """The client is on a blocklist."""

    smtp = (554, "5.7.1")

    def __init__(self, host: str, zone: str) -> None:
        super().__init__(f"Client {host} is listed by {zone}")


class TooMany(MailError):
    """More recipients than a client may write to within the hour."""

    smtp = (450, "4.7.1")
    text = "Too many recipients from your address within the hour, try again later"


async def check_client(services: Services, session: MailSession, address: str) -> None:
    """Before the recipient `address` is looked up. Raises Listed, TooMany."""
    host, limits = session.client.host, services.settings.smtp
    if not is_checked(host, services.settings.authres):
        return
    if services.client_rates is not None and not services.client_rates.take(network_of(host), services.clock.elapsed()):
        metrics.CLIENTS_REFUSED.labels("rate").inc()
        raise TooMany
    if address.partition("@")[0].lower() in ROLES:
        return
    if not session.blocklists_asked:
        session.blocklists_asked = True
        session.listed = await listed_by(services.resolver, host, limits.blocklists, limits.blocklist_timeout)
        if session.listed:
            logs.event("smtp.listed", peer=host, list=session.listed)
    if session.listed:
        metrics.CLIENTS_REFUSED.labels("blocklist").inc()
        raise Listed(host, session.listed)
