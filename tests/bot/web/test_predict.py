"""``POST /predict`` keeps the old app's contract, for good files and for every kind of bad one."""

from __future__ import annotations

import base64
import binascii
import io
import json
import time
import wave
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from aiohttp.test_utils import TestClient

from bot.web.limits import RateLimiter
from ser_engine.errors import BackendOverloaded, DeadlineExceeded, DecodeTimeout, InvalidSamples, WorkerLost
from tests.bot.web.conftest import MakeClient
from tests.fakes.backend import FakeBackend, prediction

pytestmark = pytest.mark.integration

CLIP = Path(__file__).parents[3] / "sandbox" / "clips" / "1015_IEO_ANG_HI.flac"
Client = TestClient[Any, Any]


def _form(data: bytes, filename: str | None = "clip.flac", *, field: str = "file") -> aiohttp.FormData:
    form = aiohttp.FormData()
    form.add_field(field, io.BytesIO(data), filename=filename)
    return form


def _wav(seconds: float, *, rate_hz: int = 16_000, sample_bytes: int = 2, fill: bytes | None = None) -> bytes:
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(sample_bytes)
        file.setframerate(rate_hz)
        file.writeframes(fill if fill is not None else bytes(round(seconds * rate_hz) * sample_bytes))
    return target.getvalue()


async def _post(client: Client, data: aiohttp.FormData | bytes, **options: Any) -> tuple[int, dict[str, Any]]:
    async with client.post("/predict", data=data, **options) as response:
        assert response.content_type == "application/json"
        return response.status, await response.json()


async def _refused(client: Client, data: aiohttp.FormData | bytes, **options: Any) -> int:
    """The status of a refusal, whose body must be exactly an error in words."""
    status, body = await _post(client, data, **options)
    assert list(body) == ["error"]
    assert body["error"].endswith(".")
    return status


async def test_the_answer_has_the_old_keys_and_nothing_else(client: Client) -> None:
    before = datetime.now(UTC)
    status, body = await _post(client, _form(CLIP.read_bytes()))
    assert status == 200
    assert list(body) == ["emotion", "confidence", "probabilities", "timestamp"]
    assert list(body["probabilities"]) == ["Angry", "Happy", "Sad", "Disgust"]
    assert sum(body["probabilities"].values()) == pytest.approx(1.0)
    assert body["confidence"] == max(body["probabilities"].values())
    assert body["probabilities"][body["emotion"]] == body["confidence"]
    assert before <= datetime.fromisoformat(body["timestamp"]) <= datetime.now(UTC)


async def test_a_neutral_clip_gets_the_four_given_that_it_is_one_of_them(client: Client, backend: FakeBackend) -> None:
    neutral = prediction("Neutral", 0.6)
    lifted = {**neutral.probabilities, "Sad": 0.2, "Angry": 0.1, "Happy": 0.05, "Disgust": 0.05}
    backend.script.extend([type(neutral)(probabilities=lifted, emotion="Neutral", confidence=0.6, unclear=False)] * 9)
    async with client.post("/predict", data=_form(CLIP.read_bytes())) as response:
        body = await response.json()
        own = json.loads(response.headers["Undertone-Prediction"])
    assert body["emotion"] == "Sad"
    assert body["confidence"] == pytest.approx(0.5)
    assert body["probabilities"]["Angry"] == pytest.approx(0.25)
    assert own["emotion"] == "Neutral"
    assert own["unclear"] is False


async def test_an_unsure_answer_says_so_beside_the_old_body(client: Client, backend: FakeBackend) -> None:
    backend.script.extend([prediction("Sad", 0.3, reason="unsure")] * 9)
    async with client.post("/predict", data=_form(CLIP.read_bytes())) as response:
        assert list(await response.json()) == ["emotion", "confidence", "probabilities", "timestamp"]
        own = json.loads(response.headers["Undertone-Prediction"])
    assert (own["unclear"], own["reason"]) == (True, "unsure")


@pytest.mark.parametrize(
    "filename", ["clip.FLAC", "blob", "a.b.flac", "song.aiff", "base.WAVE", "clip.wav ", "clip.exe"]
)
async def test_the_name_does_not_decide_what_is_taken(client: Client, filename: str) -> None:
    status, _ = await _post(client, _form(CLIP.read_bytes(), filename))
    assert status == 200


async def test_an_upload_without_extension_goes_to_the_decoder_as_webm(client: Client, backend: FakeBackend) -> None:
    seen: list[str | None] = []
    segment = backend.segment

    async def spy(data: bytes, *, filename: str | None = None, deadline_s: float = 60.0) -> Any:
        seen.append(filename)
        return await segment(data, filename=filename, deadline_s=deadline_s)

    backend.segment = spy
    await _post(client, _form(CLIP.read_bytes(), "blob"))
    assert seen == ["recording.webm"]


