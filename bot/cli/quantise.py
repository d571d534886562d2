"""`undertone quantise`: an engine whose encoder computes in bytes."""

from __future__ import annotations

import os
from pathlib import Path

import click
from rich.console import Console

from bot.cli.broaden import FOLDER, ORDINARY, SOUNDS
from bot.cli.options import written_to
from bot.cli.progress import Bar
from bot.cli.train import SEED
from ser_engine.backends.process import keep_to_one_thread


@click.command()
@click.option("--model", required=True, help="The engine: name or directory.")
@click.option(
    *("--corpus", "labelled"),
    type=FOLDER,
    required=True,
    help="Folder of labelled recordings; nobody is heard who is held out.",
)
@ORDINARY
@SOUNDS
@click.option("--out", type=FOLDER, required=True, help="Model directory to write.")
@click.option("--seed", default=1, show_default=True, type=SEED, help="Decides everything that is drawn at random.")
@click.option("--restart", is_flag=True, help="Begin anew, also where there is a finished model.")
def quantise(
    model: str,
    labelled: Path,
    ordinary: Path,
    sounds: Path,
    out: Path,
    seed: int,
    restart: bool,
) -> None:
    """Make an engine's encoder compute in bytes, which is about half of the work.

    The recordings only show what numbers it works with: no label is looked at, and whatever stands behind the encoder
    stays as it is.
    """
    console = Console(stderr=True)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    keep_to_one_thread()
    from ser_engine.models import find_model
    from ser_engine.training.corpus import read_corpus
    from ser_engine.training.material import Material
    from ser_engine.training.quantise import quantise as run

    with written_to(out):
        material = Material(corpora=[read_corpus(labelled)], ordinary=ordinary, sounds=sounds)
        with Bar(console) as bar:
            run(find_model(model), material, out, seed=seed, restart=restart, progress=bar)
    console.print(f"Written to {out}. Now run: undertone model quicken {out}", highlight=False)
