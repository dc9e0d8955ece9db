"""HTTPS for people and their mail clients: set-up page, autoconfig, autodiscover, Apple's profile; and MTA-STS.

- One request a connection: nothing here is asked for twice in a row.
- A client that is silent for `web.timeout` is closed; head and body are bounded.
- Nothing is told of an address: neither whether it exists, nor what it may use.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import ClassVar, Final
from urllib.parse import parse_qs

from mailpod import logs
from mailpod.errors import MailError
from mailpod.http import autoconfig, autodiscover, mobileconfig, mtasts, setuppage
from mailpod.http.answer import NOT_FOUND, ONLY_GET, Answer
from mailpod.http.request import HttpError, Request, parse_request
from mailpod.http.site import Site, site_of
from mailpod.net.wire import Wire
from mailpod.services import Services

_GET: Final = ("GET", "HEAD")
_AWAY: Final = Answer(HTTPStatus.SERVICE_UNAVAILABLE, b"try again later\n", fields={"Retry-After": "30"})


class WebSession(Wire):
    """One connection."""

    __slots__ = ("_request",)
    protocol: ClassVar[str] = "https"

    def __init__(self, services: Services) -> None:
        super().__init__(services, implicit_tls=True)
        self._request: Request | None = None
        self.idle_timeout = services.settings.web.timeout

    def on_input(self, buffer: bytearray) -> None:
        try:
            request = self._request or parse_request(buffer)
        except HttpError as error:
            self._send(Answer(HTTPStatus(error.status)))
            return
        if request is None or self.closing:
            return
        self._request = request
        if not 0 <= request.length <= self.services.settings.web.body_bytes:
            self._send(
                Answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE if request.length > 0 else HTTPStatus.LENGTH_REQUIRED)
            )
        elif len(buffer) >= request.length:
            body = bytes(buffer[: request.length])
            self.pause()
            self.spawn(self._serve(request, body))

    def on_drain(self) -> None:
        """Nothing: an answer takes no time."""

    async def _serve(self, request: Request, body: bytes) -> None:
        try:
            answer = await self._answer(request, body)
        except MailError:
            answer = _AWAY
        self._send(answer, head=request.method == "HEAD")

    async def _answer(self, request: Request, body: bytes) -> Answer:
        services = self.services
        address = _address(request, body)
        site = await site_of(
            request.host, services.directory, services.settings.web, own=services.settings.hostname, address=address
        )
        if site is None:
            return NOT_FOUND
        if request.path.lower() == autodiscover.PATH:
            return _discovered(site, request, address)
        if request.path not in ("/", mobileconfig.PATH, mtasts.PATH, *autoconfig.PATHS):
            return NOT_FOUND
        if request.method not in _GET:
            return ONLY_GET
        if request.path in autoconfig.PATHS:
            return Answer(HTTPStatus.OK, autoconfig.document(site), autoconfig.KIND)
        if request.path == mtasts.PATH:
            policy = mtasts.document(site)
            return NOT_FOUND if policy is None else Answer(HTTPStatus.OK, policy)
        if request.path == mobileconfig.PATH:
            return await self._profile(site, site.address(address))
        page = setuppage.page(site, site.address(address), request.port)
        return Answer(HTTPStatus.OK, page, setuppage.KIND, setuppage.FIELDS)

    async def _profile(self, site: Site, address: str) -> Answer:
        """Signed, where there is a certificate that can: a device takes an unsigned one too, with a warning."""
        profile = mobileconfig.profile(site, address)
        pair = self.services.tls.pair_for(site.by)
        if pair is not None:
            try:
                profile = await asyncio.to_thread(mobileconfig.signed, profile, pair.certificate, pair.key)
            except (OSError, ValueError, TypeError) as error:
                logs.event("web.profile_not_signed", level="warning", domain=site.domain, error=str(error))
        fields = {"Content-Disposition": 'attachment; filename="mail.mobileconfig"'}
        return Answer(HTTPStatus.OK, profile, mobileconfig.KIND, fields)

    def _send(self, answer: Answer, *, head: bool = False) -> None:
        self.write(answer.encoded(head=head, keep=False))
        self.close()


def _discovered(site: Site, request: Request, address: str) -> Answer:
    """Outlook posts whom it asks for; a GET, as some clients begin with, is told what is missing."""
    if request.method != "POST":
        return Answer(HTTPStatus.METHOD_NOT_ALLOWED, b"POST\n", fields={"Allow": "POST"})
    known = site.address(address)
    if not known:
        return Answer(HTTPStatus.BAD_REQUEST, b"no EMailAddress of this domain\n")
    return Answer(HTTPStatus.OK, autodiscover.document(site, known), autodiscover.KIND)


def _address(request: Request, body: bytes) -> str:
    """Whose settings are asked for: by the form, by Thunderbird's query, or in Outlook's body."""
    if request.method == "POST":
        return autodiscover.address_in(body)
    try:
        query = parse_qs(request.query, max_num_fields=10)
    except ValueError:
        return ""
    return next((values[0].strip() for name in ("address", "emailaddress") if (values := query.get(name))), "")
