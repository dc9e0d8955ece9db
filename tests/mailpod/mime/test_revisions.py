"""message/global in BODYSTRUCTURE: RFC 9051 §7.5.2 and §9, RFC 3501 §9."""

from __future__ import annotations

from hypothesis import given
from tests.mailpod.mime.grammar import check_body, read
from tests.mailpod.mime.strategies import messages

from mailpod.mime.revisions import structures_for
from mailpod.mime.scan import scan
from mailpod.mime.sections import body_from_bodystructure

INNER = "Subject: größe\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nzwei\r\n".encode()
DATA = b"Content-Type: message/global; message=global\r\nContent-MD5: x\r\n\r\n" + INNER
BASIC = b'"message" "global" ("message" "global") NIL NIL "7bit" %d' % len(INNER)


def test_to_each_its_own() -> None:
    (rev2,) = structures_for([scan(DATA).bodystructure], rev2=True)
    assert rev2.startswith(b"(" + BASIC + b" (NIL ")
    assert rev2.endswith(
        b') ("text" "plain" ("charset" "utf-8") NIL NIL "7bit" 6 1 NIL NIL NIL NIL) 4 "x" NIL NIL NIL)'
    )
    (rev1,) = structures_for([rev2], rev2=False)
    assert rev1 == b"(" + BASIC + b' "x" NIL NIL NIL)'
    assert body_from_bodystructure(rev1) == b"(" + BASIC + b")"
    assert body_from_bodystructure(rev2).endswith(b'"text" "plain" ("charset" "utf-8") NIL NIL "7bit" 6 1) 4)')


def test_what_was_kept_before_promises_nothing() -> None:
    before = b"(" + BASIC + b' "x" NIL NIL NIL)'
    assert structures_for([before], rev2=False) == [before]
    assert structures_for([before], rev2=True) == [
        before.replace(b'"message" "global"', b'"application" "octet-stream"', 1)
    ]


@given(messages)
def test_any_message(data: bytes) -> None:
    kept = scan(data).bodystructure
    (rev1,), (rev2,) = structures_for([kept], rev2=False), structures_for([kept], rev2=True)
    assert rev2 == kept
    check_body(read(rev1), extension=True, enclosing=(b"rfc822",))
    check_body(read(body_from_bodystructure(rev1)), extension=False, enclosing=(b"rfc822",))
    check_body(read(structures_for([rev1], rev2=True)[0]), extension=True)
