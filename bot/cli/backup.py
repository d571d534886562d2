"""`undertone backup`: a copy of the database and of the key that belongs to it, taken while the service runs."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

import click
from sqlalchemy.engine import URL, make_url

from bot.cli.options import Named
from bot.cli.running import check_is_there, fail
from bot.errors import KeyFileError, StartError
from bot.secret import KEY_FILE, key_of
from bot.settings import Settings, load_settings
from storage.addresses import for_libpq
from storage.claim import file_of
from storage.errors import StorageError
from storage.looking import look_at

SQLITE_FILE: Final = "undertone.db"
POSTGRES_FILE: Final = "undertone.dump"
PG_DUMP: Final = "pg_dump"
_SERVICE: Final = "Run this with the service's DATABASE_URL, UNDERTONE_DATA_DIR and UNDERTONE_SECRET_KEY."


@click.command()
@click.argument("folder", type=Named(file_okay=False))
def backup(folder: Path) -> None:
    """Copy the database and its key into FOLDER, which must be new or empty. The service may run meanwhile.

    To restore a copy of SQLite, start with UNDERTONE_DATA_DIR=FOLDER; of PostgreSQL, see docs/operations.md.
    """
    try:
        settings = load_settings()
        if folder.is_dir() and any(folder.iterdir()):
            fail(f"{folder} is not empty. Name a new folder: a backup overwrites nothing.")
        address = make_url(settings.database_url)
        source = file_of(address)
        check_is_there(settings)
        key = key_of(settings, make=False)  # before the copy: without it nothing can be restored
        if source is not None or shutil.which(PG_DUMP):
            _check(settings, key)
        made = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        with _whole(folder, made=made):
            copied = _of_sqlite(source, folder) if source is not None else _of_postgres(address, folder)
            _write(folder / KEY_FILE, key)
    except (StartError, StorageError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{folder} cannot be written: {error.strerror}.")
    click.echo(
        f"Copied into {folder}: {copied.name} ({copied.stat().st_size:,} bytes) and {KEY_FILE}. Keep both from others."
    )


def _check(settings: Settings, key: bytes) -> None:
    """A copy of another database than the service's, or with another key, would be noticed when it is needed.

    Raises StorageError, StartError.
    """
    look = asyncio.run(look_at(settings.database_url))
    if look.revision is None:
        raise StartError(f"The database is empty: Undertone has not written to it. {_SERVICE}")
    if not look.fits(key):
        given = "UNDERTONE_SECRET_KEY" if settings.secret_key is not None else str(settings.data_dir / KEY_FILE)
        raise KeyFileError(f"{given} is not the key of this database, and a copy opens with its key alone. {_SERVICE}")


@contextmanager
def _whole(folder: Path, *, made: bool) -> Iterator[None]:
    """What was begun is taken away again when it does not come to its end, so that nobody takes a part for a copy; the
    folder, too, if it was `made` for it."""
    try:
        yield
    except FileExistsError:  # another copy into this folder, begun a moment before: it is not ours
        raise
    except BaseException:
        for name in (SQLITE_FILE, f"{SQLITE_FILE}-journal", POSTGRES_FILE, KEY_FILE):
            (folder / name).unlink(missing_ok=True)
        if made:
            with suppress(OSError):  # another copy may have begun there
                folder.rmdir()
        raise


def _write(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)


def _of_sqlite(source: Path, folder: Path) -> Path:
    """SQLite's own copy of a moment, whatever is written meanwhile."""
    target = folder / SQLITE_FILE
    _write(target, b"")
    try:
        with (
            closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as read,
            closing(sqlite3.connect(target)) as write,
        ):
            read.backup(write)
    except sqlite3.Error as error:
        fail(f"{source} cannot be copied: {error}.")
    return target


def _of_postgres(address: URL, folder: Path) -> Path:
    program, target = shutil.which(PG_DUMP), folder / POSTGRES_FILE
    plain = for_libpq(address)._replace(password=None).render_as_string()  # `set` keeps a password
    words = ["--format=custom", "--no-owner", f"--file={target}", plain]
    if program is None:
        fail(
            "Copying PostgreSQL needs its program pg_dump, which is not here (on Debian and Ubuntu: apt install "
            "postgresql-client). Install it and run this again, or run it where it is, and keep its file with the key "
            f"({KEY_FILE}):\n  pg_dump {shlex.join(words)}"
        )
    _write(target, b"")
    secret = {} if address.password is None else {"PGPASSWORD": str(address.password)}
    done = subprocess.run([program, *words], capture_output=True, text=True, check=False, env={**os.environ, **secret})  # noqa: S603
    if done.returncode:
        fail(f"pg_dump could not copy the database: {done.stderr.strip()}")
    return target
