"""BODYSTRUCTURE (RFC 9051 §7.5.2) with all extension data, from the tree of parts."""

from __future__ import annotations

from mailpod.mime.envelope import envelope
from mailpod.mime.headers import Fields, unfold
from mailpod.mime.params import Params, disposition, joined, token
from mailpod.mime.structure import ENCLOSING, MESSAGE, MULTIPART, Part
from mailpod.mime.wire import NIL, nstring, string

_NO_PARTS = b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0 NIL NIL NIL NIL)'


def bodystructure(part: Part) -> bytes:
    """Wire form, parentheses included."""
    out: list[bytes] = []
    _write(part, out)
    return b"".join(out)


def _write(part: Part, out: list[bytes]) -> None:
    # one list for the whole tree: joining at every level would copy the innermost part a hundred times
    out.append(b"(")
    if part.kind == MULTIPART:
        _write_multipart(part, out)
    else:
        _write_leaf(part, out)
    out.append(b" %b)" % _common_extension(part.fields))


def _write_multipart(part: Part, out: list[bytes]) -> None:
    if not part.children:
        out.append(_NO_PARTS)  # the grammar wants one; Dovecot sends this
    for child in part.children:
        _write(child, out)
    out.append(b" %b %b" % (string(part.subtype), _params(part.params)))


def _write_leaf(part: Part, out: list[bytes]) -> None:
    kind, params = part.type.lower(), joined(part.params)
    main, sub = part.type, part.subtype
    if kind == b"text" and b"charset" not in [name.lower() for name, _ in params]:
        params = [*params, (b"charset", b"us-ascii")]  # RFC 2045 §5.2
    elif part.kind != MESSAGE and (kind == b"multipart" or (kind == b"message" and sub.lower() in ENCLOSING)):
        # beyond the limits: these types would promise clients parts or an envelope
        main, sub = b"application", b"octet-stream"
    fields = part.fields
    size = part.body_end - part.body_start
    head = (string(main), string(sub), _params(params), _text(fields, b"content-id"))
    tail = (_text(fields, b"content-description"), _encoding(fields), size)
    out.append(b"%b %b %b %b %b %b %d" % (head + tail))
    if part.kind == MESSAGE:
        child = part.children[0]
        out.append(b" %b " % envelope(child.fields))
        _write(child, out)
    if part.kind == MESSAGE or kind == b"text":
        out.append(b" %d" % part.body_lines)
    out.append(b" " + _text(fields, b"content-md5"))


def _encoding(fields: Fields) -> bytes:
    values = fields.get(b"content-transfer-encoding")
    found = token(values[0]) if values else None
    return string(found) if found else b'"7bit"'


def _common_extension(fields: Fields) -> bytes:
    """Disposition, language, location: the end of every part."""
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
    return b"(%b)" % b" ".join([b"%b %b" % (string(name), string(value)) for name, value in joined(params)])
