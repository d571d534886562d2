"""What SQLAlchemy and the drivers raise, in words: what happened, and what to do where that is known."""

from __future__ import annotations

import os
import sqlite3
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm.exc import StaleDataError

from storage.errors import StorageConflict, StorageError, StorageUnavailable

_REMEDIES: Final = {
    "SQLITE_NOTADB": "Restore the file from a backup, or move it away: the next start makes a new one.",
    "SQLITE_CORRUPT": "Restore the file from a backup, or move it away: the next start makes a new one.",
    "SQLITE_FULL": "Make room on the disk.",
    "SQLITE_READONLY": "Let this user write to the file and its folder.",
    "SQLITE_CANTOPEN": "Let this user write to the file and its folder.",
}

_OF_ROWS: Final = (
    StorageConflict,
    StatementError,
    ArithmeticError,
    LookupError,
    TypeError,
    ValueError,
    struct.error,
)
"""What writing a row raises when one of its values cannot be stored."""


@contextmanager
def in_words(what: str) -> Iterator[None]:
    """Turn what SQLAlchemy and the driver raise into errors of storage."""
    try:
        yield
    except (IntegrityError, StaleDataError) as error:  # the second for a row that is gone by the time it is changed
        raise StorageConflict("A row does not fit to what is stored; what it belongs to may be deleted.") from error
    except DBAPIError as error:
        if _of_values(error):
            raise StorageConflict(f"A value does not fit into the database: {first_line(error)}.") from error
        raise StorageUnavailable(f"{what}: {first_line(error)}.{_remedy(error)}") from error
    except (PoolTimeoutError, OSError) as error:
        raise StorageUnavailable(f"{what}: {first_line(error)}.{_remedy(error)}") from error


def never_fits(error: BaseException) -> bool:
    """Whether the row itself is to blame: it would fail however often it is tried."""
    return isinstance(error, _OF_ROWS)


def _of_values(error: DBAPIError) -> bool:
    """Whether a value is to blame, and not the database."""
    driver = _cause(error)
    state = getattr(driver, "sqlstate", None) or ""  # PostgreSQL's; class 22 is *data exception*
    refused = type(driver.__cause__).__name__ == DataError.__name__  # asyncpg's own, before it sends anything
    return isinstance(error, DataError) or state.startswith("22") or refused


def try_file(path: Path) -> None:
    """Make SQLite's file, for this user alone, and its folder, where there is none.

    Raises StorageUnavailable when it cannot be opened or written to, and OSError for a folder that cannot be made.

    aiosqlite tells the first, too, but its thread may still be at it when the loop has ended, and then dies with a
    traceback. The second shows only when a row is written: SQLite opens such a file and reads it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(OSError):  # it is there, or cannot be made, which SQLite tells
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))  # how somebody sounded is not for all here
    try:
        sqlite3.connect(path).close()
    except sqlite3.Error as error:
        raise StorageUnavailable(f"The database cannot be opened: {error}.{_remedy(error)}") from error
    if path.exists() and not os.access(path, os.W_OK):
        raise StorageUnavailable(f"The database {path} can only be read. {_REMEDIES['SQLITE_READONLY']}")


def without_driver(kind: str) -> StorageError:
    """What to say when SQLAlchemy has no driver for databases of this kind.

    A plain ``pip`` may be another environment's, and without ``--editable`` it puts a copy of the program in place of
    the checkout, which then no longer changes with it.
    """
    here = sys.executable
    pip = f"{here} -m pip install" if find_spec("pip") else f"uv pip install --python {here}"
    return StorageError(
        f"No driver for {kind} is installed. For PostgreSQL, in Undertone's folder: {pip} --editable '.[postgres]'"
    )


def first_line(error: BaseException) -> str:
    """What happened, without a full stop."""
    cause = _cause(error)
    if isinstance(cause, TimeoutError | PoolTimeoutError):
        return "it took too long"
    return (str(cause).splitlines() or [type(cause).__name__])[0].rstrip(".")


def _remedy(error: BaseException) -> str:
    """What to do, behind a space; nothing where it depends."""
    name = getattr(_cause(error), "sqlite_errorname", "")
    found = next((remedy for code, remedy in _REMEDIES.items() if name.startswith(code)), "")
    return f" {found}" if found else ""


def _cause(error: BaseException) -> BaseException:
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
