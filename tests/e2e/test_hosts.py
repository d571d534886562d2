"""Ways to start, to stop and to be short of something that hosts have: words or work, and no traceback."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.e2e.program import REPORT, Program, may_mount, mounted, undertone

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(sys.platform == "win32", reason="descriptors, mounts and signals of Unix"),
]

HALF = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n"
LIMITED = ("sh", "-c", 'ulimit -n 256; exec "$@"', "sh")


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as one:
            one.bind(("::1", 0))
    except OSError:
        return False
    return True


@asynccontextmanager
async def a_report(program: Program) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    """One connection to a demo, kept open, and the address of its report as JSON."""
    url = (await program.says(REPORT))[1]
    one = aiohttp.TCPConnector(limit=1)
    async with aiohttp.ClientSession(connector=one, timeout=aiohttp.ClientTimeout(total=30)) as http:
        yield http, url.replace("/sessions/", "/api/v1/sessions/")


def place(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


async def until(holds: Callable[[], Awaitable[Any]], within_s: float = 120.0) -> None:
    async with asyncio.timeout(within_s):
        while not await holds():
            await asyncio.sleep(0.1)


async def answers(url: str) -> bool:
    """Whether a newcomer gets an answer."""
    try:
        async with aiohttp.ClientSession() as other, other.get(f"{place(url)}/health/ready") as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


async def windows(http: aiohttp.ClientSession, path: str) -> list[Any]:
    async with http.get(path) as response:
        body: dict[str, Any] = await response.json()
        return list(body["windows"])


async def more_than(http: aiohttp.ClientSession, path: str, before: int) -> bool:
    return len(await windows(http, path)) > before


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")
async def test_the_demo_runs_on_ipv6_and_two_interrupts_end_it_quietly(tmp_path: Path) -> None:
    async with undertone("demo", "--host", "::1", "--port", "0", folder=tmp_path) as program:
        async with a_report(program) as (http, path):
            assert "[::1]" in program.output
            async with http.get(f"{place(path)}/health") as response:
                assert response.status == 200
            await until(lambda: windows(http, path))
        os.kill(program.pid, signal.SIGINT)
        await program.says("Stopping: ")
        os.kill(program.pid, signal.SIGINT)
        assert await program.ended() in (0, 130)
    assert "Traceback" not in program.output
    assert "CancelledError" not in program.output


@pytest.mark.skipif(not may_mount(), reason="needs root, and the right to mount")
async def test_a_folder_that_cannot_be_written_to_is_said_in_words(tmp_path: Path) -> None:
    with mounted(tmp_path / "ro", "ro,size=64k") as folder:
        async with undertone("demo", folder=folder) as program:
            assert await program.ended() == 1
        assert "Read-only file system" in program.output
        assert "UNDERTONE_DATA_DIR" in program.output
        assert "Traceback" not in program.output


@pytest.mark.slow
async def test_three_hundred_half_requests_change_nothing_at_256_open_files(tmp_path: Path) -> None:
    """A usual limit on desktops."""
    async with (
        undertone("demo", "--port", "0", folder=tmp_path, before=LIMITED) as program,
        a_report(program) as (http, path),
    ):
        port = urlsplit(path).port
        before = len(await windows(http, path))
        held = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(300)]
        try:
            for one in held:
                one.sendall(HALF)
            async with aiohttp.ClientSession() as other, other.get(f"http://127.0.0.1:{port}/health") as response:
                assert response.status == 200

            await until(lambda: more_than(http, path, before + 2))
        finally:
            for one in held:
                one.close()
        async with http.get(f"{place(path)}/health/ready") as response:
            assert response.status == 200, await response.text()
        assert "Traceback" not in program.output
        assert len(program.lines) < 50, program.output


@pytest.mark.slow
async def test_a_service_without_descriptors_loses_nothing_and_comes_back(tmp_path: Path) -> None:
    """Not one more can be opened for a while: it is told, what is heard is kept, and then all is as it was."""
    resource = pytest.importorskip("resource")
    if not hasattr(resource, "prlimit"):
        pytest.skip("the limit of another process can be set on Linux alone")
    async with undertone("demo", "--port", "0", folder=tmp_path) as program, a_report(program) as (http, path):
        await until(lambda: windows(http, path))
        usual = resource.prlimit(program.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(program.pid, resource.RLIMIT_NOFILE, (3, usual[1]))
        async with http.get(f"{place(path)}/health/ready") as response:  # over the connection that is open
            assert response.status == 503
            checks = (await response.json())["checks"]
            assert (checks["open_files"], checks["saving"]) == (False, True)
        with pytest.raises(TimeoutError):
            await until(lambda: answers(path), within_s=3)
        resource.prlimit(program.pid, resource.RLIMIT_NOFILE, usual)
        await until(lambda: answers(path))
        before = len(await windows(http, path))
        await until(lambda: more_than(http, path, before + 2))
        # asyncio says once, with its traceback, that it could take no connection: for the pages, and for the chat.
        assert program.output.count("Traceback") == program.output.count("in accept\n") <= 2, program.output
        assert len(program.lines) < 50, program.output
