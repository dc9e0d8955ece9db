"""Search postings that the newest checkpoint names: are they there, and what was written?

Never damage: postings decide nothing. A search that meets such a segment reads its messages, and its pod makes it anew.
"""

from __future__ import annotations

from mailpod.checksum import checksum
from mailpod.store.check.contents import Contents
from mailpod.store.check.finding import Findings
from mailpod.store.check.index import Index, MissingPage
from mailpod.store.page import BadPage
from mailpod.store.postings import SearchRef, read_terms


async def check_search(index: Index, found: Contents, findings: Findings, *, whole: bool) -> None:
    """One segment after the other, which may have tens of megabytes; read where `whole`. Raises StorageError."""
    root = index.roots.get(max(index.roots, default=0))
    for box in root.boxes if root is not None else ():
        for segment in box.mapped:
            for kind, page in await _broken(segment, index, found, whole):
                findings.add(
                    f"search-{kind}", f"{found.prefix}page/{page}",
                    f"Of the folder {box.name!r}, searches read the UIDs {segment.terms.first} to {segment.terms.last}"
                    " instead of looking them up, until a pod has met this and written it again.", severity="note",
                )  # fmt: skip


async def _broken(segment: SearchRef, index: Index, found: Contents, whole: bool) -> list[tuple[str, str]]:
    """ "missing" or "damaged", and the page that is."""
    out = []
    for ref in (segment.terms, segment.postings):
        try:
            if ref.id not in found.pages:
                raise MissingPage(ref.id)
            if ref is segment.terms:
                read_terms(await index.get(ref), ref.sum)
            elif found.pages[ref.id].size != ref.length or (whole and checksum(await index.get(ref)) != ref.sum):
                raise BadPage("other octets than were written")
        except MissingPage:
            out.append(("missing", ref.id))
        except BadPage:
            out.append(("damaged", ref.id))
    return out
