"""SEARCH, SORT and THREAD as values (RFC 3501 §6.4.4, RFC 5256): syntax.py says what holds for all of them.

Strings are decoded by the CHARSET.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from mailpod.imap.syntax import FetchItem, SequenceSet

SELECTED: Final = "SELECTED"


@dataclass(frozen=True, slots=True)
class All:
    pass


@dataclass(frozen=True, slots=True)
class And:
    keys: tuple[SearchKey, ...]


@dataclass(frozen=True, slots=True)
class Or:
    a: SearchKey
    b: SearchKey


@dataclass(frozen=True, slots=True)
class Not:
    key: SearchKey


@dataclass(frozen=True, slots=True)
class Fuzzy:
    """RFC 6203 §3."""

    key: SearchKey


@dataclass(frozen=True, slots=True)
class Flag:
    """SEEN, UNSEEN, KEYWORD x, UNKEYWORD x …: `flag` is "\\\\Seen" or the keyword as sent."""

    flag: str
    present: bool


@dataclass(frozen=True, slots=True)
class Recent:
    """RECENT (True) and OLD (False). NEW is And((Recent(True), Flag("\\\\Seen", False)))."""

    present: bool


@dataclass(frozen=True, slots=True)
class Header:
    """HEADER, and FROM, TO, CC, BCC, SUBJECT as HEADER of that name. `name` is lower case; "" asks for presence."""

    name: bytes
    value: str


@dataclass(frozen=True, slots=True)
class Text:
    value: str


@dataclass(frozen=True, slots=True)
class Body:
    value: str


@dataclass(frozen=True, slots=True)
class DateKey:
    """Dates without time and zone, as RFC 3501 §6.4.4 compares them."""

    which: Literal["internal", "sent", "saved"]
    op: Literal["before", "on", "since"]
    date: datetime.date


@dataclass(frozen=True, slots=True)
class Size:
    op: Literal["larger", "smaller"]
    n: int


@dataclass(frozen=True, slots=True)
class Seq:
    set: SequenceSet


@dataclass(frozen=True, slots=True)
class Uid:
    set: SequenceSet


@dataclass(frozen=True, slots=True)
class Modseq:
    """RFC 7162 §3.1.5: the message's is `n` or above. Entry names are of annotations, which there are none of."""

    n: int


@dataclass(frozen=True, slots=True)
class Age:
    """RFC 5032 §2: OLDER and YOUNGER, by INTERNALDATE."""

    older: bool
    seconds: int


@dataclass(frozen=True, slots=True)
class EmailId:
    """RFC 8474 §6."""

    id: bytes


@dataclass(frozen=True, slots=True)
class ThreadId:
    """RFC 8474 §6."""

    id: bytes


SearchKey: TypeAlias = (
    All
    | And
    | Or
    | Not
    | Fuzzy
    | Flag
    | Recent
    | Header
    | Text
    | Body
    | DateKey
    | Size
    | Seq
    | Uid
    | Modseq
    | Age
    | EmailId
    | ThreadId
)


@dataclass(frozen=True, slots=True)
class Return:
    """What SEARCH is to answer (RFC 4731 §3.1, RFC 5182 §2.1, RFC 9394 §3.1): MIN, MAX, ALL, COUNT, SAVE,
    RELEVANCY (RFC 6203 §4).

    `partial` are two places among the results, from 1 on, or from -1 down, which is the last. `update`: the client is
    told what changes in the results (RFC 5267 §4.3), and shown `items` of new messages in them (RFC 5465 §7).
    """

    options: frozenset[str]
    partial: tuple[int, int] | None = None
    update: bool = False
    items: tuple[FetchItem, ...] = ()


@dataclass(frozen=True, slots=True)
class SearchArgs:
    """`charset` as sent, None when absent. A charset that is not known never gets here (NO [BADCHARSET])."""

    key: SearchKey
    charset: bytes | None
    uid: bool
    modseq: bool = False  # the program asks for MODSEQ somewhere
    returns: Return | None = None
    numbered: bool = False  # it names messages by their numbers somewhere
    fuzzy: bool = False  # it has FUZZY somewhere


@dataclass(frozen=True, slots=True)
class SortKey:
    """ARRIVAL, CC, DATE, FROM, SIZE, SUBJECT, TO (RFC 5256 §3), DISPLAYFROM, DISPLAYTO (RFC 5957 §4), RELEVANCY (RFC
    6203 §6)."""

    name: str
    reverse: bool


@dataclass(frozen=True, slots=True)
class SortArgs:
    criteria: tuple[SortKey, ...]
    search: SearchArgs


Algorithm: TypeAlias = Literal["ORDEREDSUBJECT", "REFERENCES", "REFS"]


@dataclass(frozen=True, slots=True)
class ThreadArgs:
    algorithm: Algorithm
    search: SearchArgs


@dataclass(frozen=True, slots=True)
class MailboxFilter:
    """RFC 5465 §6, RFC 7377 §2.2: SELECTED, INBOXES, PERSONAL, SUBSCRIBED; SUBTREE, SUBTREE-ONE, MAILBOXES of names."""

    kind: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MultisearchArgs:
    """ESEARCH (RFC 7377)."""

    filters: tuple[MailboxFilter, ...]
    search: SearchArgs


@dataclass(frozen=True, slots=True)
class CancelArgs:
    """CANCELUPDATE (RFC 5267 §5): the tags of searches."""

    tags: tuple[bytes, ...]


def searches_by_number(args: object) -> bool:
    """Whether these are arguments with a search program that names messages by their numbers."""
    search = args.search if isinstance(args, SortArgs | ThreadArgs | MultisearchArgs) else args
    return isinstance(search, SearchArgs) and search.numbered
