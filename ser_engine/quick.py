"""A cheaper graph of the same answers, made when a model is loaded from whatever encoder it has.

Most of a window's time goes into a few large products. On processors without instructions of their own for it, products
of bytes are still nearly twice as fast as of floats, and what they lose depends on how the bytes are chosen:

- ``balanced``: signed weights, whose kernels add two neighbours in 16 bits, so each column is scaled so that no such
  sum can overflow. What comes from a layer normalisation is balanced against the weights first.
- ``unsigned``: unsigned weights, which have slower kernels and all 8 bits.
- ``by_row``: the same, and each row of the input is brought to one size first.
- ``cancelling``: a convolution over three frames as a product of three neighbours with its weights; as neighbouring
  frames are alike, its weights are rounded so that the errors of the three cancel.

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
Way = Literal["balanced", "unsigned", "by_row", "cancelling"]
"""How a product is computed in bytes: see above."""
Plan = Mapping[str, Way]
"""By the name of what a product or a convolution gives."""

_DOMAIN: Final = "com.microsoft"
_LEAST_WEIGHTS: Final = 1 << 16
_TAPS: Final = 3
_PAIR: Final = 127.5
"""Two neighbouring weights, each times at most 255, stay within 16 bits."""
_END: Final = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True, kw_only=True)
class ByteProduct:
    """A product or a convolution that could be computed in bytes."""

    name: str
    weights: int
    ways: tuple[Way, ...]
    """From the cheapest on."""


def quickened(data: bytes, plan: Plan) -> bytes:
    """The ONNX file with the products of `plan` in bytes; what the plan names and the file lacks is left out.

    Raises ValueError for what is no ONNX file.
    """
    work = _Work(Graph.from_bytes(data))
    out: list[Node] = []
    for node in work.graph.nodes:
        if id(node) not in work.taken:
            way = plan.get(node.outputs[0])
            out += (work.convolution(node) if way == "cancelling" else work.product(node, way)) or [node]
    live = {name for node in out for name in node.inputs}
    work.graph.nodes = [node for node in out if node.operator != "Cast" or node.outputs[0] in live]
    work.graph.domains.add(_DOMAIN)
    return work.graph.to_bytes()


def places(data: bytes) -> list[ByteProduct]:
    """Where something can be gained, in the order of the graph. Raises ValueError for what is no ONNX file."""
    work = _Work(Graph.from_bytes(data))
    found: list[ByteProduct] = []
    for node in work.graph.nodes:
        if (matrix := work.matrix(node)) is not None:
            ways: tuple[Way, ...] = ("balanced", "unsigned", "by_row")
            found.append(ByteProduct(name=node.outputs[0], weights=matrix.size, ways=ways))
        elif (kernel := work.kernel(node)) is not None:
            found.append(ByteProduct(name=node.outputs[0], weights=kernel.size, ways=("cancelling",)))
    return found


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

    def kernel(self, node: Node) -> Matrix | None:
        """The weights of a large convolution over three frames, with a bias."""
        if node.operator != "Conv" or len(node.inputs) != 3 or self._weights(node.inputs[2]) is None:
            return None
        weights = self._weights(node.inputs[1])
        plain = len(node.ints("strides")) == 1 and node.ints("pads") == (1, 1) and node.int("group", 1) == 1
        if weights is None or not plain or weights.ndim != 3 or weights.shape[2] != _TAPS or weights.shape[1] % 2:
            return None
        return weights if weights.size >= _LEAST_WEIGHTS else None

    def product(self, node: Node, way: Way | None) -> list[Node]:
        """In place of a product and its bias, or nothing."""
        weights, added = (self.matrix(node), self._bias(node)) if way is not None else (None, None)
        if weights is None or added is None:
            return []
        bias, adding = added
        self.taken.add(id(adding))
        out, value = adding.outputs[0], node.inputs[0]
        if way == "by_row":
            return self._by_row(value, _unsigned(weights), bias, out)
        if way == "unsigned":
            return [self._in_bytes(value, _unsigned(weights), bias, out)]
        weights, nodes, value = self._balanced(weights, value, out)
        return [*nodes, self._in_bytes(value, _signed(weights), bias, out)]

    def convolution(self, node: Node) -> list[Node]:
        """In place of a convolution, or nothing."""
        weights = self.kernel(node)
        if weights is None:
            return []
        out, bias = node.outputs[0], self._weights(node.inputs[2])
        names = {part: f"{out}/{part}" for part in ("rows", "filled", "all", "product")}
        nodes = [
            made("Transpose", [node.inputs[0]], [names["rows"]], perm=(0, 2, 1)),
            made("Pad", [names["rows"], self._ints(out, "pads", 0, 1, 0, 0, 1, 0)], [names["filled"]]),
        ]
        axis, step = self._ints(out, "axis", 1), self._ints(out, "step", node.ints("strides")[0])
        taps = [f"{out}/tap{tap}" for tap in range(_TAPS)]
        for tap, name in enumerate(taps):
            ends = tap - _TAPS + 1 or _END
            between = [self._ints(out, f"from{tap}", tap), self._ints(out, f"to{tap}", ends)]
            nodes.append(made("Slice", [names["filled"], *between, axis, step], [name]))
        nodes.append(made("Concat", taps, [names["all"]], axis=2))
        flat = np.ascontiguousarray(weights.transpose(2, 1, 0)).reshape(-1, len(weights))
        nodes.append(self._in_bytes(names["all"], _signed(flat, cancelling=_TAPS), bias, names["product"]))
        return [*nodes, made("Transpose", [names["product"]], [out], perm=(0, 2, 1))]

    def _in_bytes(self, value: str, made_of: _Bytes, bias: Matrix | None, out: str) -> Node:
        parts = {"bytes": made_of.values, "scales": made_of.scales, "zeros": made_of.zeros}
        names = [self._constant(out, part, array) for part, array in parts.items()]
        if bias is not None:
            names.append(self._constant(out, "bias", bias))
        return made("DynamicQuantizeMatMul", [value, *names], [out], domain=_DOMAIN)

    def _by_row(self, value: str, made_of: _Bytes, bias: Matrix, out: str) -> list[Node]:
        """A product whose input is divided by each row's largest magnitude."""
        steps = ("sizes", "largest", "most", "even", "product", "scaled")
        sizes, largest, most, even, product, scaled = (f"{out}/{step}" for step in steps)
        return [
            made("Abs", [value], [sizes]),
            made("ReduceMax", [sizes], [largest], axes=(-1,), keepdims=1),
            made("Max", [largest, self._constant(out, "least", np.array([1e-9], np.float32))], [most]),
            made("Div", [value, most], [even]),
            self._in_bytes(even, made_of, None, product),
            made("Mul", [product, most], [scaled]),
            made("Add", [scaled, self._constant(out, "bias", bias)], [out]),
        ]

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

    def _ints(self, out: str, part: str, *values: int) -> str:
        return self._constant(out, part, np.array(values, "<i8"))

    def _constant(self, out: str, part: str, array: NDArray[np.generic]) -> str:
        self.graph.constants[f"{out}/{part}"] = array
        return f"{out}/{part}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bytes:
    """A matrix (rows, columns) as bytes, each column with its scale."""

    values: NDArray[np.int8] | NDArray[np.uint8]
    scales: Matrix
    zeros: NDArray[np.int8] | NDArray[np.uint8]


