"""Mail addresses in the one form that they are matched and stored in.

A local part is NFC and then lower case by Unicode's simple mapping, everywhere (DECISIONS.md, "Addresses"); a domain is
A-labels in lower case. `normalize(str(normalize(x))) == normalize(x)`: whatever is stored can be read again.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final, NamedTuple

import idna

MAX_LOCAL_PART: Final = 64  # octets, RFC 5321 §4.5.3.1.1
MAX_DOMAIN: Final = 253  # characters of A-labels: RFC 5321 §4.5.3.1.2 less what the DNS spends on lengths
MAX_ADDRESS: Final = 254  # octets, RFC 5321 §4.5.3.1.3 less the path's angle brackets
_REMEMBERED: Final = 1024  # of each kind: one message has each of its addresses looked at several times

# RFC 5322 §3.2.3 atext, and RFC 6531 §3.3: any UTF-8 beyond ASCII
_ATOM: Final = r"[\w!#$%&'*+/=?^`{|}~\-\u0080-\U0010ffff]+"
_DOT_STRING: Final = re.compile(rf"{_ATOM}(\.{_ATOM})*")
# RFC 5321 §4.1.2: qtextSMTP and quoted-pairSMTP
_QUOTED: Final = re.compile(r'"((?:[ !#-\[\]-~\u0080-\U0010ffff]|\\[ -~])*)"')
_QUOTED_PAIR: Final = re.compile(r"\\(.)")
_PLAIN_LABEL: Final = re.compile(r"(?!xn--)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class Address(NamedTuple):
    """A normalised address; `str()` gives it back as it is written, quoted where it must be."""

    local: str
    domain: str

    def __str__(self) -> str:
        return f"{quote_local_part(self.local)}@{self.domain}"


@lru_cache(_REMEMBERED)
def normalize(address: str) -> Address:
    """The form that `address` is matched in. Raises ValueError, whose text names what is wrong.

    Accepts RFC 5321's Mailbox with RFC 6531's UTF-8, and no address literals: nobody has a mailbox at one here.
    """
    written, at, domain = address.rpartition("@")
    if not at:
        raise ValueError("an address needs an @ and a domain")
    normal = Address(normalize_local_part(written), normalize_domain(domain))
    if len(str(normal).encode()) > MAX_ADDRESS:
        raise ValueError(f"the address is longer than {MAX_ADDRESS} octets")
    return normal


def normalize_local_part(written: str) -> str:
    """A local part, quoted or not, unquoted and in lower case. Raises ValueError."""
    local = unicodedata.normalize("NFC", "".join(map(_lower, unicodedata.normalize("NFC", _unquoted(written)))))
    if not local:
        raise ValueError("the local part is empty")
    if any(unicodedata.category(char) in ("Cc", "Cs") for char in local):
        raise ValueError("the local part has a control character in it")
    if len(local.encode()) > MAX_LOCAL_PART:
        raise ValueError(f"the local part is longer than {MAX_LOCAL_PART} octets")
    return local


@lru_cache(_REMEMBERED)
def normalize_domain(written: str) -> str:
    """A domain as A-labels in lower case. Raises ValueError."""
    if written.startswith("["):
        raise ValueError("address literals such as [192.0.2.1] have no mailboxes")
    domain = written.lower() if written.isascii() else written
    if not all(map(_PLAIN_LABEL.fullmatch, domain.split("."))):
        try:
            domain = idna.encode(domain, uts46=True).decode("ascii")
        except (idna.IDNAError, UnicodeError) as error:
            raise ValueError(f"{written!r} is not a domain name: {error}") from None
    if domain.endswith("."):  # RFC 5321 §4.1.2: Domain has no final dot
        raise ValueError("the domain ends with a dot")
    if len(domain) > MAX_DOMAIN:
        raise ValueError(f"the domain is longer than {MAX_DOMAIN} characters")
    return domain


def untagged(local: str) -> str | None:
    """`alice` of `alice+shop+2024`: what is before the first `+`. None where there is no tag or nothing before it."""
    base, plus, _ = local.partition("+")
    return base if plus and base else None


def quote_local_part(local: str) -> str:
    """A normalised local part as it is written in an address (RFC 5321 §4.1.2 Local-part)."""
    if _DOT_STRING.fullmatch(local):
        return local
    return '"' + re.sub(r'(["\\])', r"\\\1", local) + '"'


def _unquoted(written: str) -> str:
    if quoted := _QUOTED.fullmatch(written):
        return _QUOTED_PAIR.sub(r"\1", quoted[1])
    if not _DOT_STRING.fullmatch(written):
        raise ValueError(f"{written!r} is not a local part; one with spaces or other special characters is quoted")
    return written


def _lower(char: str) -> str:
    # Unicode's simple mapping is one character long; only U+0130 has a longer full mapping, which begins with it
    return char.lower()[0]
