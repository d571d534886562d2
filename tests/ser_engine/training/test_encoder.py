"""The encoder: rows do not disturb each other, and its ONNX twin computes the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from ser_engine.training import encoder, stem, whisper
from tests.fakes.whisper import made_tensors

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module", params=["whole", "pruned"])
def built(request: pytest.FixtureRequest) -> encoder.SpeechEncoder:
    tensors, mels = made_tensors(2), [some_mel(60, 1), some_mel(80, 2)]
    made = stem.whole(tensors) if request.param == "whole" else stem.pruned(tensors, mels, 24)
    inner = whisper.WhisperEncoder(tensors, 2, stem=made)
    mean, scale = encoder.state_statistics(inner, mels)
    speech = encoder.SpeechEncoder(inner, encoder.LayerMix(mean, scale, step=made.step))
    speech.mix.weight.assign([0.3, -0.4])
    return speech


def some_mel(frames: int, seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(-1, 1.5, (frames, whisper.BANDS)).astype(np.float32)


def encode(built: encoder.SpeechEncoder, mels: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    batch = np.zeros((len(mels), max(map(len, mels)), whisper.BANDS), np.float32)
    for row, mel in zip(batch, mels, strict=True):
        row[: len(mel)] = mel
    return np.asarray(built(batch, np.array([len(mel) for mel in mels], np.int32)))


@pytest.mark.parametrize("frames", [40, 41, 42, 43, 101])
def test_a_window_in_a_batch_is_as_if_alone_and_zero_after_its_end(built: encoder.SpeechEncoder, frames: int) -> None:
    alone = encode(built, [some_mel(frames, 3)])[0]
    batched = encode(built, [some_mel(frames, 3), some_mel(104, 4)])[0]

    steps = encoder.steps_of(frames, built.mix.step)
    assert np.abs(batched[:steps] - alone[:steps]).max() < 1e-4
    assert np.count_nonzero(batched[steps:]) == 0


def test_states_are_standardised(built: encoder.SpeechEncoder) -> None:
    states = encode(built, [some_mel(80, 2)])[0]

    assert abs(float(states.mean())) < 0.3
    assert 0.3 < float(states.std()) < 1.5


def test_the_onnx_twin_computes_the_same_at_any_length(built: encoder.SpeechEncoder, tmp_path: Path) -> None:
    # The file keeps half precision, so the twin is compared with a network that was brought to it too.
    for layer in [*built.whisper.convolutions, *_dense_layers(built)]:
        kernel, bias = layer.get_weights()
        layer.set_weights([kernel.astype(np.float16).astype(np.float32), bias])
    encoder.export_encoder(built, tmp_path / "encoder.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "encoder.onnx")

    for frames in (9, 79, 80, 81, 300):
        mel = some_mel(frames, frames)
        (found,) = session.run(None, {encoder.MEL: mel[None]})
        assert found.shape == (1, encoder.steps_of(frames, built.mix.step), whisper.WIDTH)
        assert np.abs(found[0] - encode(built, [mel])[0][: found.shape[1]]).max() < 1e-4


def test_an_encoder_that_was_written_gives_its_layers_back(built: encoder.SpeechEncoder) -> None:
    found = encoder.layers_of(encoder.export_encoder(built).SerializeToString())
    again = whisper.WhisperEncoder({**made_tensors(2), **found}, 2, stem=built.whisper.stem)
    mel, lengths = some_mel(104, 7)[None], np.array([104], np.int32)
    for one, other in zip(built.whisper(mel, lengths), again(mel, lengths), strict=True):
        assert np.abs(np.asarray(one) - np.asarray(other)).max() < 0.02  # kept in half precision
    assert len(found) == 2 * 12


def _dense_layers(built: encoder.SpeechEncoder) -> list[object]:
    return [
        layer
        for block in built.whisper.stack
        for layer in (block.attention.qkv, block.attention.out, block.wide, block.narrow)
    ]
