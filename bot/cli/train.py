"""`undertone train`: a model directory from a folder of labelled recordings."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click
from rich.console import Console

from bot.cli.options import Named, written_to
from bot.cli.progress import Bar
from ser_engine.backends.process import keep_to_one_thread
from ser_engine.extras import need_training
from ser_engine.training.recipes import RECIPES

_INTERRUPTED = 130
SEED = click.IntRange(0, 2**32 - 1)
PACKAGES = ("tensorflow", "keras", "onnx", "sklearn")
"""What every recipe is built on."""


@click.command()
@click.option("--corpus", type=Named(), required=True, help="Folder with a table and recordings.")
@click.option("--out", type=Named(), required=True, help="Model directory to write.")
@click.option("--engine", default=None, help=f"{', '.join(RECIPES)}; the out directory's name unless given.")
@click.option("--seed", default=1, show_default=True, type=SEED, help="Decides everything that is drawn at random.")
@click.option("--epochs", type=click.IntRange(min=1), default=None, help="Passes over the corpus.")
@click.option("--units", type=click.IntRange(min=2), default=None, help="Width of the first recurrent layer.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Threads of TensorFlow.")
@click.option("--restart", is_flag=True, help="Begin anew, also where there is a finished model.")
def train(
    corpus: Path,
    out: Path,
    engine: str | None,
    seed: int,
    epochs: int | None,
    units: int | None,
    threads: int,
    restart: bool,
) -> None:
    """Train a model directory from labelled recordings.

    The folder holds a CSV table with the columns file, label and speaker (and optionally split), and the recordings;
    CREMA-D as it comes works too. Stopped with Ctrl-C, the same command goes on after the last finished epoch.
    """
    console = Console(stderr=True)
    # TensorFlow reads these when it is imported, which the recipe does.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    keep_to_one_thread()
    from ser_engine.training.corpus import read_corpus
    from ser_engine.training.recipes import TrainOptions, recipe

    options = TrainOptions(seed=seed, epochs=epochs, units=units, threads=threads, restart=restart)
    try:
        with written_to(out):
            need_training("Training an engine", *PACKAGES)
            read = read_corpus(corpus)
            name = engine or out.resolve().name
            console.print(
                f"{len(read.clips)} recordings of {len(read.speakers)} speakers; engine {name}", highlight=False
            )
            run = recipe(name)
            out.mkdir(parents=True, exist_ok=True)
            with Bar(console) as bar:
                run(read, out, options, bar)
    except KeyboardInterrupt:
        console.print("Stopped. The same command goes on after the last finished epoch.")
        sys.exit(_INTERRUPTED)
    said = f"Written to {out}. Measure it on whom it has not heard: undertone evaluate --corpus {corpus} --model {out}"
    console.print(said, highlight=False, soft_wrap=True)
