"""The one place that knows the private parts of discord.py 2.7.1 and davey 0.1.7.

discord.py receives nothing and offers one override point, `VoiceClient.create_connection_state()`. Behind it this layer
replaces how a voice connection reads, polls and recovers, and for that it needs names that no release promises to keep.
All of them are used in this file and nowhere else: the two classes below turn them into plain methods, which
`bot.voice.client` overrides and calls. Both libraries are pinned exactly; `check()` says in words what does not fit.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from types import FunctionType
from typing import Any, Final

import davey
import discord
from discord.errors import ConnectionClosed
from discord.gateway import DiscordVoiceWebSocket
from discord.utils import MISSING
from discord.voice_state import ConnectionFlowState, VoiceConnectionState

from .errors import IncompatibleLibrary
from .reader import VoiceSocket

DISCORD_VERSION: Final = "2.7.1"
DAVEY_VERSION: Final = "0.1.7"
WAIT_STEP_S: Final = 0.02

_METHODS: Final[tuple[tuple[type, tuple[str, ...]], ...]] = (
    (discord.VoiceClient, ("create_connection_state", "send_audio_packet", "checked_add", "cleanup", "stop")),
    (
        VoiceConnectionState,
        (
            "_connect",
            "_connect_websocket",
            "_create_socket",
            "_execute_transition",
            "_poll_voice_ws",
            "_potential_reconnect",
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
            "send_as_json",
            "speak",
        ),
    ),
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
            "ws",
        ),
    ),
    (DiscordVoiceWebSocket, ("_close_code", "_keep_alive", "secret_key", "seq_ack")),
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
    return problems


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


class _NoThread:
    """Stands where discord.py starts a thread that reads the socket; the event loop reads it instead."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self, *, force: bool = False) -> None: ...
    def register(self, callback: Callable[[bytes], Any]) -> None: ...
    def unregister(self, callback: Callable[[bytes], Any]) -> None: ...


