"""The OpenAPI document: every path is there, and every answer is as it says."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from pydantic import TypeAdapter

from bot.web import schema
from bot.web.errors import Problem, UploadRefused
from bot.web.openapi import OPERATIONS
from bot.web.recording import RecordingOut
from ser_engine.audio import decode
from ser_engine.segmenter import segment_pcm
from storage import SessionRecord, Storage
from tests.bot.web.conftest import SESSION_COOKIE
from tests.bot.web.test_predict import CLIP, _form
from tests.fakes.backend import predict_window

pytestmark = pytest.mark.integration

Client = TestClient[Any, Any]
NOT_FOR_PROGRAMS = {"/api/openapi.json", "/s/{token}", "/s/{token}/strip.png"}


async def test_it_lists_every_address_for_programs(client: Client) -> None:
    routes = {
        re.sub(r"{(\w+):[^}]*}}?", r"{\1}", resource.canonical)
        for resource in client.app.router.resources()
        if resource.canonical.startswith(("/api/", "/s/"))
    }
    async with client.get("/api/openapi.json") as response:
        document = await response.json()
    assert routes - NOT_FOR_PROGRAMS == set(document["paths"])
    assert document["components"]["securitySchemes"]["signIn"]["name"] == SESSION_COOKIE


def test_the_documents_name_every_code_of_a_refusal() -> None:
    text = (Path(__file__).parents[3] / "docs" / "http.md").read_text(encoding="utf-8")
    codes = {kind.code for kind in Problem.__subclasses__() if kind is not UploadRefused}
    codes |= {Problem.code, "http_error"}
    assert not {code for code in codes if f"`{code}`" not in text}


async def test_every_answer_is_what_it_says(client: Client, session: SessionRecord, storage: Storage) -> None:
    _, token = await storage.create_share(session.id, lifetime=timedelta(hours=1))
    speaker = (await storage.participants(session.id))[0].id
    async with client.get("/api/openapi.json") as response:
        document = await response.json()
    for operation in OPERATIONS:
        if operation.method != "get":
            continue
        path = operation.path.format(session_id=session.id, token=token, speaker=speaker)
        async with client.get(path) as response:
            if operation.path.endswith("/events"):
                assert response.status == 204
                continue
            assert response.status == 200, path
            body = await response.text()
        content = document["paths"][operation.path]["get"]["responses"]["200"]["content"]
        assert response.content_type in content
        if isinstance(operation.gives, type):
            TypeAdapter(operation.gives).validate_json(body)
            name = content["application/json"]["schema"]["$ref"].rpartition("/")[2]
            assert name in document["components"]["schemas"]


async def test_a_recording_is_told_whole(client: Client) -> None:
    async with client.post("/api/v1/predict", data=_form(CLIP.read_bytes())) as response:
        assert response.status == 200
        found = RecordingOut.model_validate_json(await response.text())
    expected = segment_pcm(decode(CLIP.read_bytes()))
    assert [(one.start_s, one.end_s) for one in found.windows] == [(one.start_s, one.end_s) for one in expected]
    for one, window in zip(found.windows, expected, strict=True):
        assert one.probabilities == predict_window(window).probabilities
        assert set(one.probabilities) == set(found.model.labels)
    async with client.post("/predict", data=_form(CLIP.read_bytes())) as response:
        own = json.loads(response.headers["Undertone-Prediction"])
    assert found.summary.emotion == own["emotion"]
    assert found.summary.confidence == pytest.approx(own["confidence"], abs=1e-4)


@pytest.mark.parametrize(
    ("content", "name", "status", "code"),
    [
        (b"", "a.wav", 400, "empty_audio"),
        (b"only words", "a.txt", 400, "unsupported_format"),
        (bytes(25 * 2**20 + 1), "a.wav", 413, "audio_too_large"),
    ],
)
async def test_a_refused_recording_is_a_problem(
    client: Client, content: bytes, name: str, status: int, code: str
) -> None:
    async with client.post("/api/v1/predict", data=_form(content, name)) as response:
        assert response.content_type == "application/problem+json"
        problem = schema.ProblemOut.model_validate_json(await response.text())
    assert (response.status, problem.status, problem.code) == (status, status, code)
    assert problem.detail.endswith(".")
    async with client.post("/api/v1/predict", data=b"no form") as response:
        problem = schema.ProblemOut.model_validate_json(await response.text())
    assert (response.status, problem.code) == (400, "upload_refused")


@pytest.mark.parametrize("path", ["/api/v1/sessions/nothing/summary", "/s/nothing/summary", "/api/v1/sessions?limit=x"])
async def test_a_refusal_is_the_problem_that_it_describes(client: Client, path: str) -> None:
    async with client.get(path) as response:
        assert response.content_type == "application/problem+json"
        problem = schema.ProblemOut.model_validate_json(await response.text())
    assert problem.status == response.status


async def test_the_page_tells_every_address_and_every_field(client: Client) -> None:
    async with client.get("/api") as response:
        assert response.status == 200
        page = (await response.text()).replace("<wbr>", "")
    async with client.get("/api/openapi.json") as response:
        document = await response.json()
    for operation in OPERATIONS:
        assert f"<code>{operation.method.upper()} {operation.path}</code>" in page
    for name, body in document["components"]["schemas"].items():
        assert f'id="{name}"' in page
        for field in body["properties"]:
            assert f"<code>{field}</code>" in page, (name, field)
    assert "Confidence in percent." in page
    for anchor in set(re.findall(r'href="#(\w+)"', page)):
        assert f'id="{anchor}"' in page, anchor
