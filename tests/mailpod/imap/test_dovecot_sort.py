"""SEARCH, SORT and THREAD beside Dovecot 2.3 on the same odd mail: the same answers, but for what is named here."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from tests.harness.need import missing
from tests.mailpod.imap.selected import desk
from tests.mailpod.mime import dovecot
from tests.mailpod.mime.corpus import MESSAGES

KEYS = ("ARRIVAL", "DATE", "SUBJECT", "FROM", "TO", "CC", "SIZE", "DISPLAYFROM", "DISPLAYTO")


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder that Dovecot can reach when it has dropped root: pytest's own are closed to others."""
    if not dovecot.IMAP.exists():
        missing("dovecot-imapd")
    folder = Path(tempfile.mkdtemp(prefix="mailpod-sort-"))
    yield folder
    shutil.rmtree(folder)


async def differences(home: Path, messages: list[bytes], commands: list[str]) -> dict[str, tuple[str, str]]:
    """What we and Dovecot answer to these commands, where it is not the same."""
    theirs = re.findall(rb"^\* (?:SEARCH|SORT|THREAD)[^\r]*", dovecot.ask(home, messages, commands), re.MULTILINE)
    ours = []
    async with desk() as at:
        for number, message in enumerate(messages):
            await at.deliver(message, date=number)
        ann = at.select()
        ours += [(await ann.say(command)).split(b"\r\n")[0] for command in commands]
    pairs = zip(commands, ours, theirs, strict=True)
    return {command: (a.decode(), b.decode().rstrip()) for command, a, b in pairs if a != b.rstrip()}


def corpus() -> list[bytes]:
    if not MESSAGES:
        missing("test.test_email of this Python (Debian: libpython3.11-testsuite)")
    return [re.sub(rb"\r?\n", b"\r\n", path.read_bytes()) for path in MESSAGES]


# Where we differ on purpose
INNER_HEADERS = "RFC 3501 §6.4.4 BODY: the headers of parts are in the body of the message; Dovecot looks at text only"
NO_DATE = "RFC 3501 §6.4.4 SENTBEFORE: a message without a Date has none that is earlier; Dovecot takes it for 1970"
NO_SPACE = "RFC 5256 §2.2: of msg_47's Date, 00:01+0000 without a space, we read what there is, Dovecot nothing"


async def test_cpythons_messages(home: Path) -> None:
    messages = corpus()
    found = await differences(
        home,
        messages,
        [
            *(f"SORT ({key}) UTF-8 ALL" for key in KEYS),
            *(f"SORT (REVERSE {key}) UTF-8 ALL" for key in KEYS),
            *(f"THREAD {each} UTF-8 ALL" for each in ("REFERENCES", "ORDEREDSUBJECT", "REFS")),
            *(f"SEARCH {which} test" for which in ("TEXT", "BODY", "SUBJECT", "FROM", "TO")),
            *(f"SEARCH {which} 1-Jan-2001" for which in ("SENTBEFORE", "SENTON", "SENTSINCE")),
            *("SEARCH TEXT python", "SEARCH BODY the", 'SEARCH HEADER Message-ID ""', "SEARCH HEADER X-Mailer a"),
            *("SEARCH CC barry", "SEARCH LARGER 1000", "SEARCH TEXT multipart", "SEARCH BODY image"),
        ],
    )
    odd = [str(at) for at, path in enumerate(MESSAGES, 1) if path.name == "msg_47.txt"]
    for command, (ours, theirs) in found.items():
        if command.startswith("SEARCH BODY"):
            assert set(theirs.split()) < set(ours.split()), INNER_HEADERS
        elif "SENTBEFORE" in command:
            undated = [str(at) for at, message in enumerate(messages, 1) if not re.search(rb"(?mi)^Date:", message)]
            assert set(theirs.split()) - set(ours.split()) == {*undated, *odd}, NO_DATE
        else:
            ours, theirs = (re.sub(rf" {at}(?= |$)|\({at}\)", "", each) for at in odd for each in (ours, theirs))
            assert ours == theirs, NO_SPACE


SUBJECTS = [
    *("a", "Re: a", "re: b", "Fwd: a", "[x] a", "Re: [x] A (fwd)", "[fwd: b]", "=?utf-8?q?=C3=A9?=", "\xe9", "", "re:"),
    *("Re[2]: a", "RE: re: b", "[a][b]", "  a   b", "a b", "(fwd)", "=?utf-8?b?YQ==?=", "E\u0301", "fw: [x]"),
]
DATES = ["1 Feb 2000 12:00:00 +0000", "1 Feb 2000 12:00:00 +0200", "Mon, 31 Jan 2000 23:59 EST", "", "never"]
SENDERS = [
    "a@b",
    "B <a@c>",
    '"=?utf-8?q?=C3=A9?=" <z@y>',
    "g: x@y, z@y;",
    "",
    "Zed",
    "=?utf-8?q?=C3=A9?= <b@b>",
    "(A) c@d",
]


def odd(random: Random, number: int) -> bytes:
    """A message about subjects, dates, addresses and ids."""
    ids = [f"<{random.randrange(number + 3)}@x>" for _ in range(random.randrange(4))]
    fields = {
        "Message-ID": f"<{number}@x>" if random.random() < 0.9 else f"<{random.randrange(number + 1)}@x>",
        random.choice(["References", "In-Reply-To"]): " ".join(ids),
        "Subject": random.choice(SUBJECTS),
        "Date": random.choice(DATES),
        "From": random.choice(SENDERS),
        "To": random.choice(SENDERS),
    }
    return "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value).encode() + b"\r\n"


async def test_odd_messages(home: Path) -> None:
    random = Random(5)
    messages = [odd(random, number) for number in range(200)]
    found = await differences(
        home,
        messages,
        [
            *(f"SORT ({key}) UTF-8 ALL" for key in KEYS),
            *(f"THREAD {each} UTF-8 ALL" for each in ("REFERENCES", "ORDEREDSUBJECT", "REFS")),
            *("SEARCH SUBJECT a", "SEARCH FROM z", "SEARCH SENTON 1-Feb-2000", "SEARCH SENTBEFORE 1-Feb-2000"),
        ],
    )
    ours, theirs = found.pop("SEARCH SENTBEFORE 1-Feb-2000")
    undated = {str(at) for at, message in enumerate(messages, 1) if b"Date: never" in message or b"Date" not in message}
    assert set(theirs.split()) - set(ours.split()) == undated, NO_DATE
    assert found == {}