class ConnectionSeam(VoiceConnectionState):
    """discord.py's connection with its private hooks under public names. `bot.voice.client` fills in the hooks."""

    # -- hooks ------------------------------------------------------------------------------------------------------

    def make_socket(self) -> VoiceSocket:
        raise RuntimeError("a hook")

    async def make_websocket(self) -> WebSocketSeam:
        raise RuntimeError("a hook")

    async def watch(self) -> None:
        """Handle the voice gateway's messages until the connection ends. Runs as a task of its own."""
        raise RuntimeError("a hook")

    # -- what discord.py calls --------------------------------------------------------------------------------------

    @property
    def _socket_reader(self) -> Any:
        return _NO_THREAD

    @_socket_reader.setter
    def _socket_reader(self, reader: Any) -> None:
        """discord.py makes its thread here, and starts what it gets back."""

    def _create_socket(self) -> None:
        self.socket = self.make_socket()

    async def _connect_websocket(self, resume: bool) -> DiscordVoiceWebSocket:
        ws = await self.make_websocket()
        self.state = ConnectionFlowState.websocket_connected
        return ws

    async def _poll_voice_ws(self, reconnect: bool) -> None:
        await self.watch()

    async def _wait_for_state(
        self,
        state: ConnectionFlowState,
        *other_states: ConnectionFlowState,
        timeout: float | None = None,  # noqa: ASYNC109 - discord.py calls it so
    ) -> None:
        # discord.py's own wait can miss the event it waits for, as setting and clearing it happen in one step.
        states = (state, *other_states)
        async with asyncio.timeout(timeout):
            while self.state not in states:  # noqa: ASYNC110 - an event is what is missed
                await asyncio.sleep(WAIT_STEP_S)

    async def _execute_transition(self, transition_id: int) -> None:
        downgraded = self.dave_downgraded
        await super()._execute_transition(transition_id)
        if downgraded and not self.dave_downgraded and self.dave_session is not None:
            # discord.py leaves the door open for unencrypted packets after an upgrade; close it, with the usual grace.
            self.dave_session.set_passthrough_mode(False, 10)

    # -- what bot.voice.client calls --------------------------------------------------------------------------------

    @property
    def at_rest(self) -> bool:
        """Connected, or on the way there in a step in which gateway events are awaited."""
        return self.state in (
            ConnectionFlowState.connected,
            ConnectionFlowState.set_guild_voice_state,
            ConnectionFlowState.got_voice_state_update,
            ConnectionFlowState.got_voice_server_update,
            ConnectionFlowState.disconnected,
        )

    @property
    def watching(self) -> bool:
        """Whether the task that handles the voice gateway's messages is alive."""
        return self._runner is not None and not self._runner.done()

    @property
    def leaving(self) -> bool:
        """Whether the next word that we are in no channel was asked for by ourselves."""
        return self._expecting_disconnect

    def settle(self) -> None:
        """Connected: whoever takes us out of the channel from now on is somebody else."""
        self._expecting_disconnect = False

    def note_left(self) -> bool:
        """We are in no channel; True when that was asked for by ourselves."""
        expected, self._expecting_disconnect = self._expecting_disconnect, False
        self._disconnected.set()
        return expected

    def enter_channel(self, channel_id: int) -> None:
        self._update_voice_channel(channel_id)

    async def handshake(self, timeout_s: float) -> None:
        """Join the channel and connect, once.

        Raises:
            TimeoutError: it took too long.
            ConnectionClosed: the voice gateway refused; its code says why.
            OSError: the network or Discord's gateway is not there.
        """
        self.timeout = timeout_s
        await self._connect(False, timeout_s, False, False, False)

    async def follow(self, wait_s: float) -> bool:
        """The voice websocket ended with 4014: connect to the voice server named next. False when none is named."""
        with contextlib.suppress(TimeoutError):
            await self._wait_for_state(
                ConnectionFlowState.got_voice_server_update,
                ConnectionFlowState.got_both_voice_updates,
                ConnectionFlowState.disconnected,
                timeout=wait_s,
            )
            if self.state is not ConnectionFlowState.disconnected:
                return await self._potential_reconnect()
        return False

    async def stop_watching(self) -> None:
        runner, self._runner = self._runner, None
        if runner is None or runner is asyncio.current_task():
            return
        while not runner.done():
            # Python 3.11's wait_for, in which it waits for messages, can swallow a cancellation.
            runner.cancel()
            await asyncio.wait({runner}, timeout=0.1)

    async def disconnect(self, *, force: bool = True, cleanup: bool = True, wait: bool = False) -> None:
        """discord.py's, which leaves the websocket and its thread behind when the main gateway is not there."""
        if self.ws is not MISSING:
            await self.ws.close()
        await super().disconnect(force=force, cleanup=cleanup, wait=wait and self.gateway_session is not None)

    async def tear_down(self, *, for_good: bool) -> None:
        """Leave the channel and close everything; `for_good` also forgets the client."""
        await self.stop_watching()
        await self.disconnect(cleanup=for_good)

    def forget_keys(self) -> None:
        """Nothing of the last connection may be taken for the next one's."""
        self.secret_key = MISSING
        self.dave_session = None
        self.dave_protocol_version = 0
        self.dave_downgraded = False
        self.dave_pending_transitions.clear()

    async def recover_from_bad_commit(self, transition_id: int) -> None:
        """Tell the gateway that a commit or welcome made no sense, and ask to be added anew."""
        await self._recover_from_invalid_commit(transition_id)

    def transport(self) -> tuple[str, bytes] | None:
        """Mode and key as they are now; None before the gateway has told them."""
        return (self.mode, bytes(self.secret_key)) if self.secret_key else None

    @property
    def registered(self) -> bool:
        """Whether discord.py hands this connection's gateway events to it."""
        client = self.voice_client
        return client._state._get_voice_client(client.guild.id) is client

    def register(self) -> None:
        client = self.voice_client
        client._state._add_voice_client(client.guild.id, client)

    def refresh_channel(self) -> None:
        """discord.py makes its guilds and channels anew after a lost session; take the new one."""
        guild = self.voice_client._state._get_guild(self.voice_client.guild.id)
        channel = guild and guild.get_channel(self.voice_client.channel.id)
        if isinstance(channel, discord.VoiceChannel | discord.StageChannel):
            self.voice_client.channel = channel

    @property
    def gateway_session(self) -> str | None:
        """The main gateway's session by which we are in the channel; None while there is none, or no connection."""
        client = self.voice_client
        try:
            ws = client._state._get_websocket(client.guild.id)
        except (AttributeError, KeyError):  # before the first connection, and after the last
            return None
        return ws.session_id if ws is not None and ws.open else None

    @property
    def place(self) -> tuple[bool, bool]:
        """Whether Discord has us in a channel, and whether the server deafened us; in one, while it is not known."""
        me: discord.Member | None = self.guild.me
        if me is None:
            return True, False
        voice = me.voice
        return voice is not None and voice.channel is not None, bool(voice and voice.deaf)

    @property
    def channel_exists(self) -> bool:
        guild = self.voice_client._state._get_guild(self.voice_client.guild.id)
        return guild is not None and guild.get_channel(self.voice_client.channel.id) is not None


_NO_THREAD: Final = _NoThread()


class WebSocketSeam(DiscordVoiceWebSocket):
    """discord.py's voice websocket with what is private in it under public names."""

    @property
    def connection(self) -> Any:
        """The connection this websocket belongs to."""
        return self._connection

    @property
    def unanswered_s(self) -> float:
        """How long the gateway has answered no heartbeat."""
        return 0.0 if self._keep_alive is None else time.perf_counter() - self._keep_alive._last_recv


class EncryptingClient(discord.VoiceClient):
    """What a `VoiceClient` needs to send in a mode that discord.py does not know."""

    _connection: Any
    _incr_nonce: int

    @property
    def connection(self) -> Any:
        return self._connection

    def next_nonce(self) -> int:
        nonce = self._incr_nonce
        self.checked_add("_incr_nonce", 1, 0xFFFFFFFF)
        return nonce


def client_of(channel: discord.VoiceChannel | discord.StageChannel) -> discord.Client:
    """The client whose cache a channel is from."""
    return channel._state._get_client()


def close_code(error: BaseException) -> int | None:
    """The close code of a voice websocket that ended."""
    return error.code if isinstance(error, ConnectionClosed) else None
