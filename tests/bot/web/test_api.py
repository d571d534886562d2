"""The JSON and CSV interface tells what the database holds, and nothing of who people are in Discord."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp.test_utils import TestClient

from bot.listening.events import window_event
from bot.listening.live import LiveBus
from bot.web.export import as_html, as_json
from storage import MomentRecord, NewSession, SessionRecord, Storage
from tests.bot.web.conftest import ALICE, BOB, MakeClient
from tests.fakes.names import FakeNames
from tests.fakes.records import window

pytestmark = pytest.mark.integration

Client = TestClient[Any, Any]


async def _json(client: Client, path: str, status: int = 200) -> dict[str, Any]:
    async with client.get(path) as response:
        assert response.status == status, await response.text()
        body: dict[str, Any] = await response.json(content_type=None)
        return body


async def _rows(client: Client, path: str) -> list[dict[str, str]]:
    async with client.get(path) as response:
        assert response.status == 200
        assert response.content_type == "text/csv"
        assert "attachment" in response.headers["Content-Disposition"]
        return list(csv.DictReader(io.StringIO(await response.text())))


async def test_the_list(client: Client, session: SessionRecord) -> None:
    body = await _json(client, "/api/v1/sessions")
    assert body["next"] is None
    [row] = body["sessions"]
    assert row["id"] == session.id
    assert row["state"] == "ended"
    assert row["title"] == "Story night"
    assert row["url"] == f"/sessions/{session.id}"
    assert row["started_at"].startswith(session.started_at.isoformat()[:19])
    assert [p["name"] for p in row["participants"]] == ["Alice", "Bob"]
    assert [p["pseudonym"] for p in row["participants"]] == ["Speaker 1", "Speaker 2"]


async def test_the_list_in_pages(client: Client, storage: Storage, session: SessionRecord) -> None:
    for _ in range(4):
        await storage.start_session(
            NewSession(guild_id=10, channel_id=20, started_by=1, model="m", model_version="v", labels=("Angry",))
        )
    seen: list[str] = []
    path: str | None = "/api/v1/sessions?limit=2"
    while path:
        body = await _json(client, path)
        assert len(body["sessions"]) <= 2
        seen += [row["id"] for row in body["sessions"]]
        path = body["next"]
    assert len(seen) == len(set(seen)) == 5
    assert seen[-1] == session.id


async def test_a_report_has_every_window_and_the_databases_figures(
    client: Client, storage: Storage, session: SessionRecord
) -> None:
    await storage.add_moment(session.id, MomentRecord(at_s=5.5, kind="mark", participant_id=None, text="the joke"))
    body = await _json(client, f"/api/v1/sessions/{session.id}")
    report = await storage.report(session.id)
    assert report is not None
    assert len(body["windows"]) == 4
    assert [w["start_s"] for w in body["windows"]] == [0.0, 3.0, 4.0, 10.0]
    assert body["windows"][3]["unclear"] is True
    assert body["windows"][3]["reason"] == "unsure"
    assert sum(body["windows"][0]["probabilities"].values()) == pytest.approx(1.0)
    assert body["moments"] == [{"at_s": 5.5, "kind": "mark", "participant_id": None, "text": "the joke"}]
    assert body["totals"]["overlap_s"] == pytest.approx(report.overlap_s) == pytest.approx(2.0)
    assert body["totals"]["shares"] == pytest.approx(dict(report.shares))
    assert body["totals"]["unclear_windows"] == 1
    for row, person in zip(body["participants"], report.participants, strict=True):
        assert row["talk_s"] == pytest.approx(person.talk_s)
        assert row["turns"] == person.turns
        assert row["windows"] == len(person.windows)
        assert row["shares"] == pytest.approx(dict(person.shares))
    assert body["model"] == {"name": "seed", "version": "abc123", "labels": list(session.labels)}
    assert body["counters"] == {"lost": 3}
    assert any("never how a person feels" in line for line in body["method"]["limits"])


async def test_no_discord_id_of_a_person_is_anywhere(client: Client, session: SessionRecord, storage: Storage) -> None:
    marker = 987654321987654321
    await storage.include_participant(session.id, marker)
    for path in (f"/api/v1/sessions/{session.id}", "/api/v1/sessions", f"/sessions/{session.id}", "/"):
        async with client.get(path) as response:
            assert str(marker) not in await response.text()


async def test_csv_of_windows(client: Client, session: SessionRecord) -> None:
    rows = await _rows(client, f"/api/v1/sessions/{session.id}/windows.csv")
    assert len(rows) == 4
    assert rows[0]["speaker"] == "Alice"
    assert float(rows[0]["p_Angry"]) == pytest.approx(0.8)
    assert [row["unclear"] for row in rows] == ["0", "0", "0", "1"]


async def test_a_window_that_another_model_answered_says_so_everywhere(
    client: Client, live_session: SessionRecord, storage: Storage, bus: LiveBus
) -> None:
    alice = (await storage.participants(live_session.id))[0]
    told = window(alice.id, 20.0, engine="fast")
    bus.publish(live_session.id, "window", window_event(told))
    data = f"/api/v1/sessions/{live_session.id}"
    for stored in (False, True):
        if stored:
            await storage.add_windows(live_session.id, [told])
        async with client.get(data) as response:
            assert [one["engine"] for one in (await response.json())["windows"]] == [None] * 4 + ["fast"]
        async with client.get(f"{data}/chart.json") as response:
            assert [one["windows"]["stood_in"] for one in (await response.json())["people"]] == [[0, 0, 1], [0, 0]]
        assert [row["engine"] for row in await _rows(client, f"{data}/windows.csv")] == [""] * 4 + ["fast"]
        async with client.get(f"/sessions/{live_session.id}") as response:
            assert (await response.text()).count("by the faster model") == 1
    report = await storage.report(live_session.id)
    assert report is not None
    assert as_html(report).count("by the faster model") == 1
    assert '"engine": "fast"' in as_json(report)


async def test_csv_of_speakers_and_moments(client: Client, session: SessionRecord, storage: Storage) -> None:
    await storage.add_moment(session.id, MomentRecord(at_s=1, kind="mark", participant_id=None, text='a "quote", and'))
    speakers = await _rows(client, f"/api/v1/sessions/{session.id}/speakers.csv")
    assert [row["speaker"] for row in speakers] == ["Alice", "Bob"]
    [moment] = await _rows(client, f"/api/v1/sessions/{session.id}/moments.csv")
    assert moment["text"] == 'a "quote", and'


async def test_a_name_is_no_formula(client: Client, session: SessionRecord, names: FakeNames) -> None:
    names.people[ALICE] = '=HYPERLINK("http://evil.example")'
    rows = await _rows(client, f"/api/v1/sessions/{session.id}/speakers.csv")
    assert rows[0]["speaker"].startswith("'=")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/api/v1/sessions/nothing", 404, "not_found"),
        ("/api/v1/sessions/nothing/windows.csv", 404, "not_found"),
        ("/api/v1/sessions/nothing/events", 404, "not_found"),
        ("/api/v1/elsewhere", 404, "not_found"),
        ("/api/v1/sessions?limit=0", 400, "bad_parameter"),
        ("/api/v1/sessions?limit=99999999999999999999", 400, "bad_parameter"),
        ("/api/v1/sessions?limit=²", 400, "bad_parameter"),
        ("/api/v1/sessions?before=yesterday", 400, "bad_parameter"),
        ("/api/v1/sessions?server=x", 400, "bad_parameter"),
        ("/api/v1/sessions?channel=99999999999999999999", 400, "bad_parameter"),
        ("/api/v1/sessions?state=asleep", 400, "bad_parameter"),
        ("/api/v1/sessions?day=9999-12-31", 400, "bad_parameter"),
        ("/api/v1/sessions?day=today", 400, "bad_parameter"),
        ("/api/v1/sessions?before=2026-01-01", 400, "bad_parameter"),
        ("/api/v1/sessions?before=0001-01-01T00:00:00%2B14:00", 400, "bad_parameter"),
        ("/api/v1/sessions?before=9999-12-31T23:59:59-14:00", 400, "bad_parameter"),
        ("/s/not-a-token/report.json", 404, "not_found"),
    ],
)
async def test_refusals_are_problem_documents(client: Client, path: str, status: int, code: str) -> None:
    async with client.get(quote(path, safe="/?=&")) as response:
        assert response.status == status
        assert response.content_type == "application/problem+json"
        body = await response.json(content_type=None)
    assert body["status"] == status
    assert body["code"] == code
    assert body["detail"].endswith(".")


async def test_before_the_end_of_time(client: Client, session: SessionRecord) -> None:
    body = await _json(client, "/api/v1/sessions?before=2020-01-01T00:00:00Z")
    assert body["sessions"] == []


async def test_a_share_link_opens_one_report_under_pseudonyms(
    make_client: MakeClient, storage: Storage, session: SessionRecord
) -> None:
    client = await make_client(access={"host": "0.0.0.0"})  # noqa: S104
    _, token = await storage.create_share(session.id, lifetime=timedelta(hours=1))
    body = await _json(client, f"/s/{token}/report.json")
    assert [p["name"] for p in body["participants"]] == ["Speaker 1", "Speaker 2"]
    assert "Story night" not in str(body)
    rows = await _rows(client, f"/s/{token}/windows.csv")
    assert {row["speaker"] for row in rows} == {"Speaker 1", "Speaker 2"}
    async with client.get(f"/s/{token}") as response:
        page = await response.text()
        assert response.status == 200
    assert "Speaker 1" in page
    assert "Alice" not in page
    assert f"/sessions/{session.id}" not in page
    await storage.revoke_shares(session.id)
    await _json(client, f"/s/{token}/report.json", status=410)


async def test_a_slow_discord_does_not_hold_the_report_up(
    client: Client, session: SessionRecord, names: FakeNames, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.web.grants._NAMES_TIMEOUT_S", 0.02)
    names.delay_s = 5
    body = await _json(client, f"/api/v1/sessions/{session.id}")
    assert [p["name"] for p in body["participants"]] == ["Speaker 1", "Speaker 2"]


async def test_a_participant_whose_data_was_deleted_is_gone(
    client: Client, session: SessionRecord, storage: Storage
) -> None:
    await storage.delete_person(BOB, None)
    body = await _json(client, f"/api/v1/sessions/{session.id}")
    assert [p["name"] for p in body["participants"]] == ["Alice"]
    assert len(body["windows"]) == 2


async def test_the_list_can_be_filtered_and_its_next_page_too(client: Client, session: SessionRecord) -> None:
    day = f"{session.started_at:%Y-%m-%d}"
    for query in ("", "server=10", "channel=20", "state=ended", f"day={day}", f"server=10&channel=20&day={day}&state="):
        body = await _json(client, f"/api/v1/sessions?{query}")
        assert [row["id"] for row in body["sessions"]] == [session.id], query
    for query in ("server=11", "channel=21", "state=live", "day=2020-01-01"):
        assert (await _json(client, f"/api/v1/sessions?{query}"))["sessions"] == [], query


async def test_the_next_page_asks_for_the_same(client: Client, storage: Storage) -> None:
    for _ in range(3):
        await storage.start_session(
            NewSession(guild_id=10, channel_id=20, started_by=1, model="m", model_version="v", labels=("Angry",))
        )
    seen: list[str] = []
    address: str | None = "/api/v1/sessions?limit=1&state=live&server=10"
    while address:
        assert "state=live" in address
        body = await _json(client, address)
        seen += [row["id"] for row in body["sessions"]]
        address = body["next"]
    assert len(set(seen)) == 3
    assert len(seen) == 3
