"""``POST /predict`` with what odd devices write, through the real engine: the right answer, or a refusal in words."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ser_engine.backends.inline import InlineBackend
from tests.bot.web.conftest import MakeClient
from tests.bot.web.test_predict import Client, _form, _post, _refused
from tests.fakes.model import make_model
from tests.fakes.odd import NOTHING_TO_HEAR, ODD_VOICES, white_noise

pytestmark = pytest.mark.integration


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[InlineBackend]:
    backend = InlineBackend(make_model(tmp_path / "tiny"))
    await backend.start()
    yield backend
    await backend.close()


@pytest.fixture
async def client(make_client: MakeClient, engine: InlineBackend) -> Client:
    return await make_client(backend=engine)


async def test_the_same_voice_in_every_form_gets_the_same_answer(client: Client) -> None:
    answers = {name: await _post(client, _form(make(), "clip.wav")) for name, make in ODD_VOICES.items()}
    assert {name: status for name, (status, _) in answers.items()} == dict.fromkeys(ODD_VOICES, 200)
    plain = answers["float"][1]["probabilities"]
    for name, (_, body) in answers.items():
        assert list(body["probabilities"]) == ["Angry", "Happy", "Sad", "Disgust"]
        if name not in ("8 kHz", "8 bits", "float over full scale", "six channels"):  # nothing was lost on the way
            assert body["probabilities"] == pytest.approx(plain, abs=0.02), name


@pytest.mark.parametrize("name", NOTHING_TO_HEAR)
async def test_nothing_to_hear_is_refused_in_words(client: Client, name: str) -> None:
    make, _, status = NOTHING_TO_HEAR[name]
    assert await _refused(client, _form(make(), "clip.wav")) == status


async def test_noise_is_no_emotion(client: Client) -> None:
    status, body = await _post(client, _form(white_noise(), "clip.wav"))
    assert status == 422, json.dumps(body)
    assert "speech" in body["error"]
