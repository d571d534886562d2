"""The dashboard and the alert rules ask for metrics that the service has; the files of docs/operations.md agree."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from aiohttp import ClientSession

from bot.app import window_seconds
from bot.commands.panel_view import INCLUDE_ID
from bot.listening.hearing import BATCH
from bot.listening.manager import NOTHING_YET, STOP_WITHIN_S
from bot.neighbours import Neighbours
from bot.settings import Settings, variable
from bot.web.metrics import Metrics
from ser_engine.backends.workers import WorkerBackend
from ser_engine.errors import DeadlineExceeded
from storage.wire import Wire
from storage.writer import WindowWriter
from tests.bot.web.test_health import Client
from tests.fakes.backend import FakeBackend
from tests.fakes.voice_link import tone_burst
from tests.fakes.world import standing

if TYPE_CHECKING:
    from bot.app import App
    from storage.database import Database
    from storage.store import Storage

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[3]
METRIC = re.compile(r"undertone_[a-z_]+")
ALERT = re.compile(r"alert: (\w+)\n(?: +#.*\n)* +expr: (?:>-\n((?: {10}.*\n)+)|(.+))")


def alerts() -> dict[str, str]:
    """Each alert's expression, in one line."""
    found = ALERT.findall((ROOT / "deploy" / "alerts.yaml").read_text())
    return {name: " ".join((several or one).split()) for name, several, one in found}


def queries() -> Iterator[str]:
    dashboard = json.loads((ROOT / "deploy" / "grafana-dashboard.json").read_text())
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    yield from alerts().values()


async def scraped(client: Client) -> str:
    async with client.get("/health"):
        pass
    async with client.get("/metrics") as response:
        return await response.text()


def of_many_processes() -> dict[str, int]:
    """What is counted of the processes that share a database."""
    storage = SimpleNamespace(shared=True, wire=partial(Wire, cast("Database", None)))
    return Neighbours(cast("App", SimpleNamespace(storage=storage, bus=SimpleNamespace())), "me", None).counters()


async def everything(client: Client) -> str:
    """What a whole service gives that shares its database."""
    counted = {
        "engine": WorkerBackend(ROOT / "model" / "seed").counters(),
        "sessions": {**NOTHING_YET, "sessions_running": 0, "sessions_started": 0},
        "writer": WindowWriter(cast("Storage", None)).counters(),
        "neighbours": of_many_processes(),
        "discord": {"restarts": 0},
    }
    metrics = Metrics(lambda: counted)
    metrics.registry.register(window_seconds())
    return await scraped(client) + metrics.text().decode()


async def test_every_metric_that_is_asked_for_is_there(client: Client) -> None:
    assert len(alerts()) == (ROOT / "deploy" / "alerts.yaml").read_text().count("- alert:")
    there = set(METRIC.findall(await everything(client)))
    asked = {name for query in queries() for name in METRIC.findall(query)}
    assert len(asked) > 25
    assert asked <= there, asked - there


def test_whatever_becomes_of_a_result_is_asked_for() -> None:
    kinds = WindowWriter(cast("Storage", None)).counters()
    asked = {name for query in queries() for name in METRIC.findall(query)}
    assert {f"undertone_writer_{kind}_total" for kind in kinds} <= asked


async def test_rates_are_of_counters_and_everything_else_is_of_gauges(client: Client) -> None:
    """The rate of what goes down is nonsense, and what only rises says nothing by itself."""
    kinds = dict(re.findall(r"^# TYPE (undertone_[a-z_]+) (\w+)$", await everything(client), re.MULTILINE))
    for query in queries():
        risen = set(re.findall(r"(?:rate|increase)\((undertone_[a-z_]+)", query))
        for name in METRIC.findall(query):
            kind = kinds.get(name, "histogram")
            assert (name in risen) == (kind != "gauge"), query
            assert name.endswith("_total") == (kind == "counter")


def looked_at(alert: str, metrics: str) -> float:
    """The sum of the series that an alert's expression names."""
    return sum(
        float(value)
        for name in METRIC.findall(alerts()[alert])
        for value in re.findall(rf"^{name}(?:\{{.*\}})? (\S+)$", metrics, re.MULTILINE)
    )


