"""The browser's microphone as a call of one: samples in over a WebSocket, windows and a smoothed tone out.

The page sends 16-bit samples at 16 kHz, little endian, as binary messages; the text ``stop`` ends it. They go through
the segmenter of a call and the smoothing of a panel, so that a clip played into it answers as its file does. The
answers are JSON texts: ``ready``, ``window`` (with all its probabilities, and the tone that a panel would show),
``lost`` (a window that could not be recognised, with why in words) and ``end``. Nothing is stored.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, Final

import numpy as np
import structlog
from aiohttp import WSCloseCode, WSMsgType, web

from bot.listening.aggregate import SpeakerTone
from bot.listening.intake import Intake
from bot.web import words
from bot.web.errors import BadParameter, Forbidden
from bot.web.keys import ACCESS, BACKEND, MICROPHONES, STREAMS
from bot.web.limits import GateFull
from bot.web.predict import client_of
from ser_engine.backends.base import InferenceBackend
from ser_engine.baseline import SpeakerBaseline
from ser_engine.errors import EngineError
from ser_engine.types import SAMPLE_RATE_HZ, PcmFrame, Prediction, Window

MAX_MESSAGE_BYTES: Final = 64 * 1024
IDLE_S: Final = 20.0
"""A microphone sends ten times a second; one that is silent for so long is gone."""
AHEAD_S: Final = 10.0
"""How much faster than time samples may come, in all: a page that was held up catches up, a file is refused."""
HEARTBEAT_S: Final = 15.0
DEADLINE_S: Final = 15.0
CLOSE_WITHIN_S: Final = 2.0
"""How long the other side has to say goodbye, when it was not let in."""
MAX_WAITING: Final = 8
"""Windows that wait for recognition; the oldest is dropped, and the next answer says so."""
SPEAKER: Final = "you"

_log = structlog.get_logger(__name__)


async def stream(request: web.Request) -> web.StreamResponse:
    """``GET /microphone/stream``, a WebSocket. Raises BadParameter, Forbidden before it is one.

    What keeps it from hearing is said by closing it: a page is not shown the answer to a request that became none.
    """
    access, backend = request.app[ACCESS], request.app[BACKEND]
    headers = request.headers
    if not access.origin_allowed(headers.get("Origin"), headers.get("Sec-Fetch-Site"), headers.get("Host")):
        raise Forbidden(words.FOREIGN_PAGE)
    if not web.WebSocketResponse().can_prepare(request):
        raise BadParameter(words.NO_WEBSOCKET)
    if not backend.ready:
        return await _not_now(request, words.NOT_READY)
    with ExitStack() as place:
        try:
            place.enter_context(request.app[MICROPHONES].place(client_of(request)))
        except GateFull:
            return await _not_now(request, words.MICROPHONES_FULL)
        socket = web.WebSocketResponse(
            heartbeat=HEARTBEAT_S, max_msg_size=MAX_MESSAGE_BYTES, receive_timeout=IDLE_S, compress=False
        )
        await socket.prepare(request)
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # a handler always runs in one
        request.app[STREAMS].tasks.add(task)
        try:
            await _Call(socket, backend).run()
        except ConnectionError:
            pass  # the page was closed
        finally:
            request.app[STREAMS].tasks.discard(task)
    return socket


async def _not_now(request: web.Request, why: str) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(compress=False, timeout=CLOSE_WITHIN_S)
    await socket.prepare(request)
    await socket.close(code=WSCloseCode.TRY_AGAIN_LATER, message=why.encode())
    return socket


class _Call:
    """One open microphone."""

    def __init__(self, socket: web.WebSocketResponse, backend: InferenceBackend) -> None:
        self._socket = socket
        self._backend = backend
        self._intake = Intake(lambda _: True, max_waiting=MAX_WAITING)
        self._tone = SpeakerTone()
        self._baselines: dict[str, SpeakerBaseline] = {}
        self._samples = 0
        self._began_s = time.monotonic()

    async def run(self) -> None:
        await self._say("ready", rate_hz=SAMPLE_RATE_HZ, labels=list(self._backend.model.labels))
        answering = asyncio.create_task(self._answer(), name="microphone answers")
        try:
            code, reason = await self._listen()
            self._intake.close()
            await answering
            await self._say("end", dropped=self._intake.dropped, too_short=self._intake.counters()["windows_too_short"])
            await self._socket.close(code=code, message=reason.encode())
        finally:
            answering.cancel()
            await asyncio.wait({answering})

    async def _listen(self) -> tuple[int, str]:
        """Take samples until the page ends it. Returns how the socket is to be closed."""
        while True:
            try:
                message = await self._socket.receive()
            except TimeoutError:
                return WSCloseCode.GOING_AWAY, words.MICROPHONE_SILENT
            if message.type is WSMsgType.BINARY:
                if len(message.data) % 2:
                    return WSCloseCode.UNSUPPORTED_DATA, words.MICROPHONE_NOT_PCM
                self._take(np.frombuffer(message.data, dtype="<i2"))
                if self._samples / SAMPLE_RATE_HZ > time.monotonic() - self._began_s + AHEAD_S:
                    return WSCloseCode.POLICY_VIOLATION, words.MICROPHONE_TOO_FAST
            elif message.type is WSMsgType.TEXT and message.data == "stop":
                return WSCloseCode.OK, ""
            else:  # closed, broken, or no message of ours
                return WSCloseCode.UNSUPPORTED_DATA, words.MICROPHONE_NOT_PCM

    def _take(self, samples: np.ndarray[Any, np.dtype[np.int16]]) -> None:
        pcm = samples.astype(np.float32) / np.float32(32768)
        self._intake.frame(PcmFrame(speaker=SPEAKER, t_samples=self._samples, pcm=pcm))
        self._samples += len(samples)

    async def _answer(self) -> None:
        while windows := await self._intake.take(1):
            try:
                (prediction,) = await self._backend.predict(windows, baselines=self._baselines, deadline_s=DEADLINE_S)
            except EngineError as error:
                _log.warning("microphone_window_lost", error=error.code)
                await self._say("lost", text=words.WINDOW_LOST)
                continue
            await self._say("window", **self._window(windows[0], prediction))

    def _window(self, window: Window, prediction: Prediction) -> dict[str, Any]:
        tone = self._tone.add(window, prediction)
        return {
            "start_s": round(window.start_s, 2),
            "end_s": round(window.end_s, 2),
            "speech_ratio": round(window.speech_ratio, 3),
            "emotion": prediction.emotion,
            "confidence": round(prediction.confidence, 4),
            "unclear": prediction.unclear,
            "reason": prediction.reason,
            "new": self._still_new(prediction),
            "probabilities": _rounded(prediction.probabilities),
            "tone": {
                "emotion": tone.emotion,
                "confidence": round(tone.confidence, 4),
                "unclear": tone.unclear,
                "probabilities": _rounded(self._tone.probabilities),
            },
        }

    def _still_new(self, prediction: Prediction) -> bool:
        """Whether the engine still gets to know this voice: it compares, and has not heard enough yet."""
        baseline = self._baselines.get(SPEAKER)
        return prediction.earlier_windows is not None and baseline is not None and not baseline.settled

    async def _say(self, kind: str, **fields: Any) -> None:
        if not self._socket.closed:
            await self._socket.send_str(json.dumps({"kind": kind, **fields}, separators=(",", ":")))


def _rounded(probabilities: Mapping[str, float]) -> dict[str, float]:
    return {label: round(value, 4) for label, value in probabilities.items()}
