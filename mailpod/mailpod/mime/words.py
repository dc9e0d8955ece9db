"""Header text with its RFC 2047 encoded words undone."""

from __future__ import annotations

import re
from collections.abc import Callable

from mailpod.mime.charsets import base64, decode, q_word
from mailpod.mime.headers import split_lines, unfold

_WORD = re.compile(rb"=\?([^?\s]+)\?([bBqQ])\?([^?]*)\?=")


def decode_header(raw: bytes, text: Callable[[bytes, str], str] = decode) -> str:
    """A raw field value as text: unfolded, encoded words decoded, each run of octets by `text` with its charset.

    Raises what `text` does (`decode` nothing); what is not an encoded word stays as it stands.
    """
    value = unfold(raw)
    if b"=?" not in value:
        return text(value, "")
    out: list[str] = []
    run: list[bytes] = []  # decoded octets of neighbours in one charset: real mail splits characters between words
    charset = b""
    at = 0
    for word in _WORD.finditer(value):
        between = value[at : word.start()]
        neighbour = at > 0 and not between.strip(b" \t\r\n")
        # RFC 2231 §5: a language may follow the charset after "*"
        name = word[1].partition(b"*")[0].lower()
        if run and not (neighbour and name == charset):
            out.append(text(b"".join(run), charset.decode("latin-1")))
            run = []
        # RFC 2047 §6.2: white space between two encoded words is not shown
        if not neighbour:
            out.append(text(between, ""))
        run.append(base64(word[3]) if word[2] in b"bB" else q_word(word[3]))
        charset, at = name, word.end()
    if run:
        out.append(text(b"".join(run), charset.decode("latin-1")))
    out.append(text(value[at:], ""))
    return "".join(out)


def decode_block(raw: bytes) -> str:
    """A whole header block as text, one field a line."""
    return "\n".join([decode_header(line) for line in split_lines(raw)])
