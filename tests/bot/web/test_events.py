"""Live events: a browser that loses its connection and comes back misses nothing."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient

from bot.listening.events import moment_event, window_event
from bot.listening.live import LiveBus
from bot.web import events
from bot.web.reading import summary_of
from storage import MomentRecord, SessionRecord, SessionState, Storage
from storage.errors import StorageUnavailable
from tests.bot.web.conftest import MakeClient
from tests.fakes.records import window
from tests.fakes.waiting import Stopwatch, until

pytestmark = pytest.mark.integration

Client = TestClient[Any, Any]


async def _next_event(response: aiohttp.ClientResponse) -> dict[str, str]:
    """The next event of a stream: its fields; comments are skipped."""
    fields: dict[str, str] = {}
    async with asyncio.timeout(60):
        while True:
            line = (await response.content.readline()).decode().rstrip("\n")
            if line.startswith((":", "retry")):
                continue
            if not line and "id" in fields:
                return fields
            if not line and response.content.at_eof():
                raise EOFError
            name, _, value = line.partition(": ")
            fields[name] = value


async def followed(bus: LiveBus) -> None:
    """Until somebody follows."""
    await until(lambda: bus.counters()["subscribers"])


def _path(session: SessionRecord) -> str:
    return f"/api/v1/sessions/{session.id}/events"


async def test_events_arrive_as_they_happen(client: Client, bus: LiveBus, live_session: SessionRecord) -> None:
    async with client.get(_path(live_session)) as response:
        assert response.content_type == "text/event-stream"
        await followed(bus)
        await response.content.readline()
        bus.publish(live_session.id, "window", {"participant_id": 1, "emotion": "Happy"})
        event = await _next_event(response)
    assert event["id"] == "1"
    assert event["event"] == "window"
    assert json.loads(event["data"]) == {"participant_id": 1, "emotion": "Happy"}


async def test_a_reconnect_misses_nothing(client: Client, bus: LiveBus, live_session: SessionRecord) -> None:
    seen: list[str] = []
    for number in range(3):
        bus.publish(live_session.id, "window", {"n": number})
    async with client.get(_path(live_session) + "?last_event_id=0") as response:
        seen += [(await _next_event(response))["id"] for _ in range(2)]
    for number in range(3):
        bus.publish(live_session.id, "window", {"n": number})
    async with client.get(_path(live_session), headers={"Last-Event-ID": seen[-1]}) as response:
        seen += [(await _next_event(response))["id"] for _ in range(4)]
        bus.publish(live_session.id, "moment", {})
        seen.append((await _next_event(response))["id"])
    assert seen == ["1", "2", "3", "4", "5", "6", "7"]


async def test_the_page_joins_where_its_report_ends(client: Client, bus: LiveBus, live_session: SessionRecord) -> None:
    bus.publish(live_session.id, "window", {"n": 1})
    async with client.get(f"/api/v1/sessions/{live_session.id}/chart.json") as response:
        assert (await response.json())["last_event_id"] == 1
    async with client.get(f"/api/v1/sessions/{live_session.id}") as response:
        assert (await response.json())["last_event_id"] == 1
    bus.publish(live_session.id, "window", {"n": 2})
    async with client.get(_path(live_session) + "?last_event_id=1") as response:
        assert (await _next_event(response))["id"] == "2"


async def test_the_end_of_the_session_ends_the_stream(
    client: Client, bus: LiveBus, storage: Storage, live_session: SessionRecord
) -> None:
    async with client.get(_path(live_session)) as response:
        await followed(bus)
        await response.content.readline()
        await storage.end_session(live_session.id, state=SessionState.ENDED, reason="stopped", counters={})
        bus.publish(live_session.id, "state", {"state": "ended", "link": None, "reason": "stopped"})
        assert (await _next_event(response))["event"] == "state"
        with pytest.raises(EOFError):
            await _next_event(response)
    async with client.get(_path(live_session), headers={"Last-Event-ID": "0"}) as response:
        assert (await _next_event(response))["event"] == "state"


async def test_a_session_that_is_long_over_tells_the_browser_not_to_come_back(
    client: Client, session: SessionRecord
) -> None:
    async with client.get(_path(session)) as response:
        assert response.status == 204


async def test_a_revoked_link_ends_the_stream(
    client: Client, storage: Storage, live_session: SessionRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.web.events.HEARTBEAT_S", 0.05)
    _, token = await storage.create_share(live_session.id, lifetime=timedelta(hours=1))
    async with client.get(f"/s/{token}/events") as response:
        assert response.status == 200
        assert b"retry" in await response.content.readline()
        await response.content.readuntil(b": still here\n")
        await storage.revoke_shares(live_session.id)
        async with asyncio.timeout(60):
            await response.content.read()
    async with client.get(f"/s/{token}/events") as response:
        assert response.status == 410


async def test_too_many_followers(make_client: MakeClient, live_session: SessionRecord) -> None:
    bus = LiveBus(max_followers=1)
    client = await make_client(bus=bus)
    async with client.get(_path(live_session)):
        await followed(bus)
        async with client.get(_path(live_session)) as second:
            assert second.status == 503
            assert int(second.headers["Retry-After"]) > 0


@pytest.mark.parametrize("last_id", ["-1", "x", "9" * 20, "1.5"])
async def test_an_id_that_is_none(client: Client, live_session: SessionRecord, last_id: str) -> None:
    async with client.get(_path(live_session), headers={"Last-Event-ID": last_id}) as response:
        assert response.status == 400


async def test_stopping_the_server_does_not_wait_for_followers(
    make_client: MakeClient, live_session: SessionRecord
) -> None:
    client = await make_client()
    response = await client.get(_path(live_session))
    await response.content.readline()
    async with Stopwatch() as watch:
        await client.close()
    assert watch.took_s < 3


async def test_a_browser_that_leaves_is_forgotten(client: Client, bus: LiveBus, live_session: SessionRecord) -> None:
    async with client.get(_path(live_session)):
        await followed(bus)

    def forgotten() -> bool:
        bus.publish(live_session.id, "window", {})
        return bus.counters()["subscribers"] == 0

    await until(forgotten)


async def test_a_revoked_link_ends_the_stream_while_events_flow(
    client: Client, bus: LiveBus, storage: Storage, live_session: SessionRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.web.events.HEARTBEAT_S", 0.05)
    _, token = await storage.create_share(live_session.id, lifetime=timedelta(hours=1))
    async with client.get(f"/s/{token}/events") as response:
        await response.content.readline()
        await storage.revoke_shares(live_session.id)
        ended = asyncio.create_task(response.content.read())
        async with asyncio.timeout(60):
            while not ended.done():
                bus.publish(live_session.id, "window", {"n": 1})
                await asyncio.sleep(0.01)
        await ended


async def test_a_stream_whose_database_goes_away_ends_and_is_no_second_answer(
    client: Client, bus: LiveBus, live_session: SessionRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What had begun cannot be taken back: a 503 would be read as a part of it. The browser comes back by itself."""
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.02)
    async with client.get(_path(live_session)) as response:
        await followed(bus)

        async def away(*_: object) -> None:
            raise StorageUnavailable("it does not answer")

        monkeypatch.setattr(events, "grant_of", away)
        received = bytearray()
        with suppress(aiohttp.ClientPayloadError):
            async with asyncio.timeout(60):
                async for piece in response.content.iter_any():
                    received += piece
        assert isinstance(response.content.exception(), aiohttp.ClientPayloadError), "it was cut off"
    assert b"HTTP/" not in received
    assert bus.counters()["subscribers"] == 0


