"""BODYSTRUCTURE (RFC 9051 §7.5.2) with all extension data, from the tree of parts."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from mailpod.mime.envelope import envelope
from mailpod.mime.headers import Fields, unfold
from mailpod.mime.params import Params, disposition, joined, token
from mailpod.mime.partheader import MESSAGE, MULTIPART, PartHeader
from mailpod.mime.structure import Part
from mailpod.mime.wire import NIL, nstring, string

_NO_PARTS = b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0 NIL NIL NIL NIL)'

_REMEMBERED: Final = 256  # names of types and parameters
_EXTENSION = (b"content-disposition", b"content-language", b"content-location")


def bodystructure(part: Part) -> bytes:
    """Wire form, parentheses included."""
    out: list[bytes] = []
    _write(part, out)
    return b"".join(out)


def _write(part: Part, out: list[bytes]) -> None:
    # one list for the whole tree: joining at every level would copy the innermost part a hundred times
    if part.kind == MULTIPART:
        _write_multipart(part, out)
    else:
        _write_leaf(part, out)


def _write_multipart(part: Part, out: list[bytes]) -> None:
    out.append(b"(")
    if not part.children:
        out.append(_NO_PARTS)  # the grammar wants one; Dovecot sends this
    for child in part.children:
        _write(child, out)
    header = part.header
    end = (_word(header.subtype), _params(header.params), _common_extension(header.fields))
    out.append(b" %b %b %b)" % end)


def _write_leaf(part: Part, out: list[bytes]) -> None:
    header = part.header
    if part.kind != header.kind:
        before, behind = _around_size(header, beyond=True)
    else:
        if header.wire is None:
            header.wire = _around_size(header)
        before, behind = header.wire
    size = part.body_end - part.body_start
    if part.kind == MESSAGE:
        child = part.children[0]
        out.append(b"%b%d %b " % (before, size, envelope(child.header.fields)))
        _write(child, out)
        out.append(b" %d%b" % (part.body_lines, behind))
    elif header.is_text:
        out.append(b"%b%d %d%b" % (before, size, part.body_lines, behind))
    else:
        out.append(b"%b%d%b" % (before, size, behind))


def _around_size(header: PartHeader, beyond: bool = False) -> tuple[bytes, bytes]:
    """What stands before the size of a leaf, and behind its lines. `beyond`: the limits let it be nothing else."""
    main, sub, params, fields = header.type, header.subtype, joined(header.params), header.fields
    if header.is_text and b"charset" not in [name.lower() for name, _ in params]:
        params = [*params, (b"charset", b"us-ascii")]  # RFC 2045 §5.2
    elif beyond:
        # these types would promise clients parts or an envelope
        main, sub = b"application", b"octet-stream"
    head = (string(main), string(sub), _params(params), _text(fields, b"content-id"))
    before = b"(%b %b %b %b %b %b " % (*head, _text(fields, b"content-description"), _encoding(fields))
    return before, b" %b %b)" % (_text(fields, b"content-md5"), _common_extension(fields))


def _encoding(fields: Fields) -> bytes:
    values = fields.get(b"content-transfer-encoding")
    found = token(values[0]) if values else None
    return string(found) if found else b'"7bit"'


def _common_extension(fields: Fields) -> bytes:
    """Disposition, language, location: the end of every part."""
    if fields.keys().isdisjoint(_EXTENSION):
        return b"NIL NIL NIL"
    return b"%b %b %b" % (_disposition(fields), _language(fields), _text(fields, b"content-location"))


def _disposition(fields: Fields) -> bytes:
    values = fields.get(b"content-disposition")
    found = disposition(values[0]) if values else None
    return b"(%b %b)" % (string(found[0]), _params(found[1])) if found else NIL


def _language(fields: Fields) -> bytes:
    values = fields.get(b"content-language")
    tags = [token(piece) for piece in values[0].split(b",")] if values else []
    found = b" ".join([string(tag) for tag in tags if tag])
    return b"(%b)" % found if found else NIL


def _text(fields: Fields, name: bytes) -> bytes:
    """A field of a part as nstring; of several the first counts, as in Dovecot."""
    values = fields.get(name)
    return nstring(unfold(values[0])) if values else NIL


def _params(params: Params) -> bytes:
    if not params:
        return NIL
    if len(params) > 1 or b"*" in params[0][0]:
        return b"(%b)" % b" ".join([b"%b %b" % (_word(name), string(value)) for name, value in joined(params)])
    name, value = params[0]
    return b"(%b %b)" % (_word(name), string(value))


@lru_cache(_REMEMBERED)
def _word(word: bytes) -> bytes:
    """As `string`, of a name: there are few."""
    return string(word)
