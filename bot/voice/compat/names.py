"""Which names of discord.py and davey this layer uses, and whether the installed libraries have them."""

from __future__ import annotations

from types import FunctionType
from typing import Final

import davey
import discord
from discord.gateway import DiscordVoiceWebSocket, KeepAliveHandler
from discord.voice_state import ConnectionFlowState, VoiceConnectionState

from bot.voice.errors import IncompatibleLibrary

from . import shards

DISCORD_VERSION: Final = "2.7.1"
DAVEY_VERSION: Final = "0.1.7"
PINNED: Final = {"discord.py": DISCORD_VERSION, "davey": DAVEY_VERSION}
"""The only versions whose private parts are known."""

_METHODS: Final[tuple[tuple[type, tuple[str, ...]], ...]] = (
    (discord.VoiceClient, ("create_connection_state", "send_audio_packet", "checked_add", "cleanup", "stop")),
    (
        VoiceConnectionState,
        (
            "_connect",
            "_connect_websocket",
            "_create_socket",
            "_execute_transition",
            "_handshake_websocket",
            "_poll_voice_ws",
            "_recover_from_invalid_commit",
            "_update_voice_channel",
            "_wait_for_state",
            "disconnect",
            "is_connected",
            "reinit_dave_session",
            "voice_server_update",
            "voice_state_update",
        ),
    ),
    (
        DiscordVoiceWebSocket,
        (
            "close",
            "discover_ip",
            "from_connection_state",
            "poll_event",
            "received_binary_message",
            "received_message",
            "resume",
            "send_as_json",
            "speak",
        ),
    ),
    (KeepAliveHandler, ("stop",)),
    (davey.DaveSession, ("decrypt", "set_external_sender", "set_passthrough_mode", "reinit", "process_commit")),
)
_ATTRIBUTES: Final[tuple[tuple[type, tuple[str, ...]], ...]] = (
    (
        VoiceConnectionState,
        (
            "_disconnected",
            "_expecting_disconnect",
            "_runner",
            "_socket_reader",
            "dave_downgraded",
            "dave_pending_transitions",
            "dave_protocol_version",
            "dave_session",
            "endpoint",
            "mode",
            "secret_key",
            "socket",
            "token",
            "session_id",
            "ws",
        ),
    ),
    (DiscordVoiceWebSocket, ("_close_code", "_keep_alive", "secret_key", "seq_ack")),
    (KeepAliveHandler, ("ws",)),
    (discord.VoiceClient, ("_connection", "_incr_nonce", "sequence", "timestamp")),
)
_FLOW: Final = (
    "disconnected",
    "set_guild_voice_state",
    "got_voice_server_update",
    "got_both_voice_updates",
    "connected",
)


def check() -> list[str]:
    """What of the installed libraries does not fit this layer, each in words; empty when all is well."""
    problems = []
    for name, found, known in (
        ("discord.py", discord.__version__, DISCORD_VERSION),
        ("davey", davey.__version__, DAVEY_VERSION),
    ):
        if found != known:
            problems.append(
                f"{name} is {found}, but its private parts are known at {known} (pip install {name}=={known})"
            )
    for owner, names in _METHODS:
        problems += [f"{owner.__name__} has no {name}" for name in names if not callable(getattr(owner, name, None))]
    for owner, names in _ATTRIBUTES:
        set_there = _attributes_set_by(owner)
        problems += [f"{owner.__name__} sets no {name}" for name in names if name not in set_there]
    problems += [f"ConnectionFlowState has no {name}" for name in _FLOW if not hasattr(ConnectionFlowState, name)]
    if getattr(davey, "DAVE_PROTOCOL_VERSION", 0) < 1:
        problems.append("davey speaks no version of DAVE")
    return problems + shards.missing_names()


def require() -> None:
    """Refuse to start with libraries whose inside is not known.

    Raises:
        IncompatibleLibrary: `check()` found something.
    """
    problems = check()
    if problems:
        raise IncompatibleLibrary(problems)


def _attributes_set_by(owner: type) -> frozenset[str]:
    """Names that the constructor of a class mentions; attributes of instances leave no other trace on it."""
    constructor = owner.__init__  # type: ignore[misc]
    return frozenset(constructor.__code__.co_names) if isinstance(constructor, FunctionType) else frozenset()
