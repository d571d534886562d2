"""The end of a training: network, ONNX twin, calibration and model.json, the same bytes for the same run."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from ser_engine.features import FeatureSettings
from ser_engine.models import NETWORK_KERAS, NETWORK_ONNX, Manifest, load_manifest, write_manifest
from ser_engine.networks import softmax
from ser_engine.training import metrics
from ser_engine.training.calibrate import fit_temperature, threshold_for
from ser_engine.training.export import export_network
from ser_engine.training.split import Split

_PACKAGES: Final = ("undertone", "tensorflow-cpu", "tensorflow", "keras", "numpy", "scikit-learn", "onnx")
EVEN_ODDS: Final = 0.5
"""An answer that is more probably wrong than right is never clear, even where a poor network then has no clear one."""
OLD_NAMES: Final = {
    "hearings": "views",
    "strangers_share": "no_speech_share",
    "stages.strangers": "stages.no_speech",
}
"""What `training` in an older ``model.json`` calls things, and what they are called now."""
_GONE: Final = ("steadying", "twins", "stages.likeness")
"""Settings of a last stage that was taken out again and made no shipped network."""
_ZIP_EPOCH: Final = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """What the finished network says of the held-out speakers' recordings."""

    logits: metrics.Floats
    truth: metrics.Ints
    coverage: float
    """Share of answers to be called clear."""
    caution: float = 1.0
    """What the fitted temperature is multiplied by: above 1 where the speakers held out are easier than others."""


def write(
    out: Path,
    network: Any,
    *,
    labels: Sequence[str],
    features: FeatureSettings,
    training: Mapping[str, Any],
    keras_layers: str | None = None,
    speeds: tuple[float, ...] = (1.0,),
) -> Manifest:
    """Write ``network.keras``, ``network.onnx`` and ``model.json`` to `out`; scaler and encoder lie there already.

    It can be loaded now, and has to be calibrated.
    """
    save_network(network, out / NETWORK_KERAS)
    export_network(network, out / NETWORK_ONNX)
    manifest = Manifest(
        labels=tuple(labels),
        features=features,
        speeds=speeds,
        keras_layers=keras_layers,
        training=dict(training),
        versions=versions(),
    )
    return write_manifest(out, manifest)


def calibrate(out: Path, held_out: HeldOut) -> Manifest:
    """Put temperature and threshold of *unclear* into the manifest of `out`, with the figures of `held_out`."""
    manifest = load_manifest(out)
    temperature = round(held_out.caution * fit_temperature(held_out.logits, held_out.truth), 4)
    probabilities = softmax(held_out.logits / temperature)
    confidence, decided = probabilities.max(axis=1), probabilities.argmax(axis=1)
    table = metrics.confusion(held_out.truth, decided, len(manifest.labels))
    figures = {
        "clips": len(held_out.truth),
        "uar": metrics.uar(table),
        "recall": dict(zip(manifest.labels, metrics.recalls(table).tolist(), strict=True)),
        "ece": metrics.ece(confidence, decided == held_out.truth),
    }
    found = {
        "temperature": temperature,
        "unclear_below": max(EVEN_ODDS, threshold_for(confidence, held_out.coverage)),
        "training": {**manifest.training, "held_out": metrics.rounded(figures)},
    }
    return write_manifest(out, manifest.model_copy(update=found))


def save_network(network: Any, path: Path) -> None:
    """Save a Keras network so that the same weights give the same bytes.

    Keras alone writes the time of day and the memory addresses of shared settings into its files.
    """
    draft = path.with_name(f"draft-{path.name}")
    network.save(draft)
    with zipfile.ZipFile(draft) as source, zipfile.ZipFile(path, "w") as target:
        for name in sorted(source.namelist()):
            data = source.read(name)
            if name == "metadata.json":
                data = json.dumps({"keras_version": json.loads(data)["keras_version"], "date_saved": ""}).encode()
            elif name == "config.json":
                data = _without_addresses(data)
            target.writestr(zipfile.ZipInfo(name, _ZIP_EPOCH), data)
    draft.unlink()


def _without_addresses(config: bytes) -> bytes:
    """`config` with its shared objects numbered in the order in which they occur."""
    numbers: dict[bytes, int] = {}

    def number(match: re.Match[bytes]) -> bytes:
        return b"%s%d" % (match[1], numbers.setdefault(match[2], len(numbers) + 1))

    return re.sub(rb'("shared_object_id": )(\d+)', number, config)


def renamed(training: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """`training` of a ``model.json``, its settings by their names of today."""
    out: dict[str, Any] = {}
    for name, value in training.items():
        path = f"{prefix}{name}"
        if path not in _GONE:
            new = OLD_NAMES.get(path, path).removeprefix(prefix)
            out[new] = renamed(value, f"{path}.") if path == "stages" else value
    return out


def describe(split: Split) -> dict[str, Any]:
    """The corpus, for model.json."""
    return {
        "corpus": split.train.name,
        "clips": len(split.train.clips),
        "speakers": len(split.train.speakers),
        "held_out_speakers": list(split.validation.speakers),
    }


def versions() -> dict[str, str]:
    """Versions of the packages that decide the bytes."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
