"""A second opinion on the loopback voice server: @discordjs/voice listens, and what it hears is compared.

An optional job; it needs Node and the packages of the lock file beside it (README.md). Exit status 0 when every frame
that @discordjs/voice decrypted equals, byte for byte, the one that was spoken.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import secrets
import shutil
import sys
import tempfile
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path

import sandbox
from sandbox.voice import DirectSeats, Speaker, SpokenFrame, VoiceServer, WirePlan

HERE = Path(__file__).parent
CLIPS = sorted((Path(sandbox.__path__[0]) / "clips").glob("*.flac"))
GUILD_ID = 9_000_000_000_000_000_001
CHANNEL_ID = 7_700_000_000_000_000_077
LISTENER_ID = 4_000_000_000_000_000_004
PACE = 0.5
PATIENCE_S = 10.0


class NodeListener:
    """The Node process and what it has heard."""

    def __init__(self, voice: VoiceServer, folder: Path) -> None:
        self.heard: dict[int, list[bytes]] = defaultdict(list)
        self.errors: list[str] = []
        self._voice = voice
        self._folder = folder
        self._changed = asyncio.Event()
        self._facts: set[str] = set()

    async def start(self) -> None:
        authority = self._folder / "authority.pem"
        authority.write_bytes(self._voice.certificate.authority_pem)
        seat = {"guild_id": GUILD_ID, "channel_id": CHANNEL_ID, "user_id": LISTENER_ID}
        self._voice.voice_state(guild_id=GUILD_ID, channel_id=CHANNEL_ID, user_id=LISTENER_ID)
        ticket = self._voice.ticket(**seat, session_id=secrets.token_hex(16))
        words = {key: str(getattr(ticket, key)) for key in (*seat, "session_id", "token", "endpoint")}
        node = shutil.which("node")
        if node is None:
            raise SystemExit("Node is not installed")
        self.process = await asyncio.create_subprocess_exec(
            node,
            str(HERE / "receive.mjs"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "TICKET": json.dumps(words), "NODE_EXTRA_CA_CERTS": str(authority)},
        )
        self._reader = asyncio.create_task(self._read(), name="interop-reader")
        await self._until("ready")

    async def subscribe(self, user_id: int) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"subscribe": str(user_id)}).encode() + b"\n")
        await self._until(f"subscribed {user_id}")

    async def wait_heard(self, user_id: int, count: int) -> None:
        """Wait until so many frames of a user were heard, or for a second after the last."""
        while len(self.heard[user_id]) < count:
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), 1.0)
            except TimeoutError:
                return

    async def stop(self) -> None:
        if self.process.stdin is not None:
            self.process.stdin.close()
        await asyncio.wait_for(self.process.wait(), PATIENCE_S)
        await self._reader

    async def _until(self, fact: str) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while fact not in self._facts:
                if self.process.returncode is not None:
                    raise SystemExit(f"Node ended with {self.process.returncode}")
                self._changed.clear()
                await self._changed.wait()

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            message = json.loads(line)
            if "frame" in message:
                self.heard[int(message["user"])].append(base64.b64decode(message["frame"]))
            elif "error" in message:
                self.errors.append(message["error"])
            else:
                self._facts.update({"ready"} if "ready" in message else {f"subscribed {message['subscribed']}"})
            self._changed.set()
        await self.process.wait()
        self._changed.set()


class Trial:
    """The call with its people, and the tally."""

    def __init__(self, voice: VoiceServer, listener: NodeListener) -> None:
        seats = DirectSeats(voice, GUILD_ID)
        self.voice, self.listener = voice, listener
        self.people = [Speaker(11 + i, seats, voice.ssl_context(), pace=PACE) for i in range(3)]
        self.wrong = 0

    async def stage(self, name: str, change: Callable[[], Awaitable[None]], *talking: Speaker) -> None:
        """Change something, let people talk at once, and compare."""
        await change()
        await self.voice.settled(CHANNEL_ID)
        for speaker in talking:
            await self.listener.subscribe(speaker.user_id)
            await speaker.say(CLIPS[0])  # so that its SSRC is known when it counts
        await asyncio.sleep(0.3)
        wire = self.voice.faults(LISTENER_ID).wire
        wire.lost.clear()
        before = {speaker.user_id: len(self.listener.heard[speaker.user_id]) for speaker in talking}
        said = await asyncio.gather(*(s.say(CLIPS[(5 * i + 1) % len(CLIPS)]) for i, s in enumerate(talking)))
        self.voice.drain()
        lost = {(packet.ssrc, packet.sequence) for packet in wire.lost}
        for speaker, spoken in zip(talking, said, strict=True):
            await self._compare(name, speaker, before[speaker.user_id], spoken, lost)

    async def _compare(
        self, name: str, speaker: Speaker, before: int, spoken: list[SpokenFrame], lost: set[tuple[int, int]]
    ) -> None:
        expected = [frame.opus for frame in spoken if (frame.ssrc, frame.sequence) not in lost]
        await self.listener.wait_heard(speaker.user_id, before + len(expected))
        heard = [frame for frame in self.listener.heard[speaker.user_id][before:] if frame]
        same = heard == expected
        self.wrong += not same
        counts = f"spoken {len(spoken):4}, lost on the wire {len(spoken) - len(expected):3}, heard {len(heard):4}"
        print(f"{name:34} user {speaker.user_id}: {counts}, {'equal' if same else 'DIFFERENT'}")  # noqa: T201


async def nothing() -> None:
    """No change."""


async def run() -> int:
    with tempfile.TemporaryDirectory(prefix="undertone-") as folder:
        async with VoiceServer() as voice:
            listener = NodeListener(voice, Path(folder))
            trial = Trial(voice, listener)
            anna, ben, cleo = trial.people
            await anna.join(CHANNEL_ID)
            await listener.start()
            wire = voice.faults(LISTENER_ID).wire

            async def swap() -> None:
                await ben.leave()
                await cleo.join(CHANNEL_ID)

            async def spoil() -> None:
                wire.use(WirePlan(seed=7, loss=0.05, extension=0.5, padding=0.5, foreign=0.1))

            await trial.stage("one speaker", nothing, anna)
            await trial.stage("a second joins", lambda: ben.join(CHANNEL_ID), anna, ben)
            await trial.stage("one leaves, another joins", swap, anna, cleo)
            await trial.stage("cut off and back, a new SSRC", lambda: anna.reconnect(cut=True), anna, cleo)
            await trial.stage("loss, extensions, padding, video", spoil, anna, cleo)
            for speaker in trial.people:
                await speaker.leave()
            await listener.stop()
    for error in listener.errors:
        print(f"@discordjs/voice: {error}")  # noqa: T201
    return 1 if trial.wrong or listener.errors else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(run()))
