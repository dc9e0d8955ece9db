"""The oracle itself: it must see what is lost, doubled, damaged or from nowhere."""

from __future__ import annotations

from tests.crash.ledger import Ledger


def test_the_ledger_sees_each_fault() -> None:
    ledger = Ledger(1)
    kept, kept_message = ledger.letter(["a@x.test"])
    lost, _ = ledger.letter(["a@x.test", "b@x.test"])
    damaged, damaged_message = ledger.letter(["b@x.test"])
    open_, open_message = ledger.letter(["b@x.test"])
    for identity in (kept, lost, damaged):
        ledger.acknowledge(identity)
    fine = ledger.judge({"a@x.test": [kept_message], "c@x.test": []})
    assert fine.lost == [f"a@x.test {lost}"]
    verdict = ledger.judge(
        {
            "a@x.test": [kept_message, b"Received: x\r\n" + kept_message],
            "b@x.test": [damaged_message[:-3] + b"!\r\n", open_message, kept_message, b"nonsense"],
        }
    )
    assert verdict.doubled == [f"a@x.test {kept}"]
    assert verdict.lost == [f"a@x.test {lost}", f"b@x.test {lost}"]
    assert [text.partition(":")[0] for text in verdict.damaged[:1]] == [f"b@x.test {damaged}"]
    assert len(verdict.damaged) == 2
    assert verdict.foreign == [f"b@x.test {kept}"]
    assert open_ not in str(verdict)
    assert verdict
