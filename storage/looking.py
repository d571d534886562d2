"""A look at a database that changes nothing in it, before it is copied or an older schema is migrated."""

from __future__ import annotations

from dataclasses import dataclass

from storage.database import Database
from storage.faults import in_words
from storage.identity import Identity
from storage.schema import REVISION, Meta


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    revision: str | None
    """The schema's revision; None: there are no tables yet."""
    fingerprint: str | None
    """Of the key that the database belongs to; None: it has none yet."""

    @property
    def is_older(self) -> bool:
        """Whether this program would migrate it."""
        return self.revision is not None and self.revision < REVISION

    def fits(self, key: bytes) -> bool:
        """Whether `key` (32 bytes) opens it."""
        return self.fingerprint in (None, Identity(key).fingerprint)


async def look_at(url: str) -> Look:
    """Raises StorageUnavailable, StorageError."""
    database = Database.at(url)
    try:
        with in_words("The database cannot be opened"):
            revision, _ = await database.revision()
        async with database.transaction() as db:
            key = None if revision is None else await db.get(Meta, "key")
            return Look(revision=revision, fingerprint=None if key is None else key.value)
    finally:
        await database.close()
