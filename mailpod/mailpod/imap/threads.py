"""THREAD's algorithms (RFC 5256 §3; REFS, as Dovecot and Cyrus have it), on numbers. No I/O.

Invariants: a message stands in exactly one place; no loop, whatever the references say; nothing recurses, so a chain
may be as long as a mailbox. A message is its place in what was asked for; numbers from the count of messages on are
dummies, and only the root of a thread is one (step 3).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from mailpod.mime.keys import Ids, Subject

_HIGHEST: Final = 1000  # ancestors looked at for a loop: what is deeper is not linked


@dataclass(slots=True)
class Forest:
    """`roots` in order, and who is below whom, in order."""

    roots: list[int]
    children: dict[int, list[int]] = field(default_factory=dict)

    def wire(self, numbers: Sequence[int]) -> bytes:
        """The threads of a THREAD response; `numbers` has those of the messages."""
        children = self.children
        words = list(map(b"%d".__mod__, numbers))
        alone = list(map(b"(%d)".__mod__, numbers))
        out: list[bytes] = []
        for root in self.roots:
            if root in children:
                self._thread(root, words, alone, out)
            else:
                out.append(alone[root])
        return b"".join(out)

    def _thread(self, root: int, words: Sequence[bytes], alone: Sequence[bytes], out: list[bytes]) -> None:
        """One thread of several messages."""
        children = self.children
        waiting: list[int | bytes] = [b")", root, b"("]
        while waiting:
            each = waiting.pop()
            if isinstance(each, bytes):
                out.append(each)
                continue
            below = children.get(each, ())
            if each < len(words):
                out.append(words[each])
                if below:
                    out.append(b" ")
            if len(below) == 1:  # RFC 5256 §4 thread-members: a run without parentheses
                waiting.append(below[0])
                continue
            for node in reversed(below):
                if node in children:
                    waiting.extend((b")", node, b"("))
                else:
                    waiting.append(alone[node])


def by_subject(subjects: Sequence[Subject], dates: Sequence[int]) -> Forest:
    """ORDEREDSUBJECT: the earliest message of each base subject, and the others below it."""
    order = sorted(range(len(dates)), key=lambda at: (subjects[at].base, dates[at]))
    groups = [list(group) for _, group in groupby(order, key=lambda at: subjects[at].base)]
    groups.sort(key=lambda group: (dates[group[0]], group[0]))
    return Forest([group[0] for group in groups], {group[0]: group[1:] for group in groups if len(group) > 1})


def by_references(ids: Sequence[Ids], subjects: Sequence[Subject], dates: Sequence[int]) -> Forest:
    """REFERENCES."""
    links = _Links(ids)
    forest = _pruned(links.parents, len(ids))
    threads = _Threads(forest, subjects, dates)
    threads.sort_roots()
    threads.merge()
    threads.sort()
    return forest


def by_latest(ids: Sequence[Ids], dates: Sequence[int]) -> Forest:
    """REFS (draft-ietf-morg-inthread): no subject joins threads, and each stands where its latest message would."""
    count = len(ids)
    forest = _pruned(_Links(ids).parents, count)
    latest: dict[int, int] = {}

    def when(node: int) -> int:
        return latest[node] if node in latest else dates[node]

    for node in _youngest_first(forest.roots, forest.children):
        below = forest.children[node]
        latest[node] = max(*map(when, below), dates[node] if node < count else when(below[0]))
        below.sort(key=lambda child: (dates[child], child))
    forest.roots.sort(key=lambda root: (when(root), root))
    return forest


class _Links:
    """Step 1. Nodes below the count of messages are messages, the others ids that no message has (so far)."""

    def __init__(self, ids: Sequence[Ids]) -> None:
        self._nodes: dict[bytes, int] = {}
        for at, each in enumerate(ids):
            if each.own:
                self._nodes.setdefault(each.own, at)  # of several with one id, only the first has it
        self.parents = [-1] * len(ids)
        self._above = {-1}  # who has, or had, somebody below
        for at, each in enumerate(ids):
            if each.references:
                self._link(at, each)
            else:
                self.parents[at] = -1  # step 1 (B): its last reference is NIL, whatever others said before

    def _link(self, at: int, ids: Ids) -> None:
        parents, nodes = self.parents, self._nodes
        before = -1
        for name in ids.references:
            node = nodes.get(name)
            if node is None:
                node = nodes[name] = len(parents)
                parents.append(before)
                self._above.add(before)
            # step 1 (A): no link is changed, and none makes a loop
            elif before >= 0 and parents[node] < 0 and not self._is_above(node, before):
                parents[node] = before
                self._above.add(before)
            before = node
        # step 1 (B): a message's own references count more than what others said of it
        if parents[at] != before:
            parents[at] = -1
            if not self._is_above(at, before):
                parents[at] = before
                self._above.add(before)

    def _is_above(self, node: int, below: int) -> bool:
        if node not in self._above:
            return node == below
        for _ in range(_HIGHEST):
            if below == node:
                return True
            if below < 0:
                return False
            below = self.parents[below]
        return True


def _pruned(parents: Sequence[int], count: int) -> Forest:
    """Steps 2 and 3: dummies without children go, and those below others give their place to their children."""
    children: dict[int, list[int]] = {}
    for node, parent in enumerate(parents):
        if parent >= 0:
            children.setdefault(parent, []).append(node)
    roots = [node for node, parent in enumerate(parents) if parent < 0]
    for node in _youngest_first(roots, children):
        if max(children[node]) < count:
            continue
        kept: list[int] = []
        for child in children[node]:
            kept += [child] if child < count else children.pop(child, ())
        if kept:
            children[node] = kept
        else:
            del children[node]
    out = []
    for root in roots:
        if root < count:
            out.append(root)
        elif len(children.get(root, ())) == 1:  # step 3 (B): an only child may become a root
            out += children.pop(root)
        elif root in children:
            out.append(root)
    return Forest(out, children)


def _youngest_first(roots: Iterable[int], children: dict[int, list[int]]) -> list[int]:
    """Everyone with children, each after all that are below."""
    out = [root for root in roots if root in children]
    for node in out:
        out += [child for child in children[node] if child in children]
    return out[::-1]


class _Threads:
    """Steps 4 to 6."""

    def __init__(self, forest: Forest, subjects: Sequence[Subject], dates: Sequence[int]) -> None:
        self._forest = forest
        self._subjects = subjects
        self._count = len(dates)
        self._next = max([self._count - 1, *forest.roots, *forest.children]) + 1  # dummy
        self._ages = [0] * self._count  # place by date, and of one date by number
        for age, at in enumerate(sorted(range(self._count), key=dates.__getitem__)):
            self._ages[at] = age

    def _speaker(self, root: int) -> int:
        """Who stands for a thread: of a dummy, its first child."""
        return root if root < self._count else self._forest.children[root][0]

    def _by_age(self, nodes: list[int]) -> None:
        if max(nodes, default=0) < self._count:
            nodes.sort(key=self._ages.__getitem__)
        else:
            nodes.sort(key=lambda node: self._ages[self._speaker(node)])

    def sort_roots(self) -> None:
        """Step 4: only the messages under the root, and of dummies their children."""
        for root in self._forest.roots:
            if root >= self._count:
                self._by_age(self._forest.children[root])
        self._by_age(self._forest.roots)

    def merge(self) -> None:
        """Step 5: threads of one base subject become one."""
        roots = self._forest.roots
        bases = [self._subjects[root if root < self._count else self._speaker(root)].base for root in roots]
        table: dict[str, int] = {}
        for root, base in zip(roots, bases, strict=True):  # (B)
            if base and (base not in table or self._speaks_better(root, table[base])):
                table[base] = root
        kept = []
        merged: dict[int, int] = {}
        for root, base in zip(roots, bases, strict=True):  # (C)
            first = table.get(base, root)
            if first == root:
                kept.append(root)
            elif merged.get(first, first) >= self._count:
                self._below_dummy(merged.get(first, first), root)
            elif self._reply(root) and not self._reply(first):
                self._forest.children.setdefault(first, []).append(root)
            else:
                merged[first] = self._both(first, root)
        self._forest.roots = [merged.get(root, root) for root in kept]

    def _reply(self, root: int) -> bool:
        return self._subjects[self._speaker(root)].reply

    def _speaks_better(self, root: int, other: int) -> bool:
        """Step 5 (B) (iv)."""
        if other >= self._count:
            return False
        return root >= self._count or (self._reply(other) and not self._reply(root))

    def _below_dummy(self, dummy: int, root: int) -> None:
        own = [root] if root < self._count else self._forest.children.pop(root)
        self._forest.children[dummy] += own

    def _both(self, first: int, root: int) -> int:
        """A new dummy above two messages."""
        dummy, self._next = self._next, self._next + 1
        self._forest.children[dummy] = [first, root]
        return dummy

    def sort(self) -> None:
        """Step 6: siblings by date, the youngest generation first; then the threads."""
        children = self._forest.children
        for node in _youngest_first(self._forest.roots, children):
            if len(children[node]) > 1:
                self._by_age(children[node])
        self._by_age(self._forest.roots)
