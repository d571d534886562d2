"""The voice gateway's manners: who is let in, what is refused and with which code, and how a lost client comes back."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from sandbox.voice import Close, Op, VoiceServer, VoiceSettings
from tests.fakes.voice_socket import VoiceSocket, ticket_for
from tests.fakes.waiting import until

pytestmark = pytest.mark.integration


@pytest.fixture
async def voice() -> AsyncIterator[VoiceServer]:
    async with VoiceServer() as server:
        yield server


async def test_hello_ready_and_the_session_description(voice: VoiceServer) -> None:
    async with VoiceSocket(voice, ticket_for(voice, 1)) as socket:
        hello = await socket.expect(Op.HELLO)
        assert hello == {"v": 8, "heartbeat_interval": 13_750}
        await socket.identify()
        ready = await socket.expect(Op.READY)
        assert ready["ip"] == "127.0.0.1"
        assert ready["modes"] == ["aead_aes256_gcm_rtpsize", "aead_xchacha20_poly1305_rtpsize"]
        await socket.select(ready["modes"][1])
        described = await socket.expect(Op.SESSION_DESCRIPTION)
        assert described["mode"] == ready["modes"][1]
        assert len(bytes(described["secret_key"])) == 32
        assert described["dave_protocol_version"] == 1
        assert (await socket.expect(Op.EXTERNAL_SENDER))[:3].hex() == "404104"


async def test_op_25_can_come_before_op_4(voice: VoiceServer) -> None:
    voice.faults(1).sender_first = True
    async with VoiceSocket(voice, ticket_for(voice, 1)) as socket:
        await socket.identify()
        await socket.expect(Op.READY)
        await socket.select()
        await socket.expect(Op.EXTERNAL_SENDER)
        before = socket.last_seq
        await socket.expect(Op.SESSION_DESCRIPTION)
        assert socket.last_seq == before + 1
        with pytest.raises(TimeoutError):
            await socket.expect(Op.EXTERNAL_SENDER, timeout_s=0.1)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"token": "stolen"}, Close.AUTHENTICATION_FAILED),
        ({"user_id": "2"}, Close.AUTHENTICATION_FAILED),
        ({"server_id": "6"}, Close.AUTHENTICATION_FAILED),
        ({"session_id": "old"}, Close.SESSION_NO_LONGER_VALID),
        ({"max_dave_protocol_version": 0}, Close.DAVE_REQUIRED),
        ({"user_id": "me"}, Close.BAD_PAYLOAD),
    ],
)
async def test_who_is_not_let_in(voice: VoiceServer, changes: dict[str, Any], code: Close) -> None:
    async with VoiceSocket(voice, ticket_for(voice, 1)) as socket:
        await socket.identify(**changes)
        assert await socket.close_code() == code
    assert not voice.calls


async def test_a_client_without_dave_may_come_in_when_the_server_allows_it() -> None:
    settings = VoiceSettings(require_dave=False)
    async with VoiceServer(settings=settings) as voice, VoiceSocket(voice, ticket_for(voice, 1)) as socket:
        await socket.identify(max_dave_protocol_version=0)
        assert await socket.expect(Op.READY)


async def test_connections_can_be_refused_on_demand(voice: VoiceServer) -> None:
    faults = voice.faults(1)
    faults.refuse_connections, faults.refuse_code = 1, 4006
    ticket = ticket_for(voice, 1)
    async with VoiceSocket(voice, ticket) as socket:
        await socket.identify()
        assert await socket.close_code() == 4006
    async with VoiceSocket(voice, ticket) as socket:
        await socket.identify()
        assert await socket.expect(Op.READY)


@pytest.mark.parametrize(
    ("op", "data", "code"),
    [
        (Op.IDENTIFY, {}, Close.ALREADY_AUTHENTICATED),
        (Op.SELECT_PROTOCOL, {"protocol": "webrtc", "data": {}}, Close.UNKNOWN_PROTOCOL),
        (Op.SELECT_PROTOCOL, {"protocol": "udp", "data": {"mode": "plain"}}, Close.UNKNOWN_ENCRYPTION_MODE),
        (Op.SELECT_PROTOCOL, {}, Close.BAD_PAYLOAD),
        (Op.SPEAKING, {"speaking": 1, "ssrc": 1}, Close.BAD_REQUEST),
        (Op.READY, {}, Close.UNKNOWN_OPCODE),
        (99, {}, Close.UNKNOWN_OPCODE),
    ],
)
async def test_what_is_not_done_after_identifying(voice: VoiceServer, op: int, data: Any, code: Close) -> None:
    async with VoiceSocket(voice, ticket_for(voice, 1)) as socket:
        await socket.identify()
        await socket.expect(Op.READY)
        await socket.send(op, data)
        assert await socket.close_code() == code
    await until(lambda: not voice.calls)


@pytest.mark.parametrize("message", ["not json", "[]", '{"op": "x"}'])
async def test_nonsense_is_a_bad_payload(voice: VoiceServer, message: str) -> None:
    async with VoiceSocket(voice, ticket_for(voice, 1)) as socket:
        await socket.identify()
        await socket.expect(Op.READY)
        await socket.ws.send_str(message)
        assert await socket.close_code() == Close.BAD_PAYLOAD


@pytest.mark.parametrize("body", [b"", b"\x1a", b"\x1anoise", b"\x1cnoise", b"\x19"])
async def test_binary_nonsense_ends_the_session(voice: VoiceServer, body: bytes) -> None:
    async with VoiceSocket(voice, ticket_for(voice, 1)) as socket:
        await socket.identify()
        await socket.expect(Op.READY)
        await socket.ws.send_bytes(body)
        assert await socket.close_code() in (Close.BAD_PAYLOAD, Close.BAD_REQUEST, Close.UNKNOWN_OPCODE)


async def test_nothing_may_come_before_identify(voice: VoiceServer) -> None:
    async with VoiceSocket(voice, ticket_for(voice, 1)) as socket:
        await socket.select()
        assert await socket.close_code() == Close.NOT_AUTHENTICATED


async def test_who_says_nothing_is_sent_away() -> None:
    settings = VoiceSettings(identify_timeout_s=0.05, heartbeat_interval_s=0.05, heartbeat_grace=2)
    async with VoiceServer(settings=settings) as voice:
        async with VoiceSocket(voice, ticket_for(voice, 1)) as socket:
            assert await socket.close_code() == Close.SESSION_TIMEOUT
        async with VoiceSocket(voice, ticket_for(voice, 1)) as socket:
            await socket.identify()
            assert await socket.close_code() == Close.SESSION_TIMEOUT


async def test_heartbeats_are_answered_and_keep_a_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each gives the session as much time again: no other message does."""
    ends_s: list[float] = []
    timeout_at = asyncio.timeout_at

    def noted(when_s: float | None) -> asyncio.Timeout:
        ends_s.append(when_s or 0.0)
        return timeout_at(when_s)

    settings = VoiceSettings(heartbeat_interval_s=20.0, heartbeat_grace=3)
    async with VoiceServer(settings=settings) as voice, VoiceSocket(voice, ticket_for(voice, 1)) as socket:
        await socket.send(Op.HEARTBEAT, {"t": 0})
        assert (await socket.expect(Op.HEARTBEAT_ACK))["t"] == 0
        monkeypatch.setattr(asyncio, "timeout_at", noted)
        await socket.identify()
        for beat in range(3):
            now_s = asyncio.get_running_loop().time()
            await socket.send(Op.HEARTBEAT, {"t": beat, "seq_ack": socket.last_seq})
            assert (await socket.expect(Op.HEARTBEAT_ACK))["t"] == beat
            assert ends_s[-1] >= now_s + 60.0
            await socket.select()
            await socket.expect(Op.SESSION_DESCRIPTION)
            assert ends_s[-1] == ends_s[-2]


