"""An encoder in bytes: it says nearly what it said, and the file holds what ONNX Runtime computes in bytes."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from bot.__main__ import main
from ser_engine import Recognizer
from ser_engine.errors import CorpusError
from ser_engine.graphs import Graph
from ser_engine.models import ENCODER_ONNX, find_model, load_manifest, verify, write_manifest
from ser_engine.quick import signed_bytes
from ser_engine.training import encoder, material, quantise, stem, whisper
from ser_engine.training.quantised_graph import entering, in_bytes
from ser_engine.training.recipes import Silent
from tests.fakes.material import a_little_of_everything
from tests.fakes.whisper import made_tensors

pytestmark = pytest.mark.integration

Mel = NDArray[np.float32]
PRODUCTS = 6
"""Two convolutions, and four products of the one layer."""


def some_mel(frames: int, seed: int) -> Mel:
    """As speech is: what stands in a frame stands nearly so in the next."""
    steps = np.random.default_rng(seed).standard_normal((frames + 12, whisper.BANDS))
    smooth = np.stack([np.convolve(band, np.hanning(13) / 6, mode="valid") for band in steps.T], axis=1)
    return smooth.astype(np.float32)


@pytest.fixture(scope="module", params=["whole", "pruned"])
def exact(request: pytest.FixtureRequest) -> bytes:
    """An encoder of one layer in floats."""
    tensors, mels = made_tensors(1), [some_mel(60, 1), some_mel(80, 2)]
    made = stem.whole(tensors) if request.param == "whole" else stem.pruned(tensors, mels, 24)
    inner = whisper.WhisperEncoder(tensors, 1, stem=made)
    mix = encoder.LayerMix(*encoder.state_statistics(inner, mels), step=made.step)
    return bytes(encoder.export_encoder(encoder.SpeechEncoder(inner, mix)).SerializeToString())


@pytest.fixture(scope="module")
def quantised(exact: bytes) -> bytes:
    mels = [some_mel(frames, seed) for seed, frames in enumerate((80, 100, 150, 200, 300) * 3)]
    return in_bytes(exact, mels, progress=Silent())


def run(data: bytes, mel: Mel, *, optimised: bool = True) -> Mel:
    options = onnxruntime.SessionOptions()
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {encoder.MEL: mel[np.newaxis]})[0][0])


@pytest.mark.parametrize("frames", [80, 97, 300])
def test_bytes_say_nearly_what_floats_say(exact: bytes, quantised: bytes, frames: int) -> None:
    mel = some_mel(frames, 1000 + frames)
    wanted, said = run(exact, mel), run(quantised, mel)
    assert said.shape == wanted.shape
    assert 0 < float(np.sqrt(np.square(said - wanted).mean())) < 0.1 * float(wanted.std())


@pytest.mark.parametrize("frames", [9, 81, 300])
def test_what_is_served_is_what_the_file_says(exact: bytes, quantised: bytes, frames: int) -> None:
    """Read operator by operator the file multiplies floats; ONNX Runtime makes products of bytes of that."""
    mel = some_mel(frames, frames)
    read, served = run(quantised, mel, optimised=False), run(quantised, mel)
    # A value that lies between two bytes may fall to either side: seldom, and by one step.
    assert np.abs(served - read).mean() < 0.005 * run(exact, mel).std()
    assert np.abs(served - read).max() < 0.1 * run(exact, mel).std()


def test_the_products_run_in_bytes(quantised: bytes, exact: bytes, tmp_path: Path) -> None:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(quantised, options, providers=["CPUExecutionProvider"])
    served = Graph.from_bytes((tmp_path / "optimised.onnx").read_bytes())
    assert sum(node.operator == "MatMulIntegerToFloat" for node in served.nodes) == PRODUCTS
    assert len(quantised) < 0.7 * len(exact)


def test_its_layers_can_be_read_back_from_bytes(exact: bytes, quantised: bytes) -> None:
    before, after = encoder.layers_of(exact), encoder.layers_of(quantised)
    assert before.keys() == after.keys()
    for part in ("self_attention", "ffn"):
        norm, product = f"layer_0/{part}/layer_norm/gamma", f"layer_0/{part}/linear_0/weight"
        # The norm lent the product a part of its gain: together they are what they were.
        together = [layers[norm] * layers[product] for layers in (before, after)]
        assert np.abs(together[0] - together[1]).max() < 0.03 * np.abs(together[0]).max()


def test_large_columns_are_made_smaller_first_and_the_mean_error_is_told() -> None:
    rng = np.random.default_rng(3)
    kernel = rng.normal(0, 0.1, (64, 32)).astype(np.float32)
    rows = np.abs(rng.normal(0, 1, (500, 64))).astype(np.float32)
    rows[:, 5] *= 60
    own = entering(rows, kernel)
    assert own.size is not None
    assert own.size.argmax() == 5
    assert own.scale * 255 < rows.max() / 2
    entered = (np.clip(np.rint(rows / own.size / own.scale) + own.zero, 0, 255) - own.zero) * own.scale
    bytes_of = signed_bytes(kernel * own.size[:, np.newaxis])
    missed = entered @ (bytes_of.values * bytes_of.scales) - rows @ kernel
    assert own.added == pytest.approx(missed.mean(axis=0), abs=1e-4)
    assert np.square(missed).mean() < 0.01 * np.square(rows @ kernel).mean()


def test_a_graph_whose_products_are_bytes_already_is_refused(quantised: bytes) -> None:
    with pytest.raises(ValueError, match="no product in floats"):
        in_bytes(quantised, [some_mel(120, 1)], progress=Silent())


@pytest.fixture
def in_floats(tmp_path: Path) -> Path:
    """`fast` with an encoder of random weights in floats."""
    made = stem.pruned(made_tensors(1), [some_mel(60, 1), some_mel(80, 2)], 24)
    inner = whisper.WhisperEncoder(made_tensors(1), 1, stem=made)
    mix = encoder.LayerMix(*encoder.state_statistics(inner, [some_mel(80, 2)]), step=made.step)
    shutil.copytree(find_model("fast"), tmp_path / "model")
    encoder.export_encoder(encoder.SpeechEncoder(inner, mix), tmp_path / "model" / ENCODER_ONNX)
    write_manifest(tmp_path / "model", load_manifest(tmp_path / "model"))
    return tmp_path / "model"


def test_an_engine_is_quantised_from_folders_to_a_model_directory(
    in_floats: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(material, "_MADE", 1)
    heard, out = a_little_of_everything(tmp_path), tmp_path / "out"
    quantise.quantise(in_floats, heard, out, progress=Silent())
    before, manifest = load_manifest(in_floats), verify(out)
    assert {name for name in manifest.files if manifest.files[name] != before.files[name]} == {ENCODER_ONNX}
    assert manifest.files.keys() == before.files.keys()
    assert manifest.training["quantised"]["from"] == before.version
    assert manifest.training["quantised"]["windows"] > 10
    assert (manifest.quick, manifest.evaluation) == ({}, {})
    assert not (out / ".training").exists()
    noise = np.random.default_rng(1).normal(0, 0.1, 32_000).astype(np.float32)
    assert Recognizer.load(out).probabilities([noise]) == pytest.approx(
        Recognizer.load(in_floats, quick={}).probabilities([noise]), abs=0.3
    )
    with pytest.raises(CorpusError, match="cannot be quantised: there is no product in floats"):
        quantise.quantise(out, heard, tmp_path / "again", progress=Silent())


def test_an_engine_without_an_encoder_is_refused_in_words(tmp_path: Path) -> None:
    heard = material.Material(corpora=[], ordinary=tmp_path, sounds=tmp_path)
    with pytest.raises(CorpusError, match="quantise default or fast"):
        quantise.quantise(find_model("seed"), heard, tmp_path / "out", progress=Silent())


def test_a_folder_without_a_table_is_refused_by_the_command(tmp_path: Path) -> None:
    folder = str(tmp_path)
    result = CliRunner().invoke(
        main,
        [
            *("quantise", "--model", "fast", "--corpus", folder, "--ordinary", folder, "--sounds", folder),
            *("--out", str(tmp_path / "out")),
        ],
    )
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert "Traceback" not in result.output
