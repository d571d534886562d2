"""Why something was not heard: every reason, in `/listen status`, on /metrics and in the stored report."""

from __future__ import annotations

import aiohttp
import pytest

from bot.texts import english as texts
from bot.voice.counters import ReceiveCounters
from tests.fakes.world import World, text_of

pytestmark = pytest.mark.integration

REASONS = [name for name in ReceiveCounters().as_dict() if name.startswith("dropped_") or name in ("concealed", "lost")]


async def metrics_of(world: World) -> list[str]:
    async with aiohttp.ClientSession(world.service.url) as http, http.get("/metrics") as response:
        return (await response.text()).splitlines()


async def test_every_reason_for_a_drop_is_told_for_each_session_and_in_all(world: World) -> None:
    assert len(REASONS) >= 20
    world.sit(world.owner)
    await world.seen(world.owner)
    none = await metrics_of(world)
    assert [name for name in REASONS if f'undertone_sessions_count{{kind="{name}"}} 0.0' not in none] == []
    await world.attest_and_start()
    session = world.service.sessions.of(world.sandbox.guild.id)
    assert session is not None
    counted = {name: 1_001 + index for index, name in enumerate(REASONS)}
    world.voice.link.counts.update(counted)

    status = text_of(await world.ask(world.owner, "listen status"))
    assert [name for name, n in counted.items() if texts("LOSS", why=texts.LOSSES[name], n=n) not in status] == []
    lines = await metrics_of(world)
    for metric, first in (("undertone_sessions_count", ""), ("undertone_session_count", 'session="1",')):
        expected = {f'{metric}{{kind="{name}"}} {n}.0' for name, n in counted.items()}
        if first:
            expected = {f'{metric}{{kind="{name}",{first[:-1]}}} {n}.0' for name, n in counted.items()}
        assert expected - set(lines) == set()
    assert not any(session.record.id in line for line in lines)

    await world.ask(world.owner, "listen stop")
    await world.over()
    report = await world.service.storage.report(session.record.id)
    assert report is not None
    assert {name: report.session.counters[name] for name in counted} == counted
    after = await metrics_of(world)
    assert not any(line.startswith("undertone_session_count{") for line in after)
    assert 'undertone_sessions_count{kind="dropped_late"} ' + f"{counted['dropped_late']}.0" in after
