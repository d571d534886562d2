"""The network of a model directory on whatever can run it: ONNX Runtime, or TensorFlow as the reference.

Both take the standardised batch and its true lengths and give logits; nothing above this module knows which one it is.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import warnings
from pathlib import Path
from typing import Any, Final, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from ser_engine.errors import ModelError
from ser_engine.extras import need_training
from ser_engine.features import Features
from ser_engine.models import (
    ENCODER_ONNX,
    MANIFEST,
    NETWORK_KERAS,
    NETWORK_ONNX,
    OLD_NETWORK_KERAS,
    OLD_SCALER_PICKLE,
    SCALER_JSON,
    ModelDirectory,
)
from ser_engine.quick import Plan, quickened
from ser_engine.scaler import Batch, Lengths, Scaler

Logits = NDArray[np.float32]
"""Shape ``(batch, labels)``, before temperature and softmax."""
Runtime = Literal["onnxruntime", "tensorflow"]
RUNTIMES: Final[tuple[str, ...]] = get_args(Runtime)

_PROBABILITY_FLOOR = 1e-12


def softmax(logits: NDArray[np.floating]) -> NDArray[np.floating]:
    """Along the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))


def logarithms(probabilities: NDArray[np.floating]) -> Logits:
    """Of probabilities, as logits: up to a constant a row, which no softmax sees. Nothing is under log 1e-12."""
    return np.asarray(np.log(np.maximum(probabilities, _PROBABILITY_FLOOR)), dtype=np.float32)


class Network(Protocol):
    """What turns a batch into logits."""

    def logits(self, batch: Batch, lengths: Lengths) -> Logits:
        """`batch` is standardised and padded; `lengths` are its rows' true numbers of frames."""
        ...


class OnnxNetwork:
    """``network.onnx`` on ONNX Runtime, one thread: two are slower as soon as the other core is busy.

    Its LSTMs are computed in bytes, as `quick` says, or else as the manifest says. Then windows run one after another:
    what the bytes stand for is chosen for each run, and no answer may depend on which other windows came with it.
    """

    def __init__(self, directory: ModelDirectory, quick: Plan | None = None) -> None:
        plan = directory.manifest.quick if quick is None else quick
        self._session = _session(directory, NETWORK_ONNX, plan)
        self._one_by_one = bool(plan)
        names = {i.name for i in self._session.get_inputs()}
        if names != {"features", "lengths"}:
            raise ModelError(f"{directory.path / NETWORK_ONNX} takes {sorted(names)}, not features and lengths.")
        settings = directory.manifest.features
        padded = settings.padding == "pad_then_standardise"  # all windows are of one length then
        _check_axes(directory, NETWORK_ONNX, self._session, length=settings.max_frames if padded else 0)

    def logits(self, batch: Batch, lengths: Lengths) -> Logits:
        if self._one_by_one:
            pairs = zip(batch, lengths, strict=True)
            return np.concatenate([self._run(row[np.newaxis, :frames], frames[np.newaxis]) for row, frames in pairs])
        return self._run(batch, lengths)

    def _run(self, batch: Batch, lengths: Lengths) -> Logits:
        return np.asarray(self._session.run(None, {"features": batch, "lengths": lengths})[0], dtype=np.float32)


class EncoderNetwork:
    """``encoder.onnx``: a window's features to the network's input, at its true length."""

    def __init__(self, directory: ModelDirectory) -> None:
        self._session = _session(directory, ENCODER_ONNX, {})
        _check_axes(directory, ENCODER_ONNX, self._session, windows=1)
        self._input = self._session.get_inputs()[0].name

    def encode(self, clips: list[Features]) -> list[Features]:
        """One array of shape ``(frames', D)`` for each of shape ``(frames, dims)``.

        One after another: many at once are no faster, and what bytes stand for is chosen for each by itself, so that
        no window's answer depends on which others came with it.
        """
        return [
            np.asarray(self._session.run(None, {self._input: clip[np.newaxis]})[0][0], dtype=np.float32)
            for clip in clips
        ]


class KerasNetwork:
    """The artifact of record on TensorFlow. Loading takes over ten seconds: this is the reference, not the server."""

    def __init__(self, directory: ModelDirectory) -> None:
        need_training(f"Running the Keras network of {directory.name}", "tensorflow", "keras")
        name = NETWORK_KERAS if directory.has(NETWORK_KERAS) else OLD_NETWORK_KERAS
        directory.read(name)  # compares the hash
        if directory.manifest.keras_layers is not None:
            importlib.import_module(directory.manifest.keras_layers)
        import keras
        import tensorflow

        try:
            model = keras.saving.load_model(str(directory.path / name), compile=False)
        except Exception as error:  # Keras lets through whatever zip, HDF5, JSON or a layer raises
            why = str(error).partition("\n")[0][:200]
            raise ModelError(f"{directory.path / name} is not a Keras model that can be loaded: {why}") from error
        self._names = [tensor.name for tensor in model.inputs]
        self._frames: int | None = model.inputs[0].shape[1]
        _check_length(directory, name, self._frames)
        self._probabilities = directory.manifest.keras_output == "probabilities"

        @tensorflow.function(reduce_retracing=True)  # type: ignore[untyped-decorator]  # no types; 100 times as fast
        def call(inputs: Any) -> Any:
            return model(inputs, training=False)

        self._call = call

    def logits(self, batch: Batch, lengths: Lengths) -> Logits:
        if self._frames is not None and batch.shape[1] < self._frames:
            batch = np.pad(batch, ((0, 0), (0, self._frames - batch.shape[1]), (0, 0)))
        inputs: Any = batch
        if len(self._names) == 2:
            inputs = [lengths if name.split(":")[0] == "lengths" else batch for name in self._names]
        out = np.asarray(self._call(inputs), dtype=np.float32)
        return logarithms(out) if self._probabilities else out


