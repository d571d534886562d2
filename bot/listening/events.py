"""What a session stores and publishes of a window, a participant and its own state: one shape each, in one place."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from bot.voice.states import LinkState
from ser_engine.types import Prediction, Window
from storage.records import MomentRecord, ParticipantRecord, SessionState, WindowRecord


def window_record(participant_id: int, window: Window, prediction: Prediction) -> WindowRecord:
    """The row of a recognised window."""
    return WindowRecord(
        participant_id=participant_id,
        start_s=window.start_s,
        end_s=window.end_s,
        speech_ratio=window.speech_ratio,
        gap_ratio=window.gap_ratio,
        emotion=prediction.emotion,
        confidence=prediction.confidence,
        unclear=prediction.unclear,
        reason=prediction.reason,
        probabilities=dict(prediction.probabilities),
        engine=prediction.engine,
    )


def window_event(record: WindowRecord) -> dict[str, Any]:
    return asdict(record)


def participant_event(participant: ParticipantRecord, *, included: bool) -> dict[str, Any]:
    """Under the pseudonym; the pages look the name up themselves."""
    return {"participant_id": participant.id, "pseudonym": participant.pseudonym, "included": included}


def state_event(state: SessionState, *, link: LinkState | None, reason: str | None) -> dict[str, Any]:
    return {"state": state.value, "link": link.value if link is not None else None, "reason": reason}


def moment_event(moment: MomentRecord) -> dict[str, Any]:
    return {"at_s": moment.at_s, "kind": moment.kind, "participant_id": moment.participant_id, "text": moment.text}
