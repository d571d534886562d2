"""The PostgreSQL of the tests ends with them, however they end."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.fakes.waiting import until

pytestmark = pytest.mark.integration

_TESTS = """
import sys
from tests.fakes.postgres import _server, new_database
new_database()
print(_server().pgdata, flush=True)
sys.stdin.read()
"""


async def test_a_server_ends_with_a_test_process_that_is_killed() -> None:
    pipe = asyncio.subprocess.PIPE
    tests = await asyncio.create_subprocess_exec(sys.executable, "-c", _TESTS, stdin=pipe, stdout=pipe)
    assert tests.stdout is not None
    folder = Path((await tests.stdout.readline()).decode().strip())
    server = int((folder / "postmaster.pid").read_text().splitlines()[0])
    tests.kill()
    await tests.wait()
    await until(lambda: not _runs(server, folder))
    await until(lambda: not folder.exists())


def _runs(pid: int, folder: Path) -> bool:
    with suppress(OSError):  # gone, or a system without /proc
        return str(folder) in Path(f"/proc/{pid}/cmdline").read_text()
    return False
