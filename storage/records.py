"""What goes into the database and what comes out: frozen records, no ORM objects leave this package.

Times are aware UTC datetimes; `…_s` are seconds since the session's start. A user id is never stored in the clear: a
participant row holds a keyed hash (to find a person's rows) and a sealed id (to look a name up when a page is shown).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from storage.columns import Windows


class SessionState(StrEnum):
    LIVE = "live"
    ENDED = "ended"
    INTERRUPTED = "interrupted"


class Decision(StrEnum):
    """A person's standing answer in one server. Without one, they are asked each time."""

    OPT_IN = "opt_in"
    OPT_OUT = "opt_out"


class Purpose(StrEnum):
    """What a standing answer is for: two answers, because one is heard in a call and the other is read in a channel."""

    LIVE = "live"
    """Sessions in voice channels."""
    VOICE = "voice"
    """Voice messages, which are answered below them."""


class SummaryPlace(StrEnum):
    """Where the summary of a session goes."""

    VOICE_CHAT = "voice_chat"
    REPORT_CHANNEL = "report_channel"
    PARTICIPANTS = "participants"
    """Only to those who took part: a button opens it for their own eyes."""


class VoiceMode(StrEnum):
    """What becomes of the voice messages in a channel."""

    OFF = "off"
    ON_REQUEST = "on_request"
    REACT = "react"
    """Unasked for those who opted in: an emoji."""
    REPLY = "reply"
    """Unasked for those who opted in: an emoji and the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """A Discord server's (guild's) settings."""

    guild_id: int
    attested_at: datetime | None = None
    """When somebody with Manage Server stated that this is not a workplace, school or exam; None: not yet."""
    listen_role_ids: tuple[int, ...] = ()
    """Roles that may start listening, beside whoever has Manage Server."""
    unheard_role_ids: tuple[int, ...] = ()
    """Roles whose members are never included."""
    viewer_role_id: int | None = None
    """Who may open every report of the server, beside those who took part."""
    report_channel_id: int | None = None
    summary_place: SummaryPlace = SummaryPlace.VOICE_CHAT
    live_emotions: bool = True
    """Whether the panel shows what each sounds like while the session runs."""
    voice_modes: Mapping[int, VoiceMode] = field(default_factory=dict)
    """By channel; everywhere else on request."""
    auto_listen_ids: tuple[int, ...] = ()
    """Voice channels in which listening starts by itself when two people are there; it still asks everybody."""
    operator_days: int = 7
    """After how many days results are deleted where the server chose nothing."""
    chosen_days: int | None = None
    language: str | None = None
    """What everybody reads is in this language; None: the one the server has in Discord."""

    @property
    def retention_days(self) -> int:
        """After how many days results are deleted here."""
        return self.operator_days if self.chosen_days is None else self.chosen_days

    def voice_mode(self, *channel_ids: int | None) -> VoiceMode:
        """The mode of the first of these that has one: a thread, then the channel it hangs on."""
        for channel_id in channel_ids:
            if channel_id is not None and channel_id in self.voice_modes:
                return self.voice_modes[channel_id]
        return VoiceMode.ON_REQUEST


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSession:
    guild_id: int
    channel_id: int
    started_by: int
    """User id of the person who started it."""
    model: str
    model_version: str
    labels: tuple[str, ...]
    owner: str | None = None
    """The process that runs it, where several share the database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRecord:
    id: str
    guild_id: int
    channel_id: int
    started_by: int | None
    """User id, unsealed; None when the person had their data deleted."""
    state: SessionState
    started_at: datetime
    ended_at: datetime | None
    end_reason: str | None
    model: str
    model_version: str
    labels: tuple[str, ...]
    counters: Mapping[str, int] = field(default_factory=dict)
    """Why packets and windows were dropped; written when the session ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParticipantRecord:
    id: int
    session_id: str
    pseudonym: str
    """``Speaker 1``, ``Speaker 2``, … in order of inclusion; the only name that is stored."""
    user_id: int
    """Unsealed, for looking a name up."""
    included_at: datetime
    withdrawn_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowRecord:
    participant_id: int
    start_s: float
    end_s: float
    speech_ratio: float
    gap_ratio: float
    emotion: str
    confidence: float
    unclear: bool
    reason: str | None
    probabilities: Mapping[str, float]
    engine: str | None = None
    """A model's name, where another than the session's answered because more was said than that could recognise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
    """What a session's report is made of, cheap to ask for: two equal ones give one report."""

    state: SessionState
    ended_at: datetime | None
    people: tuple[tuple[int, datetime | None], ...]
    """Participant ids in order of inclusion, and when each withdrew."""
    windows: int
    moments: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MomentRecord:
    at_s: float
    kind: str
    """``mark`` (somebody pressed it) or what the session noticed."""
    participant_id: int | None
    """Whom it is about; None for a mark by hand."""
    text: str


class MessageKind(StrEnum):
    """What a message of the bot is for."""

    PANEL = "panel"
    SUMMARY = "summary"
    NOTICE = "notice"
    """Tells people that a standing answer includes them."""
    SHARED = "shared"
    """Tells people who made a link to their results: it stays as long as the session."""
    ANSWER = "answer"
    """How a voice message sounds."""
    QUESTION = "question"
    """Asks the author of a voice message."""
    REACTION = "reaction"
    """A person's message that the bot reacted to: the reaction is the bot's, the message is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRecord:
    """A message of the bot in Discord that is about a session or a person, or one that it reacted to."""

    message_id: int
    channel_id: int
    guild_id: int | None
    """None in a private conversation."""
    kind: MessageKind
    session_id: str | None = None
    """None when the message is about no session, or about one that was deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traces:
    """Where a person is found."""

    sessions: frozenset[str]
    """Those they started, took part in, or wrote a mark in."""
    participants: frozenset[int]
    """Ids of their participant rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareRecord:
    id: str
    session_id: str
    participant_id: int | None
    """Whose row alone it opens; None: everybody's."""
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None

    def alive(self, now: datetime) -> bool:
        return self.revoked_at is None and self.expires_at > now


@dataclass(frozen=True, slots=True, kw_only=True)
class ParticipantReport:
    """One participant's figures, computed from the stored windows by `storage.report`."""

    participant: ParticipantRecord
    windows: Windows
    talk_s: float
    """Seconds of speech: sum of window length times speech ratio."""
    turns: int
    """Stretches of windows with less than 1.5 s between them."""
    shares: Mapping[str, float]
    """Share of clear talk time by emotion, sums to 1; empty when nothing was clear."""
    unclear_share: float
    """Share of the talk time that was unclear."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionReport:
    session: SessionRecord
    participants: tuple[ParticipantReport, ...]
    moments: tuple[MomentRecord, ...]
    duration_s: float
    """From the start to the end, or to the last window while it runs."""
    overlap_s: float
    """Seconds in which windows of two or more participants overlap."""
    shares: Mapping[str, float]
    """Over all participants, weighted by clear talk time."""
