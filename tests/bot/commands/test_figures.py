"""Why something was not heard: every reason, in `/listen status`, on /metrics and in the stored report."""

from __future__ import annotations

import re

import aiohttp
import pytest

from bot.texts import english as texts
from bot.voice.counters import ReceiveCounters
from tests.fakes.world import World, text_of

pytestmark = pytest.mark.integration

REASONS = [name for name in ReceiveCounters().as_dict() if name.startswith("dropped_") or name in ("concealed", "lost")]


def series(part: str, name: str, *labels: str) -> str:
    """As it stands in `/metrics`: why something was dropped is a label."""
    if name.startswith("dropped_"):
        name, labels = "dropped", (f'reason="{name.removeprefix("dropped_")}"', *labels)
    return f"undertone_{part}_{name}_total" + (f"{{{','.join(labels)}}}" if labels else "")


def counters_in(lines: list[str]) -> dict[str, float]:
    """What never goes down while the service runs, by its series."""
    found = (re.fullmatch(r"(undertone_(?!session_)\w+_total\S*) (\S+)", line) for line in lines)
    return {match[1]: float(match[2]) for match in found if match}


async def metrics_of(world: World) -> list[str]:
    async with aiohttp.ClientSession(world.service.url) as http, http.get("/metrics") as response:
        return (await response.text()).splitlines()


async def test_every_reason_for_a_drop_is_told_for_each_session_and_in_all(world: World) -> None:
    assert len(REASONS) >= 20
    world.sit(world.owner)
    await world.seen(world.owner)
    none = await metrics_of(world)
    assert [name for name in REASONS if f"{series('sessions', name)} 0.0" not in none] == []
    await world.attest_and_start()
    session = world.service.sessions.of(world.sandbox.guild.id)
    assert session is not None
    counted = {name: 1_001 + index for index, name in enumerate(REASONS)}
    world.voice.link.counts.update(counted)

    status = text_of(await world.ask(world.owner, "listen status"))
    assert [name for name, n in counted.items() if texts("LOSS", why=texts.LOSSES[name], n=n) not in status] == []
    lines = await metrics_of(world)
    for part, labels in (("sessions", ()), ("session", ('session="1"',))):
        assert {f"{series(part, name, *labels)} {n}.0" for name, n in counted.items()} - set(lines) == set()
    assert not any(session.record.id in line for line in lines)

    await world.ask(world.owner, "listen stop")
    await world.over()
    report = await world.service.storage.report(session.record.id)
    assert report is not None
    assert {name: report.session.counters[name] for name in counted} == counted
    after = await metrics_of(world)
    assert not any(line.startswith("undertone_session_") and "{" in line for line in after)
    assert f"{series('sessions', 'dropped_late')} {counted['dropped_late']}.0" in after
    before, then = counters_in(lines), counters_in(after)
    assert {name for name in before if "_sessions_" in name} == {
        name for name in counters_in(none) if "_sessions_" in name
    }
    assert series("sessions", "dropped_late") in before
    assert [name for name, value in before.items() if then[name] < value] == []
