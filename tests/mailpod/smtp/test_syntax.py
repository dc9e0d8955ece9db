"""Command lines as values."""

from __future__ import annotations

from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailpod.smtp.syntax import (
    MailParameters,
    Path,
    SyntaxProblem,
    mail_parameters,
    parse_path,
    rcpt_parameters,
    split_command,
)


@pytest.mark.parametrize(
    ("line", "command"),
    [
        (b"QUIT", ("QUIT", "")),
        (b"quit ", ("QUIT", "")),
        (b"ehlo client.example", ("EHLO", "client.example")),
        (b"MAIL FROM:<a@b> SIZE=1", ("MAIL", "FROM:<a@b> SIZE=1")),
        ("RCPT TO:<ä@b>".encode(), ("RCPT", "TO:<ä@b>")),
    ],
)
def test_split_command(line: bytes, command: tuple[str, str]) -> None:
    assert split_command(line) == command


@pytest.mark.parametrize(
    "line", [b"", b" QUIT", b"MA\xefL", b"\x16\x03\x01", b"NOOP \x00", b"NOOP a\tb", b"NOOP \xff", b"X" * 17, b"A-B"]
)
def test_split_command_refuses(line: bytes) -> None:
    with pytest.raises(SyntaxProblem) as refused:
        split_command(line)
    assert refused.value.reply[:6] in ("500 5.", "501 5.")


@pytest.mark.parametrize(
    ("argument", "path"),
    [
        ("TO:<a@b.example>", Path("a@b.example")),
        ("to: <a@b.example> ", Path("a@b.example")),
        ("TO:a@b.example", Path("a@b.example")),
        ("TO:<>", Path("")),
        ("TO:<postmaster>", Path("postmaster")),
        ('TO:<"a b"@c>', Path('"a b"@c')),
        (r'TO:<"a\">b"@c> X=1', Path(r'"a\">b"@c', {"X": "1"})),
        ('TO:<"a@b:c"@d>', Path('"a@b:c"@d')),
        ("TO:<@one,@two:a@b>", Path("a@b")),
        ("TO:<a@[192.0.2.1]>", Path("a@[192.0.2.1]")),
        ("TO:<a@b> SIZE=10 body=8BITMIME SMTPUTF8", Path("a@b", {"SIZE": "10", "BODY": "8BITMIME", "SMTPUTF8": None})),
    ],
)
def test_parse_path(argument: str, path: Path) -> None:
    assert parse_path(argument, "TO:") == path


@pytest.mark.parametrize(
    "argument",
    [
        "",
        "<a@b>",
        "FROM:<a@b>",
        "TO:",
        "TO:<a@b",
        "TO:<<a@b>>",
        "TO:<a b@c>",
        'TO:<"a@b>',
        "TO:<a@b>X=1",
        "TO:<a@b> X=",
        "TO:<a@b> X=1 x=2",
        "TO:<a@b> -=1",
        "TO:<@one:>",
        "TO:a@b c@d=1",
        "TO:<" + "a" * 1025 + ">",
    ],
)
def test_parse_path_refuses(argument: str) -> None:
    with pytest.raises(SyntaxProblem):
        parse_path(argument, "TO:")


def test_mail_parameters() -> None:
    given_ = {"SIZE": "12", "BODY": "8bitmime", "SMTPUTF8": None, "AUTH": "<>"}
    assert mail_parameters(given_, auth=True) == MailParameters(12, True)
    assert mail_parameters({}, auth=False) == MailParameters(None, False)
    assert mail_parameters({"REQUIRETLS": None}, auth=False, tls=True).require_tls


@pytest.mark.parametrize(
    ("given_", "code"),
    [
        ({"SIZE": None}, "501"),
        ({"SIZE": "-1"}, "501"),
        ({"SIZE": "1" * 21}, "501"),
        ({"BODY": "BINARYMIME"}, "501"),
        ({"SMTPUTF8": "1"}, "501"),
        ({"REQUIRETLS": None}, "555"),
        ({"AUTH": "<>"}, "555"),
        ({"RET": "HDRS"}, "555"),
    ],
)
def test_mail_parameters_refuses(given_: dict[str, str | None], code: str) -> None:
    with pytest.raises(SyntaxProblem) as refused:
        mail_parameters(given_, auth=False)
    assert refused.value.reply.startswith(code)


def test_rcpt_parameters() -> None:
    rcpt_parameters({})
    with pytest.raises(SyntaxProblem):
        rcpt_parameters({"NOTIFY": "NEVER"})


@given(st.binary(max_size=200))
def test_any_line_is_a_command_or_a_problem(line: bytes) -> None:
    try:
        verb, argument = split_command(line)
    except SyntaxProblem as problem:
        assert problem.reply[0] == "5"
    else:
        assert verb.isalpha() and verb == verb.upper()
        assert argument.isprintable() or not argument.isascii()


@given(st.text(alphabet='<>@:," \\aé=.[]\t', max_size=40))
def test_any_argument_is_a_path_or_a_problem(text: str) -> None:
    try:
        path = parse_path("FROM:" + text, "FROM:")
    except SyntaxProblem as problem:
        assert problem.reply[0] == "5"
    else:
        assert not path.address.startswith("<")


LOCAL = st.one_of(
    st.from_regex(r"[a-z0-9!#$%&'*+/=?^_`{|}~-]{1,10}", fullmatch=True),
    st.text(alphabet='ab <>@:,;.\\"', min_size=1, max_size=10).map(
        lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    ),
)


@given(LOCAL, st.sampled_from(["example.com", "xn--bcher-kva.example", "[192.0.2.1]", "[IPv6:::1]"]), st.booleans())
def test_every_address_survives(local: str, domain: str, routed: bool) -> None:
    address = f"{local}@{domain}"
    route = "@relay.example:" if routed else ""
    assert parse_path(f"TO:<{route}{address}>", "TO:").address == address


def read(line: bytes) -> None:
    """All that a line of MAIL and RCPT goes through."""
    try:
        _, argument = split_command(line)
        parameters = parse_path(argument, "FROM:").parameters
        mail_parameters(parameters, auth=True, binary=True, tls=True)
    except SyntaxProblem:
        pass


@pytest.mark.parametrize("start", [b"MAIL FROM:", b"MAIL FROM:<", b'MAIL FROM:<"', b"MAIL FROM:<a@b> ", b""])
@pytest.mark.parametrize(
    "filler", [b" ", b"a", b"@a,", b"<", b">", b'"', b"\\", b".", b":", b"[", b"A=b ", b"=", b"\xc3\xa4"]
)
def test_time_is_linear(start: bytes, filler: bytes) -> None:
    """Sixteen times the line may cost that many times as much, with much noise; quadratic would be 256 times."""

    def seconds(count: int) -> float:
        began = process_time()
        read(start + filler * count)
        return process_time() - began

    small = min(seconds(2_000) for _ in range(3))
    assert min(seconds(32_000) for _ in range(3)) < 48 * small + 0.02
