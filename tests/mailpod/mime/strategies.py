"""Messages for hypothesis: random bytes, and pieces of mail put together in any order."""

from __future__ import annotations

from hypothesis import strategies as st

_PIECES = [
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n",
    b'Content-Type: multipart/alternative;\r\n boundary="bb"\r\n\r\n',
    b"Content-Type: multipart/digest; boundary=c\n\n",
    b"Content-Type: multipart/mixed\r\n\r\n",
    b"Content-Type: message/rfc822\r\n\r\n",
    b"Content-Type: message/rfc822\n\n",
    b"Content-Type: Message/Global; message=global\r\n\r\n",
    b"Content-Type: text/html; charset=utf-8; name*0*=x''%41; =; a=\"\\\"",
    *(b"--b", b"--b\r\n", b"--b--", b"--b--\r\n", b"--bb\r\n", b"--bb--\n", b"--c\r\n", b"--c--\r\n", b"--\r\n"),
    *(b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\n\n", b"\0", b" ", b"\t", b"\xc3\xa9", b"\xff", b"{5}\r\n", b"x" * 1100),
    *(b"To: ", b"From: ", b"Sender: ", b"Subject: ", b"Date: ", b"Message-ID: ", b"X-Other: ", b"\r\n ", b"no colon"),
    *(
        b"a@b",
        b"<a@b>",
        b"<@a,@b:c@d>",
        b"g: ",
        b";",
        b",",
        b'"',
        b"\\",
        b"(",
        b")",
        b"<",
        b">",
        b"[",
        b"]",
        b"@",
        b":",
    ),
    b"Content-Transfer-Encoding: base64\r\n",
    b"Content-Transfer-Encoding: quoted-printable\r\n",
    b"Content-Disposition: attachment; filename=x\r\n",
    b"Content-Language: en, fr\r\nContent-MD5: x\r\nContent-Location: y\r\nContent-ID: <z>\r\n",
    b"=?utf-8?q?=C3=A9?= =?utf-8?b?w6k=?= =?x?b?===?=",
    b"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)",
]

messages = st.one_of(
    st.binary(max_size=300),
    st.lists(st.one_of(st.sampled_from(_PIECES), st.binary(max_size=4)), max_size=40).map(b"".join),
)
"""Any bytes at all, rich in what a mail parser looks for."""
