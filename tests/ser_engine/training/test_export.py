"""The hand-built ONNX graph against small LSTMs written out in numpy, so that no TensorFlow is needed to run this.

The Keras side of the same claim is in `test_own_recordings.py`, on a network that was really trained.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from ser_engine.training import export

pytestmark = pytest.mark.unit

Floats = NDArray[np.float32]


class Layer:
    """What the exporter reads of a Keras layer."""

    def __init__(self, weights: list[Floats], **attributes: Any) -> None:
        self.name = type(self).__name__
        self._weights = weights
        self.__dict__.update(attributes)

    def get_weights(self) -> list[Floats]:
        return self._weights


def kind(name: str) -> type[Layer]:
    return type(name, (Layer,), {})


class Network:
    def __init__(self, layers: list[Layer], width: int, labels: int) -> None:
        self.layers = layers
        self.input_shape = (None, None, width)
        self.output_shape = (None, labels)


def lstm_weights(rng: np.random.Generator, width: int, units: int) -> list[Floats]:
    shapes = [(width, 4 * units), (units, 4 * units), (4 * units,)] * 2
    return [rng.normal(0, 0.5, shape).astype(np.float32) for shape in shapes]


def bidirectional(rng: np.random.Generator, width: int, units: int, *, return_sequences: bool) -> Layer:
    layer = kind("Bidirectional")(lstm_weights(rng, width, units), merge_mode="concat")
    layer.forward_layer = kind("LSTM")([])  # type: ignore[attr-defined]
    layer.return_sequences = return_sequences  # type: ignore[attr-defined]
    return layer


def dense(rng: np.random.Generator, width: int, out: int, activation: str) -> Layer:
    def function() -> None: ...

    function.__name__ = activation
    weights = [rng.normal(0, 0.5, shape).astype(np.float32) for shape in ((width, out), (out,))]
    return kind("Dense")(weights, activation=function)


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def lstm_steps(x: Floats, kernel: Floats, recurrent: Floats, bias: Floats) -> Floats:
    """One LSTM over (time, width) as Keras defines it: gates in the order input, forget, cell, output."""
    state = np.zeros(recurrent.shape[0])
    cell = np.zeros_like(state)
    out = []
    for step in x:
        i, f, c, o = np.split(step @ kernel + state @ recurrent + bias, 4)
        cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(c)
        state = sigmoid(o) * np.tanh(cell)
        out.append(state)
    return np.array(out, np.float32)


def bilstm_steps(x: Floats, layer: Layer) -> Floats:
    w = layer.get_weights()
    return np.concatenate([lstm_steps(x, *w[:3]), lstm_steps(x[::-1], *w[3:])[::-1]], axis=1)


def run(network: Network, rows: list[Floats]) -> Floats:
    model = export.export_network(network)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    padded = np.full((len(rows), max(map(len, rows)), rows[0].shape[1]), 99.0, np.float32)  # padding must not be read
    for k, row in enumerate(rows):
        padded[k, : len(row)] = row
    lengths = np.array([len(row) for row in rows], np.int32)
    return np.asarray(session.run(["logits"], {"features": padded, "lengths": lengths})[0])


def test_two_bidirectional_lstms_equal_the_definition_at_every_length() -> None:
    rng = np.random.default_rng(1)
    first = bidirectional(rng, 6, 5, return_sequences=True)
    second = bidirectional(rng, 10, 4, return_sequences=False)
    relu, last = dense(rng, 8, 7, "relu"), dense(rng, 7, 3, "softmax")
    network = Network([kind("Masking")([]), first, kind("Dropout")([]), second, relu, last], 6, 3)
    rows = [rng.normal(size=(n, 6)).astype(np.float32) for n in (1, 2, 9, 30)]

    expected = []
    for row in rows:
        steps = bilstm_steps(bilstm_steps(row, first), second)
        pooled = np.concatenate([steps[-1, :4], steps[0, 4:]])
        (w1, b1), (w2, b2) = relu.get_weights(), last.get_weights()
        expected.append(np.maximum(pooled @ w1 + b1, 0) @ w2 + b2)
    np.testing.assert_allclose(run(network, rows), np.array(expected), atol=2e-5)


def test_attention_does_not_read_the_padding() -> None:
    rng = np.random.default_rng(2)
    shapes = ((6, 4), (4,), (4, 1))
    pooling = kind("AttentiveStatistics")([rng.normal(size=s).astype(np.float32) for s in shapes], epsilon=1e-5)
    last = dense(rng, 12, 3, "softmax")
    network = Network([pooling, last], 6, 3)
    rows = [rng.normal(size=(n, 6)).astype(np.float32) for n in (1, 2, 7, 12, 13)]

    w1, b1, score = pooling.get_weights()
    expected = []
    for row in rows:
        weight = np.exp(np.tanh(row @ w1 + b1) @ score)
        weight /= weight.sum()
        mean = (weight * row).sum(0)
        spread = np.sqrt((weight * (row - mean) ** 2).sum(0) + 1e-5)
        expected.append(np.concatenate([mean, spread]) @ last.get_weights()[0] + last.get_weights()[1])
    np.testing.assert_allclose(run(network, rows), np.array(expected), rtol=1e-4, atol=1e-4)


def test_a_layer_without_a_twin_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="GRU"):
        export.export_network(Network([kind("GRU")([])], 6, 3))


def test_a_network_that_never_pools_is_refused() -> None:
    with pytest.raises(ValueError, match="never pools"):
        export.export_network(Network([dense(np.random.default_rng(3), 6, 3, "softmax")], 6, 3))


def test_the_same_weights_give_the_same_bytes() -> None:
    def graph() -> bytes:
        rng = np.random.default_rng(4)
        layers = [bidirectional(rng, 6, 5, return_sequences=False), dense(rng, 10, 3, "softmax")]
        return bytes(export.export_network(Network(layers, 6, 3)).SerializeToString(deterministic=True))

    assert graph() == graph()
