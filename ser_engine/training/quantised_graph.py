"""An encoder's ONNX graph with its large products in bytes.

Post-training quantisation: what goes into a product has one scale for all windows, chosen over some of them, and each
column of the weights has its own. Large columns are made smaller first and the weights behind them larger (Xiao and
others, "SmoothQuant", 2023), and what the rounding adds to a product in the mean is taken from its bias (Nagel and
others, "Data-Free Quantization Through Weight Equalization and Bias Correction", 2019). Convolutions become products of
unfolded rows.

The file holds the bytes. A product stands between two DequantizeLinear, so the standard's own operators say what is
computed, and ONNX Runtime makes one product of bytes of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from ser_engine.features import Features
from ser_engine.graphs import Graph, Node, by_output, made
from ser_engine.quick import signed_bytes
from ser_engine.training.recipes import Progress

Floats = NDArray[np.float32]

CONVOLUTION: Final = "Conv"
OF_ROWS: Final = "/product"
"""How the name ends of what a convolution gives that was made a product of unfolded rows."""
_LEAST_WEIGHTS: Final = 1 << 14
_ROWS: Final = 12
"""So many rows of a window decide how what goes into a product becomes bytes."""
_SHARES: Final = (None, 0.5, 0.75)
"""SmoothQuant's α: how much of the range of what enters a product goes to its weights; None moves nothing."""
_RANGES: Final = np.linspace(0.4, 1.0, 31)
"""Shares of the whole range that are tried: what lies beyond is cut, and the rest has finer steps."""
_VALUES: Final = 60_000


def in_bytes(data: bytes, mels: Sequence[Features], *, progress: Progress) -> bytes:
    """The ONNX file of an encoder with its large products in bytes; `mels`, (frames, bands) each, decide the scales.

    Raises ValueError for what is no ONNX file, or has no large product in floats.
    """
    work = _Work(Graph.from_bytes(data))
    rows = work.rows(mels, progress)
    progress.stage("choosing", len(rows))
    for node in work.products:
        work.replace(node, rows.pop(node.outputs[0]))
        progress.advance()
    return work.to_bytes()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entering:
    """How what goes into a product becomes bytes."""

    scale: float
    zero: int
    size: Floats | None
    """What each of its columns is divided by, and the row of weights behind it multiplied by."""
    added: Floats
    """What the rounding adds to the product, in the mean of each column."""


def entering(rows: Floats, kernel: Floats) -> Entering:
    """What changes the product of these `rows` and the `kernel` least."""
    wanted, tried = rows @ kernel, list[tuple[float, int, Entering]]()
    for number, share in enumerate(_SHARES):
        size = None if share is None else _sizes(rows, kernel, share)
        own, behind = (rows, kernel) if size is None else (rows / size, kernel * size[:, np.newaxis])
        scale, zero = _range_of(own)
        made_of = signed_bytes(behind)
        missed = _in_steps(own, scale, zero) @ (made_of.values * made_of.scales) - wanted
        added = missed.mean(axis=0)
        error = float(np.square(missed - added).mean())
        tried.append((error, number, Entering(scale=scale, zero=zero, size=size, added=added)))
    return min(tried, key=lambda one: one[:2])[2]


def _sizes(rows: Floats, kernel: Floats, share: float) -> Floats:
    inputs = np.quantile(np.abs(rows), 0.999, axis=0) + 1e-4
    size = inputs**share / (np.abs(kernel).max(axis=1) + 1e-6) ** (1 - share)
    return np.asarray(np.clip(size / np.exp(np.log(size).mean()), 0.02, 50), np.float32)


