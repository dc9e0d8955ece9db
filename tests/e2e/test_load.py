"""The load generator: what its ledger finds wrong, and the whole of it against a local Mailpod that is killed."""

from __future__ import annotations

import json
import random
import signal
import time
from collections.abc import Iterable

import pytest
from tests.conftest import MakeMailpod
from tests.e2e.load import Tally, longest_gap
from tests.e2e.load_ledger import Fate, Ledger, Letter, Stored
from tests.e2e.loading import Loading
from tests.harness.server import Mailpod

ANN, BOB, POP = "ann@load.test", "bob@load.test", "pop@load.test"


def sent(ledger: Ledger, *recipients: str, fate: Fate = Fate.ACKNOWLEDGED) -> tuple[Letter, Stored]:
    """A letter that came so far, and as what it is stored."""
    letter = ledger.letter(recipients)
    stored = Stored.of(letter.data)
    if fate is Fate.ACKNOWLEDGED:
        ledger.acknowledge(letter)
    letter.fate = fate
    return letter, stored


def wrong(ledger: Ledger, **found: Iterable[Stored]) -> dict[str, list[str]]:
    """What the verdict has, by its fields, with mailboxes by their local parts."""
    verdict = ledger.judge({f"{name}@load.test": list(messages) for name, messages in found.items()})
    fields = ("lost", "doubled", "damaged", "foreign", "flags")
    return {name: getattr(verdict, name) for name in fields if getattr(verdict, name)}


def test_what_was_acknowledged_is_there_once_in_each_mailbox() -> None:
    ledger = Ledger(1)
    first, one = sent(ledger, ANN)
    both, two = sent(ledger, ANN, BOB)
    assert wrong(ledger, ann=[one, two], bob=[two]) == {}
    assert wrong(ledger, ann=[two], bob=[two]) == {"lost": [f"{ANN} {first.identity}"]}
    assert wrong(ledger, ann=[one, two], bob=[]) == {"lost": [f"{BOB} {both.identity}"]}
    assert wrong(ledger, ann=[one, one, two], bob=[two]) == {"doubled": [f"{ANN} {first.identity}"]}


def test_an_unknown_one_is_there_once_at_most_and_an_unsent_one_never() -> None:
    ledger = Ledger(1)
    unknown, one = sent(ledger, ANN, fate=Fate.SENT)
    unsent, two = sent(ledger, ANN, fate=Fate.OPEN)
    assert wrong(ledger, ann=[]) == wrong(ledger, ann=[one]) == {}
    assert wrong(ledger, ann=[one, one]) == {"doubled": [f"{ANN} {unknown.identity}"]}
    assert wrong(ledger, ann=[two]) == {"foreign": [f"{ANN} {unsent.identity}"]}
    assert ledger.unknown == 1


def test_a_message_is_whole_and_its_own_recipients() -> None:
    ledger = Ledger(1)
    letter = ledger.letter([ANN])
    cut = Stored.of(letter.data[:-1])
    whole = Stored.of(b"Received: from here\r\n" + letter.data)
    ledger.acknowledge(letter)
    assert wrong(ledger, ann=[cut]) == {"damaged": [f"{ANN} {letter.identity}"]}
    assert wrong(ledger, ann=[whole], bob=[whole]) == {"foreign": [f"{BOB} {letter.identity}"]}
    assert Stored.of(b"Subject: not ours\r\n\r\n") == Stored("", False)


def test_deletions_by_pop3() -> None:
    ledger = Ledger(1, [POP])
    (gone, one), (half, two), (_, three) = (sent(ledger, POP) for _ in range(3))
    ledger.deleted.add((POP, gone.identity))
    ledger.deleting.add((POP, half.identity))
    assert wrong(ledger, pop=[three]) == wrong(ledger, pop=[two, three]) == {}
    assert wrong(ledger, pop=[one, three]) == {"foreign": [f"{POP} {gone.identity}"]}
    assert ledger.floor(POP) == 0


def test_flags_are_what_was_acknowledged() -> None:
    ledger = Ledger(1)
    letter, plain = sent(ledger, ANN)
    flagged = Stored(letter.identity, True, frozenset({"\\Flagged"}))
    assert wrong(ledger, ann=[flagged])["flags"]

    before = ledger.moment
    marks = ledger.claim(ANN, letter.identity)
    assert marks is not None
    assert ledger.claim(ANN, letter.identity) is None, "one client at a time"
    assert wrong(ledger, ann=[flagged]) == wrong(ledger, ann=[plain]) == {}, "it may be either while it changes"
    ledger.marked(marks, frozenset({"\\Flagged"}))
    assert wrong(ledger, ann=[flagged]) == {}
    assert wrong(ledger, ann=[plain])["flags"]
    assert not ledger.wrong_flags(ANN, plain, before), "asked before the change, shown what was then"
    assert ledger.wrong_flags(ANN, plain, ledger.moment)

    marks = ledger.claim(ANN, letter.identity)
    assert marks is not None
    ledger.unsure(marks)
    assert wrong(ledger, ann=[flagged]) == wrong(ledger, ann=[plain]) == {}
    assert ledger.claim(ANN, letter.identity) is None, "what nobody knows is not changed again"


def test_the_longest_time_without_service() -> None:
    assert longest_gap([1.0, 2.0, 6.0], 7.0) == 4.0
    assert longest_gap([], 7.0) == 7.0
    tally = Tally(times={"message": [1.0, 9.0], "imap": [5.0]})
    assert tally.gaps(10.0) == {"message": 8.0, "imap": 5.0, "any": 4.0}


def loading(server: Mailpod, *, messages: int, sessions: int) -> Loading:
    target = server.target()
    assert target.ca is not None
    accounts = [(account.address, account.password) for account in server.accounts]
    return Loading(
        host=target.host,
        hostname=target.hostname,
        ports=target.ports,
        ca=target.ca.read_text(),
        accounts=accounts,
        drained=[accounts[-1][0]],
        seed=int(time.time()) % 100_000,
        messages=messages,
        sessions=sessions,
        message_rate=30,
        session_rate=30,
    )


@pytest.mark.slow
def test_local_pods_stopped_and_killed_in_turn_under_load(make_mailpod: MakeMailpod) -> None:
    """What the cluster's test asks, of one machine: a client sees nothing worse than a reconnect."""
    server = make_mailpod(accounts=6, pods=3)
    rng = random.Random()
    with loading(server, messages=600, sessions=600) as load:
        for number in range(40):
            if number >= 6 and load.latest.get("cuts"):
                break  # until then no kill met a client: a session is over in some milliseconds
            time.sleep(2)
            pods = server.pod_processes()
            rng.choice(pods).send_signal(signal.SIGKILL if number % 2 else signal.SIGTERM)
        result = load.finish()
    print(json.dumps(result))
    assert result["faults"] == []
    assert not any(result["verdict"].values()), result["verdict"]
    assert result["message"] >= 600
    assert result["imap"] + result["pop3"] >= 600
    assert result["cuts"], "no kill met a client, so nothing was shown"
