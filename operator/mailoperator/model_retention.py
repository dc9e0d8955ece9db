"""How long a Mailbox keeps what is in its folders."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import AfterValidator, Field, StrictInt, StringConstraints

from mailoperator.model_base import Matching, Model, by_key, rule


class FolderRetention(Model):
    """A folder, and how long what comes into it stays there."""

    folder: Annotated[
        str,
        StringConstraints(max_length=255),
        Matching(r"^[^/\x00-\x1f\x7f]+(/[^/\x00-\x1f\x7f]+)*$", "a folder's name"),
    ]
    """Its name, with `/` between levels. Trash, Junk, Sent, Drafts and Archive are the folder of that use, whatever it
    is called. Folders below it have entries of their own."""
    days: Annotated[StrictInt, Field(ge=1, le=36_500)]
    """A message that came into the folder longer ago is deleted, by when it came there and not by its date."""

    @rule("self.folder == 'INBOX' || self.folder.lowerAscii() != 'inbox'", "INBOX is written in capitals", ".folder")
    def _inbox(self) -> bool:
        return self.folder == "INBOX" or self.folder.lower() != "inbox"


def _once(entries: list[FolderRetention]) -> list[FolderRetention]:
    folders = [entry.folder for entry in entries]
    if twice := [name for number, name in enumerate(folders) if name in folders[:number]]:
        raise ValueError(f'"{twice[0]}" stands twice')
    return entries


Retention: TypeAlias = Annotated[list[FolderRetention], Field(max_length=20), AfterValidator(_once), by_key("folder")]
