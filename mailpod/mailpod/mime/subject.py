"""Base subject (RFC 5256 §2.1), for SORT and THREAD. Linear in the subject."""

from __future__ import annotations

import re

_WHITE = re.compile(r"[ \t\r\n]+")
_BLOBS = re.compile(r"(?: ?\[[^\[\]]*\] ?)* ?")
_REFWD = re.compile(r"(?:re|fwd?) ?(?:\[[^\[\]]*\] ?)?:", re.IGNORECASE)


def subject_base(subject: str) -> tuple[str, bool]:
    """The pair (base subject, whether it is a reply or forward) of a decoded subject."""
    text = _WHITE.sub(" ", subject)  # step 1
    start, end, reply = 0, len(text), False
    while True:
        end, trailer = _without_trailer(text, start, end)
        start, leader = _without_leader(text, start, end)
        reply = reply or trailer or leader
        # step 6: "[fwd:" … "]" around all of it
        if text[start : start + 5].lower() != "[fwd:" or not text.endswith("]", start, end):
            return text[start:end], reply
        start, end, reply = start + 5, end - 1, True


def _without_trailer(text: str, start: int, end: int) -> tuple[int, bool]:
    """Step 2: "(fwd)" and white space at the end."""
    found = False
    while end > start:
        if text[end - 1] == " ":
            end -= 1
        elif text[max(start, end - 5) : end].lower() == "(fwd)":
            end, found = end - 5, True
        else:
            break
    return end, found


def _without_leader(text: str, start: int, end: int) -> tuple[int, bool]:
    """Steps 3 to 5: "Re:", "Fwd:" and "[blobs]" at the front; a blob stays where nothing would be left."""
    found = False
    while True:
        blobs = _BLOBS.match(text, start, end)
        after = blobs.end() if blobs else start
        refwd = _REFWD.match(text, after, end)
        if refwd is None:
            break
        start, found = refwd.end(), True
    if after < end:
        return after, found
    opening = text.rfind("[", start, end)
    return (opening if opening >= 0 else end), found
