"""What the connection decides by itself, between the gateway's words and discord.py's steps."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from discord.voice_state import ConnectionFlowState

from bot.voice.connection import HearingConnection
from bot.voice.counters import ReceiveCounters
from bot.voice.journal import Journal
from bot.voice.states import Reason

pytestmark = pytest.mark.unit

HERE, ELSEWHERE = 70, 71


class Session:
    """Keeps what it is told about packets in the clear."""

    def __init__(self) -> None:
        self.passthrough: list[tuple[bool, int]] = []

    def set_passthrough_mode(self, allowed: bool, expiry_s: int) -> None:
        self.passthrough.append((allowed, expiry_s))


def connection(state: ConnectionFlowState) -> Any:
    """A connection in the middle of things, without the network that brought it there."""
    made: Any = HearingConnection.__new__(HearingConnection)
    channels = {HERE: SimpleNamespace(id=HERE), ELSEWHERE: SimpleNamespace(id=ELSEWHERE)}
    guild = SimpleNamespace(id=9, get_channel=channels.get)
    cache = SimpleNamespace(_get_guild=lambda guild_id: guild)
    made.voice_client = SimpleNamespace(guild=guild, channel=channels[HERE], _state=cache)
    made._state = state
    made._state_event, made._connected = asyncio.Event(), threading.Event()
    made._interrupted = asyncio.Event()
    made._disconnected = asyncio.Event()
    made._expecting_disconnect, made._seated = False, True
    made._following = False
    made.token, made.server_id, made.endpoint = "first", 9, "one"
    made.losses = []
    made._lost = lambda reason, code: made.losses.append(reason)
    made.dave_pending_transitions = {}
    made.dave_protocol_version = 1
    made.dave_downgraded = False
    made.dave_session = Session()
    return made


MIDDLE = ConnectionFlowState.websocket_connected


async def test_another_voice_server_in_the_middle_of_a_handshake_gives_the_handshake_up() -> None:
    middle = connection(MIDDLE)
    await middle.voice_server_update({"token": "second", "guild_id": "9", "endpoint": "two"})
    assert middle._interrupted.is_set()
    assert middle.token == "first"


async def test_the_same_voice_server_again_changes_nothing() -> None:
    middle = connection(MIDDLE)
    await middle.voice_server_update({"token": "first", "guild_id": "9", "endpoint": "one"})
    assert not middle._interrupted.is_set()


async def test_dragged_away_in_the_middle_of_a_handshake_the_next_one_goes_to_the_new_channel() -> None:
    middle = connection(MIDDLE)
    await middle.voice_state_update({"channel_id": str(ELSEWHERE), "session_id": "s"})
    assert middle._interrupted.is_set()
    assert middle.voice_client.channel.id == ELSEWHERE


async def test_dragged_away_while_it_waits_for_a_voice_server_it_goes_on_waiting_for_the_one_there() -> None:
    waiting = connection(ConnectionFlowState.got_voice_state_update)
    waiting._following, waiting._runner = True, asyncio.current_task()
    await waiting.voice_state_update({"channel_id": str(ELSEWHERE), "session_id": "s"})
    assert waiting.voice_client.channel.id == ELSEWHERE
    assert waiting._state is ConnectionFlowState.got_voice_state_update
    assert waiting._runner is asyncio.current_task()  # discord.py would end it


async def test_a_resume_that_ends_when_another_voice_server_is_named_already_is_none() -> None:
    resumed = connection(ConnectionFlowState.got_voice_server_update)
    resumed.receiver = SimpleNamespace(counters=ReceiveCounters(), journal=Journal())

    async def resume(_: object) -> None:
        return

    resumed.resume = resume
    assert await resumed._resume(1006) is None
    resumed._state = ConnectionFlowState.connected
    assert await resumed._resume(1006) == 0


async def test_being_in_no_channel_is_a_loss_only_when_it_was_not_asked_for() -> None:
    left = connection(ConnectionFlowState.connected)
    left._expecting_disconnect = True
    await left.voice_state_update({"channel_id": None})
    assert left.losses == []
    await left.voice_state_update({"channel_id": None})
    assert left.losses == [Reason.REMOVED]


async def test_a_late_word_on_the_last_leaving_takes_nobody_out_of_the_call_that_is_joined() -> None:
    """Somebody stops and starts again at once: the gateway says first that we left, and then that we are there."""
    joining = connection(ConnectionFlowState.set_guild_voice_state)
    joining._seated = False
    await joining.voice_state_update({"channel_id": None})
    assert joining.losses == []
    assert not joining._interrupted.is_set()
    await joining.voice_state_update({"channel_id": str(HERE), "session_id": "s"})
    await joining.voice_state_update({"channel_id": None})
    assert joining.losses == [Reason.REMOVED]
    assert joining._interrupted.is_set()


async def test_once_connected_nothing_is_left_of_what_was_asked_before() -> None:
    """Leaving a channel that Discord had already taken us out of is never answered; a later removal must not be it."""
    back = connection(ConnectionFlowState.connected)
    back._expecting_disconnect = True
    back.settle()
    await back.voice_state_update({"channel_id": None})
    assert back.losses == [Reason.REMOVED]


async def test_a_channel_that_is_gone_is_named() -> None:
    gone = connection(ConnectionFlowState.connected)
    gone.voice_client.guild.get_channel = lambda channel_id: None
    await gone.voice_state_update({"channel_id": None})
    assert gone.losses == [Reason.CHANNEL_GONE]


async def test_after_an_upgrade_packets_in_the_clear_are_refused_again() -> None:
    call = connection(ConnectionFlowState.connected)
    call.dave_pending_transitions = {5: 0, 6: 1}
    await call._execute_transition(5)
    assert call.dave_protocol_version == 0
    await call._execute_transition(6)
    assert call.dave_protocol_version == 1
    assert call.dave_session.passthrough[-1] == (False, 10)


async def test_a_new_connection_has_nothing_of_the_last_ones_keys() -> None:
    call = connection(ConnectionFlowState.connected)
    call.mode, call.secret_key = "aead_aes256_gcm_rtpsize", list(range(32))
    assert call.transport() == ("aead_aes256_gcm_rtpsize", bytes(range(32)))
    call.forget_keys()
    assert call.transport() is None
    assert call.dave() == (None, 0)
