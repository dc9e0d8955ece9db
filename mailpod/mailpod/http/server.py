"""/metrics, /healthz and /readyz. Answered from memory at once; a body or another method is refused."""

from __future__ import annotations

from http import HTTPStatus
from typing import ClassVar, Final

from prometheus_client import REGISTRY
from prometheus_client.exposition import choose_encoder

from mailpod.http.health import Health
from mailpod.http.request import HttpError, Request, parse_request
from mailpod.net.wire import Wire
from mailpod.services import Services

_IDLE: Final = 60.0
_TEXT: Final = "text/plain; charset=utf-8"


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
                self._answer(HTTPStatus(error.status), b"", _TEXT, head=False, keep=False)
                return
            if request is None:
                return
            self._serve(request, keep=request.keep_alive and not buffer)

    def on_drain(self) -> None:
        """Nothing: probes are answered until the process ends."""

    def _serve(self, request: Request, *, keep: bool) -> None:
        """Answer. Who sends more before the answer is not waited for: its answers could pile up unread."""
        status, body, kind = self._page(request)
        self._answer(status, body, kind, head=request.method == "HEAD", keep=keep)

    def _page(self, request: Request) -> tuple[HTTPStatus, bytes, str]:
        if request.path not in ("/metrics", "/healthz", "/readyz"):
            return HTTPStatus.NOT_FOUND, b"not found\n", _TEXT
        if request.method not in ("GET", "HEAD"):
            return HTTPStatus.METHOD_NOT_ALLOWED, b"GET or HEAD\n", _TEXT
        if request.path == "/metrics":
            encode, kind = choose_encoder(request.accept)  # OpenMetrics has the exemplars
            return HTTPStatus.OK, encode(REGISTRY), kind
        if request.path == "/healthz":
            verbose = "verbose" in request.query
            return HTTPStatus.OK, self._health.report().encode() if verbose else b"ok\n", _TEXT
        faults = self._health.faults()
        status = HTTPStatus.SERVICE_UNAVAILABLE if faults else HTTPStatus.OK
        return status, ("\n".join(faults or ["ready"]) + "\n").encode(), _TEXT

    def _answer(self, status: HTTPStatus, body: bytes, kind: str, *, head: bool, keep: bool) -> None:
        lines = [
            f"HTTP/1.1 {status.value} {status.phrase}",
            f"Content-Type: {kind}",
            f"Content-Length: {len(body)}",
            "Cache-Control: no-store",
            f"Connection: {'keep-alive' if keep else 'close'}",
        ]
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            lines.append("Allow: GET, HEAD")
        self.write(("\r\n".join(lines) + "\r\n\r\n").encode() + (b"" if head else body))
        if not keep:
            self.close()
