"""The encoder of the default and the fast engine: Whisper's first layers, their states standardised and mixed.

Trained as a Keras network together with the head, served as ``encoder.onnx``: one window's log-mel frames in, a quarter
as many states out, an eighth behind a pruned stem. The weights are stored in half precision, which halves the file and
costs nothing that can be measured (`docs/experiments.md`); ONNX Runtime widens them once, when it loads.
`quantise` makes bytes of them.
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

from ser_engine.graphs import Graph, Node, by_output
from ser_engine.training.export import GraphBuilder, rename_output
from ser_engine.training.quantised_graph import OF_ROWS
from ser_engine.training.stem import Tensors
from ser_engine.training.whisper import BANDS, EPSILON, HEADS, WIDTH, EncoderLayer, WhisperEncoder, average_pairs

MEL: Final = "mel"
STATES: Final = "states"
CLIP: Final = 8.0
"""Standard deviations at which a state is cut: a few of Whisper's dimensions carry values of hundreds."""

_PARTS: Final = ("self_attention", "ffn")
"""Of a layer, as Whisper's file names them; each has a norm and two products."""

Floats = NDArray[np.float32]


class LayerMix(keras.layers.Layer):  # type: ignore[misc]  # keras ships no types
    """States of several layers → one sequence at half the rate, zero beyond each row's end.

    Pairs are averaged where a state stands for no more than two mel frames (`step`), each dimension is standardised by
    `mean` and `scale` (layers, 384), which are fixed, and the layers are summed with weights that are learned and sum
    to 1.
    """

    def __init__(self, mean: Floats, scale: Floats, *, step: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mean, self.scale, self.step = mean, scale, step
        several = len(mean) > 1
        self.weight = self.add_weight(name="weight", shape=(len(mean),), initializer="zeros", trainable=several)

    def call(self, states: list[Any], lengths: Any) -> Any:
        """`lengths` (batch,) are true mel frames; `steps_of` says how many steps they give."""
        share = self.share()
        mixed = 0.0
        for k, state in enumerate(states):
            pairs = average_pairs(state) if paired(self.step) else state
            scaled = (pairs - self.mean[k]) / self.scale[k]
            mixed = mixed + share[k] * ops.clip(scaled, -CLIP, CLIP)
        inside = ops.arange(ops.shape(mixed)[1])[None, :] < steps_of(lengths, self.step)[:, None]
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
        """(batch, frames, 80) → (batch, `steps_of` them, 384)."""
        return self.mix(self.whisper(mel, lengths, training=training), lengths)


def paired(step: int) -> bool:
    """Whether states of so many mel frames each are averaged in pairs."""
    return step <= 2


def steps_of(frames: Any, step: int = 2) -> Any:
    """How many steps the encoder makes of so many mel frames, its states standing for `step` of them each."""
    states = -(-frames // step)
    return states // 2 if paired(step) else states


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
    for layer, one in zip(whisper.convolutions, whisper.stem.convolutions, strict=True):
        kernel, bias = (np.asarray(array) for array in layer.get_weights())
        weights = _half(graph, kernel.transpose(2, 1, 0)), _full(graph, bias)
        x = _gelu(graph, graph.add("Conv", x, *weights, strides=[one.stride], pads=list(one.padding)))
    x = graph.add("Transpose", x, perm=[0, 2, 1])
    steps = graph.add("Gather", graph.add("Shape", x), graph.ints(1), axis=0)
    x = graph.add(
        "Add", x, graph.add("Slice", _full(graph, whisper.stem.positions), graph.ints(0), steps, graph.ints(0))
    )
    even = graph.add("Mul", graph.add("Div", steps, graph.ints(2)), graph.ints(2))
    share = np.asarray(mix.share())
    mixed = None
    for k, layer in enumerate(whisper.stack):
        x = _layer(graph, x, layer)
        pairs = _pairs(graph, x, even) if paired(mix.step) else x
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


def layers_of(data: bytes) -> Tensors:
    """The layers' weights in an encoder that `export_encoder` wrote, in bytes or not, by their names in Whisper's file.

    Raises ValueError for what is no ONNX file.
    """
    graph = Graph.from_bytes(data)
    makers = by_output(graph.nodes)
    found: dict[str, list[tuple[Floats, Floats]]] = {"norm": [], "product": []}
    for node in graph.nodes:
        if node.operator == "LayerNormalization":
            gamma, beta = (np.asarray(graph.constants[name], np.float32) for name in node.inputs[1:3])
            found["norm"].append((gamma, beta))
        elif node.operator == "MatMul" and (kernel := _kept(graph, makers.get(node.inputs[1]))) is not None:
            adding = next(one for one in graph.nodes if one.operator == "Add" and node.outputs[0] in one.inputs)
            bias = graph.constants[adding.inputs[1]]
            if not node.outputs[0].endswith(OF_ROWS):  # those are convolutions
                found["product"].append((kernel.T, np.asarray(bias, np.float32)))
    out: dict[str, Floats] = {}
    for k, (gamma, beta) in enumerate(found["norm"]):
        at = f"layer_{k // 2}/{_PARTS[k % 2]}/layer_norm"
        out[f"{at}/gamma"], out[f"{at}/beta"] = gamma, beta
    for k, (weight, bias) in enumerate(found["product"]):
        at = f"layer_{k // 4}/{_PARTS[k // 2 % 2]}/linear_{k % 2}"
        out[f"{at}/weight"], out[f"{at}/bias"] = weight, bias
    return out


def _kept(graph: Graph, maker: Node | None) -> Floats | None:
    """Weights of a product that a file keeps as halves, or as bytes with a scale for each column."""
    if maker is None or maker.inputs[0] not in graph.constants:
        return None
    array = np.asarray(graph.constants[maker.inputs[0]], np.float32)
    match maker.operator:
        case "Cast":
            return array
        case "DequantizeLinear":
            return array * np.asarray(graph.constants[maker.inputs[1]], np.float32)
        case _:
            return None


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
