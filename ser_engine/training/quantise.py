"""`undertone quantise`: a finished engine whose encoder computes in bytes. Nothing is trained, and nothing behind the
encoder changes; `quantised_graph` says how it is done."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from ser_engine.errors import CorpusError
from ser_engine.features import Features, FeatureSettings, extract
from ser_engine.models import ENCODER_ONNX, ModelDirectory, open_directory, write_manifest
from ser_engine.training.finish import versions
from ser_engine.training.material import AS_RECORDED, EncodedViews, Material
from ser_engine.training.quantised_graph import in_bytes
from ser_engine.training.recipes import Progress
from ser_engine.training.work import begun, clear

HEARD: Final[Mapping[str, tuple[int, int]]] = {
    "labelled": (400, 1),
    "ordinary": (300, AS_RECORDED),
    "sounds": (60, AS_RECORDED),
    "made": (40, AS_RECORDED),
}
"""How many windows of each group are heard, and which view of them, as in `broaden`."""


def quantise(
    model: Path, material: Material, out: Path, *, seed: int = 1, restart: bool = False, progress: Progress
) -> None:
    """Write to `out` the engine in `model` with its encoder in bytes; everything else stays as it is.

    Raises CorpusError, also for an engine without an encoder in floats, and ModelError.
    """
    opened = open_directory(model)
    if not opened.has(ENCODER_ONNX):
        raise CorpusError(f"{model} has no encoder whose products could be bytes; quantise default or fast.")
    with begun(out, own=tuple(opened.manifest.files), restart=restart) as work:
        mels = list(_heard(material, opened.manifest.features, seed=seed, progress=progress))
    try:
        encoder = in_bytes(opened.read(ENCODER_ONNX), mels, progress=progress)
    except ValueError as error:
        raise CorpusError(f"{model / ENCODER_ONNX} cannot be quantised: {error}.") from error
    _write(opened, out, encoder, {"from": opened.manifest.version, "seed": seed, "windows": len(mels)})
    clear(work)


def _heard(material: Material, features: FeatureSettings, *, seed: int, progress: Progress) -> Iterator[Features]:
    """Features of some windows of every kind; nobody's who is held out. Raises CorpusError."""
    groups = material.groups(seed=seed)
    for name, (count, number) in HEARD.items():
        chosen = np.random.default_rng([seed, 53]).permutation(len(groups[name]))[:count]
        views = EncodedViews(groups[name], features, seed=seed, folder=Path(), progress=progress)
        others = views.others()
        progress.stage(f"hearing {name}", len(chosen))
        for k in chosen:
            yield extract(views.view(int(k), number, others), features)
            progress.advance()


def _write(opened: ModelDirectory, out: Path, encoder: bytes, about: Mapping[str, Any]) -> None:
    for name in opened.manifest.files:
        if name != ENCODER_ONNX and opened.path != out.resolve():
            shutil.copyfile(opened.path / name, out / name)
    (out / ENCODER_ONNX).write_bytes(encoder)
    training = {**opened.manifest.training, "quantised": dict(about)}
    update = {"training": training, "evaluation": {}, "quick": {}, "versions": versions()}
    write_manifest(out, opened.manifest.model_copy(update=update))
