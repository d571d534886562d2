"""What a link can be, why it is so, and what it talks to: the words `bot.voice` shares with the rest of the bot."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

from ser_engine.types import PcmFrame


class LinkState(StrEnum):
    CONNECTING = "connecting"
    LISTENING = "listening"
    RECONNECTING = "reconnecting"
    CANNOT_DECRYPT = "cannot_decrypt"
    FAILED = "failed"
    """It ended, and not because it was told to; the reason says why. It does not come back."""
    CLOSED = "closed"
    """It ended because `close()` was called."""


class Reason(StrEnum):
    """Why a link is in its state: a stable code (`reason.code`) that reads as words for the person."""

    JOINING = "Joining the voice channel."
    JOINED = "Listening."
    REJOINED = "Back in the voice channel."
    MOVED = "Moved to another voice channel."
    DEAFENED = "The server has deafened the bot: it hears nobody."
    CONNECTION_LOST = "The voice connection was lost; reconnecting."
    SERVER_MOVED = "Discord is moving the call to another voice server; reconnecting."
    POLLER_DIED = "The voice connection stopped answering; reconnecting."
    UNDECRYPTABLE = "Cannot decrypt the call: try another voice region."
    UNPLACED = "Somebody talks whom the bot cannot place: leaving the voice channel and joining it again helps."
    OVERLOADED = "This machine is too busy to hear everybody."
    CHANNEL_FULL = "The voice channel is full: give the bot Move Members, or a free seat."
    FORBIDDEN = "The bot may not join the voice channel: it needs View Channel and Connect there."
    IN_ANOTHER_CALL = "The bot is in a call of this server already: it has to leave that one first."
    NO_VOICE_STATES = "Discord does not tell the bot about voice: its client needs the intent voice_states."
    NO_ANSWER = (
        "Discord did not answer the request to join: the channel may be full, the bot may lack View Channel or Connect "
        "there, or Discord is having trouble."
    )
    GAVE_UP = "The voice connection was lost and could not be made again."
    REMOVED = "The bot was disconnected from the voice channel."
    CHANNEL_GONE = "The voice channel was deleted."
    CALL_ENDED = "Discord ended the call."
    DAVE_REFUSED = "Discord refused the bot's end-to-end encryption."
    RATE_LIMITED = "Discord limits how often the bot may join a call."
    CLOSED = "Stopped."

    @property
    def code(self) -> str:
        return self.name.lower()


class FrameSink(Protocol):
    """Who hears. Called on the event loop, in order for each speaker; must be quick."""

    def frame(self, frame: PcmFrame) -> None:
        """A stretch of an included speaker's audio."""

    def silence(self, speaker: str, now_samples: int) -> None:
        """Nothing came from `speaker` up to `now_samples` on that speaker's timeline. Repeated during a pause."""


ConsentGate = Callable[[int], bool]
"""User id → is this person included now? Asked for each packet, before anything of it is decrypted."""

StateListener = Callable[[LinkState, Reason], None]
OpusTap = Callable[[int, bytes], None]
"""Sees each Opus packet (user id, bytes) in order, as it goes to the decoder: for tests and the soak, never to keep."""