@pytest.mark.parametrize("trouble", ["full", "late"])
async def test_alerts_fire_when_a_session_is_not_recognised_in_time(
    trouble: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with standing(tmp_path, monkeypatch) as world, ClientSession() as browser:

        async def metrics() -> str:
            async with browser.get(f"{world.service.url}/metrics") as answer:
                return await answer.text()

        world.sit(world.owner)
        await world.seen(world.owner)
        panel = await world.attest_and_start()
        await world.press(world.owner, panel, INCLUDE_ID)
        backend = world.service.backend
        assert isinstance(backend, FakeBackend)
        backend.may_answer.clear()
        session, burst = world.running(), tone_burst()
        for _ in range(BATCH + 66):
            world.voice.link.hear(world.owner.id, burst)
        await backend.asked.wait()
        before = await metrics()
        if trouble == "full":
            session._intake._max_waiting = 1
            world.voice.link.hear(world.owner.id, burst)
        else:
            backend.fail_with = DeadlineExceeded("It took too long.")
            backend.may_answer.set()
            await world.sandbox.wait_for(lambda: session.counters()["predictions_lost"])
        after = await metrics()
        backend.may_answer.set()
        await world.ask(world.owner, "listen stop")
        await world.over()
        (waited,) = re.findall(r"^undertone_window_seconds_count (\S+)$", await metrics(), re.MULTILINE)
        assert float(waited) == session.counters()["predictions"]
        assert (session.counters()["predictions"] > BATCH) == (trouble == "full")
        assert looked_at("UndertoneFallsBehind", before) > 64
        assert looked_at("UndertoneFallsBehind", await metrics()) == 0
        assert looked_at("UndertoneDropsSpeech", before) < looked_at("UndertoneDropsSpeech", after)


@pytest.mark.parametrize("name", ["compose.yaml", "Dockerfile", "deploy/undertone.service", "docs/operations.md"])
def test_what_the_files_set_are_settings(name: str) -> None:
    known = {variable(field) for field in Settings.model_fields}
    named = set(re.findall(r"\bUNDERTONE_[A-Z_]+\b", (ROOT / name).read_text()))
    assert named
    assert named <= known, named - known


def test_what_an_operator_sets_beside_compose_reaches_the_service_and_does_not_move_it() -> None:
    """Caddy looks for the service at one port, and its data lie in one folder."""
    text = (ROOT / "compose.yaml").read_text()
    service = text[: text.index("\n  database:\n")]
    assert "env_file: .env" in service
    for fixed in ('PORT: "8080"', "UNDERTONE_HOST: 0.0.0.0", "UNDERTONE_DATA_DIR: /data"):
        assert fixed in service
    assert "undertone:8080" in (ROOT / "deploy/Caddyfile").read_text()


@pytest.mark.parametrize(
    ("name", "setting"),
    [("compose.yaml", r"^    stop_grace_period: (\d+)s"), ("deploy/undertone.service", r"^TimeoutStopSec=(\d+)$")],
)
def test_who_stops_the_service_gives_its_sessions_the_time_to_end(name: str, setting: str) -> None:
    """Their summaries, then workers and a database that may hang."""
    (seconds,) = re.findall(setting, (ROOT / name).read_text(), re.MULTILINE)
    assert int(seconds) >= 3 * STOP_WITHIN_S


def test_a_port_in_the_units_settings_does_not_open_the_pages_past_the_proxy() -> None:
    unit = (ROOT / "deploy/undertone.service").read_text()
    (environment,) = re.findall(r"^Environment=(.*)$", unit, re.M)
    assert "UNDERTONE_HOST=127.0.0.1" in environment.split()


def test_the_procfile_listens_where_a_router_reaches_it() -> None:
    """Hosts that give only PORT end what does not listen on the network."""
    (line,) = (ROOT / "Procfile").read_text().splitlines()
    assert line == "web: python -m bot run --host 0.0.0.0"
    assert "-r requirements/server.lock" in (ROOT / "requirements.txt").read_text()


def test_the_retention_of_logs_is_the_one_that_people_are_told() -> None:
    """The privacy statement, the instructions and the journal's own file name one number of days."""
    (kept,) = re.findall(r"^MaxRetentionSec=(\d+)day$", (ROOT / "deploy/journald@undertone.conf").read_text(), re.M)
    privacy = " ".join((ROOT / "PRIVACY.md").read_text().split())
    assert f"Logs are kept for {kept} days at most" in privacy
    assert f"**Keep logs for {kept} days at most.**" in (ROOT / "docs/operations.md").read_text()
    assert "LogNamespace=undertone" in (ROOT / "deploy/undertone.service").read_text().splitlines()
