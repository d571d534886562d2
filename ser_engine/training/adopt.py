"""A network and a scaler of the old app, whatever TensorFlow saved them, in the form that is served today.

Keras 3 cannot read what Keras 2 wrote: a ``.keras`` of TensorFlow up to 2.15, or HDF5 under that name. What is in such
a file is plain enough, though: the layers as JSON and their weights as arrays. So the layers that the old app had are
built anew and get those weights; nothing of the file is run.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ser_engine.errors import ModelError
from ser_engine.models import NETWORK_KERAS, NETWORK_ONNX, OLD_NETWORK_KERAS, OLD_SCALER_PICKLE, SCALER_JSON
from ser_engine.networks import softmax, unpickled
from ser_engine.training.export import export_network

_ZIP: Final = b"PK\x03\x04"
_HDF5: Final = b"\x89HDF\r\n\x1a\n"
_WEIGHTLESS: Final = frozenset({"InputLayer", "Masking", "Dropout"})
_ADVICE: Final = (
    "If TensorFlow 2.15 or older saved it, save it anew with TensorFlow 2.16 or newer, or as HDF5 with the old one: "
    "tf.keras.models.load_model(…).save('final_ser_model.h5'), then rename that file."
)

Weights = list[NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class OldLayer:
    kind: str
    config: dict[str, Any]
    weights: Weights


def write_twins(directory: Path) -> int | None:
    """Write the network for ONNX Runtime and the scaler as JSON beside the old app's files.

    A network that only an older Keras can read is written anew for today's too. One of a shape that has no twin is left
    to TensorFlow. Returns how many frames long the network wants its features, where it says so. Raises ModelError.
    """
    path = directory / OLD_NETWORK_KERAS
    network, rebuilt = load_network(path)
    scaler = unpickled((directory / OLD_SCALER_PICKLE).read_bytes(), directory / OLD_SCALER_PICKLE)
    (directory / SCALER_JSON).write_text(scaler.to_json(), encoding="utf-8")
    if rebuilt:
        network.save(str(directory / NETWORK_KERAS))
    try:
        export_network(network, directory / NETWORK_ONNX)
    except ValueError:  # a layer without a twin
        return _frames(network)
    _compare(network, directory / NETWORK_ONNX)
    return _frames(network)


def _frames(network: Any) -> int | None:
    return int(network.input_shape[1]) if len(network.input_shape) == 3 and network.input_shape[1] else None


def _compare(network: Any, twin: Path) -> None:
    """Raises ModelError where the twin does not answer as the network does."""
    import onnxruntime

    frames, width = network.input_shape[1] or 100, network.input_shape[2]
    batch = np.random.default_rng(1).standard_normal((1, frames, width)).astype(np.float32)
    lengths = np.full(1, frames, np.int32)
    session = onnxruntime.InferenceSession(str(twin), providers=["CPUExecutionProvider"])
    logits = session.run(None, {"features": batch, "lengths": lengths})[0]
    expected = np.asarray(network.predict_on_batch(batch))  # as a graph: step by step it takes a minute
    if not np.allclose(softmax(np.asarray(logits, np.float64)), expected, atol=1e-4):
        raise ModelError(f"{twin} does not answer as the network does; the adoption was given up.")


def load_network(path: Path) -> tuple[Any, bool]:
    """The Keras network in a file of the old app, and whether it had to be built anew.

    Raises ModelError, which says what to do.
    """
    import keras

    data = path.read_bytes()
    if data[: len(_HDF5)] != _HDF5:
        try:
            return keras.saving.load_model(str(path), compile=False), False
        except Exception:  # noqa: BLE001  # whatever zip, JSON or a layer raises; the old form is tried next
            if data[: len(_ZIP)] != _ZIP:
                raise ModelError(f"{path} is not a Keras model that can be loaded: it is no .keras file.") from None
    try:
        layers = list(_of_hdf5(data) if data[: len(_HDF5)] == _HDF5 else _of_zip(data))
        return _built(layers), True
    except Exception as error:  # whatever zip, HDF5, JSON or a layer raises
        why = str(error).partition("\n")[0][:120]
        raise ModelError(f"{path} is not a Keras model that can be loaded ({why}). {_ADVICE}") from error


def _of_hdf5(data: bytes) -> Iterator[OldLayer]:
    import h5py

    with h5py.File(io.BytesIO(data), "r") as file:
        weights = file["model_weights"]
        for kind, config in _described(json.loads(file.attrs["model_config"])):
            group = weights.get(config["name"], {})
            names = group.attrs["weight_names"] if kind not in _WEIGHTLESS else ()
            yield OldLayer(kind, config, [np.asarray(group[_text(name)], np.float32) for name in names])


def _of_zip(data: bytes) -> Iterator[OldLayer]:
    import h5py

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        described = json.loads(archive.read("config.json"))
        stored = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(stored, "r") as file:
        root = file["layers"]
        seen: dict[str, int] = {}
        for kind, config in _described(described):
            plain = {"Bidirectional": "bidirectional", "Dense": "dense"}.get(kind)
            if kind in _WEIGHTLESS or plain is None:
                yield OldLayer(kind, config, [])
                continue
            number = seen[plain] = seen.get(plain, -1) + 1
            group = root[f"{plain}_{number}" if number else plain]
            yield OldLayer(kind, config, list(_arrays(group, kind)))


def _arrays(group: Any, kind: str) -> Iterator[NDArray[np.float32]]:
    places = ("vars",) if kind == "Dense" else ("forward_layer/cell/vars", "backward_layer/cell/vars")
    for place in places:
        for name in sorted(group[place], key=int):
            yield np.asarray(group[place][name], np.float32)


def _described(model: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The layers of a network in which one follows the other."""
    for layer in model["config"]["layers"]:
        inbound = layer.get("inbound_nodes") or []
        if len(inbound) > 1:
            raise ValueError(f"layer {layer['config']['name']} is used more than once")
        yield layer["class_name"], layer["config"]


def _built(layers: list[OldLayer]) -> Any:
    import keras

    kinds = keras.layers
    first = layers[0].config
    shape = first.get("batch_input_shape") or first["batch_shape"]
    made: list[Any] = [kinds.Input(tuple(shape[1:]))]
    weights: list[Weights] = []
    for layer in layers:
        match layer.kind:
            case "InputLayer":
                continue
            case "Masking":
                made.append(kinds.Masking(layer.config["mask_value"]))
            case "Dropout":
                made.append(kinds.Dropout(layer.config["rate"]))
            case "Dense":
                made.append(kinds.Dense(layer.config["units"], activation=layer.config["activation"]))
            case "Bidirectional":
                inner = layer.config["layer"]
                if inner["class_name"] != "LSTM" or layer.config.get("merge_mode", "concat") != "concat":
                    raise ValueError(f"a Bidirectional of {inner['class_name']}")
                lstm = kinds.LSTM(inner["config"]["units"], return_sequences=inner["config"]["return_sequences"])
                made.append(kinds.Bidirectional(lstm))
            case other:
                raise ValueError(f"a layer of the kind {other}")
        weights.append(layer.weights)
    network = keras.Sequential(made)
    for built, arrays in zip(network.layers, weights, strict=True):
        built.set_weights(arrays)
    return network


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else name
