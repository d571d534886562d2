"""The program as a person starts it: a process of its own, what it writes, and its end."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from pathlib import Path
from typing import Final

from sandbox import Sandbox

ROOT: Final = Path(__file__).resolve().parents[2]
REPORT: Final = re.compile(r"The live report: +(\S+)")


class Program:
    """A process that runs, and every line that it has written."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self._reading = asyncio.create_task(self._read(), name="reads what a program writes")
        self._more = asyncio.Event()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def output(self) -> str:
        return "".join(self.lines)

    async def says(self, pattern: str | re.Pattern[str], within_s: float = 120.0) -> re.Match[str]:
        """Wait until something matches in what it wrote."""
        async with asyncio.timeout(within_s):
            while (found := re.search(pattern, self.output)) is None:
                assert not self._reading.done(), f"it ended:\n{self.output}"
                self._more.clear()
                await self._more.wait()
        return found

    async def ended(self, within_s: float = 120.0) -> int:
        async with asyncio.timeout(within_s):
            await self._reading
            return await self.process.wait()

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            self.lines.append(line.decode(errors="replace"))
            self._more.set()
        self._more.set()


def reaching(sandbox: Sandbox, folder: Path) -> dict[str, str]:
    """The environment in which ``undertone run`` takes the loopback Discord for the real one."""
    authority = folder / "authority.pem"
    authority.write_bytes(sandbox.voice.certificate.authority_pem)
    return {
        "DISCORD_TOKEN": sandbox.token,
        "DISCORD_API_BASE": sandbox.api_base,
        "SSL_CERT_FILE": str(authority),
        "PORT": "0",
        "UNDERTONE_DATA_DIR": str(folder / "data"),
    }


@cache
def may_mount() -> bool:
    """Whether this process may put a file system somewhere: root, outside a strict container."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            with mounted(Path(folder) / "try", "size=64k"):
                return True
        except (OSError, subprocess.CalledProcessError):
            return False


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A file system in memory."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)]
    subprocess.run(mount, capture_output=True, check=True)  # noqa: S603
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)  # noqa: S603, S607


@asynccontextmanager
async def undertone(
    *words: str, folder: Path, before: tuple[str, ...] = (), **environment: str
) -> AsyncIterator[Program]:
    """``undertone …`` in a folder. `before` stands in front of it, such as a shell that sets limits."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("UNDERTONE_", "DATABASE_"))}
    process = await asyncio.create_subprocess_exec(
        *before,
        sys.executable,
        "-m",
        "bot",
        *words,
        cwd=folder,
        env={**kept, "PYTHONPATH": str(ROOT), "UNDERTONE_MODEL": "seed", **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    program = Program(process)
    try:
        yield program
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
        await program.ended()
        print(program.output)  # noqa: T201  # shown when the test fails
