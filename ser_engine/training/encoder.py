"""The default engine's encoder: Whisper's first layers, their states averaged in pairs, standardised and mixed.

Trained as a Keras network together with the head, served as ``encoder.onnx``: one window's log-mel frames in, a quarter
as many states out. The weights are stored in half precision, which halves the file and costs nothing that can be
measured (`docs/experiments.md`); ONNX Runtime widens them once, when it loads.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import onnx
from keras import ops
from numpy.typing import NDArray
from onnx import TensorProto, helper

from ser_engine.training.export import GraphBuilder, rename_output
from ser_engine.training.whisper import BANDS, EPSILON, HEADS, WIDTH, EncoderLayer, WhisperEncoder, average_pairs

MEL: Final = "mel"
STATES: Final = "states"
CLIP: Final = 8.0
"""Standard deviations at which a state is cut: a few of Whisper's dimensions carry values of hundreds."""

Floats = NDArray[np.float32]


class LayerMix(keras.layers.Layer):  # type: ignore[misc]  # keras ships no types
    """States of several layers → one sequence at half the rate, zero beyond each row's end.

    Pairs are averaged (unless the states are `halved` already), each dimension is standardised by `mean` and `scale`
    (layers, 384), which are fixed, and the layers are summed with weights that are learned and sum to 1.
    """

    def __init__(self, mean: Floats, scale: Floats, *, halved: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mean, self.scale, self.halved = mean, scale, halved
        several = len(mean) > 1
        self.weight = self.add_weight(name="weight", shape=(len(mean),), initializer="zeros", trainable=several)

    def call(self, states: list[Any], lengths: Any) -> Any:
        """`lengths` (batch,) are true mel frames; a row of n gives ceil(n / 2) // 2 steps."""
        share = self.share()
        mixed = 0.0
        for k, state in enumerate(states):
            pairs = state if self.halved else average_pairs(state)
            scaled = (pairs - self.mean[k]) / self.scale[k]
            mixed = mixed + share[k] * ops.clip(scaled, -CLIP, CLIP)
        inside = ops.arange(ops.shape(mixed)[1])[None, :] < steps_of(lengths)[:, None]
        return ops.where(inside[:, :, None], mixed, 0.0)

    def share(self) -> Any:
        """The weight of each layer, (layers,)."""
        return ops.softmax(self.weight) if len(self.mean) > 1 else ops.ones(1)


class SpeechEncoder(keras.Model):  # type: ignore[misc]
    """`WhisperEncoder` with `LayerMix` behind it: what is served in front of the head."""

    def __init__(self, whisper: WhisperEncoder, mix: LayerMix, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.whisper, self.mix = whisper, mix

    def call(self, mel: Any, lengths: Any, training: bool = False) -> Any:
        """(batch, frames, 80) → (batch, ceil(frames / 2) // 2, 384)."""
        return self.mix(self.whisper(mel, lengths, training=training), lengths)


def steps_of(frames: Any) -> Any:
    """How many steps the encoder makes of so many mel frames."""
    return (frames + 1) // 2 // 2


def state_statistics(whisper: WhisperEncoder, mels: list[Floats]) -> tuple[Floats, Floats]:
    """Mean and standard deviation of each layer's dimensions over the true steps of `mels`: (layers, 384) each."""
    count, total, squares = 0, 0.0, 0.0
    for mel in mels:
        states = np.stack([np.asarray(s)[0] for s in whisper(mel[None], np.array([len(mel)], np.int32))])
        count += states.shape[1]
        total = total + states.sum(axis=1, dtype=np.float64)
        squares = squares + np.square(states, dtype=np.float64).sum(axis=1)
    mean = total / count
    scale = np.sqrt(np.maximum(squares / count - np.square(mean), 1e-6))
    return np.asarray(mean, np.float32), np.asarray(scale, np.float32)


def export_encoder(encoder: SpeechEncoder, path: Path | None = None) -> onnx.ModelProto:
    """The encoder as an ONNX graph, written to `path`: `mel` (batch, frames, 80) → `states` (batch, steps, 384).

    All windows of a batch have the same true length, so there is nothing to mask. Weights are kept as float16.
    """
    graph = GraphBuilder()
    whisper, mix = encoder.whisper, encoder.mix
    x = graph.add("Transpose", MEL, perm=[0, 2, 1])
    for conv, stride in ((whisper.conv_1, 1), (whisper.conv_2, 2)):
        kernel, bias = (np.asarray(array) for array in conv.get_weights())
        x = graph.add(
            *("Conv", x, _half(graph, kernel.transpose(2, 1, 0)), _full(graph, bias)), strides=[stride], pads=[1, 1]
        )
        x = _gelu(graph, x)
    x = graph.add("Transpose", x, perm=[0, 2, 1])
    steps = graph.add("Gather", graph.add("Shape", x), graph.ints(1), axis=0)
    x = graph.add("Add", x, graph.add("Slice", _full(graph, whisper.positions), graph.ints(0), steps, graph.ints(0)))
    even = graph.add("Mul", graph.add("Div", steps, graph.ints(2)), graph.ints(2))
    if whisper.halved:
        x = _pairs(graph, x, even)
    share = np.asarray(mix.share())
    mixed = None
    for k, layer in enumerate(whisper.stack):
        x = _layer(graph, x, layer)
        pairs = x if mix.halved else _pairs(graph, x, even)
        centred = graph.add("Sub", pairs, _full(graph, mix.mean[k]))
        scaled = graph.add("Div", centred, _full(graph, mix.scale[k]))
        cut = graph.add("Clip", scaled, _full(graph, np.float32(-CLIP)), _full(graph, np.float32(CLIP)))
        part = graph.add("Mul", cut, _full(graph, share[k]))
        mixed = part if mixed is None else graph.add("Add", mixed, part)
    rename_output(graph, str(mixed), STATES)
    model = graph.model(
        [helper.make_tensor_value_info(MEL, TensorProto.FLOAT, ["batch", "frames", BANDS])],
        [helper.make_tensor_value_info(STATES, TensorProto.FLOAT, ["batch", "steps", WIDTH])],
        name="encoder",
    )
    if path is not None:
        path.write_bytes(model.SerializeToString(deterministic=True))
    return model


def _pairs(graph: GraphBuilder, x: str, even: str) -> str:
    """Steps averaged in pairs; `even` is the number of steps without a last odd one."""
    pairs = graph.add("Reshape", graph.add("Slice", x, graph.ints(0), even, graph.ints(1)), graph.ints(0, -1, 2, WIDTH))
    return graph.add("ReduceMean", pairs, axes=[2], keepdims=0)


def _layer(graph: GraphBuilder, x: str, layer: EncoderLayer) -> str:
    parts = graph.add(
        "Reshape", _dense(graph, _norm(graph, x, layer.norm_1), layer.attention.qkv), graph.ints(0, 0, 3, HEADS, -1)
    )
    query, key, value = (
        graph.add("Gather", parts, graph.constant(np.int64(k), "part"), axis=2) for k in range(3)
    )  # (batch, steps, heads, 64)
    scaled = graph.add(
        "Mul", graph.add("Transpose", query, perm=[0, 2, 1, 3]), _full(graph, np.float32((WIDTH // HEADS) ** -0.5))
    )
    scores = graph.add("MatMul", scaled, graph.add("Transpose", key, perm=[0, 2, 3, 1]))
    seen = graph.add("MatMul", graph.add("Softmax", scores, axis=-1), graph.add("Transpose", value, perm=[0, 2, 1, 3]))
    joined = graph.add("Reshape", graph.add("Transpose", seen, perm=[0, 2, 1, 3]), graph.ints(0, 0, WIDTH))
    x = graph.add("Add", x, _dense(graph, joined, layer.attention.out))
    wide = _gelu(graph, _dense(graph, _norm(graph, x, layer.norm_2), layer.wide))
    return graph.add("Add", x, _dense(graph, wide, layer.narrow))


def _norm(graph: GraphBuilder, x: str, layer: Any) -> str:
    gamma, beta = (_full(graph, np.asarray(array)) for array in layer.get_weights())
    return graph.add("LayerNormalization", x, gamma, beta, axis=-1, epsilon=EPSILON)


def _dense(graph: GraphBuilder, x: str, layer: Any) -> str:
    kernel, bias = (np.asarray(array) for array in layer.get_weights())
    return graph.add("Add", graph.add("MatMul", x, _half(graph, kernel)), _full(graph, bias))


def _gelu(graph: GraphBuilder, x: str) -> str:
    """x · (1 + erf(x / √2)) / 2, which ONNX Runtime fuses into one operator."""
    inner = graph.add("Erf", graph.add("Div", x, _full(graph, np.float32(np.sqrt(2)))))
    grown = graph.add("Mul", x, graph.add("Add", inner, _full(graph, np.float32(1))))
    return graph.add("Mul", grown, _full(graph, np.float32(0.5)))


def _full(graph: GraphBuilder, array: Any) -> str:
    return graph.constant(np.asarray(array, np.float32))


def _half(graph: GraphBuilder, array: NDArray[Any]) -> str:
    return graph.add("Cast", graph.constant(array.astype(np.float16), "half"), to=TensorProto.FLOAT)
