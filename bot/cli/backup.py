"""`undertone backup`: a copy of the database and of the key that belongs to it, taken while the service runs."""

from __future__ import annotations

import os
import shlex
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Final

import click
from sqlalchemy.engine import URL, make_url

from bot.cli.running import fail
from bot.errors import KeyFileError, StartError
from bot.secret import KEY_FILE, key_of
from bot.settings import Settings, load_settings

SQLITE_FILE: Final = "undertone.db"
POSTGRES_FILE: Final = "undertone.dump"


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def backup(folder: Path) -> None:
    """Copy the database and its key into FOLDER, which must be new or empty. The service may run meanwhile.

    To restore a copy of SQLite, start with UNDERTONE_DATA_DIR=FOLDER; of PostgreSQL, see docs/operations.md.
    """
    try:
        settings = load_settings()
        if folder.is_dir() and any(folder.iterdir()):
            fail(f"{folder} is not empty. Name a new folder: a backup overwrites nothing.")
        address = make_url(settings.database_url)
        sqlite = address.get_backend_name() == "sqlite"
        if sqlite and not Path(address.database or "").is_file():
            fail(f"There is no database {address.database}. Set UNDERTONE_DATA_DIR to the folder of the service.")
        key = _key_of(settings)  # before the copy: without it nothing can be restored
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        copied = _of_sqlite(address, folder) if sqlite else _of_postgres(address, folder)
        _write(folder / KEY_FILE, key)
    except StartError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{folder} cannot be written: {error.strerror}.")
    click.echo(
        f"Copied into {folder}: {copied.name} ({copied.stat().st_size:,} bytes) and {KEY_FILE}. Keep both from others."
    )


def _key_of(settings: Settings) -> bytes:
    """The key that belongs to the database. None is made here: a new one would open nothing. Raises KeyFileError."""
    path = settings.data_dir / KEY_FILE
    if settings.secret_key is None and not path.exists():
        raise KeyFileError(
            f"There is no {path}, and without its key a copy of the database is of no use. "
            "Set UNDERTONE_DATA_DIR to the folder of the service."
        )
    return key_of(settings)


def _write(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)


def _of_sqlite(address: URL, folder: Path) -> Path:
    """SQLite's own copy of a moment, whatever is written meanwhile."""
    source, target = Path(address.database or ""), folder / SQLITE_FILE
    _write(target, b"")
    try:
        with (
            closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as read,
            closing(sqlite3.connect(target)) as write,
        ):
            read.backup(write)
    except sqlite3.Error as error:
        target.unlink()
        fail(f"{source} cannot be copied: {error}.")
    return target


def _of_postgres(address: URL, folder: Path) -> Path:
    program, target = shutil.which("pg_dump"), folder / POSTGRES_FILE
    plain = address.set(drivername="postgresql")._replace(password=None).render_as_string()  # `set` keeps a password
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
        target.unlink()
        fail(f"pg_dump could not copy the database: {done.stderr.strip()}")
    return target
