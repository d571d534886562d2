"""A model directory to predictions: features, scaler, network, calibration and gates, in one place.

    from ser_engine import Recognizer, decode, segment_pcm
    recognizer = Recognizer.load("default")
    windows = segment_pcm(decode(Path("clip.wav").read_bytes()))
    for window, prediction in zip(windows, recognizer.predict(windows)):
        print(window.start_s, prediction.emotion, prediction.confidence)

Discord, web and command line never compute a label themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from ser_engine.audio import change_speed
from ser_engine.backends.base import ModelInfo
from ser_engine.baseline import Baselines, Vector, WindowOutput, pooled_states
from ser_engine.decision import Decider
from ser_engine.errors import ModelError
from ser_engine.features import extract
from ser_engine.gates import gate
from ser_engine.models import ENCODER_ONNX, Manifest, ModelDirectory, find_model, open_directory
from ser_engine.networks import EncoderNetwork, Logits, Network, Runtime, load_network, load_scaler, logarithms, softmax
from ser_engine.quick import Plan
from ser_engine.refusals import refusal
from ser_engine.samples import are_sound, are_windows
from ser_engine.scaler import Scaler, collate
from ser_engine.types import SAMPLE_RATE_HZ, WINDOW_SAMPLES, Pcm, Prediction, Window

MAX_BATCH: Final = 16
_NOTHING: Final[Vector] = np.zeros(0, np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    directory: ModelDirectory
    network: Network
    encoder: EncoderNetwork | None
    scaler: Scaler | None
    runtime: Runtime


class Recognizer:
    """Predictions for windows. Not thread-safe: one per thread or process."""

    def __init__(self, parts: _Parts) -> None:
        self._parts = parts
        manifest = parts.directory.manifest
        self.decider: Final = Decider(parts.directory)
        self.info: Final = ModelInfo(
            name=parts.directory.name, version=manifest.version, labels=manifest.labels, runtime=parts.runtime
        )

    @classmethod
    def load(
        cls, model: str | Path = "default", *, runtime: Runtime | None = None, quick: Plan | None = None
    ) -> Recognizer:
        """Open a model directory by name or path, compare its hashes and try it once.

        `runtime` asks for ``onnxruntime`` or ``tensorflow``; without it ONNX Runtime is taken where it is installed.
        `quick` is taken in place of the manifest's; an empty one leaves the networks as they were trained.
        Raises ModelError in words, also for a `runtime` that does not exist, and MissingExtra for one that is not
        installed.
        """
        directory = open_directory(find_model(model))
        scaler = load_scaler(directory)
        network, taken = load_network(directory, runtime, quick)
        encoder = EncoderNetwork(directory) if directory.has(ENCODER_ONNX) else None
        made = cls(_Parts(directory=directory, network=network, encoder=encoder, scaler=scaler, runtime=taken))
        made._try_once()
        return made

    @property
    def directory(self) -> ModelDirectory:
        """What it was loaded from."""
        return self._parts.directory

    @property
    def manifest(self) -> Manifest:
        return self._parts.directory.manifest

    def predict(self, windows: Sequence[Window], baselines: Baselines | None = None) -> list[Prediction]:
        """One prediction a window, in order.

        With `baselines` (of one session, by `Window.speaker`) each window is compared with how its speaker sounded
        earlier, and is then taken into the baseline itself; a model without a baseline's head leaves them as they are.
        A window that is no speech is never given to the network: its probabilities are even, for it says nothing.
        Raises InvalidSamples for a window that is empty, longer than 3 s, or no mono samples as finite floats with a
        full scale of ±1.
        """
        return self.decider.decide(windows, self.hear(windows), baselines)

    def hear(self, windows: Sequence[Window]) -> list[WindowOutput]:
        """What the network makes of each window by itself. Raises as `predict` does."""
        if not are_windows(windows):
            raise refusal("bad_window")
        reasons = [gate(window) for window in windows]
        even = np.full(len(self.info.labels), -np.log(len(self.info.labels)), np.float32)
        out = [WindowOutput(gated=reason, log_probabilities=even, pooled=_NOTHING) for reason in reasons]
        speech = [i for i, reason in enumerate(reasons) if reason != "no_speech"]
        logits, pooled = self._run([windows[i].heard for i in speech])
        said = logarithms(softmax(logits.astype(np.float64)))
        for i, row, states in zip(speech, said, pooled, strict=True):
            out[i] = WindowOutput(gated=reasons[i], log_probabilities=row, pooled=states)
        return out

    def probabilities(self, clips: Sequence[Pcm]) -> np.ndarray:
        """Calibrated probabilities, shape ``(n, labels)``, float64, rows sum to 1; no gates."""
        scaled = self.logits(clips).astype(np.float64) / self.manifest.temperature
        return softmax(scaled)

    def logits(self, clips: Sequence[Pcm], *, speeds: Sequence[float] | None = None) -> Logits:
        """The network's raw answers, shape ``(n, labels)``: what evaluation and calibration start from.

        `clips` are mono float32 at 16 kHz. They run in batches of at most 16, sorted by length, each at the model's
        `speeds` or at those given here; of several the logarithm of their mean probabilities is returned.
        Raises InvalidSamples as `predict` does.
        """
        if not all(map(are_sound, clips)):
            raise refusal("bad_window")
        return self._run(clips, speeds=speeds)[0]

    def _run(self, clips: Sequence[Pcm], *, speeds: Sequence[float] | None = None) -> tuple[Logits, list[Vector]]:
        """The network's raw answers, and the pooled states of each clip (at the first of the speeds)."""
        speeds = self.manifest.speeds if speeds is None else speeds
        heard = [_at_speed(clip, speed) for clip in clips for speed in speeds]
        out = np.zeros((len(heard), len(self.info.labels)), dtype=np.float32)
        pooled = [_NOTHING] * len(heard)
        order = sorted(range(len(heard)), key=lambda i: len(heard[i]))
        for begin in range(0, len(order), MAX_BATCH):
            rows = order[begin : begin + MAX_BATCH]
            out[rows], states = self._batch([heard[i] for i in rows])
            for i, vector in zip(rows, states, strict=True):
                pooled[i] = vector
        return _averaged(out, len(speeds)), pooled[:: len(speeds)]

    def _batch(self, clips: Sequence[Pcm]) -> tuple[Logits, list[Vector]]:
        features = [extract(clip, self.manifest.features) for clip in clips]
        pooled = [_NOTHING] * len(clips)
        if self._parts.encoder is not None:
            features = self._parts.encoder.encode(features)
            if self.decider.compares:
                pooled = [pooled_states(states) for states in features]
        scaler = self._parts.scaler or Scaler.identity(features[0].shape[1])
        batch, lengths = collate(features, scaler, self.manifest.features)
        return self._parts.network.logits(batch, lengths), pooled

    def _try_once(self) -> None:
        """A long and a short window through the whole way: finds a wrong label count or width, and a network for one
        length alone, now, and warms the session up."""
        noise = np.random.default_rng(0).standard_normal(3 * SAMPLE_RATE_HZ).astype(np.float32) * np.float32(0.05)
        path = self._parts.directory.path
        if self._parts.scaler is not None and self._parts.encoder is None:
            dims = self.manifest.features.dims
            if self._parts.scaler.dims != dims:
                raise ModelError(f"The scaler of {path} is for {self._parts.scaler.dims} features, not {dims}.")
        try:
            answer, (pooled, _) = self._batch([noise, noise[:SAMPLE_RATE_HZ]])
        except ModelError:
            raise
        except Exception as error:  # runtimes raise what they like for a network of the wrong shape
            raise ModelError(f"The network of {path} does not take the features that its model.json states.") from error
        if answer.shape != (2, len(self.info.labels)):
            raise ModelError(
                f"The network of {path} gives {answer.shape[-1]} answers, but its model.json states "
                f"{len(self.info.labels)} labels."
            )
        if not np.isfinite(answer).all():
            raise ModelError(f"The network of {path} answers with numbers that are not finite.")
        self.decider.check(pooled)


def _at_speed(clip: Pcm, speed: float) -> Pcm:
    """`clip` at `speed`; what was a window stays one, so a slow one loses its end."""
    return change_speed(clip, speed)[: max(WINDOW_SAMPLES, len(clip))]


def _averaged(logits: Logits, together: int) -> Logits:
    """Logarithms of the mean probabilities of each `together` rows; of single rows the rows themselves."""
    if together == 1:
        return logits
    each = softmax(logits.astype(np.float64)).reshape(-1, together, logits.shape[1])
    return logarithms(each.mean(axis=1))
