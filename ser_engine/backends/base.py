"""The seam between those who have windows and whatever recognises them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ser_engine.baseline import Baselines
from ser_engine.types import Prediction, Window


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """What the service shows and stores about the model that answers."""

    name: str
    """The directory's name: ``seed``, ``fast``, ``default`` or one's own."""
    version: str
    """`Manifest.version`: 12 hex digits that change with the weights."""
    labels: tuple[str, ...]
    runtime: str
    """``onnxruntime`` or ``tensorflow``."""


class InferenceBackend(Protocol):
    """Where decoding and recognition run. All methods are safe to call from many tasks at once."""

    @property
    def model(self) -> ModelInfo:
        """The model served. Valid after `start`."""
        ...

    @property
    def ready(self) -> bool:
        """True once at least one worker has answered its warm-up batch and is alive."""
        ...

    @property
    def pressed(self) -> bool:
        """True while more speech comes than is recognised, and a cheaper model answers."""
        ...

    async def start(self) -> None:
        """Start and warm up the workers. Raises ModelError when the model cannot be loaded."""
        ...

    async def close(self) -> None:
        """Stop the workers; what still waits fails with BackendError. May be called twice."""
        ...

    async def predict(
        self,
        windows: Sequence[Window],
        *,
        baselines: Baselines | None = None,
        deadline_s: float = 10.0,
        waited_s: float = 0.0,
    ) -> list[Prediction]:
        """Recognise `windows`; one prediction each, in order.

        `baselines` are those of one session: see `Recognizer.predict`. They stay in this process, and change only when
        all of `windows` were heard; whoever has several calls for one speaker under way waits for one after another.
        `waited_s` is how long the oldest of them has waited before; of what waits too long a cheaper model may say what
        it sounds like, which its prediction states and no baseline takes in.
        Raises BackendOverloaded, DeadlineExceeded, WorkerLost.
        """
        ...

    async def segment(self, data: bytes, *, filename: str | None = None, deadline_s: float = 60.0) -> list[Window]:
        """Decode a whole audio file (bounded) and cut it into windows, in a worker.

        Returns an empty list when no window holds enough speech. Raises AudioError and BackendError.
        """
        ...

    def counters(self) -> dict[str, int]:
        """Totals since the start: windows, batches, dropped, lost, restarts, …"""
        ...
