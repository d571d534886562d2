"""What a recording sounds like, as ``POST /api/v1/predict`` answers it."""

from __future__ import annotations

from collections.abc import Mapping

from bot.listening.events import window_record
from bot.web.schema import ModelOut, Out
from ser_engine.analysis import Analysis
from ser_engine.backends.base import ModelInfo


class ToneOut(Out):
    emotion: str
    """The likeliest label, said or not: read `unclear` first."""
    confidence: float
    unclear: bool
    reason: str | None
    """Why it is unclear: ``unsure``, ``no_speech``, ``too_short``, ``clipped``; null when it is not."""
    probabilities: Mapping[str, float]
    """Of every label that the model knows; they sum to 1."""
    engine: str | None
    """The model that answered, where more came than `model` could recognise; null mostly."""


class SpokenOut(ToneOut):
    """One window of the recording, at most three seconds."""

    start_s: float
    end_s: float
    speech_ratio: float
    gap_ratio: float


class RecordingOut(Out):
    summary: ToneOut
    windows: list[SpokenOut]
    """In order of time; at least one."""
    model: ModelOut


def recording_out(analysis: Analysis, model: ModelInfo) -> RecordingOut:
    return RecordingOut(
        summary=ToneOut.model_validate(analysis.summary, from_attributes=True),
        windows=[
            SpokenOut.model_validate(window_record(0, window, prediction), from_attributes=True)
            for window, prediction in analysis.windows
        ],
        model=ModelOut(name=model.name, version=model.version, labels=list(model.labels)),
    )
