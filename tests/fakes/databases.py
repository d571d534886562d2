"""A new database that has its tables already: making them takes longer than most tests do."""

from __future__ import annotations

import asyncio
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from storage.database import Database
from tests.fakes import postgres


def lay_tables(path: Path) -> None:
    """Put SQLite's file there, as a start leaves it that found none; nobody's key is noted in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_file())


@cache
def _file() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "undertone.db"
        _open_once(f"sqlite:///{path}")
        return path.read_bytes()


def tables_in_postgres() -> str:
    """The address of a database of its own in PostgreSQL."""
    return postgres.new_database(like=_template())


@cache
def _template() -> str:
    address = postgres.new_database()
    _open_once(address)
    return postgres.name_of(address)


def _open_once(address: str) -> None:
    async def once() -> None:
        await (await Database.open(address)).close()

    with ThreadPoolExecutor(1) as beside:  # the test's own loop may run in this thread
        beside.submit(lambda: asyncio.run(once())).result()
