"""The microphone's stream: a call of one, bounded, and with the same answers as a file."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import numpy as np
import pytest
from aiohttp import WSCloseCode, WSMsgType, WSServerHandshakeError
from aiohttp.test_utils import TestClient

from bot.web import words
from bot.web.limits import Microphones
from ser_engine.segmenter import segment_pcm
from tests.bot.web.conftest import MakeClient
from tests.fakes.backend import FakeBackend, predict_window
from tests.fakes.odd import voice as made_voice

pytestmark = pytest.mark.integration

Client = TestClient[Any, Any]
CHUNK = 1600


def voice(*, seconds: float) -> Any:
    """Something that the detector takes for a voice, as long as asked for."""
    return np.resize(made_voice(), round(16_000 * seconds))


def as_sent(pcm: Any) -> list[bytes]:
    whole = (np.clip(pcm, -1, 1) * 32767).astype("<i2")
    return [whole[at : at + CHUNK].tobytes() for at in range(0, len(whole), CHUNK)]


async def answers(socket: Any) -> list[dict[str, Any]]:
    """All that is said until it is closed."""
    return [json.loads(message.data) async for message in socket if message.type is WSMsgType.TEXT]


async def test_it_answers_as_a_file_does(client: Client, backend: FakeBackend) -> None:
    chunks = as_sent(voice(seconds=7.5))
    heard = np.frombuffer(b"".join(chunks), dtype="<i2").astype(np.float32) / np.float32(32768)
    expected = [(w.start_s, predict_window(w)) for w in segment_pcm(heard)]
    async with client.ws_connect("/microphone/stream") as socket:
        for chunk in chunks:
            await socket.send_bytes(chunk)
        await socket.send_str("stop")
        said = await answers(socket)
    assert [message["kind"] for message in said] == ["ready", *["window"] * len(expected), "end"]
    assert said[0]["labels"] == list(backend.model.labels)
    for message, (start_s, prediction) in zip(said[1:-1], expected, strict=True):
        assert message["start_s"] == round(start_s, 2)
        assert (message["emotion"], message["unclear"]) == (prediction.emotion, prediction.unclear)
        assert message["probabilities"] == {label: round(p, 4) for label, p in prediction.probabilities.items()}
        assert set(message["tone"]) == {"emotion", "confidence", "unclear", "probabilities"}
    first = said[1]
    assert first["tone"]["probabilities"] == first["probabilities"]  # nothing to smooth it with yet
    assert socket.close_code == WSCloseCode.OK


async def test_it_says_as_long_as_the_voice_is_new(make_client: MakeClient) -> None:
    for compares in (True, False):
        backend = FakeBackend(compares=compares)
        await backend.start()
        client = await make_client(backend=backend)
        async with client.ws_connect("/microphone/stream") as socket:
            for chunk in as_sent(voice(seconds=7.5)):
                await socket.send_bytes(chunk)
            await socket.send_str("stop")
            said = [message["new"] for message in await answers(socket) if message["kind"] == "window"]
        assert said
        assert set(said) == {compares}  # two windows, and four are enough


async def test_what_is_no_sound_of_ours_ends_it_in_words(client: Client) -> None:
    for wrong in (b"\x00", "hello"):
        async with client.ws_connect("/microphone/stream") as socket:
            await (socket.send_bytes(wrong) if isinstance(wrong, bytes) else socket.send_str(wrong))
            await answers(socket)
            assert socket.close_code == WSCloseCode.UNSUPPORTED_DATA


async def test_a_file_poured_in_is_refused(client: Client) -> None:
    async with client.ws_connect("/microphone/stream") as socket:
        for _ in range(12):
            await socket.send_bytes(bytes(2 * 16_000))
        await answers(socket)
        assert socket.close_code == WSCloseCode.POLICY_VIOLATION


async def test_places_are_bounded_and_come_free(make_client: MakeClient) -> None:
    places = Microphones(most=4, most_per_client=1)
    client = await make_client(microphones=places)
    async with client.ws_connect("/microphone/stream"):
        await _is_told(client, words.MICROPHONES_FULL)
        assert (places.open, places.refused) == (1, 1)
    async with asyncio.timeout(60):
        while places.open:
            await asyncio.sleep(0.01)
    async with client.ws_connect("/microphone/stream") as socket:
        assert json.loads((await socket.receive()).data)["kind"] == "ready"


async def test_while_the_recognition_starts_it_says_so(make_client: MakeClient) -> None:
    await _is_told(await make_client(backend=FakeBackend()), words.NOT_READY)


async def _is_told(client: Client, why: str) -> None:
    """A page can read why a WebSocket was closed, and not what was answered in place of one."""
    async with client.ws_connect("/microphone/stream") as socket:
        closed = await socket.receive()
    assert (closed.type, closed.data, closed.extra) == (WSMsgType.CLOSE, WSCloseCode.TRY_AGAIN_LATER, why)


async def test_another_sites_page_is_refused(client: Client) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        with pytest.raises(WSServerHandshakeError) as refused:
            await client.ws_connect("/microphone/stream", headers=headers)
        assert refused.value.status == 403


async def test_a_window_that_is_lost_is_said_and_the_next_is_answered(client: Client, backend: FakeBackend) -> None:
    from ser_engine.errors import BackendError

    async with client.ws_connect("/microphone/stream") as socket:
        backend.fail_with = BackendError("gone")
        for chunk in as_sent(voice(seconds=3.5)):
            await socket.send_bytes(chunk)
        said = [json.loads((await socket.receive()).data) for _ in range(2)]
        assert [message["kind"] for message in said] == ["ready", "lost"]
        backend.fail_with = None
        await socket.send_str("stop")
        assert (await answers(socket))[-1]["kind"] == "end"
