"""Mozilla's remote control, Marionette: commands as `length:JSON` over a socket, answered in order.

Protocol: https://firefox-source-docs.mozilla.org/testing/marionette/Protocol.html
"""

from __future__ import annotations

import base64
import json
import socket
from typing import Any


class MarionetteError(AssertionError):
    """The program refused a command, or the script threw."""


class Marionette:
    """One session, whose scripts run with the program's own rights (`chrome` context)."""

    def __init__(self, port: int, *, script_seconds: float) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=script_seconds + 10)
        self._number = 0
        self._receive()  # who it is, and its protocol's version
        self.command("WebDriver:NewSession", capabilities={})
        self.command("WebDriver:SetTimeouts", script=int(script_seconds * 1000))
        self.command("Marionette:SetContext", value="chrome")

    def command(self, name: str, **parameters: Any) -> Any:
        """[type, id, name, parameters], answered by [type, id, error, result]."""
        self._number += 1
        message = json.dumps([0, self._number, name, parameters]).encode()
        self._socket.sendall(b"%d:%b" % (len(message), message))
        _, number, error, result = self._receive()
        assert number == self._number
        if error:
            raise MarionetteError(f"{name}: {error['error']}: {error['message']}\n{error.get('stacktrace', '')}")
        return result

    def run(self, script: str, *arguments: object) -> Any:
        """What a script returns; it may `await`."""
        body = (
            "const done = arguments[arguments.length - 1];"
            f"(async (...args) => {{ {script} }})(...Array.prototype.slice.call(arguments, 0, -1))"
            ".then(value => done([null, value ?? null]), error => done([`${error}\\n${error?.stack}`, null]));"
        )
        answer = self.command("WebDriver:ExecuteAsyncScript", script=body, args=list(arguments), sandbox=None)
        error, value = answer["value"]
        if error:
            raise MarionetteError(f"{error}\nin: {script.strip()}")
        return value

    def screenshot(self) -> bytes:
        """The window that has the session, as PNG."""
        answer = self.command("WebDriver:TakeScreenshot", full=True, hash=False)
        return base64.b64decode(answer["value"])

    def close(self) -> None:
        self._socket.close()

    def _receive(self) -> Any:
        length = b""
        while not length.endswith(b":"):
            length += self._exactly(1)
        return json.loads(self._exactly(int(length[:-1])))

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self._socket.recv(count - len(data))
            if not piece:
                raise MarionetteError("the program has gone")
            data += piece
        return data