async def test_a_new_participant_comes_with_a_name_and_through_a_link_without(
    client: Client, bus: LiveBus, storage: Storage, live_session: SessionRecord
) -> None:
    bob = (await storage.participants(live_session.id))[1]
    _, token = await storage.create_share(live_session.id, lifetime=timedelta(hours=1))
    data = {"participant_id": bob.id, "pseudonym": "Speaker 2", "included": True}
    bus.publish(live_session.id, "participant", data)
    names = []
    for path in (_path(live_session), f"/s/{token}/events"):
        async with client.get(f"{path}?last_event_id=0") as response:
            names.append(json.loads((await _next_event(response))["data"])["name"])
    assert names == ["Bob", "Speaker 2"]


async def test_a_share_link_is_not_told_what_somebody_wrote_at_a_mark(
    client: Client, bus: LiveBus, storage: Storage, live_session: SessionRecord
) -> None:
    mark = MomentRecord(at_s=5.0, kind="mark", participant_id=None, text="Alice laughs")
    await storage.add_moment(live_session.id, mark)
    bus.publish(live_session.id, "moment", moment_event(mark))
    _, token = await storage.create_share(live_session.id, lifetime=timedelta(hours=1))
    for path, text in ((_path(live_session), "Alice laughs"), (f"/s/{token}/events", "A moment")):
        async with client.get(f"{path}?last_event_id=0") as response:
            assert json.loads((await _next_event(response))["data"])["text"] == text
    for data in ("report.json", "chart.json", "summary", "moments.csv"):
        async with client.get(f"/s/{token}/{data}") as response:
            body = await response.text()
            assert response.status == 200, data
            assert "A moment" in body, data
            assert "Alice laughs" not in body, data


