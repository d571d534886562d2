"""What storage can refuse.

StorageError
├── StorageUnavailable  the database cannot be reached or is locked
├── StorageConflict     a row does not fit to what is stored; what it belongs to may have been deleted
├── WrongKey            the key does not belong to this database
├── NewerSchema         the database was written by a newer Undertone
├── UnknownSession      no session has this id
├── TooManyShares       a session has as many live links as it may have
└── AlreadyServed       another process serves this SQLite file
"""

from __future__ import annotations

from typing import ClassVar


class StorageError(Exception):
    """Base of all errors of storage; the text is a sentence for the person."""

    code: ClassVar[str] = "storage_error"
    retryable: ClassVar[bool] = False


class StorageUnavailable(StorageError):
    code = "storage_unavailable"
    retryable = True


class StorageConflict(StorageError):
    code = "storage_conflict"


class WrongKey(StorageError):
    code = "wrong_key"


class NewerSchema(StorageError):
    code = "newer_schema"


class UnknownSession(StorageError):
    code = "unknown_session"


class AlreadyServed(StorageError):
    code = "already_served"


class TooManyShares(StorageError):
    code = "too_many_shares"
