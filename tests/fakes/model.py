"""A model directory made in milliseconds: a masked mean over time and one random matrix, as a real ONNX graph."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ser_engine.features import FeatureSettings
from ser_engine.models import Manifest, write_manifest
from ser_engine.scaler import Scaler

LABELS = ("Angry", "Happy", "Sad", "Disgust", "Neutral")


def make_model(
    directory: Path,
    *,
    labels: Sequence[str] = LABELS,
    answers: int | None = None,
    features: FeatureSettings | None = None,
    encoder: bool = False,
    temperature: float = 1.0,
    unclear_below: float = 0.0,
    speeds: tuple[float, ...] = (1.0,),
    seed: int = 5,
) -> Path:
    """Write a directory that `Recognizer.load` takes. `answers` other than the number of labels makes a broken one."""
    directory.mkdir(parents=True, exist_ok=True)
    settings = features or (FeatureSettings.whisper() if encoder else FeatureSettings())
    width = 24 if encoder else settings.dims
    rng = np.random.default_rng(seed)
    _save(_network(rng, width, answers or len(labels)), directory / "network.onnx")
    if encoder:
        _save(_encoder(rng, settings.dims, width), directory / "encoder.onnx")
    spread = 1.0 if encoder else 60.0  # cepstra move in tens of dB, so that the answers stay undecided
    mean, scale = spread * rng.standard_normal(width), spread * (0.5 + rng.random(width))
    scaler = Scaler(mean=mean.astype(np.float32), scale=scale.astype(np.float32))
    (directory / "scaler.json").write_text(scaler.to_json())
    manifest = Manifest(
        labels=tuple(labels), features=settings, temperature=temperature, unclear_below=unclear_below, speeds=speeds
    )
    write_manifest(directory, manifest)
    return directory


def _network(rng: np.random.Generator, width: int, answers: int) -> onnx.ModelProto:
    """logits = sum over frames / length @ W: zeros after the true length change nothing."""
    weights = (rng.standard_normal((width, answers)) * 3 / np.sqrt(width)).astype(np.float32)
    nodes = [
        helper.make_node("ReduceSum", ["features", "time_axis"], ["total"], keepdims=0),
        helper.make_node("Cast", ["lengths"], ["counts"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["counts", "time_axis"], ["column"]),
        helper.make_node("Div", ["total", "column"], ["mean"]),
        helper.make_node("MatMul", ["mean", "weights"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "network",
        [
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", "frames", width]),
            helper.make_tensor_value_info("lengths", TensorProto.INT32, ["batch"]),
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", answers])],
        [
            numpy_helper.from_array(np.asarray([1], dtype=np.int64), "time_axis"),
            numpy_helper.from_array(weights, "weights"),
        ],
    )
    return _model(graph)


def _encoder(rng: np.random.Generator, dims: int, width: int) -> onnx.ModelProto:
    """Every second frame through a matrix and tanh, as an encoder with stride 2 would."""
    weights = (rng.standard_normal((dims, width)) / np.sqrt(dims)).astype(np.float32)
    numbers = {"starts": [0], "ends": [2**31 - 1], "axes": [1], "steps": [2]}
    nodes = [
        helper.make_node("Slice", ["features", "starts", "ends", "axes", "steps"], ["halved"]),
        helper.make_node("MatMul", ["halved", "weights"], ["mixed"]),
        helper.make_node("Tanh", ["mixed"], ["encoded"]),
    ]
    graph = helper.make_graph(
        nodes,
        "encoder",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", "frames", dims])],
        [helper.make_tensor_value_info("encoded", TensorProto.FLOAT, ["batch", "halved_frames", width])],
        [
            *(numpy_helper.from_array(np.asarray(v, dtype=np.int64), k) for k, v in numbers.items()),
            numpy_helper.from_array(weights, "weights"),
        ],
    )
    return _model(graph)


def _model(graph: onnx.GraphProto) -> onnx.ModelProto:
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 17)])


def _save(model: onnx.ModelProto, path: Path) -> None:
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
