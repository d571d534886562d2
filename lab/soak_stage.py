"""What the soak and the bench stand on: a client in the loopback Discord, real speech as packets, a recorded call."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from lab.packets import PacketCost, Recording


RECORDINGS: Final = 3
MOST_SERVERS: Final = 36
"""So many sessions begin in a minute: each takes three commands of the shard's connection, which may send 120."""


def measure_packets(count: int = 3_000) -> PacketCost:
    """What a packet costs from the socket to samples, on a call recorded in the loopback Discord."""
    from lab.packets import packet_cost

    return packet_cost(asyncio.run(_record(count)))


async def _record(count: int) -> Recording:
    from bot.voice import connect
    from lab.packets import Recorder
    from sandbox import Sandbox

    async with Sandbox(rate_limits=False) as sandbox, logged_in_client(sandbox) as client:
        user = sandbox.add_person("Speaker")
        speech = await asyncio.to_thread(lambda: list(speech_packets()))
        async with sandbox.speaker(user, pace=0.1) as person:
            await person.join(sandbox.voice_channel.id)
            link = await connect(
                client.get_channel(sandbox.voice_channel.id),
                sink=Listener(),
                consent=lambda _: True,
                on_state=lambda state, reason: None,
            )
            try:
                for _ in range(RECORDINGS):
                    await sandbox.voice.settled(sandbox.voice_channel.id, timeout_s=60.0)
                    heard = link.counters.frames
                    while link.counters.frames == heard:  # until both have the keys of one epoch
                        await person.say_packets(speech[:10], silence_frames=0)
                    with Recorder(link, user.id, count).running() as recorder:
                        while not recorder.complete and not recorder.spoiled:
                            await person.say_packets(speech[:100], silence_frames=0)
                        if not recorder.spoiled:
                            recording = recorder.finish()
                            # What still comes must not be decrypted: DAVE remembers only 1,000 numbers that were left
                            # out before a newer one, and takes older ones for replays.
                            await link.close()
                            return recording
                raise RuntimeError(f"this machine is too busy: the connection was lost during {RECORDINGS} recordings")
            finally:
                await link.close()


class Listener:
    """Hears and keeps nothing: the ledger sees the frames before they are decoded."""

    def frame(self, frame: Any) -> None: ...
    def silence(self, speaker: str, now_samples: int) -> None: ...


@contextlib.asynccontextmanager
async def logged_in_client(sandbox: Any) -> AsyncIterator[Any]:
    """A discord.py client that is logged in to the sandbox."""
    import discord

    from sandbox.discord_py import logged_in

    client = discord.AutoShardedClient(
        intents=discord.Intents(guilds=True, voice_states=True),
        chunk_guilds_at_startup=False,
    )
    async with logged_in(client, sandbox):
        yield client


def speech_packets() -> Iterator[bytes]:
    """Real speech: the clips that the repository carries, as Opus."""
    import sandbox
    from sandbox.voice.speaker import speech
    from ser_engine import opus

    encoder = opus.Encoder()
    clips = sorted((Path(sandbox.__file__).parent / "clips").glob("*.flac"))
    for path in clips[::3]:
        yield from (packet for packet in encoder.packets(speech(path, 16_000)) if not packet[0] & 3)
