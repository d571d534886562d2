"""What the report page is drawn from: every figure of it can be had back from the columns."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from bot.listening.live import LiveBus
from bot.web.chart import chart_out, columns, summary_out
from storage import SessionRecord, Storage
from storage.report import build_report
from tests.fakes import records

pytestmark = pytest.mark.integration

Client = TestClient[Any, Any]
LABELS = ["Angry", "Happy", "Neutral"]


def spans(windows: dict[str, list[int]]) -> list[tuple[float, float]]:
    """Start and end of each window in seconds, as docs/http.md says."""
    steps = [step for pair in zip(windows["gap"], windows["length"], strict=True) for step in pair]
    edges = [edge / 10 for edge in accumulate(steps)]
    return list(zip(edges[::2], edges[1::2], strict=True))


async def test_the_chart_of_a_session(client: Client, session: SessionRecord) -> None:
    async with client.get(f"/api/v1/sessions/{session.id}/chart.json") as response:
        assert response.status == 200
        chart = await response.json()
    assert chart["title"] == "Story night"
    assert chart["server"] == "The Speaking Room"
    alice, bob = chart["people"]
    assert (alice["name"], bob["name"]) == ("Alice", "Bob")
    assert spans(alice["windows"]) == [(0.0, 3.0), (3.0, 6.0)]
    assert spans(bob["windows"]) == [(4.0, 7.0), (10.0, 13.0)]
    assert [chart["labels"][index] for index in alice["windows"]["label"]] == ["Angry", "Happy"]
    assert bob["windows"]["why"] == [0, 1]
    assert chart["reasons"] == ["unsure"]
    assert alice["windows"]["sure"] == [80, 80]
    assert [tick["kind"] for tick in chart["ticks"]] == ["joined", "joined"]
    figures = {person["id"]: person for person in chart["summary"]["speakers"]}
    assert figures[alice["id"]]["longest_s"] == 6.0
    assert figures[bob["id"]]["clear_windows"] == 1
    ended = datetime.fromisoformat(chart["ended_at"])
    assert datetime.fromisoformat(chart["expires_at"]) == ended + timedelta(days=7)
    assert len(chart["summary"]["sentences"]) == 3
    assert chart["summary"]["sentences"][2] == "25 % of the speech was unclear."
    assert chart["summary"]["line"][0] == "2 people took part"


async def test_the_lines_of_one_voice(client: Client, session: SessionRecord, storage: Storage) -> None:
    alice = (await storage.participants(session.id))[0]
    async with client.get(f"/api/v1/sessions/{session.id}/voices/{alice.id}.json") as response:
        voice = await response.json()
    assert [column[:2] for column in voice["probabilities"]] == [[80, 5], [5, 80], [5, 5], [5, 5], [5, 5]]
    assert spans(voice["windows"]) == [(0.0, 3.0), (3.0, 6.0)]
    for nobody in (str(alice.id + 77), "9" * 18):
        async with client.get(f"/api/v1/sessions/{session.id}/voices/{nobody}.json") as response:
            assert response.status == 404


async def test_a_share_link_tells_no_name(client: Client, session: SessionRecord, storage: Storage) -> None:
    _, token = await storage.create_share(session.id, lifetime=timedelta(hours=1))
    async with client.get(f"/s/{token}/chart.json") as response:
        text = await response.text()
    assert "Speaker 1" in text
    assert not any(name in text for name in ("Alice", "Bob", "Story night", "The Speaking Room"))


async def test_a_window_told_live_and_not_written_yet_is_in_the_report(
    client: Client, bus: LiveBus, storage: Storage, live_session: SessionRecord
) -> None:
    alice = (await storage.participants(live_session.id))[0]
    told = records.window(alice.id, 20.0, emotion="Sad")
    gone = records.window(alice.id + 50, 21.0)
    for window in (told, gone):
        bus.publish(live_session.id, "window", asdict(window))
    async with client.get(f"/api/v1/sessions/{live_session.id}/chart.json") as response:
        chart = await response.json()
    assert chart["last_event_id"] == 2
    assert spans(chart["people"][0]["windows"])[-1] == (20.0, 23.0)
    assert sum(person["windows"] for person in chart["summary"]["speakers"]) == 5
    await storage.add_windows(live_session.id, [told])
    async with client.get(f"/api/v1/sessions/{live_session.id}/chart.json") as response:
        assert len((await response.json())["people"][0]["windows"]["gap"]) == 3


def test_rounding_does_not_add_up() -> None:
    windows = [records.window(1, n * 3.06, n * 3.06 + 3.04, emotion="Angry") for n in range(2_000)]
    found = spans(columns(windows, LABELS, []).model_dump())
    assert found[-1] == pytest.approx((windows[-1].start_s, windows[-1].end_s), abs=0.051)


def test_a_session_without_anybody() -> None:
    report = build_report(records.session(), [], [], [])
    summary = summary_out(report, {}, expires_at=datetime.now(UTC))
    chart = chart_out(report, {}, title="x", server=None, expires_at=None, summary=summary, last_event_id=0)
    assert chart.people == []
    assert chart.summary.moments == []
