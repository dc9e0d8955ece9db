"""What guests may do by the log, told by an implementation of its own: who was granted what, after which commit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from mailpod.store import Who, ops
from mailpod.store.ops import Header
from mailpod.store.state import State

from .truth import Broken, number_of

GUEST = "guest"
GUESTS = (Who(f"{GUEST}@x.test", "first"), Who(f"{GUEST}@x.test", "second"))
"""One address, and two accounts that had it: what one was granted is nothing to the other."""

_Grants = dict[str, tuple[str, str]]  # by address: incarnation and rights


class Guests:
    """Of one address's accounts. `brought`: messages by number, and keywords, each with the guest that it is of."""

    def __init__(self) -> None:
        self.brought: dict[int | str, Who] = {who.incarnation: who for who in GUESTS}
        self._grants: dict[tuple[str, int], list[tuple[int, _Grants]]] = defaultdict(lambda: [(0, {})])
        self._open: dict[str, int] = defaultdict(int)  # prefix -> grants without an answer, ever
        self.sure: set[str] = set()  # prefixes whose every grant was acknowledged

    def check(self, prefix: str, header: Header, before: State) -> None:
        """Before a commit is applied: what guests do in it must be allowed by what it follows. Raises Broken."""
        if header.seq != before.head + 1 or header.prev != before.head_id:
            return
        for box, who, right in self._done(header):
            if right not in self.rights(prefix, box, who):
                raise Broken(f"commit {header.seq} of {prefix}: {who} had no right {right} in mailbox {box}")

    def _done(self, header: Header) -> Iterator[tuple[int, Who, str]]:
        for op in header.ops:
            if isinstance(op, ops.Append) and (who := self.brought.get(_number(op))):
                yield op.box, who, "i"
            elif isinstance(op, ops.Flags):
                yield from ((op.box, self.brought[flag], "w") for flag in op.add if flag in self.brought)

    def follow(self, prefix: str, header: Header) -> None:
        """After it was applied."""
        for op in header.ops:
            if isinstance(op, ops.Grant):
                history = self._grants[prefix, op.box]
                grants = {**history[-1][1], op.who: (op.incarnation, op.rights)}
                history.append((header.seq, grants))

    def rights(self, prefix: str, box: int, who: Who, since: int | None = None) -> str:
        """Now; with `since`, all that they had at that commit or later."""
        history, out = self._grants[prefix, box], ""
        first = max(at for at, (seq, _) in enumerate(history) if since is None or seq <= since)
        for _, grants in history[first if since is not None else -1 :]:
            incarnation, rights = grants.get(who.address, ("", ""))
            out += rights if incarnation == who.incarnation else ""
        return out

    def listed(self, prefix: str, box: int) -> bool:
        """Whether somebody at the guests' address may look up the mailbox."""
        return any("l" in self.rights(prefix, box, who) for who in GUESTS)

    def asked(self, prefix: str) -> None:
        self._open[prefix] += 1
        self.sure.discard(prefix)

    def answered(self, prefix: str) -> None:
        self._open[prefix] -= 1
        if not self._open[prefix]:
            self.sure.add(prefix)


def _number(op: ops.Append) -> int:
    return number_of(op.rec.env)
