"""`undertone model`: look into a model directory, make one cheaper, and adopt one of the old app."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bot.cli.options import Named, written_to
from ser_engine.backends.process import keep_to_one_thread
from ser_engine.errors import EngineError, ModelError
from ser_engine.extras import need_training

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ser_engine.models import Manifest
    from ser_engine.quickening import Tried
    from ser_engine.types import Window

_OLD_LABELS = "Angry,Happy,Sad,Disgust"
_ORIGIN = "adopted from the old app"


@click.group()
def model() -> None:
    """Inspect model directories, make one cheaper, adopt one of the old app."""


@model.command()
@click.argument("name", default="default")
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON.")
def show(name: str, as_json: bool) -> None:
    """Say what a model is, and compare its files with the hashes it states. NAME is a name or a directory."""
    from ser_engine.models import find_model, verify

    try:
        directory = find_model(name)
        manifest = verify(directory)
    except EngineError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.dumps({"path": str(directory), **manifest.model_dump(mode="json")}, ensure_ascii=False))
        return
    click.echo("\n".join(_described(directory, manifest)))


@model.command()
@click.argument("name", default="default")
@click.option(
    "--clips",
    type=Named(file_okay=False, exists=True),
    default=Path("sandbox/clips"),
    show_default=True,
    help="Real recordings over which no answer may move by more than 0.02.",
)
def quicken(name: str, clips: Path) -> None:
    """Make a model as cheap as its answers allow: its LSTMs are computed in bytes. NAME is a name or a directory; its
    model.json states which, its files stay as they are. Run it after each training."""
    keep_to_one_thread()
    from ser_engine.quickening import quicken

    def say(tried: Tried) -> None:
        click.echo(f"{_ways(tried.plan)}: {_moved(tried)}")

    try:
        taken = quicken(name, _windows(clips), say)
    except EngineError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{name}: in bytes {_ways(taken.plan)}; {_moved(taken)}")


def _ways(plan: Mapping[str, str]) -> str:
    return ", ".join(f"{name} ({way})" for name, way in plan.items()) or "nothing"


def _moved(tried: Tried) -> str:
    return f"answers move by {tried.moved:.4f} at most, {tried.mean_moved:.4f} in the mean"


def _windows(folder: Path) -> list[Window]:
    """All that is spoken in a folder's files, one after another."""
    from dataclasses import replace

    from ser_engine.audio import windows_of

    files = sorted(path for path in folder.iterdir() if path.suffix in (".flac", ".wav", ".ogg"))
    found: list[Window] = []
    for number, path in enumerate(files):
        try:
            windows = list(windows_of(path.read_bytes(), filename=path.name))
        except (OSError, EngineError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise click.ClickException(f"{path} cannot be used: {why}") from error
        found += [replace(window, start_s=60.0 * number + window.start_s) for window in windows]
    if not found:
        raise click.ClickException(f"There is no speech in the recordings of {folder}. Name a folder with --clips.")
    return found


@model.command()
@click.argument("directory", type=Named(file_okay=False, exists=True))
@click.option("--labels", default=_OLD_LABELS, show_default=True, help="In the order of the network's outputs.")
@click.option(
    "--padding",
    type=click.Choice(["pad_then_standardise", "standardise_then_pad"]),
    default="pad_then_standardise",
    show_default=True,
    help="How the weights were trained. The old app padded first, so its network learned the padding.",
)
@click.option("--force", is_flag=True, help="Write model.json anew where there is one.")
@click.option(
    "--check/--no-check",
    default=True,
    help="Without: only state the hashes, and serve with TensorFlow and the pickle.",
)
def adopt(directory: Path, labels: str, padding: str, force: bool, check: bool) -> None:
    """Make a directory of the old app (final_ser_model.keras and scaler.pkl) one that is served.

    Writes model.json with the files' hashes, and beside them the network for ONNX Runtime and the scaler as JSON, so
    that serving needs neither TensorFlow nor the pickle. A pickle runs code when it is read: adopt only files whose
    origin you know.
    """
    keep_to_one_thread()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from ser_engine.models import MANIFEST, NETWORK_KERAS, NETWORK_ONNX, SCALER_JSON

    made = (MANIFEST, NETWORK_ONNX, NETWORK_KERAS, SCALER_JSON)
    with written_to(directory):
        if (directory / MANIFEST).exists() and not force:
            raise click.ClickException(f"{directory} has a {MANIFEST} already; --force writes it anew.")
        before = {name: (directory / name).read_bytes() for name in made if (directory / name).is_file()}
        try:
            manifest = _adopted(directory, tuple(label.strip() for label in labels.split(",")), padding, check=check)
        except BaseException:  # Ctrl-C, too
            _put_back(directory, made, before)
            raise
    click.echo("\n".join(_described(directory, manifest)))


def _put_back(directory: Path, made: tuple[str, ...], before: dict[str, bytes]) -> None:
    """Leave nothing of an adoption that failed."""
    for name in made:
        (directory / name).unlink(missing_ok=True)
    for name, data in before.items():
        (directory / name).write_bytes(data)


def _adopted(directory: Path, labels: tuple[str, ...], padding: str, *, check: bool) -> Manifest:
    from pydantic import ValidationError

    from ser_engine.features import FeatureSettings
    from ser_engine.models import OLD_NETWORK_KERAS, OLD_SCALER_PICKLE, Manifest, write_manifest

    for name in (OLD_NETWORK_KERAS, OLD_SCALER_PICKLE):
        if not (directory / name).is_file():
            raise ModelError(f"{directory} is not a directory of the old app: it has no {name}.")
    _refuse_mixture(directory)
    try:
        features = FeatureSettings.model_validate({"padding": padding})
        draft = Manifest(labels=labels, features=features, training={"origin": _ORIGIN})
    except ValidationError as error:
        raise ModelError(
            f"The labels cannot be used: {error.errors()[0]['msg'].removeprefix('Value error, ')}."
        ) from error
    if not check:
        return write_manifest(directory, draft)
    need_training("Adopting an old network", "tensorflow", "keras", "sklearn", "joblib")
    click.echo("Reading the network with TensorFlow, once …", err=True)
    from ser_engine.recognizer import Recognizer
    from ser_engine.training.adopt import write_twins

    frames = write_twins(directory) or features.max_frames
    draft = draft.model_copy(update={"features": features.model_copy(update={"max_frames": frames})})
    manifest = write_manifest(directory, draft)
    Recognizer.load(directory)
    return manifest


def _refuse_mixture(directory: Path) -> None:
    """Refuse a folder with another model's network in it; what an earlier adoption wrote is written anew."""
    from ser_engine.models import MANIFEST, NETWORK_KERAS, NETWORK_ONNX

    try:
        earlier = json.loads((directory / MANIFEST).read_bytes())["training"]["origin"] == _ORIGIN
    except (OSError, ValueError, KeyError, TypeError):
        earlier = False
    newer = [name for name in (NETWORK_KERAS, NETWORK_ONNX) if (directory / name).exists()]
    if newer and not earlier:
        raise ModelError(
            f"{directory} also holds {', '.join(newer)}; put the old app's files into a folder of their own."
        )


def _described(directory: Path, manifest: Manifest) -> list[str]:
    features = manifest.features
    lines = [
        f"{directory.name} ({directory})",
        f"  labels       {', '.join(manifest.labels)}",
        f"  features     {features.kind}, {features.dims} wide, at most {features.max_frames} frames, "
        f"{features.padding.replace('_', ' ')} (hash {manifest.features_hash})",
        f"  calibration  temperature {manifest.temperature:.3g}; unclear below {_thresholds(manifest)}",
        f"  version      {manifest.version}",
    ]
    for name, digest in manifest.files.items():
        size = (directory / name).stat().st_size
        lines.append(f"  file         {name}, {size:,} bytes, sha256 {digest[:12]}… as stated")
    for heading, figures in (("training", manifest.training), ("evaluation", manifest.evaluation)):
        lines += [f"  {heading:<12} {key}: {_short(value)}" for key, value in figures.items()]
    return lines


def _thresholds(manifest: Manifest) -> str:
    strange = (f"{label} {manifest.threshold(label, 1.0):.0%}" for label in manifest.strange_unclear_below)
    told = ", ".join(strange)
    return f"{manifest.unclear_below:.0%}" + (f" (of strange voices {told})" if told else "")


def _short(value: Any, limit: int = 100) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= limit else text[: limit - 1] + "…"
