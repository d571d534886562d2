"""``POST /predict``, exactly as the old app had it: a file in, four probabilities out. ``/api/v1/predict`` says all.

The served model may have a fifth label; the four are then the probabilities given that it is one of the four. What the
model itself says, unclear or neutral included, stands beside it in the header ``Undertone-Prediction``, which the old
contract does not forbid and the microphone page reads.
"""

from __future__ import annotations

import json
import math
import time
from datetime import UTC, datetime
from typing import Any, Final

import structlog
from aiohttp import web

from bot.web import cors, upload, words
from bot.web.access import was_forwarded
from bot.web.errors import UploadProblem, UploadRefused, document, of_engine
from bot.web.grants import local_path
from bot.web.keys import ACCESS, BACKEND, METRICS, UPLOAD_RATE, UPLOADS
from bot.web.limits import GateFull, client_at, may_speak_for_others
from bot.web.recording import recording_out
from ser_engine.analysis import Analysis, analyse
from ser_engine.errors import EngineError
from ser_engine.summary import restrict
from ser_engine.types import Prediction

log = structlog.get_logger(__name__)

OLD_LABELS: Final = ("Angry", "Happy", "Sad", "Disgust")
OLD_PATH: Final = "/predict"
PREDICTION_HEADER: Final = "Undertone-Prediction"


def of_four(prediction: Prediction) -> tuple[str, float, dict[str, float]]:
    """Emotion, confidence and probabilities given that it is one of the old four; the probabilities sum to 1."""
    four = restrict(prediction, OLD_LABELS)
    return four.emotion, four.confidence, dict(four.probabilities)


async def predict(request: web.Request) -> web.Response:
    """Answer an upload. Every refusal is ``{"error": …}`` with a 4xx, or 503 when there is too much to do."""
    started = time.monotonic()
    try:
        prediction = (await _recognise(request)).summary
    except UploadProblem as problem:
        return refusal(problem)
    except EngineError as error:
        log.info("upload_refused", code=error.code)
        return refusal(of_engine(error))
    request.app[METRICS].predict_seconds.observe(time.monotonic() - started)
    emotion, confidence, probabilities = of_four(prediction)
    body = {
        "emotion": emotion,
        "confidence": confidence,
        "probabilities": probabilities,
        "timestamp": datetime.now(UTC).isoformat(),
    }
    return web.json_response(body, headers={PREDICTION_HEADER: _own_words(prediction)})


async def everything(request: web.Request) -> web.Response:
    """``POST /api/v1/predict``: all labels, every window and every reason. Raises Problem."""
    started = time.monotonic()
    try:
        analysis = await _recognise(request)
    except UploadProblem as problem:
        raise UploadRefused(problem) from None
    except EngineError as error:
        log.info("upload_refused", code=error.code)
        raise UploadRefused(of_engine(error)) from error
    request.app[METRICS].predict_seconds.observe(time.monotonic() - started)
    body = recording_out(analysis, request.app[BACKEND].model)
    return web.json_response(text=body.model_dump_json())


async def expect(request: web.Request) -> web.StreamResponse | None:
    """A client that asks before it sends (``Expect: 100-continue``) is told at once when it would be too much."""
    try:
        upload.check_length(request)
    except EngineError as error:
        refused = of_engine(error)
        old = local_path(request) == OLD_PATH
        told = (refused.status, refused.code, UploadRefused.title, str(refused))
        response = refusal(refused) if old else problem_response(*told)
        response.force_close()
        return response
    if request.version >= (1, 1) and request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the interim answer is not part of the answer
    return None


def refusal(problem: UploadProblem) -> web.Response:
    headers = {"Retry-After": str(problem.retry_after_s)} if problem.retry_after_s else None
    return web.json_response({"error": str(problem)}, status=problem.status, headers=headers)


def problem_response(status: int, code: str, title: str, detail: str) -> web.Response:
    kind = "application/problem+json"
    return web.json_response(document(status, code, title, detail), status=status, content_type=kind)


def client_of(request: web.Request) -> str:
    """Who is held to the limits: the peer, or whom a proxy names that is on this machine or in a private network."""
    peer = client_at(request.remote or "unknown")
    if was_forwarded(request.headers) and may_speak_for_others(peer):
        return client_at(request.headers.get("X-Forwarded-For", peer).rpartition(",")[2].strip()[:64])
    return peer


async def _recognise(request: web.Request) -> Analysis:
    client = client_of(request)
    ours = request.app[ACCESS].origin_allowed(
        request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site"), request.headers.get("Host")
    )
    if not (ours or cors.shared(request)):
        raise UploadProblem(403, "Uploads from another site's pages are not taken.")
    wait_s = request.app[UPLOAD_RATE].take(client)
    if wait_s:
        raise UploadProblem(429, "Too many uploads. Please wait a little.", retry_after_s=math.ceil(wait_s))
    upload.check_length(request)
    backend = request.app[BACKEND]
    if not backend.ready:
        raise UploadProblem(503, f"{words.NOT_READY} Please try again.", retry_after_s=5)
    try:
        async with request.app[UPLOADS].slot(client):
            file = await upload.read_upload(request)
            return await analyse(backend, file.data, filename=file.filename)
    except GateFull:
        raise UploadProblem(503, "Too many uploads at the moment. Please try again.", retry_after_s=5) from None


def _own_words(prediction: Prediction) -> str:
    """What the model itself says, as JSON in ASCII for a header."""
    own: dict[str, Any] = {
        "emotion": prediction.emotion,
        "confidence": round(prediction.confidence, 4),
        "unclear": prediction.unclear,
        "reason": prediction.reason,
        "probabilities": {label: round(value, 4) for label, value in prediction.probabilities.items()},
    }
    return json.dumps(own, separators=(",", ":"))
