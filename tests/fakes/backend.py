"""A backend without a model: deterministic answers from the window alone, and faults on demand."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ser_engine.backends.base import ModelInfo
from ser_engine.baseline import Baselines, SpeakerBaseline, WindowOutput
from ser_engine.errors import BackendError, EngineError
from ser_engine.types import Prediction, Window

LABELS = ("Angry", "Happy", "Sad", "Disgust", "Neutral")
NOTHING_HEARD = WindowOutput(
    gated=None, log_probabilities=np.full(len(LABELS), -np.log(5), np.float32), pooled=np.zeros(0, np.float32)
)


def prediction(
    emotion: str = "Happy", confidence: float = 0.7, *, labels: Sequence[str] = LABELS, reason: str | None = None
) -> Prediction:
    """A prediction with the rest of the probability spread evenly over the other labels."""
    rest = (1.0 - confidence) / (len(labels) - 1)
    probabilities: Mapping[str, float] = {label: confidence if label == emotion else rest for label in labels}
    return Prediction(
        probabilities=probabilities, emotion=emotion, confidence=confidence, unclear=reason is not None, reason=reason
    )


def predict_window(window: Window, labels: Sequence[str] = LABELS) -> Prediction:
    """The same window always sounds the same: its level and its zero crossings decide."""
    if window.speech_ratio < 0.1:
        return prediction(labels[0], 1 / len(labels) + 0.01, labels=labels, reason="no_speech")
    level = float(np.sqrt(np.mean(np.square(window.pcm)))) if len(window.pcm) else 0.0
    crossings = int(np.count_nonzero(np.diff(np.signbit(window.pcm))))
    confidence = 0.5 + 0.45 * min(1.0, level * 4)
    return prediction(labels[(crossings // 50) % len(labels)], confidence, labels=labels)


class FakeBackend:
    """Satisfies InferenceBackend. `script` (if any) is answered first, then the window decides.

    Every window counts in its speaker's baseline if it `compares`; `baselines` are those of the last call.
    `fail_with` makes every call raise; `delay_s` makes every call slow; while `may_answer` is not set calls wait, and
    `asked` is set by the first call; `seen` holds the last 1,000 windows.
    """

    def __init__(
        self,
        *,
        labels: Sequence[str] = LABELS,
        script: Sequence[Prediction] = (),
        delay_s: float = 0.0,
        fail_with: EngineError | None = None,
        compares: bool = False,
    ) -> None:
        self.compares = compares
        self.baselines: Baselines | None = None
        self.labels = tuple(labels)
        self.script: deque[Prediction] = deque(script)
        self.delay_s = delay_s
        self.fail_with = fail_with
        self.engine: str | None = None
        """The model that answers in place of the one that serves, as if there were too much to do."""
        self.waited_s = 0.0
        self.seen: deque[Window] = deque(maxlen=1000)
        self.asked, self.may_answer = asyncio.Event(), asyncio.Event()
        self.may_answer.set()
        self._started = False
        self._counts = {"windows": 0, "batches": 0, "dropped": 0, "lost": 0, "restarts": 0}

    @property
    def model(self) -> ModelInfo:
        return ModelInfo(name="fake", version="0" * 12, labels=self.labels, runtime="onnxruntime")

    @property
    def ready(self) -> bool:
        return self._started

    @property
    def pressed(self) -> bool:
        return self.engine is not None

    async def start(self) -> None:
        self._started = True

    async def close(self) -> None:
        self._started = False

    async def predict(
        self,
        windows: Sequence[Window],
        *,
        baselines: Baselines | None = None,
        deadline_s: float = 10.0,
        waited_s: float = 0.0,
    ) -> list[Prediction]:
        self.baselines, self.waited_s = baselines, waited_s
        await self._answer(deadline_s)
        if baselines is not None and self.compares:
            for window in windows:
                baselines.setdefault(window.speaker, SpeakerBaseline()).update(window.start_s, NOTHING_HEARD)
        self.seen.extend(windows)
        self._counts["windows"] += len(windows)
        self._counts["batches"] += 1
        found = [self.script.popleft() if self.script else predict_window(window, self.labels) for window in windows]
        found = [replace(one, earlier_windows=0) for one in found] if self.compares else found
        return [replace(one, engine=self.engine) for one in found]

    async def segment(self, data: bytes, *, filename: str | None = None, deadline_s: float = 60.0) -> list[Window]:
        """The real decoder and segmenter, in this process."""
        from ser_engine.audio import windows_of

        await self._answer(deadline_s)
        return list(windows_of(data, filename=filename))

    async def _answer(self, deadline_s: float) -> None:
        if not self._started:
            raise BackendError("The backend is not running.")
        self.asked.set()
        await self.may_answer.wait()
        await asyncio.sleep(min(self.delay_s, deadline_s))
        if self.fail_with is not None:
            raise self.fail_with

    def counters(self) -> dict[str, int]:
        return dict(self._counts)
