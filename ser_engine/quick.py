"""A cheaper graph of nearly the same answers, made when a model is loaded: its LSTMs in bytes.

A byte has 256 steps, and a few large values of the input may leave hardly any of them to all others. Then the columns
with the largest weights are given twice: in bytes, and once more what the bytes lack. How far the answers move differs
from model to model. So ``undertone model quicken`` finds out, and ``model.json`` says which LSTMs are taken and how
(`Manifest.quick`). Encoders are quantised when they are made (``undertone quantise``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ser_engine.graphs import Graph, Node, by_output, made

Matrix = NDArray[np.float32]
ONCE: Final = "once"
"""All of an LSTM in bytes."""
FINER: Final = "finer"
"""The same, and what the bytes lack of the quarter of its input that weighs most is given as well."""
WAYS: Final = (ONCE, FINER)
"""The cheaper first."""
Plan = Mapping[str, str]
"""One of `WAYS` by the name of what an LSTM gives. Another way, as of an older version, is left out."""

_DOMAIN: Final = "com.microsoft"
_LEAST_WEIGHTS: Final = 1 << 16
_PAIR: Final = 127.5
"""Two neighbouring weights, each times at most 255, stay within 16 bits."""
_REST: Final = np.float32(64)
"""What the coarse input lacks is given so many times as large."""
_WEIGHING: Final = 4
"""One column of the input in so many is given finer. All of them cost a quarter more and gain nothing."""


def quickened(data: bytes, plan: Plan) -> bytes:
    """The ONNX file with the LSTMs of `plan` in bytes; what the file lacks of it is left out.

    Raises ValueError for what is no ONNX file.
    """
    graph = Graph.from_bytes(data)
    out: list[Node] = []
    for node in graph.nodes:
        out += _in_bytes(graph, node, plan.get(given_by(node))) or [node]
    live = {name for node in out for name in node.inputs}
    graph.nodes = [node for node in out if node.operator != "Cast" or node.outputs[0] in live]
    graph.domains.add(_DOMAIN)
    return graph.to_bytes()


def places(data: bytes) -> dict[str, int]:
    """The large LSTMs by what they give, each with the number of its weights, in the order of the graph.

    Raises ValueError for what is no ONNX file.
    """
    graph = Graph.from_bytes(data)
    found = {given_by(node): _matrices(graph, node) for node in graph.nodes}
    return {name: sum(one.size for one in matrices) for name, matrices in found.items() if matrices is not None}


def given_by(node: Node) -> str:
    """The first value that a node gives; an LSTM may give only its last states."""
    return next((name for name in node.outputs if name), "")


def _matrices(graph: Graph, node: Node) -> tuple[Matrix, Matrix] | None:
    """The constant weights of a large, plain LSTM: of its input and of its states, (directions, 4 units, rows)."""
    if node.operator != "LSTM" or not set(node.attributes) <= {"direction", "hidden_size"} or any(node.inputs[7:]):
        return None
    weights, states = (_weights(graph, name) for name in node.inputs[1:3])
    if weights is None or states is None or states.shape[2] % 2 or weights.size + states.size < _LEAST_WEIGHTS:
        return None
    return weights, states


def _in_bytes(graph: Graph, node: Node, way: str | None) -> list[Node]:
    """In place of an LSTM, or nothing."""
    found = _matrices(graph, node)
    if found is None or way not in WAYS:
        return []
    out, (weights, states) = given_by(node), found
    before: list[Node] = []
    value = node.inputs[0]
    if way == FINER:
        columns = _weighing(weights)
        before, value = _finer(graph, out, value, columns, weights.shape[2])
        weights = np.concatenate([weights, weights[:, :, columns] / _REST], axis=2)
    inputs = [value, *[""] * 2, *(node.inputs[3:7] + [""] * 4)[:4], ""]
    for at, (part, matrices) in enumerate((("input", weights), ("states", states)), start=1):
        each = [signed_bytes(np.ascontiguousarray(matrix.T)) for matrix in matrices]
        inputs[at] = _constant(graph, f"{out}/{part}/bytes", np.stack([one.values for one in each]))
        inputs.append(_constant(graph, f"{out}/{part}/scales", np.stack([one.scales for one in each])))
        inputs.append(_constant(graph, f"{out}/{part}/zeros", np.stack([one.zeros for one in each])))
    attributes = dict(node.attributes)
    made_of_bytes = Node(
        operator="DynamicQuantizeLSTM", inputs=inputs, outputs=node.outputs, domain=_DOMAIN, attributes=attributes
    )
    return [*before, made_of_bytes]


def _weighing(weights: Matrix) -> NDArray[np.int64]:
    """The columns of the input with the largest weights, an even number in order."""
    many = weights.shape[2] // _WEIGHING // 2 * 2
    return np.sort(np.argsort(-np.linalg.norm(weights, axis=(0, 1)), kind="stable")[:many])


def _finer(graph: Graph, out: str, value: str, columns: NDArray[np.int64], width: int) -> tuple[list[Node], str]:
    """What gives the coarse input, of `width` columns, with what it lacks of `columns` behind it; and its name."""
    quantised = [f"{out}/{part}" for part in ("quantised", "scale", "zero")]
    coarse, lacking, rest, both = (f"{out}/{part}" for part in ("coarse", "lacking", "rest", "both"))
    # A product with a one times `_REST` for each column: a third of the time that picking them takes.
    taking = np.zeros((width, len(columns)), np.float32)
    taking[columns, np.arange(len(columns))] = _REST
    nodes = [
        made("DynamicQuantizeLinear", [value], quantised),
        made("DequantizeLinear", quantised, [coarse]),
        made("Sub", [value, coarse], [lacking]),
        made("MatMul", [lacking, _constant(graph, f"{out}/taking", taking)], [rest]),
        made("Concat", [coarse, rest], [both], axis=2),
    ]
    return nodes, both


def _weights(graph: Graph, name: str) -> Matrix | None:
    """A constant of floats, perhaps kept as halves."""
    maker = by_output(graph.nodes).get(name)
    array = graph.constants.get(maker.inputs[0] if maker is not None and maker.operator == "Cast" else name)
    return None if array is None or array.dtype.kind != "f" else array.astype(np.float32)


def _constant(graph: Graph, name: str, array: NDArray[np.generic]) -> str:
    graph.constants[name] = array
    return name


@dataclass(frozen=True, slots=True, kw_only=True)
class Bytes:
    """A matrix (rows, columns) as bytes, each column with its scale."""

    values: NDArray[np.int8]
    scales: Matrix
    zeros: NDArray[np.int8]


def signed_bytes(weights: Matrix) -> Bytes:
    """An even number of rows in bytes. On older processors the kernels add two neighbours in 16 bits, so each column is
    scaled so that no such sum can overflow."""
    pairs = np.sign(weights[0::2]) * np.sign(weights[1::2]) > 0
    sums = np.abs(np.where(pairs, weights[0::2] + weights[1::2], 0)).max(axis=0)
    scales = np.maximum(np.maximum(np.abs(weights).max(axis=0) / 127, sums / _PAIR), 1e-12).astype(np.float32)
    values = np.clip(np.rint(weights / scales), -127, 127).astype(np.int8)
    return Bytes(values=values, scales=scales, zeros=np.zeros(len(scales), np.int8))
