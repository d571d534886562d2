"""The status lines of voice channels: who asks about one server at the same time does not depend on the others."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from bot.statuses import ChannelStatuses
from bot.voice import compat

pytestmark = pytest.mark.unit

GUILD: Any = SimpleNamespace(id=1)
LINES = {"guild_id": "1", "channels": [{"id": "20", "status": "Quiet, please"}, {"id": "21"}]}


class Gateway:
    """Takes the questions; answers when told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked = 0
        self.asked_once = asyncio.Event()
        self.take: Any = None
        monkeypatch.setattr(compat, "on_gateway_event", self._listens)
        monkeypatch.setattr(compat, "ask_gateway", self._ask)
        self.statuses = ChannelStatuses(SimpleNamespace())  # type: ignore[arg-type]  # nothing is asked of it here

    def _listens(self, _client: Any, _name: str, take: Any) -> None:
        self.take = take

    async def _ask(self, *_: Any) -> None:
        self.asked += 1
        self.asked_once.set()


async def test_who_asks_at_the_same_time_asks_once(monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = Gateway(monkeypatch)
    asking = [asyncio.create_task(gateway.statuses.of(GUILD, channel_id)) for channel_id in (20, 21)]
    await gateway.asked_once.wait()
    await asyncio.sleep(0)
    gateway.take(LINES)
    assert await asyncio.gather(*asking) == ["Quiet, please", None]
    assert gateway.asked == 1


async def test_somebody_who_gives_up_takes_the_answer_from_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = Gateway(monkeypatch)
    first, second = (asyncio.create_task(gateway.statuses.of(GUILD, 20)) for _ in range(2))
    await gateway.asked_once.wait()
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait({first})
    gateway.take(LINES)
    assert await second == "Quiet, please"


async def test_an_answer_that_does_not_come_is_asked_for_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.statuses.ANSWER_S", 0.0)
    gateway = Gateway(monkeypatch)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            await gateway.statuses.of(GUILD, 20)
    assert gateway.asked == 2
