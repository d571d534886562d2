"""Several processes open one new database at the same moment."""

from __future__ import annotations

import asyncio
import errno
import os
import sys
from pathlib import Path
from typing import NoReturn

import pytest
from sqlalchemy import text

from bot import secret
from bot.errors import KeyFileError
from storage.claim import Claim, file_of
from storage.database import Database, _create_engine
from storage.errors import StorageUnavailable
from storage.schema import REVISION
from tests.storage.conftest import KEY

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
AT_ONCE = 3
OPEN = f"""
import asyncio, sys
from storage import Storage
url = sys.argv[1]
print("there", flush=True)
sys.stdin.readline()
async def main():
    storage = await Storage.open(url, key=bytes.fromhex("{KEY.hex()}"))
    await storage.close()
asyncio.run(main())
"""


async def _open_at_once(url: str) -> list[str]:
    """What each of some processes that open the database together has to complain of."""
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            OPEN,
            url,
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        for _ in range(AT_ONCE)
    ]
    for process in processes:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"there\n"
    ended = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
    return [errors.decode() for (_, errors), process in zip(ended, processes, strict=True) if process.returncode]


async def test_processes_that_open_a_new_database_at_once_all_come_in(database_url: str) -> None:
    assert await _open_at_once(database_url) == []
    database = await Database.open(database_url)
    async with database.transaction() as db:
        assert (await db.scalars(text("SELECT version_num FROM alembic_version"))).all() == [REVISION]
        assert await db.scalar(text("SELECT count(*) FROM meta")) == 1
    await database.close()


async def test_processes_that_open_an_old_database_at_once_migrate_it_once(database_url: str) -> None:
    database = Database(_create_engine(database_url))
    await database.migrate("0001")
    await database.close()
    assert await _open_at_once(database_url) == []
    database = Database(_create_engine(database_url))
    assert await database.revision() == (REVISION, REVISION)
    await database.close()


async def test_a_key_file_that_another_process_is_writing_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secret, "WRITTEN_WITHIN_S", 60.0)
    path = tmp_path / "secret.key"
    path.touch()
    reading = asyncio.create_task(asyncio.to_thread(secret.load_key, tmp_path), name="reader")
    await asyncio.sleep(0)
    path.write_bytes(KEY)
    assert await reading == KEY


async def test_a_disk_that_was_full_leaves_no_file_that_is_taken_for_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int, mode: str) -> NoReturn:
        os.close(handle)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fdopen", full)
    with pytest.raises(KeyFileError, match="No space left"):
        secret.load_key(tmp_path)
    monkeypatch.undo()
    assert len(secret.load_key(tmp_path)) == secret.KEY_BYTES
    assert [path.name for path in tmp_path.iterdir()] == [secret.KEY_FILE]


@pytest.mark.parametrize("links", [True, False])
async def test_threads_that_make_a_key_at_once_get_the_same_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    def none(*_: object) -> NoReturn:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    if not links:
        monkeypatch.setattr(os, "link", none)
    keys = await asyncio.gather(*(asyncio.to_thread(secret.load_key, tmp_path) for _ in range(8)))
    assert set(keys) == {(tmp_path / secret.KEY_FILE).read_bytes()}
    assert len(keys[0]) == secret.KEY_BYTES
    assert [path.name for path in tmp_path.iterdir()] == [secret.KEY_FILE]
    assert (tmp_path / secret.KEY_FILE).stat().st_mode & 0o777 == 0o600


def test_a_new_key_is_on_the_disk_before_its_name_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a power cut the name may be there and the content not, and what the database holds is unreadable then."""
    done: list[str] = []
    fsync, link = os.fsync, os.link

    def synced(handle: int) -> None:
        done.append("content")
        fsync(handle)

    def linked(*names: Path) -> None:
        done.append("name")
        link(*names)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "link", linked)
    assert len(secret.load_key(tmp_path)) == secret.KEY_BYTES
    assert done == ["content", "name"]


def test_a_claim_that_may_not_be_opened_is_not_taken_for_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object) -> NoReturn:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "open", forbidden)
    with pytest.raises(StorageUnavailable, match="Permission denied"):
        Claim(tmp_path / "undertone.db")


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("sqlite:///a.db", "a.db"),
        ("sqlite+aiosqlite:////there/a.db", "/there/a.db"),
        ("sqlite:///file:data/a.db?uri=true", "data/a.db"),
        ("sqlite:///file:data/a%20b.db?cache=shared&uri=1", "data/a b.db"),
        ("sqlite:///file:///there/a.db?uri=true", "/there/a.db"),
        ("sqlite:///file:a.db", "file:a.db"),
        ("sqlite:///a.db?uri=true", "a.db"),
        ("sqlite:///file:a.db?mode=memory&uri=true", None),
        ("sqlite:///file::memory:?uri=true", None),
        ("sqlite:///file:?uri=true", None),
        ("sqlite:///:memory:", None),
        ("sqlite://", None),
        ("postgresql://host/file:a.db", None),
    ],
)
def test_the_file_of_a_database_is_the_one_that_sqlite_opens(address: str, name: str | None) -> None:
    assert file_of(address) == (None if name is None else Path(name))


async def test_a_database_named_as_sqlite_names_files_is_made_as_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    database = await Database.open("sqlite:///file:data/a%20b.db?uri=true")
    await database.close()
    assert {path.name for path in tmp_path.iterdir()} == {"data"}
    assert (tmp_path / "data" / "a b.db").stat().st_mode & 0o077 == 0
