"""A simulated person in a voice channel: joins, talks, is cut off in mid-word, leaves, comes back.

What they say is encoded with libopus as Discord's clients do (48 kHz, 20 ms, 64 kbit/s), encrypted by libdave and sent
in real time over a real connection. Every Opus frame that went out is remembered, so that what a bot hears can be
compared with it byte for byte.
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import av
import numpy as np
import soxr

from sandbox.voice.client import ClientVoice
from sandbox.voice.connection import VoiceTicket
from sandbox.voice.transport import Mode, Rtp
from ser_engine import opus

FRAME_S: Final = opus.FRAME_MS / 1000
FRAME_TICKS: Final = 960
"""RTP's clock is 48 kHz whatever the audio is."""
SILENCE_FRAMES: Final = 5
SPOKEN_KEPT: Final = 50_000
READY_TIMEOUT_S: Final = 10.0
_SPEAK_RATE_HZ: Final = 48_000
_YIELD_FRAMES: Final = 10
_CATCH_UP_FRAMES: Final = 25
"""So much is said at once when this process was late; the rest is said later, in its time."""


class Seats(Protocol):
    """Who lets people into voice channels: the rest of the sandbox, or `DirectSeats` in tests."""

    async def sit(self, user_id: int, channel_id: int) -> VoiceTicket:
        """Put the user into the channel (voice state and all) and return the ticket for its voice server."""
        ...

    async def rise(self, user_id: int) -> None:
        """Take the user out of voice."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenFrame:
    """An Opus frame that went out, with what its packet said."""

    user_id: int
    ssrc: int
    sequence: int
    timestamp: int
    opus: bytes

    @property
    def silence(self) -> bool:
        return self.opus == opus.SILENCE


class Speaker:
    """Use as ``async with Speaker(…) as speaker``, or call `leave` at the end.

    `pace` is the real time a second of speech takes: 1.0 is real time, 0.1 ten times as fast. Below 0.05 the operating
    system's buffers may drop packets.
    """

    def __init__(
        self,
        user_id: int,
        seats: Seats,
        context: ssl.SSLContext,
        *,
        pace: float = 1.0,
        mode: Mode = "aead_aes256_gcm_rtpsize",
        listening: bool = False,
        seal_silence: bool = False,
        on_spoken: Callable[[SpokenFrame], None] | None = None,
    ) -> None:
        self.user_id = user_id
        self.pace = pace
        self.counters: Counter[str] = Counter()
        self.spoken: deque[SpokenFrame] = deque(maxlen=SPOKEN_KEPT)
        self.channel_id: int | None = None
        self.client: ClientVoice | None = None
        self.sequence = secrets.randbits(16)
        self.timestamp = secrets.randbits(32)
        self._seats = seats
        self._context = context
        self._mode: Mode = mode
        self._listening = listening
        self._seal_silence = seal_silence
        self._on_spoken = on_spoken
        self._encoder = opus.Encoder(application="voip", wideband_speech=True)
        self._muted = False
        self._talking = asyncio.Lock()
        self._clock_at_s: float | None = None
        """When, on the loop's clock, the frame of the present timestamp is due."""

    async def __aenter__(self) -> Speaker:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.leave()

    # coming and going

    async def join(self, channel_id: int) -> None:
        """Sit down in a channel and connect; leaves the one before. Back when frames can be sent or nobody is there.

        Raises:
            ConnectionError: the voice server refused.
        """
        await self._hang_up()
        ticket = await self._seats.sit(self.user_id, channel_id)
        self.channel_id = channel_id
        client = ClientVoice(ticket, self._context, self._mode, listening=self._listening)
        await client.open()
        self.client = client
        self.sequence, self.timestamp, self._clock_at_s = secrets.randbits(16), secrets.randbits(32), None
        await client.wait_ready(READY_TIMEOUT_S)

    async def reconnect(self, *, cut: bool = False) -> None:
        """Come back to the same channel on a new connection: a new SSRC, a new key package, a new stream.

        With `cut` the old connection is not closed but lost, so that the server learns of it by the new one.
        """
        if self.channel_id is None:
            raise RuntimeError("the speaker is in no channel")
        if cut and self.client is not None:
            self.client.abort()
        await self.join(self.channel_id)

    async def leave(self) -> None:
        was_seated, self.channel_id = self.channel_id is not None, None
        await self._hang_up()
        if was_seated:
            await self._seats.rise(self.user_id)

    async def _hang_up(self) -> None:
        self.mute()
        client, self.client = self.client, None
        if client is not None:
            await client.close()

    @property
    def ssrc(self) -> int:
        return self.client.ssrc if self.client is not None else 0

    @property
    def heard(self) -> dict[int, list[bytes]]:
        """By user, the Opus frames this person heard in the present session, when made with `listening`."""
        client = self.client
        return {} if client is None else {user_id: list(frames) for user_id, frames in client.heard.items()}

    # talking

    async def say(
        self, audio: opus.Samples | Path | str, *, rate_hz: int = 16_000, silence_frames: int = SILENCE_FRAMES
    ) -> list[SpokenFrame]:
        """Say mono samples of `rate_hz`, or a file; returns the frames that went out when all is said.

        `silence_frames` follow at the end, as most clients send them; 0 falls silent without a word.
        """
        async with self._talking:
            self._muted = False
            pcm = await asyncio.to_thread(speech, audio, rate_hz)
            return await self._talk(self._encoder.packets(pcm), silence_frames)

    async def say_packets(self, packets: Iterable[bytes], *, silence_frames: int = SILENCE_FRAMES) -> list[SpokenFrame]:
        """Say Opus packets of 20 ms as they are."""
        async with self._talking:
            self._muted = False
            return await self._talk(packets, silence_frames)

    def mute(self) -> None:
        """Stop in mid-word: no silence frames, no more packets, and no word on the websocket either."""
        self._muted = True

    async def pause(self, seconds: float) -> None:
        """Be quiet for so many seconds of speech time; the stream's clock moves on by exactly that."""
        await asyncio.sleep(seconds * self.pace)
        self._catch_up(ticks=round(seconds / FRAME_S) * FRAME_TICKS)

    async def _talk(self, packets: Iterable[bytes], silence_frames: int) -> list[SpokenFrame]:
        client = self.client
        if client is None:
            raise RuntimeError("the speaker is in no channel")
        await client.wait_ready(READY_TIMEOUT_S)
        if self._muted:
            return []
        self._catch_up()
        await client.speaking(1)
        spoken = [frame async for frame in self._stream(client, packets)]
        if not self._muted:
            spoken += [frame async for frame in self._stream(client, [opus.SILENCE] * silence_frames)]
            await client.speaking(0)
        return spoken

    async def _stream(self, client: ClientVoice, packets: Iterable[bytes]) -> AsyncIterator[SpokenFrame]:
        loop = asyncio.get_running_loop()
        for count, packet in enumerate(packets):
            if self._muted or client is not self.client:
                return
            frame = self._send(client, packet)
            if frame is not None:
                yield frame
            assert self._clock_at_s is not None  # noqa: S101  (_catch_up set it)
            self._clock_at_s += FRAME_S * self.pace
            self._clock_at_s = max(self._clock_at_s, loop.time() - _CATCH_UP_FRAMES * FRAME_S * self.pace)
            wait_s = self._clock_at_s - loop.time()
            if wait_s > 0 or count % _YIELD_FRAMES == 0:
                await asyncio.sleep(max(0.0, wait_s))

    def _send(self, client: ClientVoice, packet: bytes) -> SpokenFrame | None:
        clear = packet == opus.SILENCE and not self._seal_silence
        payload = packet if clear and client.dave.ready else client.dave.encrypt(client.ssrc, packet)
        ticks = opus.packet_samples(packet)
        frame = None
        if payload is None or client.close_code is not None:
            self.counters["unsent"] += 1
        else:
            frame = SpokenFrame(
                user_id=self.user_id,
                ssrc=client.ssrc,
                sequence=self.sequence,
                timestamp=self.timestamp,
                opus=packet,
            )
            client.send(Rtp(sequence=self.sequence, timestamp=self.timestamp, ssrc=client.ssrc, payload=payload))
            self.sequence = (self.sequence + 1) & 0xFFFF
            self.counters["spoken"] += 1
            self.spoken.append(frame)
            if self._on_spoken is not None:
                self._on_spoken(frame)
        self.timestamp = (self.timestamp + ticks) & 0xFFFFFFFF
        return frame

    def _catch_up(self, ticks: int | None = None) -> None:
        """Move the stream's clock over the quiet time: a microphone's clock runs on while nobody speaks."""
        now = asyncio.get_running_loop().time()
        if ticks is None and self._clock_at_s is not None and self.pace > 0:
            ticks = max(0, round((now - self._clock_at_s) / (FRAME_S * self.pace))) * FRAME_TICKS
        self.timestamp = (self.timestamp + (ticks or 0)) & 0xFFFFFFFF
        self._clock_at_s = now


def speech(audio: opus.Samples | Path | str, rate_hz: int) -> opus.Samples:
    """Samples or a file as 48 kHz mono, shape ``(n,)``; blocking."""
    if isinstance(audio, (str, Path)):
        return np.concatenate(list(_decoded(Path(audio))) or [np.zeros(0, dtype=np.float32)])
    pcm = np.asarray(audio, dtype=np.float32)
    if rate_hz == _SPEAK_RATE_HZ:
        return pcm
    return np.asarray(soxr.resample(pcm, rate_hz, _SPEAK_RATE_HZ, quality="VHQ"), dtype=np.float32)


def _decoded(path: Path) -> Iterator[opus.Samples]:
    resampler = av.AudioResampler(format="flt", layout="mono", rate=_SPEAK_RATE_HZ)
    with av.open(str(path)) as container:
        frames = [*container.decode(audio=0), None]  # None asks the resampler for its rest
    for frame in frames:
        for block in resampler.resample(frame):
            yield np.asarray(block.to_ndarray(), dtype=np.float32).reshape(-1)
