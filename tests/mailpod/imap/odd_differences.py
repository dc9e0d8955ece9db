"""Where Mailpod answers odd mail otherwise than Dovecot 2.3, and the line that decides it.

Nothing here is a matter of taste: a difference without such a line is mended. An entry that is no difference any more
fails the test, as a difference without an entry does.
"""

from __future__ import annotations

from typing import Final

# FETCH: by letter, the line and the items that differ
_STRUCTURE: Final = ("BODY", "BODYSTRUCTURE")
_NO_TYPE: Final = "RFC 2045 §5.2: what is no type is text/plain; Dovecot sends an empty string for type or subtype"
_BASE64: Final = (
    "RFC 2045 §6.8: characters outside the alphabet are ignored, what is cut short is decoded as far as it \
goes; Dovecot refuses all BINARY parts of such a message with NO [PARSE], or ends the connection"
)
_LINE_END: Final = "RFC 2046 §5.1.1: the line end after an inner closing boundary is the outer boundary's; Dovecot \
counts it to the part"


def _binary(*numbers: str, size_alone: tuple[str, ...] = ()) -> tuple[str, ...]:
    both = [f"{item}[{number}]" for number in numbers for item in ("BINARY", "BINARY.SIZE")]
    return (*both, *(f"BINARY.SIZE[{number}]" for number in size_alone))


FETCH: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "msg_14.txt": (_NO_TYPE, _STRUCTURE),
    "mimetools/multi-digest.msg": (_NO_TYPE, _STRUCTURE),
    "msg_33.txt": ("RFC 9051 §7.5.2: no order of parameters is given; Dovecot sorts coded ones", ("BODYSTRUCTURE",)),
    "msg_15.txt": (_BASE64, _binary("1.2", "2", size_alone=("1.1",))),
    "msg_39.txt": (_BASE64, _binary("1.1.1", "1.1.2", "1.2.1", "1.2.2", "1.3.1", "1.3.2", "2")),
    "mimetools/frag.msg": (_BASE64, _binary("1", "2.1", "2.2.1", "2.2.2.1", "2.2.2.2")),
    "mimetools/multi-frag.msg": (_BASE64, _binary("2", "3.1", "3.2", "4", "5.1", size_alone=("1",))),
    "mimetools/double-semicolon.msg": (
        "RFC 2045 §5.1: `;;` has no parameter; we read the boundary after it, Dovecot has it end the parameters",
        (*_STRUCTURE, *_binary("1", "2"), "BODY[1]", "BODY[1.MIME]", "BODY[2]", "BODY[2.MIME]"),
    ),
    "mimetools/hdr-fakeout.msg": (
        "RFC 5322 §2.1: a header may be all there is; without the empty line Dovecot forgets its Content- fields",
        _STRUCTURE,
    ),
    "basic-plain-with-bad-header-separator.msg": (
        "RFC 5322 §3.3: folded white space after a date is not of the date; Dovecot leaves a space of it",
        ("ENVELOPE",),
    ),
    "boundary-name-clash.msg": (_LINE_END, ("BODY[1]",)),
    "missing-inner-start-boundary.msg": (_LINE_END, ("BODY[2]",)),
}

# SORT and THREAD: letters that stand in another place, by what is sorted by
ORDER: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "msg_47.txt": (
        "RFC 5256 §2.2: of its Date, 00:01+0000 without a space, we read what there is, Dovecot none",
        ("DATE",),
    ),
    "8-bit-header": (
        "RFC 5255 §4.6: what cannot be decoded comes last, by its octets; Dovecot has unknown characters there",
        ("SUBJECT", "DISPLAYFROM"),
    ),
}

# SEARCH
UNDATED: Final = "RFC 3501 §6.4.4 SENTBEFORE: a message without a Date has none that is earlier; for Dovecot it is 1970"
PART_HEADERS: Final = "RFC 3501 §6.4.4 BODY: headers of parts are in the body of the message; not so for Dovecot"
NO_ADDRESS: Final = "RFC 3501 §6.4.4 FROM: MISSING_MAILBOX stands in no field; Dovecot finds the x in it"
NOT_TEXT: Final[dict[str, str]] = {
    **dict.fromkeys(
        ("msg_17.txt", "msg_25.txt", "msg_31.txt", "msg_33.txt", "multipartnopart.msg", "mimetools/badbound.msg"),
        "RFC 3501 §6.4.4 TEXT: a multipart without parts has a body too; Dovecot leaves it out",
    ),
    **dict.fromkeys(
        ("msg_14.txt", "mimetools/multi-digest.msg", "mimetools/double-semicolon.msg"),
        "RFC 3501 §6.4.4 BODY: what FETCH has above as text is in the body; Dovecot leaves it out",
    ),
    "mimetools/x-gzip64.msg": "RFC 3501 §6.4.4 BODY: an encoding that is not known is the body; Dovecot leaves it out",
}
