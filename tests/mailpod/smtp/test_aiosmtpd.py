"""What Mailpod relies on of aiosmtpd's inside. A new version is taken after a look at connection.py and this list."""

from __future__ import annotations

import asyncio
import inspect

import aiosmtpd
from aiosmtpd.smtp import SMTP, Envelope, Session

from mailpod.smtp.connection import Connection
from mailpod.smtp.server import MailSmtp
from mailpod.smtp.session import COMMANDS

REVIEWED = "1.4.6"

# Methods of SMTP that Connection and MailSmtp replace: none of them is called with its own body any more.
REPLACED = {
    "__init__", "connection_made", "connection_lost", "eof_received", "data_received", "pause_writing",
    "resume_writing", "push", "_handle_client", "_create_envelope", "_set_rset_state",
}  # fmt: skip


def test_version() -> None:
    assert aiosmtpd.__version__ == REVIEWED


def test_what_is_replaced_exists_and_is_replaced() -> None:
    for name in REPLACED:
        assert hasattr(SMTP, name), name
        assert name in vars(Connection), name


def test_every_command_is_ours() -> None:
    inherited = {name.removeprefix("smtp_") for name in dir(SMTP) if name.startswith("smtp_")}
    assert inherited <= set(COMMANDS)
    for name in COMMANDS:
        ours = getattr(MailSmtp, f"smtp_{name}")
        assert ours is not getattr(SMTP, f"smtp_{name}", None), name


def test_hooks_are_called_as_we_expect() -> None:
    parameters = list(inspect.signature(SMTP._call_handler_hook).parameters)
    assert parameters == ["self", "command", "args"]
    assert {"_handle_hooks", "session", "envelope"} <= set(SMTP._call_handler_hook.__code__.co_names)


async def test_session_and_envelope_have_the_fields_we_use() -> None:
    assert {"mail_from", "rcpt_tos", "smtp_utf8", "content"} <= set(vars(Envelope()))
    assert {"peer", "ssl", "host_name", "extended_smtp", "authenticated"} <= set(
        vars(Session(asyncio.get_running_loop()))
    )
