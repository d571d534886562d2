"""The fast engine: pruned convolutions, two of Whisper's layers at a quarter of the rate, a small BiLSTM, taught by the
default one.

It answers in a third of the default engine's time: for small hosts, and for hundreds of people talking. What it cannot
learn from four thousand clips it learns from the larger engine: from its answers to them, and from its layers, where it
begins. A network of its own shape from scratch (strided convolutions before the BiLSTM) was tried first and stayed far
behind: `docs/experiments.md`.
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
    layers=2,
    channels=256,
    units=64,
    stages=FineTuneSettings(epochs=16, encoder_rate=1e-4),
    views=8,
    as_recorded=(0.25,),
    teacher="default",
    from_teacher=True,
)


def train(corpus: Corpus, out: Path, options: TrainOptions, progress: Progress) -> None:
    """Train on `corpus` and write a model directory to `out`. See `recipes.Recipe`."""
    tuned.train(RECIPE, corpus, out, options, progress)