async def test_a_call_is_settled_when_everybody_has_read_what_they_were_told(voice: VoiceServer) -> None:
    async with VoiceSocket(voice, ticket_for(voice, 1)) as socket:
        await socket.identify()
        await socket.expect(Op.READY)
        settled = asyncio.create_task(voice.settled(77), name="settled")
        await asyncio.sleep(0.2)
        assert not settled.done()
        await socket.send(Op.HEARTBEAT, {"t": 1})
        await socket.expect(Op.HEARTBEAT_ACK)
        await settled
        await voice.close(1, Close.ABNORMAL)
        await voice.settled(77)  # who is gone is not waited for


async def test_people_learn_of_each_other(voice: VoiceServer) -> None:
    async with VoiceSocket(voice, ticket_for(voice, 1)) as anna:
        await anna.identify()
        ready = await anna.expect(Op.READY)
        async with VoiceSocket(voice, ticket_for(voice, 2)) as ben:
            await ben.identify()
            assert await ben.expect(Op.CLIENTS_CONNECT) == {"user_ids": ["1"]}
            assert await anna.expect(Op.CLIENTS_CONNECT) == {"user_ids": ["2"]}
            await anna.send(Op.CLIENT_CONNECT, {"audio_ssrc": 0, "video_ssrc": 0})
            assert (await ben.expect(Op.CLIENT_CONNECT))["audio_ssrc"] == ready["ssrc"]
            await anna.send(Op.SPEAKING, {"speaking": 1, "delay": 0, "ssrc": ready["ssrc"]})
            said = await ben.expect(Op.SPEAKING)
            assert said == {"user_id": "1", "ssrc": ready["ssrc"], "speaking": 1}
        assert await anna.expect(Op.CLIENT_DISCONNECT) == {"user_id": "2"}


