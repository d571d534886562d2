"""Keras weights → an ONNX graph that takes exact lengths.

Converters turn a masked Keras LSTM into a `Loop` that runs one step at a time (40 to 82 ms a window); the same weights
in ONNX's own LSTM operator, which knows `sequence_lens`, take about 6 ms. So the graph is built here by hand, layer by
layer, from the Keras network that was trained: nothing is padded to a fixed length.

The graph's inputs are `features` (batch, time, bands; float32, padded with anything) and `lengths` (batch; int32, true
numbers of frames); its output is `logits` (batch, labels), what stands before the softmax. Layers understood: Masking,
Dropout (nothing to do when serving), Bidirectional(LSTM), Dense, and AttentiveStatistics of `ser_engine.training`. An
engine with another shape uses `GraphBuilder` and the pieces directly.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET: Final = 17
IR_VERSION: Final = 8
PRODUCER: Final = "undertone"
FEATURES: Final = "features"
LENGTHS: Final = "lengths"
LOGITS: Final = "logits"

_ACTIVATIONS: Final = {"relu": "Relu", "tanh": "Tanh", "sigmoid": "Sigmoid"}
_MASKED_OUT: Final = np.float32(-1e9)


@dataclass(slots=True)
class GraphBuilder:
    """Collects nodes and constants, and names what flows between them."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    _count: int = 0

    def constant(self, array: NDArray[Any] | np.generic, hint: str = "c") -> str:
        name = self._name(hint)
        self.constants.append(numpy_helper.from_array(np.array(array, order="C"), name))
        return name

    def ints(self, *values: int) -> str:
        return self.constant(np.array(values, np.int64), "shape")

    def add(self, operator: str, *inputs: str, outputs: int = 1, keep: int = 0, **attributes: Any) -> str:
        """Add a node and return the name of its output number `keep`."""
        names = [self._name(operator.lower()) for _ in range(outputs)]
        self.nodes.append(helper.make_node(operator, list(inputs), names, **attributes))
        return names[keep]

    def _name(self, hint: str) -> str:
        self._count += 1
        return f"{hint}_{self._count}"

    def model(
        self, inputs: list[onnx.ValueInfoProto], outputs: list[onnx.ValueInfoProto], *, name: str
    ) -> onnx.ModelProto:
        """The checked model. Its bytes depend on the weights and the structure alone."""
        graph = helper.make_graph(self.nodes, name, inputs, outputs, self.constants)
        model = helper.make_model(graph, producer_name=PRODUCER, opset_imports=[helper.make_opsetid("", OPSET)])
        model.ir_version = IR_VERSION
        onnx.checker.check_model(model)
        return model


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequence:
    """A sequence inside the graph."""

    name: str
    """Shape (batch, time, width)."""
    lengths: str
    """Shape (batch,), int32: the true number of steps of each row."""


def rename_output(graph: GraphBuilder, source: str, name: str) -> None:
    """Give the value `source` its public `name`."""
    graph.nodes.append(helper.make_node("Identity", [source], [name]))


# ── the pieces ───────────────────────────────────────────────────────────────────────────────────────────────────────


def bidirectional_lstm(
    graph: GraphBuilder, sequence: Sequence, weights: list[NDArray[Any]], *, return_sequences: bool
) -> str:
    """One bidirectional LSTM operator.

    `weights`: kernel (in, 4u), recurrent kernel (u, 4u) and bias (4u) of the forward layer, then of the backward one:
    the order of Keras' `Bidirectional.get_weights()`. Returns (batch, time, 2u), or (batch, 2u) without
    `return_sequences`: the forward state at each row's own last step beside the backward state at its first.
    """
    units = weights[1].shape[0]
    kernels = np.stack([_gates(weights[0].T, units), _gates(weights[3].T, units)])
    recurrents = np.stack([_gates(weights[1].T, units), _gates(weights[4].T, units)])
    no_bias = np.zeros(4 * units, np.float32)  # ONNX adds an input and a recurrent bias; Keras has one
    biases = np.stack([np.concatenate([_gates(weights[k], units), no_bias]) for k in (2, 5)])
    operands = (
        graph.add("Transpose", sequence.name, perm=[1, 0, 2]),
        graph.constant(kernels, "lstm_w"),
        graph.constant(recurrents, "lstm_r"),
        graph.constant(biases, "lstm_b"),
        sequence.lengths,
    )
    attributes = {"direction": "bidirectional", "hidden_size": units, "outputs": 2}
    if return_sequences:
        steps = graph.add("LSTM", *operands, keep=0, **attributes)  # (time, 2, batch, u)
        return graph.add("Reshape", graph.add("Transpose", steps, perm=[2, 0, 1, 3]), graph.ints(0, 0, -1))
    last = graph.add("LSTM", *operands, keep=1, **attributes)  # (2, batch, u)
    return graph.add("Reshape", graph.add("Transpose", last, perm=[1, 0, 2]), graph.ints(0, -1))


def dense(graph: GraphBuilder, value: str, weights: list[NDArray[Any]], activation: str | None = None) -> str:
    """`value` · kernel + bias over the last axis; `activation` is relu, tanh, sigmoid or None."""
    product = graph.add("MatMul", value, graph.constant(weights[0], "dense_w"))
    total = graph.add("Add", product, graph.constant(weights[1], "dense_b"))
    return _activate(graph, total, activation)


