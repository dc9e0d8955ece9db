"""The checkpoints of one account as one pod finds them: which there are, and the newest that is whole.

- One that turned out not to be whole is passed over for as long as the account is open (STORE.md rule 9).
- A LIST that fails is Unavailable, never "there is none".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..clock import Clock
from ..errors import AccountReadOnly, Unavailable
from ..logs import event
from .checkpoint import decode_root, load_state
from .mailbox import Mailbox
from .names import checkpoint_sequence
from .objects import NotFound, ObjectStore, StorageError
from .ops import PageRef, UnknownOperation
from .page import BadPage
from .state import State


class Checkpoints:
    """Raises Unavailable."""

    def __init__(self, objects: ObjectStore, prefix: str, clock: Clock, attach: Callable[[Mailbox], None]) -> None:
        self._objects = objects
        self._prefix = prefix
        self._clock = clock
        self._attach = attach
        self._distrusted: set[int] = set()
        self.listed = 0  # the newest that the last `load` saw, whole or not
        self.listed_at = 0.0  # when the LIST for `newest` was sent

    async def load(self) -> tuple[State, int]:
        """The state that the newest one says, and its sequence; the empty state and 0 where there is none.

        Raises AccountReadOnly where it has what this version does not know.
        """
        entries = await self._list(limit=4 + len(self._distrusted))
        self.listed = checkpoint_sequence(entries[0]) if entries else 0
        for key in self._trusted(entries):
            try:
                root = decode_root(await self._objects.get(key))
                return await load_state(root, self._get_page, self._attach), root.seq
            except (BadPage, NotFound) as error:
                event("store.checkpoint.damaged", key=key, error=str(error))
                self._distrusted.add(checkpoint_sequence(key))
            except StorageError as error:
                raise Unavailable from error
            except UnknownOperation as error:
                event("store.checkpoint.unknown", key=key, error=str(error))
                raise AccountReadOnly from error
        state = State()
        state.new_mailbox = self._attach
        return state, 0

    async def last(self) -> int:
        """The sequence of the newest in the bucket, whole or not, or 0."""
        entries = await self._list(limit=1)
        return checkpoint_sequence(entries[0]) if entries else 0

    async def newest(self) -> int:
        """The sequence of the newest in the bucket that is not known to be damaged, or 0."""
        self.listed_at = self._clock.elapsed()
        newest = self._trusted(await self._list(limit=1 + len(self._distrusted)))
        return checkpoint_sequence(newest[0]) if newest else 0

    def distrust(self, sequence: int) -> None:
        """It turned out not to be whole (STORE.md rule 9): it is passed over from now on."""
        event("store.checkpoint.incomplete", level="error", account=self._prefix, sequence=sequence)
        self._distrusted.add(sequence)

    def _trusted(self, keys: Sequence[str]) -> list[str]:
        return [key for key in keys if checkpoint_sequence(key) not in self._distrusted]

    async def _get_page(self, ref: PageRef) -> bytes:
        return await self._objects.get(f"{self._prefix}page/{ref.id}")

    async def _list(self, limit: int) -> list[str]:
        try:
            entries = await self._objects.list(f"{self._prefix}checkpoint/", limit=limit)
        except StorageError as error:
            raise Unavailable from error
        return [entry.key for entry in entries]
