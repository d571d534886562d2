"""The loopback Discord of a soak and its people, in a process of their own, so that they take nothing from the bot.

    python -m lab.soak_people SPEAKERS PACE SEED

It prints a line of JSON: where it is. Then it does what each line on its standard input asks for (``id``, ``do`` and
what belongs to it) and answers (``id`` and ``failed``, null when it was done). Between the answers it tells what was
spoken and what was lost on the wire, up to which moment. It ends with its input.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import random
import sys
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

from lab.crowd import standard_input
from lab.soak_ledger import numbered
from lab.soak_stage import speech_packets
from sandbox import Sandbox
from sandbox.voice import Speaker, SpokenFrame, VoiceSettings, WirePlan

TELL_S: Final = 0.1
PATIENCE_S: Final = 10.0
SETTLED_S: Final = 60.0
SPEECH_PACKETS: Final = (25, 150)


class SoakPeople:
    """Everybody in one voice channel; each speaks now and then."""

    def __init__(self, sandbox: Sandbox, people: list[Speaker], speech: list[bytes], chance: random.Random) -> None:
        self._sandbox = sandbox
        self._people = people
        self._speech = speech
        self._chance = chance
        self._number = 0
        self._busy: set[int] = set()
        """People to whom something is happening."""
        self._talking: list[asyncio.Task[None]] = []
        self._spoken: list[tuple[int, int, int, float, str]] = []

    def note(self, frame: SpokenFrame) -> None:
        """A frame went out."""
        packet = base64.b64encode(frame.opus).decode("ascii")
        self._spoken.append((frame.user_id, frame.ssrc, frame.sequence, time.monotonic(), packet))

    def tell(self) -> None:
        """What was spoken, and what was lost on the wire, since the last time."""
        until_s, spoken, wire = time.monotonic(), self._spoken, self._sandbox.voice.faults(self._bot_id).wire
        lost = [(packet.ssrc, packet.sequence) for packet in wire.lost]
        self._spoken = []
        wire.lost.clear()
        say({"until": until_s, "spoken": spoken, "lost": lost})

    async def answer(self, request: dict[str, Any]) -> None:
        """Do what is asked for."""
        number, what = request.pop("id"), request.pop("do")
        failed = None
        try:
            await getattr(self, f"do_{what}")(**request)
        except Exception as error:  # noqa: BLE001 - who asked is told
            failed = f"{what}: {type(error).__name__}: {error}"
        self.tell()
        say({"id": number, "failed": failed})

    # what can be asked for

    async def do_talk(self) -> None:
        self._talking = [
            asyncio.create_task(self._talk(person), name=f"soak-talk-{index}")
            for index, person in enumerate(self._people)
        ]

    async def do_quiet(self) -> None:
        for task in self._talking:
            task.cancel()
        for result in await asyncio.gather(*self._talking, return_exceptions=True):
            if isinstance(result, Exception):
                raise result

    async def do_settle(self) -> None:
        """Wait until everybody is in one epoch."""
        await self._sandbox.voice.settled(self._sandbox.voice_channel.id, timeout_s=SETTLED_S)
        await asyncio.sleep(0.6)  # a late commit, and the word that it counts

    async def do_wait_for_bot(self) -> None:
        """On a busy machine the bot may be on its way back by itself."""
        async with asyncio.timeout(SETTLED_S):
            while self._sandbox.voice.connection(self._bot_id) is None:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)

    async def do_close(self, code: int) -> None:
        await self._sandbox.voice.close(self._bot_id, code)

    async def do_refuse_resume(self, code: int) -> None:
        self._sandbox.voice.faults(self._bot_id).refuse_resumes = 1
        await self._sandbox.voice.close(self._bot_id, code)

    async def do_change_region(self) -> None:
        await self._sandbox.end_call(region_changed=True)

    async def do_move(self) -> None:
        await self._sandbox.seating.move_voice_server(self._sandbox.bot)

    async def do_change_wire(self, **plan: Any) -> None:
        self._sandbox.voice.faults(self._bot_id).wire.use(WirePlan(**plan))

    async def do_be_late(self, speaking_s: float, commit_s: float) -> None:
        faults = self._sandbox.voice.faults(self._bot_id)
        faults.speaking_delay_s, faults.commit_delay_s = speaking_s, commit_s

    async def do_mute(self, person: int) -> None:
        self._people[person].mute()

    async def do_leave_and_join(self, person: int, away_s: float) -> None:
        async with self._happens_to(self._people[person]) as speaker:
            await speaker.leave()
            await asyncio.sleep(away_s)
            await speaker.join(self._sandbox.voice_channel.id)
            await self.do_settle()

    async def do_reconnect(self, person: int, cut: bool) -> None:
        async with self._happens_to(self._people[person]) as speaker:
            await speaker.reconnect(cut=cut)
            await self.do_settle()

    # inside

    @property
    def _bot_id(self) -> int:
        return self._sandbox.bot.id

    @contextlib.asynccontextmanager
    async def _happens_to(self, speaker: Speaker) -> AsyncIterator[Speaker]:
        self._busy.add(speaker.user_id)
        speaker.mute()
        await asyncio.sleep(0.1)  # what is on its way to the server would go down with the connection
        try:
            yield speaker
        finally:
            self._busy.discard(speaker.user_id)

    async def _talk(self, person: Speaker) -> None:
        chance = random.Random(self._chance.random())  # noqa: S311 - chances, no secrets
        while True:
            await asyncio.sleep(chance.uniform(0.3, 3.0))
            if person.user_id in self._busy or person.channel_id is None:
                continue
            start = chance.randrange(len(self._speech))
            count = chance.randint(*SPEECH_PACKETS)
            with contextlib.suppress(RuntimeError, TimeoutError, ConnectionError):  # taken away in mid-word
                await person.say_packets(self._numbered(start, count), silence_frames=chance.choice((0, 5)))
            person.spoken.clear()

    def _numbered(self, start: int, count: int) -> Iterator[bytes]:
        for index in range(start, start + count):
            self._number += 1
            yield numbered(self._speech[index % len(self._speech)], self._number)


def say(body: dict[str, Any]) -> None:
    print(json.dumps(body), flush=True)  # noqa: T201 - the line that the other process waits for


async def tell_for_ever(people: SoakPeople) -> None:
    while True:
        await asyncio.sleep(TELL_S)
        people.tell()


async def main(speakers: int, pace: float, seed: int) -> None:
    speech = list(speech_packets())
    lines = await standard_input()
    # A busy machine's people are slow, but nobody's keys are changed before they have the new ones.
    patient = VoiceSettings(ready_timeout_s=PATIENCE_S, commit_timeout_s=PATIENCE_S)
    async with Sandbox(rate_limits=False, voice_settings=patient) as sandbox, contextlib.AsyncExitStack() as stack:
        voices: list[Speaker] = []
        people = SoakPeople(sandbox, voices, speech, random.Random(seed))  # noqa: S311 - chances, no secrets
        for number in range(speakers):
            user = sandbox.add_person(f"Speaker {number + 1}")
            voices.append(await stack.enter_async_context(sandbox.speaker(user, pace=pace, on_spoken=people.note)))
            await voices[-1].join(sandbox.voice_channel.id)
        say(
            {
                "api_base": sandbox.api_base,
                "gateway_url": sandbox.gateway_url,
                "token": sandbox.token,
                "certificate": sandbox.voice.certificate.authority_pem.decode("ascii"),
                "channel": sandbox.voice_channel.id,
            }
        )
        async with asyncio.TaskGroup() as tasks:
            telling = tasks.create_task(tell_for_ever(people), name="soak-tell")
            while line := await lines.readline():
                tasks.create_task(people.answer(json.loads(line)), name="soak-answer")
            telling.cancel()
        await people.do_quiet()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])))
