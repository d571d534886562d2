"""The Keras layer of Undertone's own that `default` and `fast` use; it has a twin in `ser_engine.training.export`.

Importing this module imports Keras; whoever loads a `network.keras` that holds the layer imports it first.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="undertone")
class AttentiveStatistics(keras.layers.Layer):  # type: ignore[misc]  # keras ships no types
    """Mean and standard deviation over time, weighted by attention: (batch, time, width) → (batch, 2 · width).

    It honours the mask exactly, so that a clip gives the same answer whatever it was padded to.
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
