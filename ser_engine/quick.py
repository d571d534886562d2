"""A cheaper graph of the same answers, made when a model is loaded from whatever encoder it has.

Most of a window's time goes into a few large products and recurrences. In bytes they are one and a half to three times
as fast as in floats, and what they lose depends on how the bytes are chosen:

- ``balanced``: signed weights. On older processors their kernels add two neighbours in 16 bits, so each column is
  scaled so that no such sum can overflow. What comes from a layer normalisation is balanced against the weights first.
- ``unsigned``: unsigned weights, which have slower kernels and all 8 bits.
- ``recurrent``: an LSTM with weights as in ``balanced``. Its input is given twice, coarse and what the coarse one
  lacks, so that few large values do not take the bits from all others.

How far the answers move differs from product to product and from model to model, so ``model.json`` says what is done
with which (`Manifest.quick`), and ``undertone model quicken`` finds out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from ser_engine.graphs import Graph, Node, by_output, made

Matrix = NDArray[np.float32]
Way = Literal["balanced", "recurrent", "unsigned"]
"""How something is computed in bytes: see above."""
GAIN: Final[Mapping[str, float]] = {"balanced": 0.5, "recurrent": 0.3, "unsigned": 0.3}
"""About the share of its time that something saves, with and without the newer processors' instructions for bytes."""
Plan = Mapping[str, str]
"""Ways by the name of what a product or an LSTM gives. A way that is not known, as of an older version, is left out."""

_DOMAIN: Final = "com.microsoft"
_LEAST_WEIGHTS: Final = 1 << 16
PAIR: Final = 127.5
"""Two neighbouring weights, each times at most 255, stay within 16 bits."""
_REST: Final = np.float32(64)
"""What the coarse input lacks is given so many times as large."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A product or an LSTM that could be computed in bytes."""

    name: str
    weights: int
    ways: tuple[Way, ...]
    """From the cheapest on."""


def quickened(data: bytes, plan: Plan) -> bytes:
    """The ONNX file with what `plan` names in bytes; what the file lacks of it is left out.

    Raises ValueError for what is no ONNX file.
    """
    work = _Work(Graph.from_bytes(data))
    out: list[Node] = []
    for node in work.graph.nodes:
        if id(node) not in work.taken:
            way = plan.get(given_by(node))
            out += (work.recurrence(node) if way == "recurrent" else work.product(node, way)) or [node]
    live = {name for node in out for name in node.inputs}
    work.graph.nodes = [node for node in out if node.operator != "Cast" or node.outputs[0] in live]
    work.graph.domains.add(_DOMAIN)
    return work.graph.to_bytes()


def places(data: bytes) -> list[Candidate]:
    """Where something can be gained, in the order of the graph. Raises ValueError for what is no ONNX file."""
    work = _Work(Graph.from_bytes(data))
    found: list[Candidate] = []
    for node in work.graph.nodes:
        if (matrix := work.matrix(node)) is not None:
            found.append(Candidate(name=given_by(node), weights=matrix.size, ways=("balanced", "unsigned")))
        elif (matrices := work.matrices(node)) is not None:
            weights = sum(one.size for one in matrices)
            found.append(Candidate(name=given_by(node), weights=weights, ways=("recurrent",)))
    return found


def given_by(node: Node) -> str:
    """The first value that a node gives; an LSTM may give only its last states."""
    return next((name for name in node.outputs if name), "")


