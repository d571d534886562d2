"""The two convolutions in front of Whisper's layers: its own, or pruned ones that give nearly the same at a quarter of
the rate.

Whisper's own take more time than a layer does. The pruned ones keep some channels of the first, and look at every
second place only; the second then makes one state where there were four, fitted by least squares to their mean (as He,
Zhang, Sun, "Channel Pruning for Accelerating Very Deep Neural Networks", 2017, whose channels are chosen otherwise).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from ser_engine.features import Features

Floats = NDArray[np.float32]
Tensors = Mapping[str, Floats]

MAX_FRAMES: Final = 300
"""Mel frames of a window of 3 s."""
_STATES: Final = 4
"""So many of Whisper's states become one."""
_STRIDES: Final = (2, 4)
_TAPS: Final = 5
_RIDGE: Final = 1e-4
"""Of the mean square of the inputs; so little only keeps the solution finite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Convolution:
    """A convolution along time."""

    kernel: Floats
    """(taps, inputs, outputs)."""
    bias: Floats
    stride: int

    @property
    def padding(self) -> tuple[int, int]:
        """Zeros before and after: n places become ceil(n / `stride`)."""
        before = (len(self.kernel) - self.stride + 1) // 2
        return before, len(self.kernel) - 1 - before


@dataclass(frozen=True, slots=True, kw_only=True)
class Stem:
    """What stands before the layers."""

    convolutions: tuple[Convolution, Convolution]
    """Each is followed by `gelu`."""
    positions: Floats
    """What is added to each state: (steps, width)."""

    @property
    def step(self) -> int:
        """Mel frames of one state."""
        return self.convolutions[0].stride * self.convolutions[1].stride


def whole(tensors: Tensors) -> Stem:
    """Whisper's own: a state for two mel frames."""
    first, second = (
        Convolution(kernel=tensors[f"{name}/weight"].transpose(2, 1, 0), bias=tensors[f"{name}/bias"], stride=stride)
        for name, stride in (("conv1", 1), ("conv2", 2))
    )
    positions = tensors["position_encodings/encodings"]
    return Stem(convolutions=(first, second), positions=positions[: MAX_FRAMES // first.stride // second.stride])


def pruned(tensors: Tensors, mels: Sequence[Features], channels: int) -> Stem:
    """A state for eight mel frames, from `channels` of the first convolution's; fitted to what Whisper's own make of
    `mels`. Raises ValueError for more channels than there are, or none."""
    (first, second), positions = whole(tensors).convolutions, whole(tensors).positions
    if not 1 <= channels <= len(first.bias):
        raise ValueError(f"Whisper's first convolution has 1 to {len(first.bias)} channels, not {channels}")
    step, seen, wanted = _STRIDES[0] * _STRIDES[1], [], []
    for mel in mels:
        mel = mel[: len(mel) // step * step]
        inner = _gelu_of(convolved(mel, first))
        seen.append(inner[:: _STRIDES[0]])
        wanted.append(convolved(inner, second).reshape(len(mel) // step, _STATES, -1).mean(axis=1))
    kept = _telling(np.concatenate(seen), np.sqrt(np.square(second.kernel).sum(axis=(0, 2))), channels)
    narrow = Convolution(
        kernel=np.zeros((_TAPS, channels, len(second.bias)), np.float32), bias=second.bias, stride=_STRIDES[1]
    )
    inputs = np.concatenate([_placed(one[:, kept], narrow) for one in seen]).astype(np.float64)
    inputs = np.concatenate([inputs, np.ones((len(inputs), 1))], axis=1)
    square = inputs.T @ inputs
    square[np.diag_indices_from(square)] += _RIDGE * np.trace(square) / len(square)
    found = np.linalg.solve(square, inputs.T @ np.concatenate(wanted)).astype(np.float32)
    return Stem(
        convolutions=(
            Convolution(kernel=first.kernel[:, :, kept], bias=first.bias[kept], stride=_STRIDES[0]),
            Convolution(kernel=found[:-1].reshape(narrow.kernel.shape), bias=found[-1], stride=_STRIDES[1]),
        ),
        positions=np.stack([positions[at : at + _STATES].mean(axis=0) for at in range(0, len(positions), _STATES)]),
    )


def convolved(x: Floats, one: Convolution) -> Floats:
    """(steps, inputs) → (ceil(steps / stride), outputs)."""
    return np.asarray(_placed(x, one) @ one.kernel.reshape(-1, one.kernel.shape[2]) + one.bias)


def _placed(x: Floats, one: Convolution) -> Floats:
    """What stands before each output: (outputs' steps, taps · inputs)."""
    padded = np.pad(x, (one.padding, (0, 0)))
    places = np.lib.stride_tricks.sliding_window_view(padded, len(one.kernel), axis=0)[:: one.stride]
    return places.transpose(0, 2, 1).reshape(len(places), -1)


def _telling(x: Floats, weights: Floats, count: int) -> NDArray[np.int64]:
    """The `count` columns of `x` from which the others follow best, each as important as its weight: the pivots of a
    Cholesky decomposition (Harbrecht, Peters, Schneider, "On the low-rank approximation by the pivoted Cholesky
    decomposition", 2012)."""
    left = np.cov(x.astype(np.float64) * weights, rowvar=False)
    chosen: list[int] = []
    for _ in range(count):
        best = int(np.argmax(np.where(np.isin(np.arange(len(left)), chosen), -1.0, left.diagonal())))
        chosen.append(best)
        left = left - np.outer(left[best], left[best]) / max(float(left[best, best]), 1e-12)
    return np.sort(np.array(chosen))


def _gelu_of(x: Floats) -> Floats:
    return np.asarray(_gelu_forward(tf.constant(x)))


@tf.function(jit_compile=True)  # type: ignore[untyped-decorator]  # TensorFlow ships no types
def _gelu_forward(x: Any) -> Any:
    wide = tf.cast(x, tf.float32)
    return tf.cast(wide * 0.5 * (1 + tf.math.erf(wide * 2**-0.5)), x.dtype)


@tf.function(jit_compile=True)  # type: ignore[untyped-decorator]
def _gelu_backward(x: Any, upstream: Any) -> Any:
    wide = tf.cast(x, tf.float32)
    slope = 0.5 * (1 + tf.math.erf(wide * 2**-0.5)) + wide * tf.exp(-0.5 * wide * wide) * (2 * np.pi) ** -0.5
    return tf.cast(tf.cast(upstream, tf.float32) * slope, x.dtype)


@tf.custom_gradient  # type: ignore[untyped-decorator]
def gelu(x: Any) -> tuple[Any, Any]:
    """x · Φ(x), exact as in Whisper; one compiled pass each way, where TensorFlow by itself would make six."""
    return _gelu_forward(x), lambda upstream: _gelu_backward(x, upstream)
