"""What a failure means, in words for the person who wrote the message, and what they can do: a table. Pure.

The enhanced status decides (RFC 3463 and its registry); where a server said none, what its words are known to mean.
`{address}`, `{domain}` (the recipient's) and `{own}` (the sender's domain) are filled in by words.py.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from mailpod.store.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Cause:
    """`what` is so, as a sentence; `advice` is what to do about it."""

    what: str
    advice: str


EXPIRED: Final = "4.4.7"

_ADMINISTRATOR: Final = "Show this notice to the administrator of your mail; you cannot mend it yourself."
_NO_USER: Final = Cause(
    "There is no such address.",
    "Check the spelling, above all what is before the @. If it is right, the person does not have this address any"
    " more: ask them in another way for the new one.",
)
_NO_DOMAIN: Final = Cause(
    "The domain {domain} does not exist.",
    "Check what is after the @: most likely a letter is missing, or one too many. Then send the message again.",
)
_NO_MAIL: Final = Cause(
    "The domain {domain} takes no mail at all: its owner says so.",
    "Check what is after the @. If it is right, reach the person in another way.",
)
_FULL: Final = Cause(
    "The mailbox is full.",
    "Only the recipient can make room. Tell them in another way, and send the message again later.",
)
_DISABLED: Final = Cause(
    "The mailbox takes no mail at present.", "Reach the person in another way, or send the message again later."
)
_TOO_LARGE: Final = Cause(
    "The message is too large for the recipient's server.",
    "Send it without its attachments, or with smaller ones, or send a link to them.",
)
_POLICY: Final = Cause(
    "The recipient's server refused the message: it takes it for spam, or has a rule against it.",
    "What it said may tell the reason. Try a plain message without links and attachments, or ask the recipient in"
    " another way to have you let through. If it happens with other recipients too, show this notice to the"
    " administrator of your mail.",
)
_UNPROVEN: Final = Cause(
    "The recipient's server was not convinced that the message is really from {own}.",
    "It is about the DNS records of {own} (SPF, DKIM, DMARC) or of its server. " + _ADMINISTRATOR,
)
_UNSAFE: Final = Cause(
    "The message was not handed over, since the connection would not have been safe: the domain asks for an encrypted"
    " connection to a server that proves its name, and there was none.",
    "Nothing was sent. Tell the recipient in another way: their administrator must mend it (a certificate is wrong, or"
    " somebody is listening in). Then send the message again.",
)
_REQUIRETLS: Final = Cause(
    "You asked for an encrypted connection all the way (REQUIRETLS), which the recipient's server does not offer.",
    "Send the message without that, if it may travel so.",
)
_NO_ANSWER: Final = Cause(
    "The recipient's server did not answer.",
    "It may be down. Ask the recipient in another way whether their mail works, and send the message again later.",
)
_NO_ROUTE: Final = Cause(
    "The recipient's mail server could not be found.",
    "Check what is after the @. If it is right, the DNS records of {domain} are broken: tell the recipient in another"
    " way.",
)
_LOOP: Final = Cause("The message went round in circles between servers.", _ADMINISTRATOR)
_BAD_ADDRESS: Final = Cause(
    "The recipient's server says that the address is not one.", "Check its spelling, and send the message again."
)
_UTF8: Final = Cause(
    "The address, or a name in the message, has letters that the recipient's server does not understand.",
    "Ask the recipient for an address of plain letters (a to z), and write the message from such a one.",
)
_LATER: Final = Cause(
    "The recipient's server asked to come back later.",
    "Send the message again later; if that fails too, reach the person in another way.",
)
_CONTENT: Final = Cause(
    "The recipient's server cannot take a message of this form.",
    "Send it again as plain text, and without attachments.",
)
_OWN: Final = Cause("This server could not handle the message.", _ADMINISTRATOR)
_OTHER: Final = Cause(
    "The recipient's server refused the message.",
    "What it said may tell the reason. If it does not, reach the person in another way.",
)

_BY_STATUS: Final[tuple[tuple[str, Cause], ...]] = (  # the first that fits; the class (4 or 5) does not matter
    (r"1\.1", _NO_USER),
    (r"1\.6", _NO_USER),  # moved, no forwarding address
    (r"1\.2", _NO_DOMAIN),
    (r"1\.3", _BAD_ADDRESS),
    (r"1\.10", _NO_MAIL),  # RFC 7505
    (r"1\.[78]", _UNPROVEN),  # the sender's address
    (r"2\.1", _DISABLED),
    (r"2\.2", _FULL),
    (r"(?:2\.3|3\.4)", _TOO_LARGE),
    (r"3\.1", _FULL),
    (r"3\.0", _OWN),
    (r"4\.[12]", _NO_ANSWER),
    (r"4\.[34]", _NO_ROUTE),
    (r"4\.6", _LOOP),
    (r"6\.7", _UTF8),
    (r"6\.[0-9]+", _CONTENT),
    (r"7\.30", _REQUIRETLS),  # RFC 8689 §5
    (r"7\.(?:4|5|10|11)", _UNSAFE),
    (r"7\.(?:2[0-9])", _UNPROVEN),  # RFC 7372
    (r"7\.[0-9]+", _POLICY),
)
_REPLY: Final = re.compile(r"[245][0-9]{2}(?:[ -]|\Z)")
_SAID_STATUS: Final = re.compile(r"[245][0-9]{2}[ -]([45]\.[0-9]{1,3}\.[0-9]{1,3})\b")
_BY_WORDS: Final[tuple[tuple[str, Cause], ...]] = (
    (r"spam|black ?list|block ?list|blocked|listed|reputation|policy|banned", _POLICY),
    (r"\bspf\b|\bdkim\b|\bdmarc\b", _UNPROVEN),
    (r"quota|mailbox (?:is )?full|over ?quota|insufficient (?:disk|storage|system)", _FULL),
    (r"too (?:large|big)|size limit|exceeds", _TOO_LARGE),
    (r"(?:no such|unknown|invalid|unrouteable) (?:user|mailbox|recipient|address)", _NO_USER),
    (r"(?:user|recipient|mailbox|address)\b.{0,40}(?:unknown|not found|not exist|unavailable|rejected)", _NO_USER),
    (r"grey ?list|gray ?list|try (?:again )?later|too many", _LATER),
)
_BY_OUR_WORDS: Final[tuple[tuple[str, Cause], ...]] = (
    (r"\btls\b|certificate|mta-sts|\bdane\b|tlsa", _UNSAFE),
    (r"\bdns\b|resolver|no address|look.?up", _NO_ROUTE),
    (r"", _NO_ANSWER),
)


def is_reply(outcome: Outcome) -> bool:
    """Whether its text is another server's: to a command, or where it did not let us in."""
    return outcome.said or (bool(outcome.host) and _REPLY.match(outcome.text) is not None)


def cause_of(outcome: Outcome) -> Cause:
    """Why a recipient did not get the message. Of one that expired, why it did not all the time."""
    if outcome.status == EXPIRED:
        return _by_words(outcome.text, _BY_WORDS if is_reply(outcome) else _BY_OUR_WORDS) or _LATER
    if outcome.status[1:] not in ("", ".0.0"):
        return _by_status(outcome.status) or _OTHER
    return _by_words(outcome.text, _BY_WORDS) or (_LATER if outcome.action == "delayed" else _OTHER)


def _by_status(status: str) -> Cause | None:
    detail = status[2:]
    return next((cause for pattern, cause in _BY_STATUS if re.match(rf"(?:{pattern})(?![0-9])", detail)), None)


def _by_words(text: str, known: Sequence[tuple[str, Cause]]) -> Cause | None:
    """A status at the beginning of what a server said comes before its words."""
    if (found := _SAID_STATUS.match(text)) and (cause := _by_status(found[1])):
        return cause
    return next((cause for pattern, cause in known if re.search(pattern, text, re.IGNORECASE)), None)
