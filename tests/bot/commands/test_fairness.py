"""A short clip does not wait for other people's long ones, and what is refused is counted."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import aiohttp
import pytest

from bot import turns
from bot.commands.recordings import LONG_BYTES
from bot.texts import english as texts
from sandbox import Message, User
from tests.fakes.world import World, text_of, wav

pytestmark = pytest.mark.e2e

LONG_S = 33.0
CROWD = 5
PATIENCE_S = 40.0


async def analysing(world: World, user: User, seconds: float) -> asyncio.Task[Message]:
    """Somebody uses `/analyze` with a file of theirs, and stated that they may."""
    client = world.service.gateway.client
    client._messages._statements.make(user.id, world.service.app.clock.monotonic_s())
    data = await asyncio.to_thread(wav, seconds)
    assert (len(data) > LONG_BYTES) == (seconds >= LONG_S)
    file = world.sandbox.file(world.sandbox.text, "talk.wav", data)
    interaction = await world.sandbox.command(user, world.sandbox.text, "analyze", {"file": file})
    return asyncio.create_task(world.sandbox.answer(interaction, PATIENCE_S), name=f"analyze-{user.name}")


async def test_a_short_clip_is_answered_while_other_peoples_long_ones_still_run(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, begun, segment = asyncio.Event(), [0], world.service.backend.segment

    async def slow(data: bytes, **options: Any) -> Any:
        if len(data) > LONG_BYTES:
            begun[0] += 1
            await held.wait()
        return await segment(data, **options)

    monkeypatch.setattr(world.service.backend, "segment", slow)
    crowd = [world.sandbox.add_person(f"Person {number}") for number in range(CROWD)]
    long = [await analysing(world, user, LONG_S) for user in crowd]
    await world.sandbox.wait_for(
        lambda: world.service.app.turns.waiting == CROWD and begun[0] >= turns.LONG_AT_ONCE, timeout_s=PATIENCE_S
    )
    assert begun[0] == turns.LONG_AT_ONCE < CROWD
    short = await analysing(world, world.mara, 1.5)
    assert "sounds **" in text_of(await short)
    assert not any(task.done() for task in long), "they still run or wait"
    held.set()
    assert all(answer.embeds for answer in await asyncio.gather(*long))


async def test_what_is_refused_is_counted_in_the_metrics(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(turns.USES):
        await (await analysing(world, world.mara, 1.5))
    assert texts.COOLDOWN.split("{")[0] in text_of(await (await analysing(world, world.mara, 1.5)))
    monkeypatch.setattr(turns, "MAX_WAITING", 0)
    assert text_of(await (await analysing(world, world.theo, 1.5))) == texts.TOO_BUSY
    async with aiohttp.ClientSession(world.service.url) as http, http.get("/metrics") as response:
        lines = (await response.text()).splitlines()
    pattern = re.compile(r"undertone_recordings_(\w+?)(?:_total)? (\S+)")
    counted = {found[1]: float(found[2]) for line in lines if (found := pattern.fullmatch(line))}
    assert counted == {"begun": turns.USES, "refused_too_many": 1, "refused_full": 1, "waiting": 0}