async def test_a_newcomer_learns_who_has_spoken(voice: VoiceServer) -> None:
    async with VoiceSocket(voice, ticket_for(voice, 1)) as anna, VoiceSocket(voice, ticket_for(voice, 2)) as ben:
        await anna.identify()
        ssrc = (await anna.expect(Op.READY))["ssrc"]
        await anna.send(Op.SPEAKING, {"speaking": 1, "delay": 0, "ssrc": ssrc})
        await ben.identify()
        await ben.expect(Op.READY)
        await ben.select()
        assert (await ben.expect(Op.SPEAKING))["ssrc"] == ssrc


async def test_op_5_can_be_late_or_missing(voice: VoiceServer) -> None:
    async with (
        VoiceSocket(voice, ticket_for(voice, 1)) as anna,
        VoiceSocket(voice, ticket_for(voice, 2)) as ben,
        VoiceSocket(voice, ticket_for(voice, 3)) as cleo,
    ):
        voice.faults(2).speaking_delay_s = 0.2
        voice.faults(3).speaking_withheld = True
        for socket in (ben, cleo, anna):
            await socket.identify()
            ssrc = (await socket.expect(Op.READY))["ssrc"]
        started = asyncio.get_running_loop().time()
        await anna.send(Op.SPEAKING, {"speaking": 1, "delay": 0, "ssrc": ssrc})
        await ben.expect(Op.SPEAKING)
        assert asyncio.get_running_loop().time() - started > 0.15
        with pytest.raises(TimeoutError):
            await cleo.expect(Op.SPEAKING, timeout_s=0.1)


@pytest.mark.parametrize("code", [4006, 4009, 4014, 4017, 4022])
async def test_a_session_ends_with_the_code_that_is_asked_for(voice: VoiceServer, code: int) -> None:
    async with VoiceSocket(voice, ticket_for(voice, 1)) as socket:
        await socket.identify()
        await socket.expect(Op.READY)
        closing = asyncio.create_task(voice.close(1, code))
        assert await socket.close_code() == code
        await closing
    assert voice.connection(1) is None