def attentive_statistics(graph: GraphBuilder, sequence: Sequence, weights: list[NDArray[Any]], epsilon: float) -> str:
    """Weighted mean and standard deviation over a row's true steps, weighted by a small network: (batch, 2 · width).

    `weights`: kernel (width, h), bias (h,) through tanh, then the score vector (h, 1). After Okabe, Koshinaka and
    Shinoda, "Attentive Statistics Pooling for Deep Speaker Embedding", 2018.
    """
    hidden = dense(graph, sequence.name, weights[:2], "tanh")
    scores = graph.add("MatMul", hidden, graph.constant(weights[2], "score_w"))  # (batch, time, 1)
    masked = graph.add("Where", _inside(graph, sequence), scores, graph.constant(_MASKED_OUT, "never"))
    share = graph.add("Softmax", masked, axis=1)
    clean = _zero_beyond(graph, sequence)
    mean = _sum_over_time(graph, graph.add("Mul", share, clean))
    centred = graph.add("Sub", clean, graph.add("Unsqueeze", mean, graph.ints(1)))
    variance = _sum_over_time(graph, graph.add("Mul", share, graph.add("Mul", centred, centred)))
    spread = graph.add("Sqrt", graph.add("Add", variance, graph.constant(np.float32(epsilon), "epsilon")))
    return graph.add("Concat", mean, spread, axis=-1)


def _gates(matrix: NDArray[Any], units: int) -> NDArray[Any]:
    """Rows in Keras' gate order (input, forget, cell, output) → ONNX's (input, output, forget, cell)."""
    i, f, c, o = (matrix[k * units : (k + 1) * units] for k in range(4))
    return np.concatenate([i, o, f, c]).astype(np.float32)


def _activate(graph: GraphBuilder, value: str, activation: str | None) -> str:
    if activation in (None, "linear"):
        return value
    if activation not in _ACTIVATIONS:
        raise ValueError(f"no ONNX operator is known here for the activation {activation!r}")
    return graph.add(_ACTIVATIONS[activation], value)


def _inside(graph: GraphBuilder, sequence: Sequence) -> str:
    """True at each row's true steps: (batch, time, 1)."""
    time = graph.add("Gather", graph.add("Shape", sequence.name), graph.constant(np.int64(1), "axis"))
    zero, one = graph.constant(np.int64(0), "zero"), graph.constant(np.int64(1), "one")
    steps = graph.add("Cast", graph.add("Range", zero, time, one), to=TensorProto.INT32)
    rows = graph.add("Unsqueeze", sequence.lengths, graph.ints(1))
    return graph.add("Unsqueeze", graph.add("Less", steps, rows), graph.ints(2))


def _zero_beyond(graph: GraphBuilder, sequence: Sequence) -> str:
    return graph.add("Where", _inside(graph, sequence), sequence.name, graph.constant(np.float32(0), "nothing"))


def _sum_over_time(graph: GraphBuilder, value: str) -> str:
    return graph.add("ReduceSum", value, graph.ints(1), keepdims=0)


# ── a whole Keras network ────────────────────────────────────────────────────────────────────────────────────────────


def export_network(network: Any, path: Path | None = None) -> onnx.ModelProto:
    """Build the ONNX twin of a Keras network whose layers follow one another, and write it to `path` when given.

    The network's input is (batch, time, bands) and its last layer a softmax, which the graph leaves out.

    Raises ValueError for a layer this module does not know.
    """
    graph = GraphBuilder()
    width = int(network.input_shape[-1])
    value: Sequence | str = Sequence(name=FEATURES, lengths=LENGTHS)
    for layer in network.layers:
        value = _add_layer(graph, value, layer)
    if not isinstance(value, str):
        raise ValueError("the network ends in a sequence: it never pools over time")
    rename_output(graph, value, LOGITS)
    labels = int(network.output_shape[-1])
    model = graph.model(
        [
            helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["batch", "time", width]),
            helper.make_tensor_value_info(LENGTHS, TensorProto.INT32, ["batch"]),
        ],
        [helper.make_tensor_value_info(LOGITS, TensorProto.FLOAT, ["batch", labels])],
        name="network",
    )
    if path is not None:
        path.write_bytes(model.SerializeToString(deterministic=True))
    return model


def _add_layer(graph: GraphBuilder, value: Sequence | str, layer: Any) -> Sequence | str:
    """`value` after one Keras layer: a `Sequence` until something pools over time, then a plain name."""
    kind = type(layer).__name__
    if kind in {"InputLayer", "Masking", "Dropout", "SpatialDropout1D", "GaussianNoise"}:
        return value
    weights = [np.asarray(array, np.float32) for array in layer.get_weights()]
    if kind == "Dense":
        name = getattr(layer.activation, "__name__", None)
        activation = None if name == "softmax" else name
        if isinstance(value, str):
            return dense(graph, value, weights, activation)
        return Sequence(name=dense(graph, value.name, weights, activation), lengths=value.lengths)
    if isinstance(value, str):
        raise ValueError(f"{layer.name}: {kind} needs a sequence, but the network has pooled over time already")
    if kind == "Bidirectional" and type(layer.forward_layer).__name__ == "LSTM" and layer.merge_mode == "concat":
        out = bidirectional_lstm(graph, value, weights, return_sequences=layer.return_sequences)
        return Sequence(name=out, lengths=value.lengths) if layer.return_sequences else out
    if kind == "AttentiveStatistics":
        return attentive_statistics(graph, value, weights, layer.epsilon)
    raise ValueError(f"{layer.name}: no way to export a {kind} layer is known")