def _check_length(directory: ModelDirectory, name: str, frames: int | None) -> None:
    """Raises ModelError for a network of a fixed length that is another than that of the windows it would be given.

    A recurrent one takes them all the same, and answers of what it never learned.
    """
    settings = directory.manifest.features
    if frames is not None and frames != settings.max_frames:
        again = f" Run: undertone model adopt --force {directory.path}" if name == OLD_NETWORK_KERAS else ""
        raise ModelError(
            f"{directory.path / name} takes {frames} frames, but {MANIFEST} states {settings.max_frames} "
            f"(features.max_frames).{again}"
        )


def _check_axes(directory: ModelDirectory, name: str, session: Any, *, windows: int = 0, length: int = 0) -> None:
    """Raises ModelError for a graph that takes one number of windows, or one number of frames, and no other.

    `windows` and `length` are the ones that may be fixed: where all are given so.
    """
    path = directory.path / name
    for one in session.get_inputs():
        shape: list[int | str | None] = list(one.shape)
        if any(isinstance(many, int) and many != windows for many in shape[:1]):
            raise ModelError(
                f"{path} takes {shape[0]} windows at a time and no other number; export it with a free one."
            )
        if any(isinstance(frames, int) and frames != length for frames in shape[1:2]):
            raise ModelError(
                f"{path} takes windows of {shape[1]} frames and of no other length; export it with a free one."
            )


def load_network(
    directory: ModelDirectory, runtime: Runtime | None, quick: Plan | None = None
) -> tuple[Network, Runtime]:
    """ONNX Runtime where it is installed and the graph is there, else TensorFlow; or the one asked for.

    Raises ModelError, and MissingExtra where TensorFlow is needed and not installed.
    """
    if runtime is not None and runtime not in RUNTIMES:
        raise ModelError(f"There is no runtime {runtime!r}. Known: {', '.join(RUNTIMES)}.")
    if runtime == "tensorflow":
        return KerasNetwork(directory), "tensorflow"
    onnx_there = directory.has(NETWORK_ONNX)
    if onnx_there and importlib.util.find_spec("onnxruntime") is not None:
        return OnnxNetwork(directory, quick), "onnxruntime"
    if runtime == "onnxruntime":
        why = "onnxruntime is not installed" if onnx_there else f"it has no {NETWORK_ONNX}"
        raise ModelError(f"{directory.path} cannot be served by ONNX Runtime: {why}.")
    return KerasNetwork(directory), "tensorflow"


def load_scaler(directory: ModelDirectory) -> Scaler | None:
    """The directory's scaler, or None when it has none. Raises ModelError, and MissingExtra for a pickle that nothing
    here can read."""
    if directory.has(SCALER_JSON):
        return Scaler.from_json(directory.read(SCALER_JSON))
    if directory.has(OLD_SCALER_PICKLE):
        return unpickled(directory.read(OLD_SCALER_PICKLE), directory.path / OLD_SCALER_PICKLE)
    if (directory.path / OLD_SCALER_PICKLE).is_file() and not (directory.path / SCALER_JSON).is_file():
        directory.read(OLD_SCALER_PICKLE)  # refuses, in words
    return None


def unpickled(data: bytes, path: Path) -> Scaler:
    """The old app's StandardScaler; reading it runs its code, for which its owner vouched.

    Raises ModelError for anything else, and MissingExtra without scikit-learn.
    """
    need_training(f"Reading {OLD_SCALER_PICKLE}", "sklearn", "joblib")
    import joblib  # type: ignore[import-untyped]  # it ships no types

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of another scikit-learn version: only two arrays are taken from it
            loaded = joblib.load(io.BytesIO(data))
        # One that was told to leave the mean or the spread alone knows it nevertheless, or knows none.
        mean = loaded.mean_ if loaded.with_mean else [0.0] * loaded.n_features_in_
        spread = loaded.scale_ if loaded.with_std else [1.0] * loaded.n_features_in_
        return Scaler.checked(mean, spread)
    except ModelError:
        raise
    except Exception as error:  # a pickle may raise anything
        raise ModelError(f"{path} is not a fitted StandardScaler: {error}") from error


def _session(directory: ModelDirectory, name: str, plan: Plan) -> Any:
    data = directory.read(name)
    try:
        import onnxruntime
    except ImportError as error:
        if isinstance(error.__cause__ or error.__context__, KeyboardInterrupt):  # Ctrl-C while it was loaded
            raise KeyboardInterrupt from None
        why = "is not installed" if isinstance(error, ModuleNotFoundError) else f"cannot be loaded: {error}"
        raise ModelError(f"{directory.path / name} needs onnxruntime, which {why}.") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if plan:
        with contextlib.suppress(Exception):  # a runtime that does not take the cheaper graph takes the exact one
            return onnxruntime.InferenceSession(quickened(data, plan), options, providers=["CPUExecutionProvider"])
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions share no public base
        raise ModelError(f"{directory.path / name} is not a network that ONNX Runtime can load.") from error
