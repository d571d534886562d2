"""Who serves a SQLite file: one process at a time.

A second one would take the sessions of the first for those of a process that died. The lock is the system's and ends
with its process, however that ends. It lies on a file beside the database: SQLite has locks of its own on that one, and
the system drops them when the same process opens and closes it once more.
"""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from sqlalchemy.engine import URL, make_url

from storage.errors import AlreadyServed, StorageUnavailable

SUFFIX: Final = "-served"
_TAKEN: Final = frozenset({errno.EACCES, errno.EAGAIN, errno.EDEADLK})


class Claim:
    """Held from when it is made until `release`."""

    def __init__(self, database: Path) -> None:
        """Raises AlreadyServed, and StorageUnavailable where this user may not open the file. Where the system has no
        locks, or no room for the file, nothing is held."""
        self._handle: int | None = None
        try:
            self._handle = os.open(f"{database}{SUFFIX}", os.O_RDWR | os.O_CREAT, 0o600)
        except PermissionError as error:
            raise StorageUnavailable(
                f"{database}{SUFFIX} cannot be opened: {error.strerror}. Let this user write to it."
            ) from error
        except OSError:
            return
        try:
            _lock(self._handle)
        except OSError as error:
            self.release()
            if error.errno in _TAKEN:
                raise AlreadyServed(
                    f"Another Undertone serves {database} already. Stop that one, or give this one a folder of its "
                    "own: UNDERTONE_DATA_DIR=…"
                ) from error

    def release(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def file_of(url: str | URL) -> Path | None:
    """The SQLite file at that address of a database, if it is one."""
    address = make_url(url)
    name = address.database if address.get_backend_name() == "sqlite" else None
    if name and name.startswith("file:") and "uri" in address.query:  # an address of SQLite's own
        from urllib.request import url2pathname  # brings much along

        name = "" if address.query.get("mode") == "memory" else url2pathname(urlsplit(name).path)
    return Path(name) if name and name != ":memory:" else None


def _lock(handle: int) -> None:
    """At once, or raises OSError."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
