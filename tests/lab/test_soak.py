from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from lab import soak, soak_stage
from lab.soak_ledger import Ledger, number_of, numbered
from lab.soak_line import SoakLine
from lab.soak_report import Report
from ser_engine import opus

pytestmark = pytest.mark.unit

ANNA = 1


@pytest.fixture
def packet() -> bytes:
    import numpy as np

    noise = np.random.default_rng(1).normal(0, 0.1, 960).astype(np.float32)
    return opus.Encoder().encode(noise)


def test_a_numbered_packet_is_the_same_audio_and_tells_its_number(packet: bytes) -> None:
    import numpy as np

    tagged = numbered(packet, 123_456)
    assert number_of(tagged) == 123_456
    assert number_of(packet) is None
    assert number_of(opus.SILENCE) is None
    assert np.array_equal(opus.Decoder().decode(tagged), opus.Decoder().decode(packet))
    with pytest.raises(ValueError, match="one frame"):
        numbered(tagged, 1)


def spoken(ledger: Ledger, packet: bytes, numbers: range, at_s: float = 0.0) -> list[bytes]:
    packets = [numbered(packet, number) for number in numbers]
    for number, one in zip(numbers, packets, strict=True):
        ledger.spoke(ANNA, one, (7, number), at_s)
    return packets


def test_what_is_heard_as_spoken_is_right(packet: bytes) -> None:
    ledger = Ledger()
    for one in spoken(ledger, packet, range(10)):
        ledger.heard(ANNA, one)
    ledger.settle(set(), 100.0)
    assert ledger.sums == {"spoken": 10, "received": 10}


def test_a_changed_frame_a_second_time_another_order_and_another_speaker_are_wrong(packet: bytes) -> None:
    ledger = Ledger()
    first, second, third, fourth = spoken(ledger, packet, range(4))
    ledger.heard(ANNA, first[:-20] + b"\x00" * 12 + first[-8:])
    assert ledger.sums["wrong"] == 1
    ledger.heard(ANNA, third)
    ledger.heard(ANNA, third)
    assert ledger.sums["wrong"] == 2
    ledger.heard(ANNA, second)
    assert ledger.sums["wrong"] == 3
    ledger.heard(2, fourth)
    assert ledger.sums["wrong"] == 4


def test_what_is_missing_has_its_reason_or_none(packet: bytes) -> None:
    ledger = Ledger()
    spoken(ledger, packet, range(3), at_s=1.0)
    spoken(ledger, packet, range(3, 5), at_s=11.0)
    spoken(ledger, packet, range(5, 9), at_s=20.0)
    spoken(ledger, packet, range(9, 10), at_s=99.0)
    ledger.away(10.0)
    ledger.back(12.0)
    ledger.settle({(7, 0), (7, 1)}, before_s=50.0)
    assert ledger.sums == {
        "spoken": 10,
        "lost_on_wire": 2,
        "unexplained": 5,
        "missed_while_reconnecting": 2,
    }


def report(**fields: object) -> Report:
    made = Report(minutes=1, speakers=1, sums={"spoken": 2, "received": 2}, tasks=(1, 1), threads=(1, 1))
    for name, value in fields.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    "fields",
    [
        {"sums": {"received": 2, "wrong": 1}},
        {"sums": {"received": 2, "unexplained": 1}},
        {"sums": {}},
        {"tasks": (1, 2)},
        {"threads": (1, 2)},
        {"failure": "TimeoutError: "},
    ],
)
def test_what_must_not_be_fails_the_soak(fields: dict[str, object]) -> None:
    assert report().passed
    assert not report(**fields).passed


@pytest.mark.unit
async def test_a_connection_given_up_while_its_keys_are_waited_for_counts_until_the_next_one_hears() -> None:
    """On a busy machine the keys came after the link had given the new connection up for another one."""
    made = report()
    work = soak._Soak(made, random.Random(1), lambda _: None)  # noqa: S311 - chances, no secrets
    counters = SimpleNamespace(reconnects=0)
    link = SimpleNamespace(state="listening", counters=counters, is_connected=lambda: True)
    asked: list[str] = []

    async def ask(what: str, **_: Any) -> None:
        asked.append(what)
        if what == "close":
            counters.reconnects += 1
        elif asked.count("settle") == 1:
            link.state = "reconnecting"
            asyncio.get_running_loop().call_later(0.05, back)

    def back() -> None:
        counters.reconnects += 1
        link.state = "listening"

    work.link, work._line = link, SimpleNamespace(ask=ask)  # type: ignore[assignment]
    async with asyncio.timeout(60.0):
        await work._cut()
    assert asked == ["close", "settle", "settle"]
    assert made.happened[soak.OF_ITS_OWN] == 1
    assert work._ledger._was_away(time.monotonic() - 0.001)


@pytest.mark.integration
async def test_who_asks_a_loopback_discord_that_has_ended_is_told() -> None:
    """Before, a soak whose other process was killed waited for its answer for ever."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "", stdin=pipe, stdout=pipe)
    where = {"channel": 1, "api_base": "", "gateway_url": "", "token": "", "certificate": ""}
    line = SoakLine(process, where, lambda _: None)
    await line.listen()
    async with asyncio.timeout(60.0):
        with pytest.raises(RuntimeError, match="has ended"):
            await line.ask("settle")
    await process.wait()


@pytest.mark.e2e
@pytest.mark.slow
def test_a_short_soak_passes_and_is_printed_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soak, "CALM_S", (0.2, 0.5))
    result = CliRunner().invoke(soak.soak, ["--minutes", "0.1", "--speakers", "2", "--seed", "4", "--json"])
    body = json.loads(result.stdout.splitlines()[-1])
    assert body["sums"].get("wrong", 0) == 0
    assert body["sums"]["received"] > 0
    assert body["failure"] is None
    assert body["tasks"][0] == body["tasks"][1]
    assert body["threads"][0] == body["threads"][1]


@pytest.mark.integration
@pytest.mark.slow
def test_the_cost_of_a_packet_is_measured_on_a_real_call() -> None:
    cost = soak_stage.measure_packets(1_200)  # more than DAVE remembers of numbers that were left out
    assert cost.packets >= 1_190
    assert 0 < cost.dave_us < cost.total_us
    assert cost.total_us < 1_500  # ten times what is allowed: a busy machine must not fail a test


@pytest.mark.integration
async def test_a_recording_during_which_the_connection_is_lost_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    from lab import packets

    made: list[packets.Recorder] = []

    class Interrupted(packets.Recorder):
        """The first recording's keys are others in the middle."""

        def _take(self, data: bytes) -> bool:
            if not made:
                made.append(self)
                self._keys = (None, None)
            return super()._take(data)

    monkeypatch.setattr(packets, "Recorder", Interrupted)
    recording = await soak_stage._record(60)
    assert made[0].spoiled
    assert len(recording.datagrams) == 60
