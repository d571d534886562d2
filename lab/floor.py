"""The floor under a network: its multiplications, over the rate at which this machine multiplies large matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from ser_engine.graphs import Graph
from ser_engine.models import ENCODER_ONNX, NETWORK_ONNX, ModelDirectory

if TYPE_CHECKING:
    from ser_engine.features import Features

ROWS, INNER, COLUMNS = 600, 384, 1536
SGEMM_FLOP: Final = 2 * ROWS * INNER * COLUMNS
_MULTIPLY: Final = ("MatMul", "Conv", "LSTM")


def network_flop(directory: ModelDirectory, features: Features) -> int:
    """Floating-point operations of the products in the encoder and the network of a model, for one window; a
    multiplication and an addition are two."""
    total, value = 0, features
    if directory.has(ENCODER_ONNX):
        flop, value = _counted(directory.read(ENCODER_ONNX), features)
        total += flop
    return total + _counted(directory.read(NETWORK_ONNX), value)[0]


def _counted(data: bytes, features: Features) -> tuple[int, Features]:
    """Operations of one graph, and what it gives."""
    import onnxruntime

    graph = Graph.from_bytes(data)
    nodes = [node for node in graph.nodes if node.operator in _MULTIPLY]
    graph.also_give({name for node in nodes for name in (*node.inputs[:3], *node.outputs) if name})
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(graph.to_bytes(), options, providers=["CPUExecutionProvider"])
    lengths = np.array([len(features)], np.int32)
    names = [one.name for one in session.get_inputs()]
    feeds = {name: lengths if name == "lengths" else features[np.newaxis] for name in names}
    given = [one.name for one in session.get_outputs()]
    found = dict(zip(given, session.run(None, feeds), strict=True))
    shape = {name: array.shape for name, array in (feeds | found | graph.constants).items()}
    total = 0
    for node in nodes:
        first, second, out = (shape[name] for name in (node.inputs[0], node.inputs[1], node.outputs[0]))
        if node.operator == "MatMul":
            total += 2 * int(np.prod(out)) * first[-1]
        elif node.operator == "Conv":
            total += 2 * int(np.prod(out)) * int(np.prod(second[1:]))
        else:
            total += 2 * first[0] * first[1] * (int(np.prod(second)) + int(np.prod(shape[node.inputs[2]])))
    return total, np.asarray(found[given[0]][0], np.float32)
