"""The soak's line to the process of the loopback Discord and its people: what is asked of them, and what they tell."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import ssl
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Final

from ser_engine.backends.process import deaf_to_signals

START_S: Final = 180.0
END_S: Final = 20.0
_LONGEST_LINE: Final = 1 << 24
_ENDED: Final = "the loopback Discord has ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """A frame that went out, by the clock that both processes read."""

    user_id: int
    ssrc: int
    sequence: int
    at_s: float
    packet: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """All that was spoken and lost up to a moment, since the last time."""

    until_s: float
    spoken: list[Spoken]
    lost: list[tuple[int, int]]
    """SSRC and sequence number."""


class SoakLine:
    """Where the other process is, and what can be asked of it. Use `soak_line`."""

    def __init__(
        self, process: asyncio.subprocess.Process, where: dict[str, Any], told: Callable[[Told], None]
    ) -> None:
        self.channel_id = int(where["channel"])
        self.api_base: str = where["api_base"]
        self.gateway_url: str = where["gateway_url"]
        self.token: str = where["token"]
        self._certificate: str = where["certificate"]
        self._process = process
        self._told = told
        self._asked: dict[int, asyncio.Future[None]] = {}
        self._ids = itertools.count()
        self._ended = False

    def ssl_context(self) -> ssl.SSLContext:
        """Trusts the loopback voice server."""
        return ssl.create_default_context(cadata=self._certificate)

    async def ask(self, what: str, **details: Any) -> None:
        """Let something happen, and wait until it has.

        Raises:
            RuntimeError: it failed there, or the process has ended.
        """
        assert self._process.stdin is not None  # noqa: S101 - a pipe
        if self._ended:
            raise RuntimeError(_ENDED)
        number = next(self._ids)
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        self._process.stdin.write(json.dumps({"id": number, "do": what} | details).encode() + b"\n")
        await answer

    async def listen(self) -> None:
        """Until the other process ends."""
        assert self._process.stdout is not None  # noqa: S101 - a pipe
        try:
            while line := await self._process.stdout.readline():
                self._take(json.loads(line))
        finally:
            self._ended = True
            for answer in self._asked.values():
                if not answer.done():
                    answer.set_exception(RuntimeError(_ENDED))

    def _take(self, body: dict[str, Any]) -> None:
        if "id" in body:
            answer = self._asked.pop(body["id"])
            if body["failed"] is not None and not answer.done():
                answer.set_exception(RuntimeError(body["failed"]))
            elif not answer.done():
                answer.set_result(None)
            return
        spoken = [
            Spoken(user_id=user_id, ssrc=ssrc, sequence=sequence, at_s=at_s, packet=base64.b64decode(packet))
            for user_id, ssrc, sequence, at_s, packet in body["spoken"]
        ]
        self._told(Told(until_s=body["until"], spoken=spoken, lost=[(ssrc, number) for ssrc, number in body["lost"]]))


@contextlib.asynccontextmanager
async def soak_line(speakers: int, pace: float, seed: int, told: Callable[[Told], None]) -> AsyncIterator[SoakLine]:
    """The other process, with everybody seated; it ends with the block."""
    command = (sys.executable, "-m", "lab.soak_people", str(speakers), str(pace), str(seed))
    pipe = asyncio.subprocess.PIPE
    with deaf_to_signals():  # Ctrl-C is for this process; that one ends with its standard input
        process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, limit=_LONGEST_LINE)
    assert process.stdin is not None  # noqa: S101 - both are pipes
    assert process.stdout is not None  # noqa: S101
    listening: asyncio.Task[None] | None = None
    try:
        async with asyncio.timeout(START_S):
            first = await process.stdout.readline()
        if not first:
            raise RuntimeError("the loopback Discord did not start")
        line = SoakLine(process, json.loads(first), told)
        listening = asyncio.create_task(line.listen(), name="soak-line")
        yield line
    finally:
        process.stdin.close()
        try:
            async with asyncio.timeout(END_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        if listening is not None:
            await listening
