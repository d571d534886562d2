"""The fast engine: Whisper's convolutions and first layer at half the rate, a small BiLSTM, taught by the default one.

It answers in half of the default engine's time and has a third of its size: for small hosts, and for hundreds of
people talking. What it cannot learn from four thousand clips it learns from the larger engine's answers to them. A
network of its own shape from scratch (strided convolutions before the BiLSTM) was tried first and stayed far behind:
`docs/experiments.md`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ser_engine.training import tuned
from ser_engine.training.corpus import Corpus
from ser_engine.training.finetune import FineTuneSettings
from ser_engine.training.recipes import Progress, TrainOptions

RECIPE: Final = tuned.TunedRecipe(
    name="fast",
    layers=1,
    halved=True,
    units=64,
    stages=FineTuneSettings(epochs=16, encoder_rate=1e-4),
    views=8,
    as_recorded=(0.25,),
    teacher="default",
)


def train(corpus: Corpus, out: Path, options: TrainOptions, progress: Progress) -> None:
    """Train on `corpus` and write a model directory to `out`. See `recipes.Recipe`."""
    tuned.train(RECIPE, corpus, out, options, progress)
