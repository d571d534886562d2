"""A disk that is full for a while, and a database that is locked: it is told everywhere, and nothing is lost."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path

import pytest

from bot.commands.panel_view import INCLUDE_ID
from bot.texts import english as texts
from bot.web import words
from sandbox import Message
from sandbox.voice import Speaker
from tests.e2e.program import may_mount, mounted
from tests.e2e.stage import Stage, stage
from tests.fakes.clips import clip_paths
from tests.fakes.world import text_of

pytestmark = pytest.mark.e2e


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """Not a byte more fits into the folder."""
    fill = folder / "fill"
    written = -1
    with fill.open("wb", buffering=0) as file:
        while written:
            try:
                written = file.write(bytes(4096))
            except OSError:
                written = 0
    yield
    fill.unlink()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Another program writes to the database, and does not come to an end."""
    with sqlite3.connect(folder / "undertone.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")
    other.close()


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(full, marks=pytest.mark.skipif(not may_mount(), reason="needs root, and the right to mount")),
        locked,
    ],
)
@pytest.mark.slow
async def test_results_that_cannot_be_saved_wait_and_people_are_told(
    tmp_path: Path, trouble: Callable[[Path], AbstractContextManager[None]]
) -> None:
    folder = tmp_path / "data"
    with ExitStack() as stack:
        stack.enter_context(mounted(folder, "size=1m") if trouble is full else nullcontext())
        async with stage(folder) as play:
            voice = await play.seat(play.host)
            panel = await play.listen()
            await play.discord.press(play.host, panel, INCLUDE_ID)
            await play.discord.voice.settled(play.discord.voice_channel.id)
            await says_something(play, voice)
            writer = play.service.writer
            await play.discord.wait_for(lambda: writer.written >= 1)
            with trouble(folder):
                while not writer.failing:
                    await says_something(play, voice)
                async with play.http.get("/health/ready") as response:
                    assert (response.status, (await response.json())["checks"]["saving"]) == (503, False)
                async with play.http.get("/about") as response:
                    assert words.UNSAVED in await response.text()
                await play.discord.wait_for(lambda: texts.UNSAVED in text_of(shown(play)))
                status = await play.discord.command(play.host, play.discord.text, "listen status")
                assert texts.UNSAVED in text_of(await play.discord.answer(status))
            await play.discord.wait_for(lambda: not writer.failing and not writer.pending, timeout_s=60.0)
            async with play.http.get("/health/ready") as response:
                assert response.status == 200
            await play.discord.wait_for(lambda: texts.UNSAVED not in text_of(shown(play)))
            report = await play.report(play.session_id)
            assert len(report["windows"]) == writer.written >= 2
            assert writer.dropped == writer.orphaned == 0


def shown(play: Stage) -> Message:
    panel = play.panel()
    assert panel is not None
    return panel


async def says_something(play: Stage, voice: Speaker) -> None:
    """Until it was heard: what is said before the keys of an epoch are there is not."""
    session = play.service.sessions.of(play.discord.guild.id)
    assert session is not None
    before, heard = session.counters()["predictions"], False
    while not heard:
        await voice.say(clip_paths()[0])
        with suppress(TimeoutError):
            heard = await play.discord.wait_for(lambda: session.counters()["predictions"] > before, timeout_s=8.0)
