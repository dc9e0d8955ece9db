"""/metrics, /healthz and /readyz. Answered from memory at once; a body or another method is refused."""

from __future__ import annotations

from http import HTTPStatus
from typing import ClassVar, Final

from prometheus_client import REGISTRY
from prometheus_client.exposition import choose_encoder

from mailpod.http.answer import NOT_FOUND, ONLY_GET, Answer
from mailpod.http.health import Health
from mailpod.http.request import HttpError, Request, parse_request
from mailpod.net.wire import Wire
from mailpod.services import Services

_IDLE: Final = 60.0


class HttpSession(Wire):
    """One connection, of one request after the other."""

    __slots__ = ("_health",)
    protocol: ClassVar[str] = "http"

    def __init__(self, services: Services, health: Health) -> None:
        super().__init__(services)
        self._health = health
        self.idle_timeout = _IDLE

    def on_input(self, buffer: bytearray) -> None:
        while buffer and not self.closing:
            try:
                request = parse_request(buffer)
            except HttpError as error:
                self._send(Answer(HTTPStatus(error.status)), head=False, keep=False)
                return
            if request is None:
                return
            self._serve(request, keep=request.keep_alive and not buffer)

    def on_drain(self) -> None:
        """Nothing: probes are answered until the process ends."""

    def _serve(self, request: Request, *, keep: bool) -> None:
        """Answer. Who sends more before the answer is not waited for: its answers could pile up unread."""
        self._send(self._page(request), head=request.method == "HEAD", keep=keep)

    def _page(self, request: Request) -> Answer:
        if request.path not in ("/metrics", "/healthz", "/readyz"):
            return NOT_FOUND
        if request.method not in ("GET", "HEAD"):
            return ONLY_GET
        if request.path == "/metrics":
            encode, kind = choose_encoder(request.accept)  # OpenMetrics has the exemplars
            return Answer(HTTPStatus.OK, encode(REGISTRY), kind)
        if request.path == "/healthz":
            verbose = "verbose" in request.query
            return Answer(HTTPStatus.OK, self._health.report().encode() if verbose else b"ok\n")
        faults = self._health.faults()
        status = HTTPStatus.SERVICE_UNAVAILABLE if faults else HTTPStatus.OK
        return Answer(status, ("\n".join(faults or ["ready"]) + "\n").encode())

    def _send(self, answer: Answer, *, head: bool, keep: bool) -> None:
        self.write(answer.encoded(head=head, keep=keep))
        if not keep:
            self.close()