def _range_of(rows: Floats) -> tuple[float, int]:
    """Scale and zero with the least squared error, over some of the values."""
    low, high = min(float(rows.min()), 0.0), max(float(rows.max()), 0.0)
    values = np.random.default_rng(1).choice(rows.reshape(-1), min(_VALUES, rows.size), replace=False)
    tried = []
    for below in _RANGES if low < 0 else (1.0,):
        for above in _RANGES:
            scale = float(np.float32((high * above - low * below) / 255))
            zero = int(np.clip(np.rint(-low * below / scale), 0, 255))
            tried.append((float(np.square(_in_steps(values, scale, zero) - values).mean()), scale, zero))
    _, scale, zero = min(tried)
    return scale, zero


def _in_steps(rows: Floats, scale: float, zero: int) -> Floats:
    return np.asarray((np.clip(np.rint(rows / np.float32(scale)) + zero, 0, 255) - zero) * np.float32(scale))


class _Work:
    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._data = graph.to_bytes()
        self._makers = by_output(graph.nodes)
        self._users = Counter(name for node in graph.nodes for name in node.inputs)
        self._adding = {name: node for node in graph.nodes if node.operator == "Add" for name in node.inputs}
        self._instead: dict[int, list[Node]] = {}
        self.products = [node for node in graph.nodes if self._is_large(node)]
        if not self.products:
            raise ValueError("there is no product in floats whose weights could be bytes")

    def _is_large(self, node: Node) -> bool:
        """A product with large constant weights and a bias, or a convolution."""
        maker = self._makers.get(node.inputs[1]) if node.operator in ("MatMul", CONVOLUTION) else None
        if maker is None or maker.operator != "Cast":
            return False
        large = self._graph.constants[maker.inputs[0]].size >= _LEAST_WEIGHTS and node.outputs[0] in self._adding
        return node.operator == CONVOLUTION or large

    def rows(self, mels: Sequence[Features], progress: Progress) -> dict[str, Floats]:
        """What goes into each product, some rows of each window; by what the product gives."""
        watched = Graph.from_bytes(self._data)
        wanted = sorted({node.inputs[0] for node in self.products} & self._makers.keys())
        watched.also_give(wanted)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 3
        session = onnxruntime.InferenceSession(watched.to_bytes(), options, providers=["CPUExecutionProvider"])
        (given,) = session.get_inputs()
        found: dict[str, list[Floats]] = {node.outputs[0]: [] for node in self.products}
        progress.stage("looking at what goes into the products", len(mels))
        for mel in mels:
            values = dict(zip(wanted, session.run(wanted, {given.name: mel[np.newaxis]}), strict=True))
            values[given.name] = mel[np.newaxis]
            for node in self.products:
                one = values[node.inputs[0]][0]
                every = self._unfolded(node, one) if node.operator == CONVOLUTION else one
                found[node.outputs[0]].append(every[np.linspace(0, len(every) - 1, _ROWS).astype(int)])
            progress.advance()
        return {name: np.concatenate(rows) for name, rows in found.items()}

    def replace(self, node: Node, rows: Floats) -> None:
        """Compute `node` in bytes; `rows` go into it."""
        constants, out, value, given = self._graph.constants, node.outputs[0], node.inputs[0], node.outputs[0]
        kernel = self._kernel(node)
        own = entering(rows, kernel)
        nodes: list[Node] = []
        after: list[Node] = []
        if node.operator == CONVOLUTION:
            bias, value, given = node.inputs[2], f"{out}/rows", f"{out}{OF_ROWS}"
            nodes += self._as_rows(node)
            after.append(made("Add", [given, bias], [f"{out}/sum"]))
            after.append(made("Transpose", [f"{out}/sum"], [out], perm=(0, 2, 1)))
        else:
            bias = next(name for name in self._adding[out].inputs if name != out)
        constants[bias] = np.asarray(constants[bias], np.float32) - own.added
        if own.size is not None:
            kernel = kernel * own.size[:, np.newaxis]
            norm = self._makers.get(node.inputs[0])
            if norm is not None and norm.operator == "LayerNormalization" and self._users[node.inputs[0]] == 1:
                for name in norm.inputs[1:3]:
                    constants[name] = np.asarray(constants[name], np.float32) / own.size
            else:
                nodes.append(made("Mul", [value, self._constant(f"{out}/inverse", 1 / own.size)], [f"{out}/balanced"]))
                value = f"{out}/balanced"
        made_of = signed_bytes(kernel)
        scale = self._constant(f"{out}/scale", np.array(own.scale, np.float32))
        zero = self._constant(f"{out}/zero", np.array(own.zero, np.uint8))
        weights = [
            self._constant(f"{out}/bytes", made_of.values),
            self._constant(f"{out}/scales", made_of.scales),
            self._constant(f"{out}/zeros", made_of.zeros),
        ]
        self._instead[id(node)] = [
            *nodes,
            made("QuantizeLinear", [value, scale, zero], [f"{out}/quantised"]),
            made("DequantizeLinear", [f"{out}/quantised", scale, zero], [f"{out}/entered"]),
            made("DequantizeLinear", weights, [f"{out}/weights"], axis=1),
            made("MatMul", [f"{out}/entered", f"{out}/weights"], [given]),
            *after,
        ]

    def to_bytes(self) -> bytes:
        """The file with everything that was replaced."""
        nodes = [one for node in self._graph.nodes for one in self._instead.get(id(node), [node])]
        live = {name for node in nodes for name in node.inputs}
        self._graph.nodes = [node for node in nodes if node.operator != "Cast" or node.outputs[0] in live]
        return self._graph.to_bytes()

    def _kernel(self, node: Node) -> Floats:
        """Weights as a matrix, (rows, columns); a convolution's as `_unfolded` wants them."""
        kernel = self._graph.constants[self._makers[node.inputs[1]].inputs[0]].astype(np.float32)
        return kernel.transpose(2, 1, 0).reshape(-1, len(kernel)) if node.operator == CONVOLUTION else kernel

    def _shape_of(self, node: Node) -> tuple[int, int, int, int]:
        """A convolution's taps, stride and padding before and after."""
        before, after = node.ints("pads")
        (stride,) = node.ints("strides")
        return self._graph.constants[self._makers[node.inputs[1]].inputs[0]].shape[2], stride, before, after

    def _unfolded(self, node: Node, value: Floats) -> Floats:
        """What stands before each output of a convolution: (inputs, steps) → (steps', taps · inputs)."""
        taps, stride, before, after = self._shape_of(node)
        padded = np.pad(value.T, ((before, after), (0, 0)))
        last = len(padded) - taps + 1
        return np.concatenate([padded[tap : last + tap : stride] for tap in range(taps)], axis=1)

    def _as_rows(self, node: Node) -> list[Node]:
        """The same in ONNX's operators."""
        out = node.outputs[0]
        taps, stride, before, after = self._shape_of(node)
        pads = self._constant(f"{out}/pads", np.array([0, before, 0, 0, after, 0], np.int64))
        axis = self._constant(f"{out}/axis", np.array([1], np.int64))
        steps = self._constant(f"{out}/stride", np.array([stride], np.int64))
        nodes = [
            made("Transpose", [node.inputs[0]], [f"{out}/turned"], perm=(0, 2, 1)),
            made("Pad", [f"{out}/turned", pads], [f"{out}/padded"]),
        ]
        for tap in range(taps):
            end = tap - taps + 1 if tap < taps - 1 else np.iinfo(np.int64).max
            begin, until = (
                self._constant(f"{out}/{part}-{tap}", np.array([at], np.int64))
                for part, at in (("begin", tap), ("end", end))
            )
            nodes.append(made("Slice", [f"{out}/padded", begin, until, axis, steps], [f"{out}/tap-{tap}"]))
        nodes.append(made("Concat", [f"{out}/tap-{tap}" for tap in range(taps)], [f"{out}/rows"], axis=2))
        return nodes

    def _constant(self, name: str, array: NDArray[np.generic]) -> str:
        self._graph.constants[name] = array
        return name
