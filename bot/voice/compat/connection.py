"""A voice connection of discord.py, its private hooks under public names."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import discord
from discord.gateway import DiscordVoiceWebSocket
from discord.utils import MISSING
from discord.voice_state import ConnectionFlowState, VoiceConnectionState

from bot.voice.reader import VoiceSocket

from .websocket import WebSocketSeam

WAIT_STEP_S: Final = 0.02


class _NoThread:
    """Stands where discord.py starts a thread that reads the socket; the event loop reads it instead."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self, *, force: bool = False) -> None: ...
    def register(self, callback: Callable[[bytes], Any]) -> None: ...
    def unregister(self, callback: Callable[[bytes], Any]) -> None: ...


class ConnectionSeam(VoiceConnectionState):
    """discord.py's connection with its private hooks under public names. `bot.voice.connection` fills in the hooks."""

    shown_deaf = False
    """Whether people see the bot deafened; kept through reconnects."""
    _asked = False
    """Whether we have asked to be in a channel since the last word that we are in none, and not asked to leave."""
    named = False
    """Whether a voice server was named to `follow` to."""
    _key_told: Any = None
    _key = b""
    """`_key_told`, the list that discord.py keeps, as bytes."""

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

    # -- what bot.voice.connection calls ----------------------------------------------------------------------------

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
    def apart(self) -> bool:
        """Between two connections: nothing is asked of the main gateway."""
        return self.state is ConnectionFlowState.disconnected

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
        expected, self._expecting_disconnect, self._asked = self._expecting_disconnect, False, False
        self._disconnected.set()
        return expected

    def enter_channel(self, channel_id: int) -> None:
        self._update_voice_channel(channel_id)

    async def handshake(self, timeout_s: float) -> None:
        """Join the channel and connect, once; shown deafened when the client was.

        Raises:
            TimeoutError: it took too long.
            ConnectionClosed: the voice gateway refused; its code says why.
            OSError: the network or Discord's gateway is not there.
        """
        self.timeout, self._asked = timeout_s, True
        await self._connect(False, timeout_s, self.shown_deaf, False, False)

    def await_server(self) -> None:
        """The voice server let us go: whatever the main gateway names next is where to connect."""
        self.named = False
        if self.is_connected():
            self.state = ConnectionFlowState.got_voice_state_update

    async def resume(self, websocket: type[WebSocketSeam]) -> None:
        """Go on with the same voice session over another websocket (op 7). Keys, SSRCs and UDP stay as they are.

        discord.py's own way cannot complete: it asks the main gateway for the channel anew and then waits for a
        transport key, which a resumed session is not told again.

        Raises:
            ConnectionClosed: the voice gateway refused, or is gone again.
            OSError: the network is not there.
        """
        last: Any = self.ws
        ws = await websocket.from_connection_state(self, resume=True, seq_ack=last.seq_ack)
        self.ws = ws  # from here on, answers to messages that are sent again go this way
        try:
            ws.go_on_from(last)
            while not ws.resumed:
                await ws.poll_event()
        except BaseException:
            await ws.close()
            raise
        finally:
            await last.close()

    async def follow(self, wait_s: float) -> bool:
        """The voice server let us go: connect to the one that is named next. False when none is named (`named`).

        discord.py's own way does not tell with which code that server closes.

        Raises:
            ConnectionClosed, TimeoutError, OSError: that server refused, or cannot be connected to.
        """
        try:
            await self._wait_for_state(
                ConnectionFlowState.got_voice_server_update,
                ConnectionFlowState.got_both_voice_updates,
                ConnectionFlowState.disconnected,
                timeout=wait_s,
            )
        except TimeoutError:
            return False
        if self.state is ConnectionFlowState.disconnected:
            return False
        self.named = True
        last: Any = self.ws
        try:
            self.ws = await self._connect_websocket(False)
            await self._handshake_websocket()
        finally:
            await last.close()
        return True

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
        answered, self._asked = self._asked or self._expecting_disconnect, False
        await super().disconnect(force=force, cleanup=cleanup, wait=wait and self.gateway_session is not None)
        if cleanup or not answered:  # no word on leaving reaches who is forgotten, or who was in no channel
            self._expecting_disconnect = False

    async def tear_down(self, *, for_good: bool) -> None:
        """Leave the channel and close everything; `for_good` also forgets the client."""
        await self.stop_watching()
        await self.disconnect(cleanup=for_good)

    def forget_keys(self) -> None:
        """Nothing of the last connection may be taken for the next one's."""
        self.secret_key = MISSING
        self._key_told, self._key = None, b""
        self.dave_session = None
        self.dave_protocol_version = 0
        self.dave_downgraded = False
        self.dave_pending_transitions.clear()

    async def recover_from_bad_commit(self, transition_id: int) -> None:
        """Tell the gateway that a commit or welcome made no sense, and ask to be added anew."""
        await self._recover_from_invalid_commit(transition_id)

    def transport(self) -> tuple[str, bytes] | None:
        """Mode and key as they are now; None before the gateway has told them."""
        told = self.secret_key
        if not told:
            return None
        if told is not self._key_told:
            self._key_told, self._key = told, bytes(told)
        return self.mode, self._key

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
    def inaudible(self) -> bool:
        """Whether nobody hears what we send: suppressed on a stage, or muted by the server."""
        me: discord.Member | None = self.guild.me
        voice = me.voice if me is not None else None
        return voice is not None and (voice.suppress or voice.mute)

    @property
    def channel_exists(self) -> bool:
        guild = self.voice_client._state._get_guild(self.voice_client.guild.id)
        return guild is not None and guild.get_channel(self.voice_client.channel.id) is not None


_NO_THREAD: Final = _NoThread()
