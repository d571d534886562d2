"""The Keras layers of Undertone's own that its newer engines use, each with a twin in `ser_engine.training.export`.

Both honour the mask exactly, so that a clip gives the same answer whatever it was padded to: a plain Keras Conv1D does
not (it reads what its predecessor made of the padding, and `same` with a stride shifts with the length's parity).

Importing this module imports Keras; whoever loads a `network.keras` that holds one of these imports it first.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="undertone")
class PaddedConv1D(keras.layers.Layer):  # type: ignore[misc]  # keras ships no types
    """A strided convolution over (batch, time, width) that sees zeros before and after each row's true steps.

    A row of n steps becomes ceil(n / stride) steps; the mask follows.
    """

    def __init__(
        self, filters: int, kernel_size: int, *, stride: int = 1, activation: str | None = None, **kwargs: Any
    ) -> None:
        if kernel_size % 2 == 0:
            raise ValueError("kernel_size must be odd, so that both sides are padded alike")
        super().__init__(**kwargs)
        self.filters, self.kernel_size, self.stride, self.activation = filters, kernel_size, stride, activation
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        self.kernel = self.add_weight(
            name="kernel", shape=(self.kernel_size, input_shape[-1], self.filters), initializer="he_normal"
        )
        self.bias = self.add_weight(name="bias", shape=(self.filters,), initializer="zeros")
        super().build(input_shape)

    def call(self, inputs: Any, mask: Any = None) -> Any:
        if mask is not None:
            inputs = ops.where(mask[:, :, None], inputs, 0.0)
        pad = self.kernel_size // 2
        padded = ops.pad(inputs, [[0, 0], [pad, pad], [0, 0]])
        out = ops.conv(padded, self.kernel, strides=self.stride, padding="valid") + self.bias
        return keras.activations.get(self.activation)(out)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return None if mask is None else mask[:, :: self.stride]

    def compute_output_shape(self, input_shape: Any) -> Any:
        steps = input_shape[1]
        return (input_shape[0], None if steps is None else -(-steps // self.stride), self.filters)

    def get_config(self) -> dict[str, Any]:
        own = {"filters": self.filters, "kernel_size": self.kernel_size}
        return {**super().get_config(), **own, "stride": self.stride, "activation": self.activation}


@keras.saving.register_keras_serializable(package="undertone")
class AttentiveStatistics(keras.layers.Layer):  # type: ignore[misc]  # keras ships no types
    """Mean and standard deviation over time, weighted by attention: (batch, time, width) → (batch, 2 · width).

    After Okabe, Koshinaka and Shinoda, "Attentive Statistics Pooling for Deep Speaker Embedding", 2018.
    """

    def __init__(self, hidden: int = 64, *, epsilon: float = 1e-5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.hidden, self.epsilon = hidden, epsilon
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        self.kernel = self.add_weight(name="kernel", shape=(input_shape[-1], self.hidden))
        self.bias = self.add_weight(name="bias", shape=(self.hidden,), initializer="zeros")
        self.score = self.add_weight(name="score", shape=(self.hidden, 1))
        super().build(input_shape)

    def call(self, inputs: Any, mask: Any = None) -> Any:
        scores = ops.matmul(ops.tanh(ops.matmul(inputs, self.kernel) + self.bias), self.score)
        if mask is not None:
            inside = mask[:, :, None]
            scores = ops.where(inside, scores, -1e9)
            inputs = ops.where(inside, inputs, 0.0)
        share = ops.softmax(scores, axis=1)
        mean = ops.sum(share * inputs, axis=1)
        variance = ops.sum(share * ops.square(inputs - mean[:, None, :]), axis=1)
        return ops.concatenate([mean, ops.sqrt(variance + self.epsilon)], axis=-1)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return None

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (input_shape[0], 2 * input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "hidden": self.hidden, "epsilon": self.epsilon}
