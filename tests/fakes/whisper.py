"""An encoder of Whisper's shape with weights drawn at random: the real ones are needed for training alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ser_engine.training import whisper


def made_tensors(layers: int = 2) -> dict[str, NDArray[np.float32]]:
    """Weights by their names in the file, for `layers` layers."""
    rng = np.random.default_rng(0)

    def draw(*shape: int, size: float = 0.05) -> NDArray[np.float32]:
        return (rng.standard_normal(shape) * size).astype(np.float32)

    wide = whisper.WIDTH
    tensors = {"conv1/weight": draw(wide, 80, 3), "conv1/bias": draw(wide), "conv2/bias": draw(wide)}
    tensors |= {"conv2/weight": draw(wide, wide, 3), "position_encodings/encodings": draw(1500, wide, size=0.5)}
    for layer in range(layers):
        for name, shape in (
            *(("self_attention/linear_0", (3 * wide, wide)), ("self_attention/linear_1", (wide, wide))),
            *(("ffn/linear_0", (4 * wide, wide)), ("ffn/linear_1", (wide, 4 * wide))),
        ):
            tensors[f"layer_{layer}/{name}/weight"] = draw(*shape)
            tensors[f"layer_{layer}/{name}/bias"] = draw(shape[0])
        for part in ("self_attention", "ffn"):
            tensors[f"layer_{layer}/{part}/layer_norm/gamma"] = 1 + draw(wide)
            tensors[f"layer_{layer}/{part}/layer_norm/beta"] = draw(wide)
    return tensors
