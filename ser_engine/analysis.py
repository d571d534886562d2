"""From a whole recording to what it sounds like, put together once: decode, segment, recognise, sum up.

The command line, ``/predict``, the microphone page, ``/analyze``, the context menu and private messages all come in
here. So what one of them takes all take, and what one refuses all refuse, in the same sentence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Final

import numpy as np

from ser_engine.baseline import SpeakerBaseline
from ser_engine.refusals import refusal
from ser_engine.summary import summarise
from ser_engine.types import Prediction, Window, nothing

if TYPE_CHECKING:
    from ser_engine.backends.base import InferenceBackend
    from ser_engine.recognizer import Recognizer

BATCH_WINDOWS: Final = 16
BATCH_DEADLINE_S: Final = 60.0
_ZERO: Final = np.float32(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """What a recording sounds like."""

    windows: tuple[tuple[Window, Prediction], ...]
    """In order of time; at least one."""
    summary: Prediction


async def analyse(backend: InferenceBackend, data: bytes, *, filename: str | None = None) -> Analysis:
    """What the recording in the bytes of a file sounds like. `filename` is used only in the error message.

    Each window is compared with the earlier ones: one recording is taken for one speaker.

    Raises AudioError (NoSpeech where nobody speaks for 0.8 s, or all of it is noise) and BackendError.
    """
    windows = await backend.segment(data, filename=filename)
    predictions: list[Prediction] = []
    baselines: dict[str, SpeakerBaseline] = {}
    for begin in range(0, len(windows), BATCH_WINDOWS):
        batch = windows[begin : begin + BATCH_WINDOWS]
        predictions += await backend.predict(batch, baselines=baselines, deadline_s=BATCH_DEADLINE_S)
    return summed_up(zip(windows, predictions, strict=True))


def summed_up(pairs: Iterable[tuple[Window, Prediction]]) -> Analysis:
    """The windows of one recording and their summary. Raises NoSpeech without windows, or without speech in them."""
    held = tuple(pairs)
    summary = summarise(held)
    if summary.reason == "no_speech":
        raise refusal("only_noise")
    return Analysis(windows=held, summary=summary)


def analysed(recognizer: Recognizer, windows: Iterable[Window]) -> Iterator[tuple[Window, Prediction]]:
    """Windows with their predictions, as they come. What a window holds is let go of when it was recognised, so that
    hours of them fit into memory: the samples of those that come back are zeros that take no room."""
    rest = iter(windows)
    baselines: dict[str, SpeakerBaseline] = {}
    while batch := list(islice(rest, BATCH_WINDOWS)):
        for window, prediction in zip(batch, recognizer.predict(batch, baselines), strict=True):
            yield replace(window, pcm=np.broadcast_to(_ZERO, window.pcm.shape), before=nothing()), prediction