@pytest.mark.parametrize("code", [Close.ABNORMAL, Close.VOICE_SERVER_CRASHED])
async def test_a_lost_client_resumes_and_gets_what_it_missed(voice: VoiceServer, code: Close) -> None:
    ticket = ticket_for(voice, 1)
    async with VoiceSocket(voice, ticket_for(voice, 2)) as ben:
        await ben.identify()
        async with VoiceSocket(voice, ticket) as anna:
            await anna.identify()
            await anna.expect(Op.READY)
            await anna.select()
            await anna.expect(Op.EXTERNAL_SENDER)
            seen = anna.last_seq
            closing = asyncio.create_task(voice.close(1, code))
            assert await anna.close_code() == code
            await closing
        async with VoiceSocket(voice, ticket_for(voice, 3)) as cleo:
            await cleo.identify()
            await cleo.expect(Op.READY)
            async with VoiceSocket(voice, ticket) as anna:
                await anna.resume(seen)
                assert await anna.expect(Op.CLIENTS_CONNECT) == {"user_ids": ["3"]}
                await anna.expect(Op.RESUMED)
                assert voice.connection(1) is not None


async def test_a_session_that_is_over_cannot_be_resumed() -> None:
    async with VoiceServer(settings=VoiceSettings(resume_window_s=0.05)) as voice:
        ticket = ticket_for(voice, 1)
        async with VoiceSocket(voice, ticket) as socket:
            await socket.identify()
            await socket.expect(Op.READY)
            await voice.close(1, Close.ABNORMAL)
            await socket.close_code()
        await until(lambda: voice.connection(1) is None)
        async with VoiceSocket(voice, ticket) as socket:
            await socket.resume(-1)
            assert await socket.close_code() == Close.SESSION_NO_LONGER_VALID


async def test_who_leaves_or_moves_is_disconnected_with_4014(voice: VoiceServer) -> None:
    for channel_id in (None, 78):
        async with VoiceSocket(voice, ticket_for(voice, 1)) as socket:
            await socket.identify()
            await socket.expect(Op.READY)
            voice.voice_state(guild_id=5, user_id=1, channel_id=channel_id)
            assert await socket.close_code() == Close.DISCONNECTED
        assert voice.connection(1) is None


async def test_a_newer_ticket_voids_the_one_before(voice: VoiceServer) -> None:
    old = ticket_for(voice, 1)
    ticket_for(voice, 1)
    async with VoiceSocket(voice, old) as socket:
        await socket.identify()
        assert await socket.close_code() == Close.AUTHENTICATION_FAILED


async def test_a_second_identify_takes_the_place_of_the_first(voice: VoiceServer) -> None:
    ticket = ticket_for(voice, 1)
    async with VoiceSocket(voice, ticket) as first, VoiceSocket(voice, ticket) as second:
        await first.identify()
        one = await first.expect(Op.READY)
        closed = asyncio.create_task(first.close_code())
        await second.identify()
        two = await second.expect(Op.READY)
        assert one["ssrc"] != two["ssrc"]
        assert await closed == Close.DISCONNECTED
        connection = voice.connection(1)
        assert connection is not None
        assert connection.ssrc == two["ssrc"]


async def test_a_move_leads_to_another_endpoint(voice: VoiceServer) -> None:
    ticket = ticket_for(voice, 1)
    async with VoiceSocket(voice, ticket) as socket:
        await socket.identify()
        await socket.expect(Op.READY)
        new = await voice.move(1)
        assert new.endpoint != ticket.endpoint
        assert new.session_id == ticket.session_id
        async with VoiceSocket(voice, new) as moved:
            closed = asyncio.create_task(socket.close_code())
            await moved.identify()
            await moved.expect(Op.READY)
            assert await closed == Close.DISCONNECTED


async def test_the_certificate_is_trusted_by_our_context_alone(voice: VoiceServer) -> None:
    url = f"wss://{voice.endpoint}/?v=8"
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=ssl.create_default_context())) as http:
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await http.ws_connect(url)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=voice.ssl_context())) as http:
        ws = await http.ws_connect(url)
        assert (await ws.receive_json())["op"] == Op.HELLO
        await ws.close()


async def test_nobody_is_closed_who_is_not_there(voice: VoiceServer) -> None:
    with pytest.raises(LookupError):
        await voice.close(1, 4014)
    with pytest.raises(LookupError):
        await voice.move(1)
    with pytest.raises(LookupError):
        voice.send_datagram(1, b"")
