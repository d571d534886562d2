"""The old upload contract through the running service: its answer, its refusals, and that it stays well."""

from __future__ import annotations

import io
import wave

import aiohttp
import pytest

from sandbox.recordings import as_voice_message
from tests.e2e.stage import Stage
from tests.fakes.clips import CLIPS
from tests.fakes.waiting import Stopwatch

pytestmark = pytest.mark.e2e

CLIP = CLIPS / "1030_IEO_ANG_HI.flac"
AT_ONCE_S = 5.0


def form(content: bytes | None, name: str = "clip.wav") -> aiohttp.FormData:
    data = aiohttp.FormData()
    if content is None:
        data.add_field("other", "x")
    else:
        data.add_field("file", io.BytesIO(content), filename=name)
    return data


def hour_long_wav() -> bytes:
    """An hour of silence, 8-bit at 4 kHz so that it fits the upload limit: too long, not too large."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(4_000)
        file.writeframes(bytes([128]) * 3600 * 4_000)
    return buffer.getvalue()


async def test_predict_answers_as_the_old_app_did(play: Stage) -> None:
    for content, name in ((CLIP.read_bytes(), "clip.flac"), (as_voice_message(CLIP), "clip.ogg")):
        async with play.http.post("/predict", data=form(content, name)) as response:
            assert response.status == 200
            answer = await response.json()
        assert set(answer) == {"emotion", "confidence", "probabilities", "timestamp"}
        assert set(answer["probabilities"]) == {"Angry", "Happy", "Sad", "Disgust"}
        assert sum(answer["probabilities"].values()) == pytest.approx(1.0, abs=0.01)
        assert answer["emotion"] == max(answer["probabilities"], key=answer["probabilities"].get)


async def test_what_cannot_be_analysed_is_refused_at_once_and_the_service_stays_well(play: Stage) -> None:
    cases = {
        "no file": (form(None), {400}),
        "empty file": (form(b""), {400, 422}),
        "text renamed": (form(b"to be or not to be\n" * 100), {400, 422}),
        "30 MB": (form(bytes(30 * 1024 * 1024)), {413}),
        "an hour": (form(hour_long_wav()), {413, 422}),
    }
    async with play.http.post("/predict", data=form(CLIP.read_bytes(), "clip.flac")) as response:
        assert response.status == 200  # what decodes has been started: that is no part of a refusal
    for case, (data, statuses) in cases.items():
        async with Stopwatch() as watch, play.http.post("/predict", data=data) as response:
            body = await response.json()
        assert response.status in statuses, (case, response.status, body)
        assert set(body) == {"error"}, case
        assert len(body["error"]) > 10, case
        assert watch.took_s < AT_ONCE_S, case
    async with play.http.get("/health") as response:
        assert (await response.json())["status"] == "healthy"
    async with play.http.post("/predict", data=form(CLIP.read_bytes(), "clip.flac")) as response:
        assert response.status == 200
