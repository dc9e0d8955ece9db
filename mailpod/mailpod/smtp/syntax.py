"""SMTP command lines as values: no I/O, no state, never anything but SyntaxProblem for a bad one.

A path keeps the sender's spelling: matching (lower case, A-labels) is mailpod.addresses' work.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

_VERB: Final = re.compile(rb"([A-Za-z]{1,16})(?: +(.*))?")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
# RFC 5321 §4.1.2 Quoted-string or anything up to the end of a path; RFC 6531 §3.3 adds UTF-8 to both
_PATH: Final = re.compile(r'<((?:"(?:[^"\\]|\\.)*"|[^"<>\s])*)>')
_BARE_PATH: Final = re.compile(r'((?:"(?:[^"\\]|\\.)*"|[^"<>\s])+)')
_ROUTE: Final = re.compile(r"@[^:,\"]+(?:,@[^:,\"]+)*:")
# RFC 5321 §4.1.2: esmtp-keyword and esmtp-value
_PARAMETER: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*)(?:=([^\x00-\x20=\x7f]+))?")
_CHUNK: Final = re.compile(r"([0-9]{1,20})(?: +(LAST))?", re.ASCII | re.IGNORECASE)
_URL: Final = re.compile(r"([!-~]+)(?: +(LAST))?", re.IGNORECASE)
_AUTH_VALUE: Final = re.compile(r"<>|(?:[!-*,-<>-~]|\+[0-9A-F]{2})+")
_MAX_PATH: Final = 1024  # octets; RFC 5321 §4.5.3.1.3 asks for 256, and old source routes are longer


class SyntaxProblem(Exception):
    """A command that does not parse. `reply` is what the client is told."""

    def __init__(self, reply: str) -> None:
        self.reply = reply
        super().__init__(reply)


@dataclass(frozen=True, slots=True)
class Path:
    """The argument of MAIL or RCPT: the address without brackets and source route ("" is the null reverse-path)."""

    address: str
    parameters: dict[str, str | None] = field(default_factory=dict)


def split_command(line: bytes) -> tuple[str, str]:
    """Verb in upper case and argument of a line without its CRLF. Raises SyntaxProblem.

    The argument is UTF-8 (RFC 6531 §3.7.1); control characters, NUL among them, are refused wherever they stand.
    """
    match = _VERB.fullmatch(line)
    if match is None:
        raise SyntaxProblem("500 5.5.2 Syntax error, command not recognized")
    verb, argument = match.groups()
    try:
        text = argument.decode() if argument else ""
    except UnicodeDecodeError:
        raise SyntaxProblem("501 5.5.4 Argument is not UTF-8") from None
    if _CONTROL.search(text):
        raise SyntaxProblem("501 5.5.4 Argument has a control character in it")
    return verb.decode("ascii").upper(), text.strip(" ")


def parse_path(argument: str, keyword: str) -> Path:
    """`FROM:<address> PARAMETER=value …` or `TO:…`. Raises SyntaxProblem."""
    if argument[: len(keyword)].upper() != keyword:
        raise SyntaxProblem(f"501 5.5.4 Syntax: {keyword}<address>")
    rest = argument[len(keyword) :].lstrip(" ")  # RFC 5321 §3.3 has no space here, and many clients send one
    match = (_PATH if rest.startswith("<") else _BARE_PATH).match(rest)
    if match is None:
        raise SyntaxProblem("501 5.1.3 Bad address syntax")
    address = match[1]
    if len(address.encode()) > _MAX_PATH:
        raise SyntaxProblem("501 5.1.3 Address is too long")
    if route := _ROUTE.match(address):  # RFC 5321 §4.1.1.3: source routes are stripped
        address = address[route.end() :]
        if not address:
            raise SyntaxProblem("501 5.1.3 Bad address syntax")
    return Path(address, _parameters(rest[match.end() :]))


def _parameters(text: str) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    if text and not text.startswith(" "):
        raise SyntaxProblem("501 5.5.4 Bad parameter syntax")
    for word in text.split():
        match = _PARAMETER.fullmatch(word)
        if match is None:
            raise SyntaxProblem("501 5.5.4 Bad parameter syntax")
        name = match[1].upper()
        if name in found:
            raise SyntaxProblem(f"501 5.5.4 Parameter {name} is there twice")
        found[name] = match[2]
    return found


@dataclass(frozen=True, slots=True)
class MailParameters:
    """What MAIL said besides its path. `size` is None where it was not declared."""

    size: int | None
    smtputf8: bool
    binary: bool = False
    require_tls: bool = False


def mail_parameters(
    given: dict[str, str | None], *, auth: bool, binary: bool = False, tls: bool = False
) -> MailParameters:
    """Checked parameters of MAIL; `auth` allows RFC 4954's AUTH=, `binary` RFC 3030's BODY=, `tls` RFC 8689's
    REQUIRETLS. Raises SyntaxProblem."""
    bodies = ("7BIT", "8BITMIME", "BINARYMIME") if binary else ("7BIT", "8BITMIME")
    size: int | None = None
    for name, value in given.items():
        if name == "SIZE":  # RFC 1870 §5: 1 to 20 digits
            if value is None or not re.fullmatch(r"[0-9]{1,20}", value):
                raise SyntaxProblem("501 5.5.4 Syntax: SIZE=<octets>")
            size = int(value)
        elif name == "BODY":  # RFC 6152 §3
            if value is None or value.upper() not in bodies:
                raise SyntaxProblem(f"501 5.5.4 BODY is {' or '.join(bodies)}")
        elif name == "SMTPUTF8":  # RFC 6531 §3.4
            if value is not None:
                raise SyntaxProblem("501 5.5.4 SMTPUTF8 takes no value")
        elif name == "REQUIRETLS" and tls:  # RFC 8689 §2 (5): only under TLS, where it is offered
            if value is not None:
                raise SyntaxProblem("501 5.5.4 REQUIRETLS takes no value")
        elif name == "AUTH" and auth:  # RFC 4954 §5: it may be ignored, and is: who logged in is known
            if value is None or not _AUTH_VALUE.fullmatch(value):
                raise SyntaxProblem("501 5.5.4 AUTH is xtext or <>")
        else:
            raise SyntaxProblem(f"555 5.5.4 Parameter {name} is not known")
    binary = (given.get("BODY") or "").upper() == "BINARYMIME"
    return MailParameters(size, "SMTPUTF8" in given, binary, "REQUIRETLS" in given)


def parse_chunk(argument: str) -> tuple[int, bool]:
    """The argument of BDAT: octets, and whether they are the last (RFC 3030 §2). Raises SyntaxProblem."""
    match = _CHUNK.fullmatch(argument)
    if match is None:
        raise SyntaxProblem("501 5.5.4 Syntax: BDAT <octets> [LAST]")
    return int(match[1]), match[2] is not None


def parse_url(argument: str) -> tuple[str, bool]:
    """The argument of BURL: a URL, and whether it is the last (RFC 4468 §3). Raises SyntaxProblem."""
    match = _URL.fullmatch(argument)
    if match is None:
        raise SyntaxProblem("501 5.5.4 Syntax: BURL <url> [LAST]")
    return match[1], match[2] is not None


def rcpt_parameters(given: dict[str, str | None]) -> None:
    """No parameter of RCPT is offered. Raises SyntaxProblem."""
    for name in given:
        raise SyntaxProblem(f"555 5.5.4 Parameter {name} is not known")
