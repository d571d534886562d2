"""Many people who talk all the time, sent by one task: a crowd that costs less than the bot that hears it.

Each one's words are encrypted end to end by their own client, as always. Then they are handed to the voice server as if
they had come from them: a socket, a second encryption and a timer for each person are nobody's concern who measures
what a bot pays, and would take the processor from it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import Final

from sandbox.voice.client import ClientVoice
from sandbox.voice.server import VoiceServer
from sandbox.voice.speaker import FRAME_S, FRAME_TICKS, Speaker
from sandbox.voice.transport import Rtp

PHASES: Final = 4
"""People do not speak in step: a quarter of them sends every 5 ms."""
FRAMES_A_TURN: Final = 250
"""Op 5 is said anew after so many frames, as people's clients do when they pause for breath."""
_CATCH_UP_FRAMES: Final = 25
"""So much is sent at once when this process was late; a person's client would have dropped the rest, too."""


_GOLDEN: Final = (math.sqrt(5) - 1) / 2
"""Multiples of it, less their whole parts, are spread evenly over 0 to 1 however many there are."""


class Chorus:
    """Everybody says the same Opus packets in a circle, each beginning at another place.

    They begin one after another within `spread_s`, because people do not begin in the same instant; with 0 they do.
    """

    def __init__(
        self, server: VoiceServer, speakers: Sequence[Speaker], packets: Sequence[bytes], *, spread_s: float = 0.0
    ) -> None:
        self.sent = 0
        self.unsent = 0
        """What was due and could not be sent: its speaker had no key, or this process was too late."""
        self._server = server
        self._voices = [
            _Voice(speaker, 397 * number, begins=round(number * _GOLDEN % 1 * spread_s / FRAME_S) * PHASES)
            for number, speaker in enumerate(speakers)
        ]
        self._packets = packets

    async def sing(self) -> None:
        """Until it is cancelled."""
        loop = asyncio.get_running_loop()
        began_s, step = loop.time(), 0
        while True:
            due = int((loop.time() - began_s) / FRAME_S * PHASES)
            if due - step > _CATCH_UP_FRAMES * PHASES:
                late = (due - step) // PHASES - 1
                begun = [voice for voice in self._voices if voice.begins <= step]
                self.unsent += late * len(begun)
                for voice in begun:
                    voice.skip(late)
                step += late * PHASES
            while step <= due:
                for voice in self._voices[step % PHASES :: PHASES]:
                    if voice.begins <= step:
                        await self._say(voice)
                step += 1
            await asyncio.sleep(max(0.0, began_s + step * FRAME_S / PHASES - loop.time()))

    async def _say(self, voice: _Voice) -> None:
        client = voice.speaker.client
        if client is None:
            self.unsent += 1
            return
        if voice.frames % FRAMES_A_TURN == 0:
            await client.speaking(1)
        packet = self._packets[(voice.shift + voice.frames) % len(self._packets)]
        sent = self._relay(client, voice, packet)
        self.sent += sent
        self.unsent += not sent
        voice.skip(1)

    def _relay(self, client: ClientVoice, voice: _Voice, packet: bytes) -> bool:
        sealed = client.dave.encrypt(client.ssrc, packet)
        connection = self._server.connection_in(client.ticket.channel_id, client.ticket.user_id)
        if sealed is None or connection is None:
            return False
        frame = Rtp(sequence=voice.sequence, timestamp=voice.timestamp, ssrc=client.ssrc, payload=sealed)
        self._server.relay(connection, frame)
        return True


class _Voice:
    """Where one person is."""

    def __init__(self, speaker: Speaker, shift: int, *, begins: int) -> None:
        self.speaker = speaker
        self.shift = shift
        self.begins = begins
        """From which step on they talk."""
        self.frames = 0
        self._sequence = speaker.sequence
        self._timestamp = speaker.timestamp

    @property
    def sequence(self) -> int:
        return (self._sequence + self.frames) & 0xFFFF

    @property
    def timestamp(self) -> int:
        return (self._timestamp + self.frames * FRAME_TICKS) & 0xFFFFFFFF

    def skip(self, frames: int) -> None:
        self.frames += frames
