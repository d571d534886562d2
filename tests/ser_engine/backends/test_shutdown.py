"""Who ends a worker: its parent and nobody else; and with the parent, always."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.fakes.waiting import until

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[3]


class Parent:
    """A process with workers, in a process group of its own."""

    def __init__(self, running: asyncio.subprocess.Process) -> None:
        self.running = running

    async def line(self) -> list[str]:
        assert self.running.stdout is not None
        async with asyncio.timeout(60):
            return (await self.running.stdout.readline()).decode().split()

    async def workers(self) -> list[int]:
        """Their process ids, once they are warmed up."""
        return [int(word) for word in await self.line()]

    def signal_group(self, number: int) -> None:
        os.killpg(self.running.pid, number)

    async def ends(self, within_s: float = 60.0) -> int:
        async with asyncio.timeout(within_s):
            return await self.running.wait()


@asynccontextmanager
async def parent(how: str, model: Path) -> AsyncIterator[Parent]:
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.fakes.worker_parent",
        how,
        str(model),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield Parent(running)
    finally:
        if running.returncode is None:
            running.kill()
        async with asyncio.timeout(60):
            await running.communicate()  # to the end of its output, which the workers share


def state(pid: int) -> str:
    """The letter that Linux has for a process's state; another system tells only whether it is there."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except ProcessLookupError:
        return ""
    except FileNotFoundError:
        return "" if Path("/proc/self").exists() else "?"


def alive(pid: int) -> bool:
    """Whether a process is there and is no mere entry that its new parent has not collected yet."""
    return state(pid) not in ("", "Z")


async def gone(pids: list[int]) -> None:
    await until(lambda: not any(alive(pid) for pid in pids))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_to_the_whole_group_leaves_the_workers_to_their_parent(model: Path, number: int) -> None:
    async with parent("serve", model) as owner:
        assert await owner.line() == ["starting"]
        workers = await owner.workers()
        assert len(workers) == 2
        for pid in workers:
            os.kill(pid, number)
        owner.signal_group(signal.SIGTERM)
        assert await owner.line() == ["0", "0", "1"]  # all answered, nothing replaced
        assert await owner.ends() == 0
        await gone(workers)


async def test_a_signal_that_comes_while_workers_start_does_not_reach_them_either(model: Path) -> None:
    async with parent("serve", model) as owner:
        assert await owner.line() == ["starting"]
        for _ in range(100):
            owner.signal_group(signal.SIGTERM)
            await asyncio.sleep(0.005)
        workers = await owner.workers()
        assert await owner.line() == ["0", "0", "1"]
        assert await owner.ends() == 0
        await gone(workers)


async def test_a_killed_parent_takes_its_workers_along(model: Path) -> None:
    async with parent("wait", model) as owner:
        await owner.line()
        workers = await owner.workers()
        assert all(alive(pid) for pid in workers)
        owner.running.kill()
        await gone(workers)


async def test_a_worker_that_never_comes_to_an_end_does_not_outlive_its_parent(model: Path) -> None:
    async with parent("stuck", model) as owner:
        (pid,) = await owner.workers()
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGSTOP)  # a process takes the one with the lower number first
        await until(lambda: state(pid) in ("T", "Z", "", "?"))
        os.kill(pid, signal.SIGCONT)
        assert alive(pid)
        owner.running.kill()
        await gone([pid])


async def test_a_parent_that_forgets_to_close_ends_all_the_same(model: Path) -> None:
    async with parent("forget", model) as owner:
        await owner.line()
        workers = await owner.workers()
        assert await owner.ends() == 0
        await gone(workers)
