"""From what the network makes of a window to an answer: the speaker's baseline, calibration, gates and threshold.

Kept apart from the network, so that worker processes hear windows, and the baselines of a session stay with whoever
runs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ser_engine.baseline import BaselineHead, Baselines, Context, SpeakerBaseline, WindowOutput, share_of
from ser_engine.gates import Reason
from ser_engine.models import BASELINE_NPZ, ModelDirectory
from ser_engine.networks import softmax
from ser_engine.types import Prediction, Window


class Decider:
    """The last step of a model. Raises ModelError for a baseline's head that is not as stated or does not fit."""

    def __init__(self, directory: ModelDirectory) -> None:
        self._manifest: Final = directory.manifest
        self._head: Final = (
            BaselineHead.from_bytes(directory.read(BASELINE_NPZ)) if directory.has(BASELINE_NPZ) else None
        )

    @property
    def compares(self) -> bool:
        """Whether the model compares a window with its speaker's earlier ones."""
        return self._head is not None

    def decide(
        self, windows: Sequence[Window], heard: Sequence[WindowOutput], baselines: Baselines | None = None
    ) -> list[Prediction]:
        """One prediction a window, in order; a speaker's windows are compared in the order of the timeline."""
        out: dict[int, Prediction] = {}
        for i in sorted(range(len(windows)), key=lambda i: windows[i].start_s):
            out[i] = self._one(windows[i], heard[i], baselines)
        return [out[i] for i in range(len(windows))]

    def _one(self, window: Window, heard: WindowOutput, baselines: Baselines | None) -> Prediction:
        if baselines is None or self._head is None or heard.gated == "no_speech":
            return self._prediction(self.probabilities(heard, None), heard.gated, None)
        baseline = baselines.setdefault(window.speaker, SpeakerBaseline())
        context = baseline.before(window.start_s)
        answer = self._prediction(self.probabilities(heard, context), heard.gated, context.windows if context else 0)
        if heard.gated is None:
            baseline.update(window.start_s, heard, speech_s=window.speech_ratio * window.duration_s)
        return answer

    def probabilities(self, heard: WindowOutput, context: Context | None) -> NDArray[np.float64]:
        """Calibrated, (labels,)."""
        said, temperature = heard.log_probabilities, self._manifest.temperature
        if context is not None and self._head is not None:
            said = self._head.log_probabilities(heard, context)
            inside, share = self._manifest.context_temperature or temperature, share_of(context.windows)
            temperature = (1 - share) * temperature + share * inside
        return np.asarray(softmax(said.astype(np.float64) / temperature))

    def _prediction(self, probabilities: NDArray[np.float64], gated: Reason | None, earlier: int | None) -> Prediction:
        best = int(probabilities.argmax())
        confidence = float(probabilities[best])
        unsure = gated is None and confidence < self._manifest.unclear_below
        reason = "unsure" if unsure else gated
        return Prediction(
            probabilities={label: float(p) for label, p in zip(self._manifest.labels, probabilities, strict=True)},
            emotion=self._manifest.labels[best],
            confidence=confidence,
            unclear=reason is not None,
            reason=reason,
            unclear_below=self._manifest.unclear_below,
            earlier_windows=earlier,
        )
