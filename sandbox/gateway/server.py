"""The gateway's sessions together: who may come in, who hears what, and what can be done to them on demand."""

from __future__ import annotations

import time
from typing import Final, Protocol

from aiohttp import web

from sandbox import payloads
from sandbox.faults import Faults
from sandbox.gateway.connection import (
    ChannelInfoRequest,
    GatewayConnection,
    HangUp,
    Identify,
    MembersRequest,
    Resume,
    VoiceRequest,
)
from sandbox.gateway.dispatch import Dispatcher
from sandbox.gateway.session import PRIVILEGED, Intent, Session
from sandbox.models import SPOKEN, Guild, Json, User
from sandbox.permissions import Permission, in_channel
from sandbox.state import Change, State

_SESSIONS_KEPT: Final = 50
_CHUNK_MEMBERS: Final = 1_000


class VoiceSide(Protocol):
    """The voice servers' end of a join. Asked each time the bot's own voice state changes by its own request."""

    def on_voice_state(
        self, guild_id: int, channel_id: int | None, user_id: int, session_id: str
    ) -> tuple[str, str] | None:
        """The token and the endpoint (``host:port``) to connect to; None when there is nothing to connect to."""


class Gateway:
    def __init__(
        self,
        *,
        state: State,
        bot: User,
        token: str,
        urls: payloads.Urls,
        faults: Faults,
        heartbeat_interval_s: float = 41.25,
        resume_window_s: float = 60.0,
        allowed_privileged: int = 0,
    ) -> None:
        self.state = state
        self.faults = faults
        self.heartbeat_interval_s = heartbeat_interval_s
        self.resume_window_s = resume_window_s
        self.allowed_privileged = allowed_privileged
        self.mute_heartbeats = False
        """Set to leave heartbeats unanswered: the client must notice by itself."""
        self.voice: VoiceSide | None = None
        self.resume_url = ""
        self.shards = 1
        """The number of shards that a bot is told to take."""
        self.identifies = 0
        self.resumes = 0
        self._bot = bot
        self._token = token
        self._dispatcher = Dispatcher(state, urls, bot.id)
        self._sessions: dict[str, Session] = {}
        self._connections: set[GatewayConnection] = set()
        state.listen(self._on_change)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if self.faults.take_refusal():
            return web.Response(status=503)
        connection = GatewayConnection(self, request)
        self._connections.add(connection)
        try:
            return await connection.run()
        finally:
            self._connections.discard(connection)

    @property
    def sessions(self) -> list[Session]:
        return list(self._sessions.values())

    @property
    def connected(self) -> bool:
        """Whether a bot is there and hears what happens."""
        return any(session.connected for session in self._sessions.values())

    # on demand

    def cut(self, code: int = 1006) -> None:
        """End every connection with this close code (1006: without a word); the sessions can be resumed."""
        for session in self.sessions:
            session.hang_up(code)

    def ask_to_reconnect(self) -> None:
        for session in self.sessions:
            session.send(7)

    def invalidate(self, *, resumable: bool = False) -> None:
        """Send INVALID_SESSION; unless `resumable`, the sessions are gone."""
        for session in self.sessions:
            session.send(9, resumable)
            if not resumable:
                self.forget(session)

    def send_voice_server(self, guild_id: int, token: str, endpoint: str | None) -> None:
        """Tell the bot which voice server to connect to; no endpoint means that it is being moved."""
        body = {"token": token, "guild_id": str(guild_id), "endpoint": endpoint}
        self.state.tell("VOICE_SERVER_UPDATE", guild_id, body)

    async def close(self) -> None:
        for connection in tuple(self._connections):
            connection.hang_up(1001, "shutting down")
            await connection.ws.close(code=1001)

    # asked by connections

    def identify(self, connection: GatewayConnection, request: Identify) -> None:
        if request.token.removeprefix("Bot ") != self._token:
            raise HangUp(4004, "Authentication failed.")
        number, count = request.shard
        if not 0 <= number < count:
            raise HangUp(4010, "Invalid shard.")
        if request.intents & PRIVILEGED & ~self.allowed_privileged:
            raise HangUp(4014, "Disallowed intent(s).")
        self._drop_expired()
        session = Session(intents=request.intents, shard=request.shard)
        self._sessions[session.id] = session
        self.identifies += 1
        connection.attach(session)
        guilds = [g for g in self.state.guilds.values() if self._bot.id in g.members and session.serves(g.id)]
        session.dispatch("READY", self._ready(session, guilds))
        for guild in guilds:
            if session.intents & Intent.GUILDS:
                session.dispatch("GUILD_CREATE", self._dispatcher.guild_create(guild.id, session.intents))

    def resume(self, connection: GatewayConnection, request: Resume) -> None:
        if request.token.removeprefix("Bot ") != self._token:
            raise HangUp(4004, "Authentication failed.")
        self._drop_expired()
        session = self._sessions.get(request.session_id)
        if session is None or not session.can_resume_from(request.seq):
            connection.send(9, False)
            return
        self.resumes += 1
        connection.attach(session)
        session.replay_from(request.seq)
        session.dispatch("RESUMED", {"_trace": []})

    def voice_request(self, session: Session, request: VoiceRequest) -> None:
        """Op 4. What is not allowed is not answered, as Discord does it; the client runs into its time-out."""
        guild = self.state.guilds.get(request.guild_id)
        if guild is None or self._bot.id not in guild.members:
            return
        if request.channel_id is None:
            self.state.leave_voice(guild.id, self._bot.id)
            self._ask_voice(guild.id, None, session.id)
            return
        channel = guild.channels.get(request.channel_id)
        if channel is None or channel.type not in SPOKEN:
            return
        here = self.state.voice_state(guild.id, self._bot.id)
        if here is not None and here.channel_id == channel.id and here.session_id == session.id:
            self.state.update_voice(here, self_mute=request.self_mute, self_deaf=request.self_deaf)
            return
        allowed = in_channel(guild, channel, self._bot.id)
        taken = sum(1 for _ in self.state.voice_states_in(channel.id))
        full = bool(channel.user_limit) and taken >= channel.user_limit and not allowed & Permission.MOVE_MEMBERS
        if not allowed & Permission.CONNECT or full:
            return
        self.state.join_voice(
            self._bot.id, channel, session_id=session.id, self_mute=request.self_mute, self_deaf=request.self_deaf
        )
        answer = self._ask_voice(guild.id, channel.id, session.id)
        if answer is not None:
            self.send_voice_server(guild.id, *answer)

    def members_request(self, session: Session, request: MembersRequest) -> None:
        """Op 8. A list of everybody needs the members intent; ids and name searches do not."""
        guild = self.state.guilds.get(request.guild_id)
        if guild is None:
            return
        wanted = request.user_ids if isinstance(request.user_ids, list) else [request.user_ids]
        if request.query is None:
            members = [guild.members[u] for u in wanted[:100] if u in guild.members]
        elif request.query == "" and not session.intents & Intent.GUILD_MEMBERS:
            return
        else:
            named = (m for m in guild.members.values() if m.name.lower().startswith((request.query or "").lower()))
            members = list(named)[: request.limit or _CHUNK_MEMBERS]
        body: Json = {
            "guild_id": str(guild.id),
            "members": [payloads.member(m) for m in members],
            "chunk_index": 0,
            "chunk_count": 1,
            "not_found": [str(u) for u in wanted if u not in guild.members],
        }
        session.dispatch("GUILD_MEMBERS_CHUNK", body | ({"nonce": request.nonce} if request.nonce else {}))

    def channel_info_request(self, session: Session, request: ChannelInfoRequest) -> None:
        """Op 43: what a channel shows beside its name; of voice channels that the bot can see, the status line."""
        guild = self.state.guilds.get(request.guild_id)
        if guild is None or self._bot.id not in guild.members:
            return
        seen = [
            channel
            for channel in guild.channels.values()
            if channel.type in SPOKEN and in_channel(guild, channel, self._bot.id) & Permission.VIEW_CHANNEL
        ]
        session.dispatch(
            "CHANNEL_INFO",
            {
                "guild_id": str(guild.id),
                "channels": [
                    {"id": str(channel.id)} | ({"status": channel.status} if "status" in request.fields else {})
                    for channel in seen
                ],
            },
        )

    def forget(self, session: Session) -> None:
        """A session that ended for good leaves voice with it."""
        if self._sessions.pop(session.id, None) is None:
            return
        for guild in self.state.guilds.values():
            voice = guild.voice_states.get(self._bot.id)
            if voice is not None and voice.session_id == session.id:
                self.state.leave_voice(guild.id, self._bot.id)
                self._ask_voice(guild.id, None, session.id)

    # inside

    def _ask_voice(self, guild_id: int, channel_id: int | None, session_id: str) -> tuple[str, str] | None:
        if self.voice is None:
            return None
        return self.voice.on_voice_state(guild_id, channel_id, self._bot.id, session_id)

    def _drop_expired(self) -> None:
        now = time.monotonic()
        for session in self.sessions:
            if session.detached_at is not None and now - session.detached_at > self.resume_window_s:
                self.forget(session)
        for session in self.sessions[: max(len(self._sessions) - _SESSIONS_KEPT, 0)]:
            session.hang_up(4008)
            self.forget(session)

    def _ready(self, session: Session, guilds: list[Guild]) -> Json:
        return {
            "v": 10,
            "user": payloads.user(self._bot) | {"verified": True, "mfa_enabled": True, "email": None},
            "guilds": [{"id": str(g.id), "unavailable": True} for g in guilds],
            "private_channels": [],
            "relationships": [],
            "presences": [],
            "session_id": session.id,
            "session_type": "normal",
            "resume_gateway_url": self.resume_url,
            "shard": list(session.shard),
            "application": {"id": str(self._bot.id), "flags": 0},
            "_trace": [],
        }

    def _on_change(self, change: Change) -> None:
        for session in self.sessions:
            if session.serves(change.guild_id):
                for event, data in self._dispatcher.events(change, session.intents):
                    session.dispatch(event, data)