def _signed(weights: Matrix, *, cancelling: int = 1) -> _Bytes:
    """No two neighbours in a column can overflow together. With `cancelling` the rows are so many blocks, and the error
    of each rounding is carried into the same row of the next block."""
    pairs = np.sign(weights[0::2]) * np.sign(weights[1::2]) > 0
    sums = np.abs(np.where(pairs, weights[0::2] + weights[1::2], 0)).max(axis=0)
    scales = np.maximum(np.maximum(np.abs(weights).max(axis=0) / 127, sums / _PAIR), 1e-12).astype(np.float32)
    blocks = (weights / scales).reshape(cancelling, -1, weights.shape[1])
    values, carried = np.empty(blocks.shape, np.int8), np.zeros(blocks.shape[1:], np.float32)
    for block, chosen in zip(blocks, values, strict=True):
        wanted = block + carried
        chosen[:] = np.clip(np.rint(wanted), -127, 127)
        carried = wanted - chosen
    return _Bytes(values=values.reshape(weights.shape), scales=scales, zeros=np.zeros(len(scales), np.int8))


def _unsigned(weights: Matrix) -> _Bytes:
    scales = np.maximum(np.abs(weights).max(axis=0) / 127, 1e-12).astype(np.float32)
    values = (np.rint(weights / scales) + 128).astype(np.uint8)
    return _Bytes(values=values, scales=scales, zeros=np.full(len(scales), 128, np.uint8))
