"""`undertone crossvalidate`: what a recipe, or a change of it, is worth on speakers that it did not hear."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from bot.cli.options import Named, written_to
from bot.cli.progress import Bar
from bot.cli.train import PACKAGES, SEED
from ser_engine.backends.process import keep_to_one_thread
from ser_engine.errors import EngineError
from ser_engine.extras import need_training
from ser_engine.training.recipes import RECIPES


@click.command()
@click.option("--corpus", type=Named(), required=True, help="Folder with a table and recordings.")
@click.option("--engine", type=click.Choice(sorted(RECIPES)), default="default", show_default=True)
@click.option("--folds", default=4, show_default=True, type=click.IntRange(2, 20), help="Groups of speakers.")
@click.option("--sentences", is_flag=True, help="Hold out sentences as well as speakers.")
@click.option("--set", "changes", multiple=True, metavar="NAME=VALUE", help="Change the recipe: votes_share=0.5.")
@click.option("--seed", default=1, show_default=True, type=SEED, help="Decides the folds and all that is random.")
@click.option("--work", type=Named(), required=True, help="Folder for what can be used again.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def crossvalidate(
    corpus: Path,
    engine: str,
    folds: int,
    sentences: bool,
    changes: tuple[str, ...],
    seed: int,
    work: Path,
    as_json: bool,
) -> None:
    """Train a recipe once for each group of speakers, and measure it on that group.

    Compare the figures of two runs that differ in one --set. Shorter trainings (--set stages.epochs=3) tell which way
    is better long before they tell how good it gets. Only the corpus's training speakers train, so that the others can
    judge what was chosen; its validation speakers are asked as well, to see whether they are easier than most.
    """
    console = Console(stderr=True)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    keep_to_one_thread()
    try:
        need_training("Comparing recipes", *PACKAGES)
    except EngineError as error:
        raise click.ClickException(str(error)) from error
    from ser_engine.training import crossval, variable
    from ser_engine.training.corpus import read_corpus
    from ser_engine.training.metrics import rounded
    from ser_engine.training.seed import one_thread_each

    one_thread_each(1)
    with written_to(work):
        recipe = variable.vary(variable.recipe_of(engine), changes)
        with Bar(console) as bar:
            found = crossval.cross_validate(
                *(recipe, read_corpus(corpus)),
                count=folds,
                hold_out_sentences=sentences,
                seed=seed,
                work=work,
                progress=bar,
            )
    if as_json:
        click.echo(json.dumps(rounded(found)))
        return
    title = f"{engine}, {folds} folds of {found['speakers']} speakers" + (", sentences held out" if sentences else "")
    table = Table("heard", "recordings", "answers", "UAR, four", "UAR, five", "temperature", title=title)
    for figure in found["figures"]:
        shown = (_with_interval(figure[many], figure[f"{many}_interval"]) for many in ("four", "five"))
        counted, temperature = str(figure["clips"]), f"{figure['temperature']:.2f}"
        table.add_row(figure["view"], figure["recordings"], counted, *shown, temperature)
    Console().print(table)


def _with_interval(value: float | None, interval: tuple[float, float] | None) -> str:
    return "–" if value is None or interval is None else f"{value:.3f} ({interval[0]:.3f} to {interval[1]:.3f})"