async def test_no_file(client: Client) -> None:
    assert await _refused(client, _form(b"x", field="other")) == 400
    assert await _refused(client, b"") == 400
    assert await _refused(client, b"{}", headers={"Content-Type": "application/json"}) == 400
    assert await _refused(client, b"x", headers={"Content-Type": "multipart/form-data"}) == 400
    assert await _refused(client, b"x", headers={"Content-Type": "multipart/form-data; boundary=b"}) == 400


async def test_a_text_field_called_file_is_no_file(client: Client) -> None:
    body = b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nhello\r\n--b--\r\n'
    assert await _refused(client, body, headers={"Content-Type": "multipart/form-data; boundary=b"}) == 400


async def test_an_empty_name(client: Client) -> None:
    body = b'--b\r\nContent-Disposition: form-data; name="file"; filename=""\r\n\r\nhello\r\n--b--\r\n'
    status, answer = await _post(client, body, headers={"Content-Type": "multipart/form-data; boundary=b"})
    assert (status, answer) == (400, {"error": "Empty filename."})


def _encoded(encoding: str, content: bytes) -> bytes:
    named = 'Content-Disposition: form-data; name="file"; filename="clip.flac"'
    head = f"--b\r\n{named}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return head.encode() + content + b"\r\n--b--\r\n"


async def test_a_part_that_a_mail_gateway_encoded_is_decoded(client: Client) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    plain = (await _post(client, _form(CLIP.read_bytes())))[1]
    for encoding, content in (
        ("base64", base64.encodebytes(CLIP.read_bytes())),
        ("BASE64", base64.b64encode(CLIP.read_bytes())),
        ("quoted-printable", binascii.b2a_qp(CLIP.read_bytes(), istext=False)),
        ("8bit", CLIP.read_bytes()),
    ):
        status, body = await _post(client, _encoded(encoding, content), headers=headers)
        assert (status, body.get("probabilities")) == (200, plain["probabilities"]), encoding
    for encoding, content in (("base64", b"This is no base64!"), ("x-uuencode", b"begin 644 clip.flac")):
        status, body = await _post(client, _encoded(encoding, content), headers=headers)
        assert status == 400
        assert encoding in body["error"] or "Content-Transfer-Encoding" in body["error"]


async def test_an_empty_file(client: Client) -> None:
    assert await _refused(client, _form(b"", "clip.wav")) == 400


async def test_a_text_file_called_wav(client: Client) -> None:
    assert await _refused(client, _form(b"This is not audio.\n" * 200, "clip.wav")) in (400, 422)


async def test_a_wav_that_ends_after_its_header(client: Client) -> None:
    assert await _refused(client, _form(_wav(0), "clip.wav")) in (400, 422)


async def test_silence_is_no_emotion(client: Client) -> None:
    status, body = await _post(client, _form(_wav(4), "clip.wav"))
    assert status == 422
    assert "speech" in body["error"]


async def test_an_hour_is_refused_at_once(client: Client) -> None:
    hour = _wav(3600, rate_hz=4_000, sample_bytes=1, fill=b"\x80" * (4_000 * 3600))
    worked_s = time.process_time()
    assert await _refused(client, _form(hour, "hour.wav")) == 413
    assert time.process_time() - worked_s < 5


async def test_thirty_megabytes_are_refused_and_the_service_is_unharmed(client: Client) -> None:
    noise = np.random.default_rng(1).bytes(30 * 1024 * 1024)
    worked_s = time.process_time()
    assert await _refused(client, _form(noise, "big.wav")) == 413
    assert time.process_time() - worked_s < 5
    assert (await _post(client, _form(CLIP.read_bytes())))[0] == 200


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (BackendOverloaded("full"), 503),
        (DeadlineExceeded("late"), 503),
        (WorkerLost("gone"), 503),
        (DecodeTimeout("slow"), 422),
        (InvalidSamples("nan"), 422),
    ],
)
async def test_what_the_engine_refuses(client: Client, backend: FakeBackend, error: Any, status: int) -> None:
    backend.fail_with = error
    async with client.post("/predict", data=_form(CLIP.read_bytes())) as response:
        body = await response.json()
        assert response.status == status
        assert ("Retry-After" in response.headers) == (status == 503)
    assert list(body) == ["error"]


async def test_before_the_model_is_ready(client: Client, backend: FakeBackend) -> None:
    await backend.close()
    assert await _refused(client, _form(CLIP.read_bytes())) == 503


async def test_too_many_uploads_of_one_client(make_client: MakeClient) -> None:
    client = await make_client(rate=RateLimiter(burst=2, per_minute=1))
    statuses = [(await _post(client, _form(b"x", "a.txt")))[0] for _ in range(3)]
    assert statuses == [400, 400, 429]


async def test_another_sites_page_cannot_upload(client: Client) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
        assert await _refused(client, _form(CLIP.read_bytes()), headers=headers) == 403


async def test_only_post(client: Client) -> None:
    async with client.get("/predict") as response:
        assert response.status == 405
        assert list(await response.json()) == ["error"]
