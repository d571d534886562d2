"""A flood of presses: everybody in a channel presses *Include me* and *Leave me out*, again and again.

    python -m tests.load.flood --people 50 --presses 200 --seconds 5

The loopback Discord and the service share one process, so what the former costs counts too. Each press must be
acknowledged within the three seconds that Discord waits, everybody's last press must hold, and one panel must stand.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from bot import logs
from bot.commands.panel_view import EXCLUDE_ID, INCLUDE_ID
from sandbox import User
from sandbox.interactions import Interaction
from tests.fakes.world import World, standing

ANSWER_S: Final = 60.0
SEED: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Flood:
    """What came of it."""

    presses: int
    acknowledged_s: Sequence[float]
    """How long each acknowledged press waited, the shortest first."""
    wrong: frozenset[int]
    """Whose last press does not hold."""
    panels: int
    processor_s: float
    """Of service and loopback Discord together, until every press had its answer."""

    @property
    def unacknowledged(self) -> int:
        return self.presses - len(self.acknowledged_s)

    @property
    def slowest_s(self) -> float:
        return self.acknowledged_s[-1] if self.acknowledged_s else 0.0

    @property
    def held(self) -> bool:
        return not (self.unacknowledged or self.wrong) and self.panels == 1


async def flood(world: World, *, people: int, a_second: float, seconds: float) -> Flood:
    """So many people press in a session of theirs, `a_second` times together."""
    crowd = [world.sandbox.add_person(f"Person {number}") for number in range(people)]
    world.sit(world.owner, *crowd)
    await world.seen(world.owner, *crowd)
    panel = await world.attest_and_start()
    session, chosen = world.running(), random.Random(SEED)  # noqa: S311  # the same presses each time
    pressed: list[tuple[User, str, Interaction]] = []
    acknowledged_s: list[float] = []

    async def press(user: User, button: str) -> None:
        begun_s = time.monotonic()
        interaction = await world.sandbox.press(user, panel, button)
        if interaction.acknowledged:
            acknowledged_s.append(time.monotonic() - begun_s)
        pressed.append((user, button, interaction))

    begun_s, processor_s = time.monotonic(), time.process_time()
    async with asyncio.TaskGroup() as tasks:
        for number in range(round(a_second * seconds)):
            await asyncio.sleep(begun_s + number / a_second - time.monotonic())
            user, button = crowd[number % people], chosen.choice((INCLUDE_ID, EXCLUDE_ID))
            tasks.create_task(press(user, button), name=f"press-{number}")
    for _, _, interaction in pressed:
        if interaction.acknowledged:
            await world.sandbox.answer(interaction, ANSWER_S)
    processor_s = time.process_time() - processor_s
    last = {user.id: button for user, button, _ in sorted(pressed, key=lambda one: one[2].id)}
    return Flood(
        presses=len(pressed),
        acknowledged_s=sorted(acknowledged_s),
        wrong=frozenset(u for u, button in last.items() if session.consents(u) != (button == INCLUDE_ID)),
        panels=sum(INCLUDE_ID in message.custom_ids() for message in world.messages()),
        processor_s=processor_s,
    )


async def main(options: argparse.Namespace) -> bool:
    logs.configure("warning")
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        async with standing(Path(folder), patch) as world:
            found = await flood(world, people=options.people, a_second=options.presses, seconds=options.seconds)
    middle_s = found.acknowledged_s[len(found.acknowledged_s) // 2] if found.acknowledged_s else 0.0
    for name, value in (
        ("presses", f"{found.presses}"),
        ("not acknowledged within 3 s", f"{found.unacknowledged}"),
        ("acknowledged after, half of them", f"{middle_s * 1000:.0f} ms"),
        ("acknowledged after, the slowest", f"{found.slowest_s * 1000:.0f} ms"),
        ("people whose last press does not hold", f"{len(found.wrong)}"),
        ("panels", f"{found.panels}"),
        ("processor time a press, both sides", f"{found.processor_s / max(1, found.presses) * 1000:.1f} ms"),
    ):
        print(f"{name:40}{value:>12}")  # noqa: T201  # what it is run for
    return found.held


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=50)
    parser.add_argument("--presses", type=float, default=200.0, help="a second, of all together")
    parser.add_argument("--seconds", type=float, default=5.0)
    sys.exit(not asyncio.run(main(parser.parse_args())))