@dataclass(slots=True)
class _Work:
    graph: Graph
    taken: set[int] = field(default_factory=set)
    """Nodes that went into another."""
    _makers: dict[str, Node] = field(init=False)
    _users: dict[str, list[Node]] = field(init=False)

    def __post_init__(self) -> None:
        self._makers = dict(by_output(self.graph.nodes))
        self._users = defaultdict(list)
        for node in self.graph.nodes:
            for name in node.inputs:
                self._users[name].append(node)

    def matrix(self, node: Node) -> Matrix | None:
        """The constant weights of a large product with a bias."""
        weights = self._weights(node.inputs[1]) if node.operator == "MatMul" else None
        if weights is None or weights.ndim != 2 or weights.size < _LEAST_WEIGHTS or len(weights) % 2:
            return None
        return weights if self._bias(node) is not None else None

    def matrices(self, node: Node) -> tuple[Matrix, Matrix] | None:
        """The constant weights of a large, plain LSTM: of its input and of its states, (directions, 4 units, rows)."""
        if node.operator != "LSTM" or not set(node.attributes) <= {"direction", "hidden_size"} or any(node.inputs[7:]):
            return None
        weights, states = self._weights(node.inputs[1]), self._weights(node.inputs[2])
        if weights is None or states is None or states.shape[2] % 2 or weights.size + states.size < _LEAST_WEIGHTS:
            return None
        return weights, states

    def product(self, node: Node, way: str | None) -> list[Node]:
        """In place of a product and its bias, or nothing."""
        weights, added = (self.matrix(node), self._bias(node)) if way in GAIN else (None, None)
        if weights is None or added is None:
            return []
        bias, adding = added
        self.taken.add(id(adding))
        out, value = adding.outputs[0], node.inputs[0]
        if way == "unsigned":
            return [self._in_bytes(value, _unsigned(weights), bias, out)]
        weights, nodes, value = self._balanced(weights, value, out)
        return [*nodes, self._in_bytes(value, signed_bytes(weights), bias, out)]

    def recurrence(self, node: Node) -> list[Node]:
        """In place of an LSTM, or nothing."""
        found = self.matrices(node)
        if found is None:
            return []
        out, value = given_by(node), node.inputs[0]
        quantised = [f"{out}/{part}" for part in ("quantised", "scale", "zero")]
        coarse, lacking, rest, both = (f"{out}/{part}" for part in ("coarse", "lacking", "rest", "both"))
        times = self._constant(out, "times", np.array([_REST]))
        nodes = [
            made("DynamicQuantizeLinear", [value], quantised),
            made("DequantizeLinear", quantised, [coarse]),
            made("Sub", [value, coarse], [lacking]),
            made("Mul", [lacking, times], [rest]),
            made("Concat", [coarse, rest], [both], axis=2),
        ]
        weights = np.concatenate([found[0], found[0] / _REST], axis=2)
        inputs = [both, *[""] * 2, *(node.inputs[3:7] + [""] * 4)[:4], ""]
        for at, (part, matrices) in enumerate((("input", weights), ("states", found[1])), start=1):
            each = [signed_bytes(np.ascontiguousarray(matrix.T)) for matrix in matrices]
            inputs[at] = self._constant(out, f"{part}/bytes", np.stack([one.values for one in each]))
            inputs.append(self._constant(out, f"{part}/scales", np.stack([one.scales for one in each])))
            inputs.append(self._constant(out, f"{part}/zeros", np.stack([one.zeros for one in each])))
        attributes = dict(node.attributes)
        made_of_bytes = Node(
            operator="DynamicQuantizeLSTM", inputs=inputs, outputs=node.outputs, domain=_DOMAIN, attributes=attributes
        )
        return [*nodes, made_of_bytes]

    def _in_bytes(self, value: str, made_of: _Bytes, bias: Matrix, out: str) -> Node:
        parts = {"bytes": made_of.values, "scales": made_of.scales, "zeros": made_of.zeros, "bias": bias}
        names = [self._constant(out, part, array) for part, array in parts.items()]
        return made("DynamicQuantizeMatMul", [value, *names], [out], domain=_DOMAIN)

    def _balanced(self, weights: Matrix, value: str, out: str) -> tuple[Matrix, list[Node], str]:
        """Of what a layer normalisation gives, columns that are large are made smaller and their weights larger, by the
        square root of what is known of their size."""
        maker = self._makers.get(value)
        if maker is None or maker.operator != "LayerNormalization" or len(maker.inputs) != 3:
            return weights, [], value
        gain, offset = self._weights(maker.inputs[1]), self._weights(maker.inputs[2])
        if gain is None or offset is None:
            return weights, [], value
        size = np.hypot(gain, offset) + np.float32(1e-6)
        size = np.sqrt(np.clip(size / np.exp(np.log(size).mean()), 0.05, 20)).astype(np.float32)
        inverse = self._constant(out, "balance", np.asarray(1 / size, np.float32))
        return weights * size[:, None], [made("Mul", [value, inverse], [f"{out}/balanced"])], f"{out}/balanced"

    def _bias(self, node: Node) -> tuple[Matrix, Node] | None:
        """What is added to a product, and the node that adds it, where nothing else uses the product."""
        users = self._users[node.outputs[0]]
        if len(users) != 1 or users[0].operator != "Add":
            return None
        others = [name for name in users[0].inputs if name != node.outputs[0]]
        bias = self._weights(others[0]) if len(others) == 1 else None
        return (bias, users[0]) if bias is not None and bias.ndim == 1 else None

    def _weights(self, name: str) -> Matrix | None:
        """A constant of floats, perhaps kept as halves."""
        maker = self._makers.get(name)
        array = self.graph.constants.get(maker.inputs[0] if maker is not None and maker.operator == "Cast" else name)
        return None if array is None or array.dtype.kind != "f" else array.astype(np.float32)

    def _constant(self, out: str, part: str, array: NDArray[np.generic]) -> str:
        self.graph.constants[f"{out}/{part}"] = array
        return f"{out}/{part}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bytes:
    """A matrix (rows, columns) as bytes, each column with its scale."""

    values: NDArray[np.int8] | NDArray[np.uint8]
    scales: Matrix
    zeros: NDArray[np.int8] | NDArray[np.uint8]


def signed_bytes(weights: Matrix) -> _Bytes:
    """No two neighbours in a column can overflow together."""
    pairs = np.sign(weights[0::2]) * np.sign(weights[1::2]) > 0
    sums = np.abs(np.where(pairs, weights[0::2] + weights[1::2], 0)).max(axis=0)
    scales = np.maximum(np.maximum(np.abs(weights).max(axis=0) / 127, sums / PAIR), 1e-12).astype(np.float32)
    values = np.clip(np.rint(weights / scales), -127, 127).astype(np.int8)
    return _Bytes(values=values, scales=scales, zeros=np.zeros(len(scales), np.int8))


def _unsigned(weights: Matrix) -> _Bytes:
    scales = np.maximum(np.abs(weights).max(axis=0) / 127, 1e-12).astype(np.float32)
    values = (np.rint(weights / scales) + 128).astype(np.uint8)
    return _Bytes(values=values, scales=scales, zeros=np.full(len(scales), 128, np.uint8))