async def test_what_is_said_of_the_whole_session_comes_too(
    client: Client, bus: LiveBus, storage: Storage, live_session: SessionRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.web.pulse.EVERY_S", 0.02)
    monkeypatch.setattr("bot.web.reports.LIVE_FOR_S", 0.0)
    alice = (await storage.participants(live_session.id))[0]
    _, token = await storage.create_share(live_session.id, lifetime=timedelta(hours=1))
    async with client.get(_path(live_session)) as named, client.get(f"/s/{token}/events") as shared:
        for response in (named, shared):
            await response.content.readline()
        for number, emotion in enumerate(["Neutral"] * 3 + ["Sad"] * 4):
            told = window(alice.id, 20.0 + 3 * number, emotion=emotion)
            await storage.add_windows(live_session.id, [told])
            bus.publish(live_session.id, "window", window_event(told))
        said = []
        for response in (named, shared):
            summary: dict[str, Any] = {}
            while not summary.get("moments"):
                summary = await _summary(response)
            said.append(summary["moments"][0]["text"])
            assert "expires_at" not in summary
    assert "Alice" in said[0]
    assert "Speaker 1" in said[1]


async def test_a_summary_that_could_not_be_made_is_made_at_the_next_beat(
    client: Client, bus: LiveBus, storage: Storage, live_session: SessionRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.web.pulse.EVERY_S", 0.02)
    tries = 0
    make = summary_of

    async def fails_once(*about: Any) -> Any:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise MemoryError
        return await make(*about)

    monkeypatch.setattr("bot.web.pulse.summary_of", fails_once)
    alice = (await storage.participants(live_session.id))[0]
    async with client.get(_path(live_session)) as response:
        await response.content.readline()
        bus.publish(live_session.id, "window", window_event(window(alice.id, 20.0)))
        assert (await _summary(response))["speakers"]
    assert tries > 1


async def _summary(response: aiohttp.ClientResponse) -> dict[str, Any]:
    """The next `summary` of a stream; it has no id, so that a reconnect still names the last event."""
    async with asyncio.timeout(60):
        before = b""
        while (line := await response.content.readline()) != b"event: summary\n":
            before = line
            assert line or not response.content.at_eof()
        assert not before.startswith(b"id:")
        found: dict[str, Any] = json.loads((await response.content.readline()).removeprefix(b"data: "))
        return found


async def test_nothing_is_left_running_when_the_last_page_leaves(
    make_client: MakeClient, live_session: SessionRecord
) -> None:
    client = await make_client()
    responses = [await client.get(_path(live_session)) for _ in range(2)]
    for response in responses:
        await response.content.readline()
    assert _pulses() == 1
    for response in responses:
        response.close()
    await client.close()
    assert _pulses() == 0


def _pulses() -> int:
    return sum(task.get_name().startswith("pulse ") for task in asyncio.all_tasks())


async def test_a_window_that_was_told_and_stored_is_in_the_report_once(
    client: Client, bus: LiveBus, storage: Storage, live_session: SessionRecord
) -> None:
    """It is told as it was heard, and stored to the millisecond."""
    person = (await storage.participants(live_session.id))[0].id
    heard = window(person, 20.14371, emotion="Angry")
    bus.publish(live_session.id, "window", window_event(heard))
    for _ in range(2):  # before it is stored, and afterwards
        async with client.get(f"/api/v1/sessions/{live_session.id}") as response:
            starts = [one["start_s"] for one in (await response.json())["windows"] if one["start_s"] > 20]
        assert starts == [pytest.approx(20.144, abs=1e-3)]
        await storage.add_windows(live_session.id, [heard])
