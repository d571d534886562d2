"""The voice websocket, given anything: whatever it is, the task that reads it goes on."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import davey
import pytest
from discord.errors import ConnectionClosed
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.voice.connection import final_reason
from bot.voice.states import Reason
from bot.voice.websocket import HearingWebSocket
from tests.fakes.voice import Ears

pytestmark = pytest.mark.unit

PanicException = type("PanicException", (BaseException,), {"__module__": "pyo3_runtime"})
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=4,
)
KEYS = st.sampled_from(
    ["user_id", "ssrc", "audio_ssrc", "transition_id", "protocol_version", "epoch", "mode", "secret_key", "user_ids"]
)


class Wire:
    """Stands for aiohttp's websocket; takes what is sent."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    async def send_str(self, text: str) -> None:
        self.sent.append(text)

    async def send_bytes(self, data: bytes) -> None:
        self.sent.append(data)


class Gateway:
    """A websocket on a connection that is described, with a real davey session."""

    def __init__(self, session: Any = None) -> None:
        self.ears = Ears()
        self.recovered: list[int] = []
        self.connection = SimpleNamespace(
            receiver=self.ears.receiver,
            reader=SimpleNamespace(work=lambda: None, catch_up=lambda: None),
            dave_session=session if session is not None else davey.DaveSession(1, 10, 20),
            dave_protocol_version=1,
            dave_pending_transitions={},
            recover_from_bad_commit=self._recover,
            _recover_from_invalid_commit=self._recover,
            _execute_transition=self._execute,
            reinit_dave_session=self._reinit,
        )
        self.socket = HearingWebSocket(Wire(), asyncio.get_running_loop())  # type: ignore[arg-type]
        self.socket._connection = self.connection  # type: ignore[assignment]
        self.socket._described = True

    async def _recover(self, transition_id: int) -> None:
        self.recovered.append(transition_id)

    async def _execute(self, transition_id: int) -> None:
        self.connection.dave_pending_transitions.pop(transition_id, None)

    async def _reinit(self) -> None: ...

    @property
    def errors(self) -> int:
        return self.ears.counters.gateway_errors


@settings(max_examples=100, deadline=None)
@given(op=st.integers(0, 40) | st.just(27) | st.just(29), body=st.binary(max_size=80), whole=st.booleans())
def test_no_binary_message_raises(op: int, body: bytes, whole: bool) -> None:
    async def go() -> None:
        gateway = Gateway()
        await gateway.socket.received_binary_message(b"\x00\x01" + bytes([op]) + body if whole else body)

    asyncio.run(go())


@settings(max_examples=100, deadline=None)
@given(op=st.integers(0, 40), data=ANYTHING | st.dictionaries(KEYS, ANYTHING, max_size=4))
def test_no_message_raises(op: int, data: Any) -> None:
    async def go() -> None:
        gateway = Gateway()
        if op == HearingWebSocket.HELLO:
            return  # begins a heartbeat thread, which the live tests cover
        await gateway.socket.received_message({"op": op, "d": data, "seq": 1})

    asyncio.run(go())


@given(message=st.dictionaries(st.sampled_from(["op", "d", "seq", "x"]), ANYTHING, max_size=3))
@settings(max_examples=40, deadline=None)
def test_what_is_hardly_a_message_raises_nothing_either(message: dict[str, Any]) -> None:
    async def go() -> None:
        await Gateway().socket.received_message(message)

    asyncio.run(go())


class Panicking:
    """A session that fails in itself, as Rust does."""

    def process_commit(self, commit: bytes) -> None:
        raise PanicException("unwrap on None")

    process_welcome = process_commit

    def set_external_sender(self, sender: bytes) -> None:
        raise PanicException("unwrap on None")


@pytest.mark.parametrize("op", [HearingWebSocket.MLS_ANNOUNCE_COMMIT_TRANSITION, HearingWebSocket.MLS_WELCOME])
async def test_a_panic_over_a_commit_is_answered_like_a_commit_that_makes_no_sense(op: int) -> None:
    gateway = Gateway(Panicking())
    await gateway.socket.received_binary_message(bytes([0, 1, op, 0x12, 0x34]) + b"commit")
    assert gateway.recovered == [0x1234]
    assert gateway.errors == 1


async def test_a_panic_over_the_external_sender_is_survived() -> None:
    gateway = Gateway(Panicking())
    await gateway.socket.received_binary_message(bytes([0, 1, HearingWebSocket.MLS_EXTERNAL_SENDER]) + b"sender")
    gateway.socket._early_sender = b"sender"
    gateway.socket._use_early_sender()
    assert gateway.errors == 2


@pytest.mark.parametrize("error", [KeyboardInterrupt(), asyncio.CancelledError()])
async def test_nothing_broader_is_survived(error: BaseException) -> None:
    gateway = Gateway()

    async def fails() -> None:
        raise error

    with pytest.raises(type(error)):
        await gateway.socket._guarded(fails(), 27)


async def test_a_closed_connection_is_told_to_whoever_reads() -> None:
    gateway = Gateway()

    async def closed() -> None:
        raise ConnectionClosed(SimpleNamespace(close_code=4006), shard_id=None)  # type: ignore[arg-type]

    with pytest.raises(ConnectionClosed):
        await gateway.socket._guarded(closed(), 3)


@pytest.mark.parametrize(
    "data",
    [
        {"user_id": "7", "ssrc": -1},
        {"user_id": "7", "ssrc": 1 << 32},
        {"user_id": str(1 << 64), "ssrc": 5},
        {"user_id": "0", "ssrc": 5},
        {"user_id": float("inf"), "ssrc": 5},
        {"ssrc": 5},
    ],
)
async def test_an_owner_or_an_ssrc_that_cannot_be_is_nobodys(data: dict[str, Any]) -> None:
    gateway = Gateway()
    await gateway.socket.received_message({"op": HearingWebSocket.SPEAKING, "d": data})
    assert gateway.ears.receiver.ssrcs.user(5) is None
    assert gateway.errors == 1


async def test_who_speaks_who_connects_and_who_leaves_is_noted() -> None:
    gateway = Gateway()
    ssrcs = gateway.ears.receiver.ssrcs
    await gateway.socket.received_message({"op": 5, "d": {"user_id": "100", "ssrc": 5, "speaking": 1}})
    await gateway.socket.received_message({"op": 12, "d": {"user_id": "200", "audio_ssrc": 6, "video_ssrc": 0}})
    await gateway.socket.received_message({"op": 11, "d": {"user_ids": ["300"]}})
    assert (ssrcs.user(5), ssrcs.user(6)) == (100, 200)
    await gateway.socket.received_message({"op": 13, "d": {"user_id": "100"}})
    gateway.ears.wait(2.0)
    assert (ssrcs.user(5), ssrcs.user(6)) == (None, 200)
    assert gateway.errors == 0


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (4014, Reason.CALL_ENDED),
        (4017, Reason.DAVE_REFUSED),
        (4022, None),
        (1006, None),
        (4006, None),
        (4015, None),
        (None, None),
    ],
)
def test_which_close_codes_are_final(code: int | None, reason: Reason | None) -> None:
    assert final_reason(code) is reason
