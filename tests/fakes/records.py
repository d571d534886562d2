"""Short ways to make stored records for tests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from storage import NewSession, ParticipantRecord, SessionRecord, SessionState, WindowRecord

STARTED = datetime(2026, 3, 2, 20, 0, tzinfo=UTC)


def window(participant_id: int = 1, start_s: float = 0.0, end_s: float | None = None, **changes: Any) -> WindowRecord:
    """A clear, angry window of 3 s, full of speech, unless told otherwise."""
    values: dict[str, Any] = {
        "participant_id": participant_id,
        "start_s": start_s,
        "end_s": start_s + 3.0 if end_s is None else end_s,
        "speech_ratio": 1.0,
        "gap_ratio": 0.0,
        "emotion": "Angry",
        "confidence": 0.8,
        "unclear": False,
        "reason": None,
        "probabilities": {"Angry": 0.8, "Happy": 0.2},
    }
    return WindowRecord(**values | changes)


def new_session(**changes: Any) -> NewSession:
    """What a session is started with, for tests to which it is all the same."""
    values: dict[str, Any] = {
        "guild_id": 1,
        "channel_id": 2,
        "started_by": 3,
        "model": "m",
        "model_version": "v",
        "labels": ("Angry", "Fear"),
    }
    return NewSession(**values | changes)


def session(**changes: Any) -> SessionRecord:
    values: dict[str, Any] = {
        "id": "5e5510",
        "guild_id": 10,
        "channel_id": 20,
        "started_by": 1,
        "state": SessionState.LIVE,
        "started_at": STARTED,
        "ended_at": None,
        "end_reason": None,
        "model": "seed",
        "model_version": "abc",
        "labels": ("Angry", "Happy"),
        "counters": {},
    }
    return SessionRecord(**values | changes)


def participant(participant_id: int = 1, user_id: int = 100) -> ParticipantRecord:
    return ParticipantRecord(
        id=participant_id,
        session_id="5e5510",
        pseudonym=f"Speaker {participant_id}",
        user_id=user_id,
        included_at=STARTED,
        withdrawn_at=None,
    )
