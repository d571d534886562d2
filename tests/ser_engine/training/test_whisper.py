"""Whisper's encoder: its file, and that the Keras network computes what an independent reading of it in numpy does."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from numpy.typing import NDArray

from ser_engine.errors import CorpusError
from ser_engine.training import whisper
from tests.fakes.whisper import made_tensors

pytestmark = pytest.mark.integration

Floats = NDArray[np.float64]


def erf(x: Floats) -> Floats:
    from math import erf as one

    return np.asarray(np.vectorize(one)(x))


def gelu(x: Floats) -> Floats:
    return 0.5 * x * (1 + erf(x / np.sqrt(2)))


def in_numpy(tensors: dict[str, NDArray[np.float32]], mel: NDArray[np.float32], layers: int) -> list[Floats]:
    """One window, from the paper's and the file's description alone."""
    t = {name: array.astype(np.float64) for name, array in tensors.items()}

    def convolve(x: Floats, name: str, stride: int) -> Floats:
        padded = np.pad(x, ((1, 1), (0, 0)))
        steps = range(0, len(padded) - 2, stride)
        return (
            np.stack([np.einsum("kc,ock->o", padded[s : s + 3], t[f"{name}/weight"]) for s in steps])
            + t[f"{name}/bias"]
        )

    def norm(x: Floats, name: str) -> Floats:
        centred = x - x.mean(1, keepdims=True)
        scaled = centred / np.sqrt(x.var(1, keepdims=True) + 1e-5)
        return np.asarray(scaled * t[f"{name}/gamma"] + t[f"{name}/beta"])

    def linear(x: Floats, name: str) -> Floats:
        return x @ t[f"{name}/weight"].T + t[f"{name}/bias"]

    x = gelu(convolve(gelu(convolve(mel.astype(np.float64), "conv1", 1)), "conv2", 2))
    x = x + t["position_encodings/encodings"][: len(x)]
    states = []
    for layer in range(layers):
        at = f"layer_{layer}"
        q, k, v = np.split(
            linear(norm(x, f"{at}/self_attention/layer_norm"), f"{at}/self_attention/linear_0"), 3, axis=1
        )
        heads = []
        for h in range(6):
            one = slice(64 * h, 64 * h + 64)
            scores = q[:, one] @ k[:, one].T / 8
            weights = np.exp(scores - scores.max(1, keepdims=True))
            heads.append(weights / weights.sum(1, keepdims=True) @ v[:, one])
        x = x + linear(np.concatenate(heads, axis=1), f"{at}/self_attention/linear_1")
        x = x + linear(gelu(linear(norm(x, f"{at}/ffn/layer_norm"), f"{at}/ffn/linear_0")), f"{at}/ffn/linear_1")
        states.append(x)
    return states


@pytest.fixture(scope="module")
def tensors() -> dict[str, NDArray[np.float32]]:
    return made_tensors()


@pytest.fixture(scope="module")
def encoder(tensors: dict[str, NDArray[np.float32]]) -> whisper.WhisperEncoder:
    return whisper.WhisperEncoder(tensors, 2)


def test_it_computes_what_numpy_does_at_every_length_in_a_batch(
    tensors: dict[str, NDArray[np.float32]], encoder: whisper.WhisperEncoder
) -> None:
    lengths = [60, 41, 80]
    rows = [np.random.default_rng(k).standard_normal((n, 80)).astype(np.float32) for k, n in enumerate(lengths)]
    batch = np.full((3, 84, 80), 7.0, np.float32)  # what lies beyond a row's end must not matter
    for row, mel in zip(batch, rows, strict=True):
        row[: len(mel)] = mel

    states = encoder(batch, np.array(lengths, np.int32))

    for k, mel in enumerate(rows):
        for state, expected in zip(states, in_numpy(tensors, mel, 2), strict=True):
            assert np.abs(np.asarray(state)[k, : len(expected)] - expected).max() < 2e-5 * np.abs(expected).max()


def a_file(tensors: dict[str, NDArray[np.float32]]) -> bytes:
    out = struct.pack("<I", 6) + struct.pack("<H", 5) + b"Spec\0" + struct.pack("<II", 3, len(tensors))
    for name, array in tensors.items():
        out += struct.pack("<H", len(name) + 1) + name.encode() + b"\0" + struct.pack("<B", array.ndim)
        half = array.astype("<f2").tobytes()
        out += struct.pack(f"<{array.ndim}I", *array.shape) + struct.pack("<BI", 4, len(half)) + half
    return out


def test_a_file_gives_its_tensors_by_name() -> None:
    wanted = {"encoder/a/weight": np.arange(6, dtype=np.float32).reshape(2, 3), "decoder/b": np.ones(2, np.float32)}

    found = whisper.parse(a_file(wanted))

    assert list(found) == list(wanted)
    assert all(np.array_equal(found[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize("data", [b"", b"RIFF" * 20, a_file({"a": np.ones(8, np.float32)})[:-9]])
def test_anything_else_is_refused_in_words(data: bytes) -> None:
    with pytest.raises(CorpusError, match="not in the format"):
        whisper.parse(data)
