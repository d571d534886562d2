"""`undertone model`: look into a model directory, and adopt one of the old app by stating what is in it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ser_engine.backends.process import keep_to_one_thread
from ser_engine.errors import EngineError, ModelError
from ser_engine.extras import need_training

if TYPE_CHECKING:
    from ser_engine.models import Manifest

_OLD_LABELS = "Angry,Happy,Sad,Disgust"


@click.group()
def model() -> None:
    """Inspect model directories and adopt one of the old app."""


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
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--labels", default=_OLD_LABELS, show_default=True, help="In the order of the network's outputs.")
@click.option(
    "--padding",
    type=click.Choice(["pad_then_standardise", "standardise_then_pad"]),
    default="pad_then_standardise",
    show_default=True,
    help="How the weights were trained. The old app padded first, so its network learned the padding.",
)
@click.option("--force", is_flag=True, help="Write model.json anew where there is one.")
@click.option("--check/--no-check", default=True, help="Load the network and try it once (needs TensorFlow, seconds).")
def adopt(directory: Path, labels: str, padding: str, force: bool, check: bool) -> None:
    """Write model.json for a directory of the old app (final_ser_model.keras and scaler.pkl), stating their hashes.

    A pickle runs code when it is read. Adopt only files whose origin you know: once stated, they are read.
    """
    keep_to_one_thread()
    from ser_engine.models import MANIFEST

    if (directory / MANIFEST).exists() and not force:
        raise click.ClickException(f"{directory} has a {MANIFEST} already; --force writes it anew.")
    before = (directory / MANIFEST).read_bytes() if (directory / MANIFEST).exists() else None
    try:
        if check:
            need_training("Trying an old network", "tensorflow", "keras", "sklearn", "joblib")
        manifest = _adopted(directory, tuple(label.strip() for label in labels.split(",")), padding)
        if check:
            click.echo("Loading the network once with TensorFlow …", err=True)
            _try_loading(directory)
    except EngineError as error:
        if before is None:
            (directory / MANIFEST).unlink(missing_ok=True)
        else:
            (directory / MANIFEST).write_bytes(before)
        raise click.ClickException(str(error)) from error
    click.echo("\n".join(_described(directory, manifest)))


def _adopted(directory: Path, labels: tuple[str, ...], padding: str) -> Manifest:
    from pydantic import ValidationError

    from ser_engine.features import FeatureSettings
    from ser_engine.models import (
        NETWORK_KERAS,
        NETWORK_ONNX,
        OLD_NETWORK_KERAS,
        OLD_SCALER_PICKLE,
        Manifest,
        write_manifest,
    )

    for name in (OLD_NETWORK_KERAS, OLD_SCALER_PICKLE):
        if not (directory / name).is_file():
            raise ModelError(f"{directory} is not a directory of the old app: it has no {name}.")
    newer = [name for name in (NETWORK_KERAS, NETWORK_ONNX) if (directory / name).exists()]
    if newer:
        raise ModelError(
            f"{directory} also holds {', '.join(newer)}; put the old app's files into a folder of their own."
        )
    try:
        features = FeatureSettings.model_validate({"padding": padding})
        draft = Manifest(labels=labels, features=features, training={"origin": "adopted from the old app"})
    except ValidationError as error:
        raise ModelError(
            f"The labels cannot be used: {error.errors()[0]['msg'].removeprefix('Value error, ')}."
        ) from error
    return write_manifest(directory, draft)


def _try_loading(directory: Path) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from ser_engine.recognizer import Recognizer

    Recognizer.load(directory)


def _described(directory: Path, manifest: Manifest) -> list[str]:
    features = manifest.features
    lines = [
        f"{directory.name} ({directory})",
        f"  labels       {', '.join(manifest.labels)}",
        f"  features     {features.kind}, {features.dims} wide, at most {features.max_frames} frames, "
        f"{features.padding.replace('_', ' ')} (hash {manifest.features_hash})",
        f"  calibration  temperature {manifest.temperature:.3g}; unclear below {manifest.unclear_below:.0%}",
        f"  version      {manifest.version}",
    ]
    for name, digest in manifest.files.items():
        size = (directory / name).stat().st_size
        lines.append(f"  file         {name}, {size:,} bytes, sha256 {digest[:12]}… as stated")
    for heading, figures in (("training", manifest.training), ("evaluation", manifest.evaluation)):
        lines += [f"  {heading:<12} {key}: {_short(value)}" for key, value in figures.items()]
    return lines


def _short(value: Any, limit: int = 100) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= limit else text[: limit - 1] + "…"
