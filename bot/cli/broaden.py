"""`undertone broaden`: a trained engine taught with further corpora, ordinary speech and sounds."""

from __future__ import annotations

import os
from pathlib import Path

import click
from rich.console import Console

from bot.cli.options import Named, Number, written_to
from bot.cli.progress import Bar
from bot.cli.train import SEED
from ser_engine.backends.process import keep_to_one_thread

FOLDER = Named()
ORDINARY = click.option(
    "--ordinary", type=FOLDER, required=True, help="Folder of speech that nobody meant as emotional."
)
SOUNDS = click.option("--sounds", type=FOLDER, required=True, help="Folder of sounds without speech.")


@click.command()
@click.option("--model", required=True, help="The trained engine: name or directory.")
@click.option(
    *("--corpus", "corpora"),
    type=FOLDER,
    multiple=True,
    required=True,
    help="Folder of labelled recordings; may be given several times. The first is what the engine was trained on, and "
    "says who is held out.",
)
@ORDINARY
@SOUNDS
@click.option("--teacher", default=None, help="An engine whose answers are part of the targets.")
@click.option("--keep-head", is_flag=True, help="Leave the head as it is: only compare, and calibrate for strangers.")
@click.option(
    "--kept",
    default=0.25,
    show_default=True,
    type=Number(0, 1),
    help="How much of the head's weights is kept from before.",
)
@click.option(
    "--clear-ordinary",
    default=0.02,
    show_default=True,
    type=Number(0, 1),
    help="At most this share of left-out ordinary speech is called clear with an emotion.",
)
@click.option(
    "--context-temperature",
    default=None,
    type=Number(0.1, 10),
    help="The temperature in a call; the best one is looked for unless it is given.",
)
@click.option("--out", type=FOLDER, required=True, help="Model directory to write.")
@click.option("--seed", default=1, show_default=True, type=SEED, help="Decides everything that is drawn at random.")
@click.option("--restart", is_flag=True, help="Begin anew, also where there is a finished model.")
def broaden(
    model: str,
    corpora: tuple[Path, ...],
    ordinary: Path,
    sounds: Path,
    teacher: str | None,
    keep_head: bool,
    kept: float,
    clear_ordinary: float,
    context_temperature: float | None,
    out: Path,
    seed: int,
    restart: bool,
) -> None:
    """Teach a trained engine with further corpora, ordinary speech and sounds, and calibrate it for strangers.

    The encoder stays as it is; the head goes on learning, and a second one learns to compare a window with its
    speaker's earlier ones. What the encoder heard is kept in OUT/.training until the end.
    """
    console = Console(stderr=True)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    keep_to_one_thread()
    from ser_engine.models import find_model
    from ser_engine.training.broaden import BroadenSettings
    from ser_engine.training.broaden import broaden as run
    from ser_engine.training.corpus import read_corpus
    from ser_engine.training.material import Material
    from ser_engine.training.refine import RefineSettings

    refining = RefineSettings(epochs=0) if keep_head else RefineSettings(kept=kept)
    settings = BroadenSettings(refine=refining, clear_ordinary=clear_ordinary, inside=context_temperature)
    with written_to(out):
        material = Material(corpora=[read_corpus(one) for one in corpora], ordinary=ordinary, sounds=sounds)
        with Bar(console) as bar:
            run(
                *(find_model(model), material, out),
                teacher=find_model(teacher) if teacher else None,
                settings=settings,
                seed=seed,
                restart=restart,
                progress=bar,
            )
    console.print(f"Written to {out}.", highlight=False)
