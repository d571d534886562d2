"""What a model reached when it was measured, for the words beside a report: read from the model's own directory."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from ser_engine.errors import ModelError
from ser_engine.models import BASELINE_NPZ, find_model, load_manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Figures on speakers whom the model had not heard before, as recorded."""

    labels: int
    speakers: int
    clips: int
    uar: float
    """Unweighted average recall."""
    ece: float
    """Expected calibration error."""
    clear: float
    """Share of the clips that it called clear."""
    right: float
    """Share of those that were right."""


@lru_cache(maxsize=32)
def compares(model: str, version: str) -> bool:
    """Whether a model compares a voice with how it sounded earlier; False when it is not here any more."""
    try:
        manifest = load_manifest(find_model(model))
    except ModelError:
        return False
    return manifest.version == version and BASELINE_NPZ in manifest.files


@lru_cache(maxsize=32)
def measured(model: str, version: str) -> Measured | None:
    """The figures of a model by name and version; None when it is not here any more, or was never measured."""
    try:
        manifest = load_manifest(find_model(model))
        if manifest.version != version:
            return None
        slices = manifest.evaluation["conditions"]["clean"]
        found = slices["five" if len(manifest.labels) == 5 else "four"]
        return Measured(
            labels=len(manifest.labels),
            speakers=int(found["speakers"]),
            clips=int(found["clips"]),
            uar=float(found["uar"]),
            ece=float(found["ece"]),
            clear=float(found["clear"]["coverage"]),
            right=float(found["clear"]["accuracy"]),
        )
    except (ModelError, KeyError, TypeError, ValueError):
        return None
