"""A session's voice connection: it joins, says how it is, and ends the session when it is lost for good."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

import structlog

from bot.errors import VoiceFailed
from bot.listening.ends import LINK_ENDS, EndReason
from bot.listening.surface import DISCORD_TROUBLE
from bot.listening.voice import Connect, Link
from bot.voice.errors import CannotJoin, VoiceError
from bot.voice.states import ConsentGate, FrameSink, LinkState, Reason
from ser_engine.types import SAMPLE_RATE_HZ

REASON_GRACE_S: Final = 0.5
"""How long the news of a deleted channel may come after the news that the bot is out of it."""

JOIN_FAILURES: Final = frozenset({Reason.CHANNEL_FULL, Reason.FORBIDDEN, Reason.NO_ANSWER, Reason.RATE_LIMITED})
"""Reasons for which people can do something: each has a text of its own."""

_log = structlog.get_logger(__name__)


class Call:
    """`changed` is called when the connection's state has changed, `end` when there will be no connection any more."""

    def __init__(
        self,
        session_id: str,
        connect: Connect,
        sink: FrameSink,
        consent: ConsentGate,
        *,
        changed: Callable[[], None],
        end: Callable[[EndReason], None],
    ) -> None:
        self.state = LinkState.CONNECTING
        self.reason = Reason.JOINING
        self.deafened = False
        """A moderator deafened the bot: it hears nobody."""
        self._session_id = session_id
        self._connect = connect
        self._sink = sink
        self._consent = consent
        self._changed = changed
        self._end = end
        self._link: Link | None = None

    async def join(self, channel: Any) -> None:
        """Raises VoiceFailed."""
        try:
            self._link = await self._connect(channel, sink=self._sink, consent=self._consent, on_state=self._on_state)
        except (VoiceError, *DISCORD_TROUBLE) as error:
            _log.warning("voice_not_joined", session=self._session_id, error=type(error).__name__)
            if isinstance(error, CannotJoin) and error.reason in JOIN_FAILURES:
                raise VoiceFailed(f"JOIN_FAILURES.{error.reason.code}") from error
            raise VoiceFailed("VOICE_FAILED") from error

    async def play(self, sound: bytes) -> None:
        """Raises VoiceFailed when there is no connection to play it on."""
        if self._link is None or not await self._link.play(sound):
            raise VoiceFailed("VOICE_FAILED")

    def now_s(self) -> float | None:
        """Position on the session's timeline; None before there was a connection."""
        return None if self._link is None else self._link.now_samples() / SAMPLE_RATE_HZ

    def discard(self, user_id: int) -> None:
        """Forget what is held of a person who withdrew."""
        if self._link is not None:
            self._link.discard(user_id)

    def tallies(self) -> Mapping[str, int]:
        """Why packets were dropped, and how many came."""
        return {} if self._link is None else self._link.tallies()

    async def close(self) -> None:
        if self._link is not None:
            await self._link.close()

    def server_deafened(self, *, deaf: bool) -> None:
        if deaf != self.deafened:
            self.deafened = deaf
            _log.info("server_deafened", session=self._session_id, deaf=deaf)
            self._changed()

    def lost_place(self, reason: EndReason) -> None:
        """The bot is not in the session's channel any more.

        In no channel: while the link joins, that is its own doing. Otherwise the session ends, but a moment later,
        because Discord may still say why (the channel was deleted). In another channel: the session ends at once.
        """
        if reason is not EndReason.KICKED:
            self._end(reason)
        elif self.state not in (LinkState.CONNECTING, LinkState.RECONNECTING):
            asyncio.get_running_loop().call_later(REASON_GRACE_S, self._end, reason)

    def _on_state(self, state: LinkState, reason: Reason) -> None:
        before, self.state, self.reason = (self.state, self.reason), state, reason
        if (state, reason) == before:
            return
        _log.info("link_state", session=self._session_id, state=state.value, reason=reason.code)
        self._changed()
        if state is LinkState.FAILED:
            self._end(LINK_ENDS.get(reason, EndReason.VOICE_FAILED))
