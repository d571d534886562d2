"""`undertone load`: people who talk in one process, the service in another, and what becomes of each window."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from lab import load, service_cost
from lab.load import Load, found, measure
from tests.fakes.backend import FakeBackend


@pytest.mark.integration
@pytest.mark.slow
async def test_windows_are_followed_to_their_event_and_their_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "WARM_UP_S", 1.0)
    said: list[str] = []
    one = await measure(2, 2, 8.0, say=said.append, backend=FakeBackend(delay_s=0.05))
    assert one.windows >= 2
    assert 50 <= one.event_ms[0] <= one.event_ms[1]
    assert one.event_ms[0] < one.row_ms[1]
    assert one.degraded == 0
    assert set(one.lost) == set(service_cost.LOST)
    assert {name.rpartition(" ")[0] for name in one.processes} >= {"service", "loopback Discord"}
    assert all(cores >= 0 and mb > 1 for cores, mb in one.processes.values())


@pytest.mark.unit
@pytest.mark.parametrize("capacity", [0, 1, 3, 8, 37, 60, 99, 100, 500])
def test_the_number_carried_is_found_within_a_twelfth(capacity: int) -> None:
    tried: list[int] = []

    def carried(people: int) -> bool:
        tried.append(people)
        return people <= capacity

    most = found(100, carried)
    assert most <= min(capacity, 100)
    assert most >= min(capacity, 100) * 0.92 - 1
    assert len(tried) <= 10
    assert len(tried) == len(set(tried))


@pytest.mark.unit
@pytest.mark.parametrize(
    ("event", "missing", "lost", "carried"),
    [(700, 0.01, 0, True), (701, 0.0, 0, False), (100, 0.02, 0, False), (100, 0.0, 1, False)],
)
def test_late_unheard_or_dropped_is_not_carried(
    monkeypatch: pytest.MonkeyPatch, event: float, missing: float, lost: int, carried: bool
) -> None:
    made = Load(
        people=5,
        servers=1,
        seconds=60.0,
        spread_s=3.0,
        windows=100,
        event_ms=(50.0, event),
        row_ms=(300.0, 600.0),
        degraded=0,
        lag_p99_ms=3.0,
        missing=missing,
        lost={"windows_dropped_queue_full": lost},
    )

    async def measured(*_: object, **__: object) -> Load:
        return made

    monkeypatch.setattr(load, "measure", measured)
    assert made.carried is carried
    result = CliRunner().invoke(load.load, ["--json"])
    assert json.loads(result.stdout)["carried"] is carried
    assert ("NOT carried" in CliRunner().invoke(load.load, []).stdout) is not carried


@pytest.mark.integration
def test_a_model_that_is_not_there_is_said_in_words() -> None:
    result = CliRunner().invoke(load.load, ["--model", "no-such-model", "--people", "1", "--minutes", "0.05"])
    assert result.exit_code == 1
    assert "There is no model 'no-such-model'" in result.output
    assert isinstance(result.exception, SystemExit)
