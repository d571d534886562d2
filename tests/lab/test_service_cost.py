"""`undertone bench --service`: the Discord in one process, the service in another, and what a packet costs there."""

from __future__ import annotations

import os
import signal

import pytest

from lab import service_cost
from lab.processes import Processes
from lab.service_cost import ServiceCost, clocked, measure_service
from tests.fakes.backend import FakeBackend


@pytest.mark.integration
@pytest.mark.slow
async def test_people_who_talk_all_the_time_are_heard_and_cost_what_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_cost, "WARM_UP_S", 1.0)
    monkeypatch.setattr(service_cost, "PARTS_S", 1.0)
    said: list[str] = []
    cost = await measure_service(people=2, servers=2, seconds=2.0, backend=FakeBackend(), say=said.append)
    assert cost.packets > 50
    assert cost.total_us > 0
    assert set(cost.parts_us) >= {"DAVE", "Opus to 16 kHz", "gathering and segmenting"}
    assert all(microseconds > -1 for microseconds in cost.parts_us.values())
    assert set(cost.lost) == set(service_cost.LOST)
    assert len(said) == 2


@pytest.mark.unit
def test_what_is_inside_another_of_the_same_part_counts_once() -> None:
    class Work:
        def outer(self) -> int:
            return self.inner()

        def inner(self) -> int:
            return sum(range(200_000))

    spent: dict[str, float] = {"both": 0.0, "inner": 0.0}
    work = Work()
    with (
        clocked(Work, "inner", spent, "inner"),
        clocked(Work, "inner", spent, "both"),
        clocked(Work, "outer", spent, "both"),
    ):
        work.outer()
    assert 0 < spent["inner"] <= spent["both"] < 2 * spent["inner"] + 0.01


@pytest.mark.unit
def test_people_a_core_follow_from_a_packets_cost() -> None:
    figures = {"people": 1, "servers": 1, "seconds": 1.0, "packets": 50, "parts_us": {}, "missing": 0.0}
    cost = ServiceCost(**figures, total_us=100.0, lag_p99_ms=1.0, lag_max_ms=2.0)  # type: ignore[arg-type]
    assert cost.people_a_core == 200


@pytest.mark.integration
async def test_ctrl_c_does_not_end_those_who_talk_before_the_service() -> None:
    """A terminal sends it to both processes; the one with the people ends with its standard input, without a word."""
    async with service_cost.crowd(1, 1, 0.0) as (_, ask):
        (people,) = [name for name in Processes().used() if name.startswith("loopback Discord")]
        os.kill(int(people.split()[-1]), signal.SIGINT)
        await ask(answered=False)
        assert "sent" in await ask()
