"""From what the network makes of a window to an answer: the speaker's baseline, calibration, gates and threshold.

Kept apart from the network, so that worker processes hear windows, and the baselines of a session stay with whoever
runs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ser_engine.baseline import BaselineHead, Baselines, Context, SpeakerBaseline, Vector, WindowOutput, share_of
from ser_engine.errors import ModelError
from ser_engine.models import BASELINE_NPZ, ModelDirectory
from ser_engine.networks import softmax
from ser_engine.strangeness import Strangeness
from ser_engine.types import Prediction, Window


class Decider:
    """The last step of a model. Raises ModelError for a baseline's head that is not as stated or does not fit."""

    def __init__(self, directory: ModelDirectory) -> None:
        self._manifest: Final = directory.manifest
        kept = directory.read(BASELINE_NPZ) if directory.has(BASELINE_NPZ) else None
        self._head: Final = BaselineHead.from_bytes(kept) if kept is not None else None
        self._strangeness: Final = Strangeness.from_bytes(kept) if kept is not None else None
        if self._head is not None:
            self._check(self._head, self._strangeness)

    def _check(self, head: BaselineHead, strangeness: Strangeness | None) -> None:
        if head.labels != len(self._manifest.labels):
            raise ModelError(
                f"{BASELINE_NPZ} tells {head.labels} labels, but its model.json states {len(self._manifest.labels)}."
            )
        if strangeness is not None and len(strangeness.weights) != head.width:
            raise ModelError(f"{BASELINE_NPZ} holds arrays that do not fit one another.")

    @property
    def version(self) -> str:
        return self._manifest.version

    @property
    def compares(self) -> bool:
        """Whether the model compares a window with its speaker's earlier ones."""
        return self._head is not None

    def check(self, pooled: Vector) -> None:
        """Raises ModelError when the pooled states of a window are not what the baseline's head was made for."""
        if self._head is not None and len(pooled) != self._head.width:
            raise ModelError(
                f"{BASELINE_NPZ} compares {self._head.width} numbers of a window, but the encoder before it gives "
                f"{len(pooled)}."
            )

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
            return self._prediction(heard, None, None)
        baseline = baselines.setdefault(window.speaker, SpeakerBaseline())
        context = baseline.before(window.start_s)
        answer = self._prediction(heard, context, context.windows if context else 0)
        if heard.gated is None:
            baseline.update(window.start_s, heard)
        return answer

    def _strangeness_of(self, heard: WindowOutput) -> float:
        """How unlike the corpus of the model's confidence a window is, 0 to 1; 0 where nothing measures it."""
        if self._strangeness is None or not len(heard.pooled):
            return 0.0
        return float(self._strangeness.of(heard.pooled))

    def _probabilities(self, heard: WindowOutput, context: Context | None, strangeness: float) -> NDArray[np.float64]:
        """Calibrated, (labels,)."""
        said, temperature = heard.log_probabilities, self._manifest.temperature
        if context is not None and self._head is not None:
            said = self._head.log_probabilities(heard, context)
            inside, share = self._manifest.context_temperature or temperature, share_of(context.windows)
            temperature = (1 - share) * temperature + share * inside
        temperature *= 1 + strangeness * (self._manifest.strange_temperature - 1)
        return np.asarray(softmax(said.astype(np.float64) / temperature))

    def _prediction(self, heard: WindowOutput, context: Context | None, earlier: int | None) -> Prediction:
        strangeness = self._strangeness_of(heard)
        probabilities = self._probabilities(heard, context, strangeness)
        best = int(probabilities.argmax())
        emotion, confidence = self._manifest.labels[best], float(probabilities[best])
        threshold = self._manifest.threshold(emotion, strangeness)
        unsure = heard.gated is None and not confidence >= threshold  # NaN is not
        reason = "unsure" if unsure else heard.gated
        return Prediction(
            probabilities={label: float(p) for label, p in zip(self._manifest.labels, probabilities, strict=True)},
            emotion=emotion,
            confidence=confidence,
            unclear=reason is not None,
            reason=reason,
            unclear_below=threshold,
            earlier_windows=earlier,
        )


def decided(
    windows: Sequence[Window],
    heard: Sequence[WindowOutput],
    baselines: Baselines | None,
    decider: Decider,
    cheaper: Decider | None,
) -> list[Prediction]:
    """What windows sound like, some of which a cheaper model heard. Those are compared with nothing, and taken into no
    baseline: what the two models make of a voice does not compare."""
    own = [i for i, one in enumerate(heard) if one.engine is None]
    found = dict(zip(own, decider.decide([windows[i] for i in own], [heard[i] for i in own], baselines), strict=True))
    other = [i for i in range(len(heard)) if i not in found]
    if other and cheaper is not None:
        predictions = cheaper.decide([windows[i] for i in other], [heard[i] for i in other])
        for i, prediction in zip(other, predictions, strict=True):
            found[i] = replace(prediction, engine=heard[i].engine)
    return [found[i] for i in range(len(heard))]
