"""The default engine: three of Whisper tiny.en's layers, trained along, and a BiLSTM with attentive pooling after them.

The method is in `tuned.py`; what was tried, and what it gave on speakers held out, in `docs/experiments.md`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ser_engine.training import tuned
from ser_engine.training.corpus import Corpus
from ser_engine.training.finetune import FineTuneSettings
from ser_engine.training.recipes import Progress, TrainOptions

RECIPE: Final = tuned.TunedRecipe(
    name="default",
    layers=3,
    units=96,
    # The second, gentler cycle begins with the first view from cleaned recordings.
    stages=FineTuneSettings(epochs=8, cycles=2, later_epochs=6),
    views=4,
    as_recorded=(0.33, 0.2),
    smoothing=0.05,
    speeds=(0.97, 1.03),
    # By cross-validation the nine held-out speakers of CREMA-D are easier than its others: `docs/experiments.md`.
    caution=1.05,
)


def train(corpus: Corpus, out: Path, options: TrainOptions, progress: Progress) -> None:
    """Train on `corpus` and write a model directory to `out`. See `recipes.Recipe`."""
    tuned.train(RECIPE, corpus, out, options, progress)
