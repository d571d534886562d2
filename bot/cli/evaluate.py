"""`undertone evaluate`: how well models recognise, on recordings of people they were not trained on."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource
from rich.console import Console
from rich.markdown import Markdown

from bot.cli.options import Named, write_whole, written_to
from bot.cli.progress import Bar
from ser_engine.backends.process import keep_to_one_thread
from ser_engine.errors import CorpusError, EngineError

if TYPE_CHECKING:
    from ser_engine.models import Manifest
    from ser_engine.recognizer import Recognizer
    from ser_engine.training.corpus import Corpus

_CONDITIONS = ("clean", "opus", "gain", "noise", "loss", "short")


@click.command()
@click.option("--corpus", type=Named(), required=True, help="Folder with a table and recordings.")
@click.option(
    "--actors",
    default="validation",
    show_default=True,
    help="validation, train, test, all, or speakers by name: 1001,1002. Where the table states no split, validation is "
    "whom the models held out when they were trained on it, and everybody when they were not.",
)
@click.option(
    "--condition",
    "conditions",
    type=click.Choice((*_CONDITIONS, "all")),
    multiple=True,
    default=("clean",),
    show_default=True,
    help="What the recordings are put through; may be given several times.",
)
@click.option(
    *("--model", "models"),
    multiple=True,
    default=("default",),
    show_default=True,
    help="Name or directory; may be given several times.",
)
@click.option("--call", "in_call", is_flag=True, help="In calls: after 0, 4, 8 and 16 others of the speaker.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@click.option("--out", type=Named(), default=None, help="Folder for the report and its pictures.")
@click.option("--record", "keep", is_flag=True, help="Write the figures into each model's model.json.")
def evaluate(
    corpus: Path,
    actors: str,
    conditions: tuple[str, ...],
    models: tuple[str, ...],
    in_call: bool,
    as_json: bool,
    out: Path | None,
    keep: bool,
) -> None:
    """Measure models on recordings: UAR, accuracy, macro F1, calibration, risk against coverage, slices, and the
    crowd's own rates on the same recordings, with 95 % intervals by bootstrap over the speakers.

    Figures on speakers that a model was trained on say nothing; the default is the corpus's validation speakers.
    With --call, each recording comes after others of its speaker, a fifth, three fifths or nine tenths of them neutral.
    A folder whose table has no label (ordinary speech, sounds) is measured by what is called clear with an emotion.
    """
    keep_to_one_thread()
    from ser_engine.training.unlabelled import has_labels

    try:
        labelled = has_labels(corpus)
    except EngineError as error:
        raise click.ClickException(str(error)) from error
    if in_call or not labelled:
        _refuse_unused(in_call=in_call)
        _print_beside(corpus, actors, models, in_call=in_call, as_json=as_json)
        return
    from ser_engine.training.corpus import read_corpus
    from ser_engine.training.report import build, record, warnings

    console = Console(stderr=True)
    asked = _CONDITIONS if "all" in conditions else tuple(dict.fromkeys(conditions))
    try:
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.ClickException(f"There can be no folder {out}: {error.strerror}.") from error
    try:
        read = read_corpus(corpus)
        loaded = _loaded(models)
        chosen = _chosen(read, actors, [one.manifest for one in loaded])
        about = {
            "command": _command(corpus, actors, conditions, models),
            "corpus": chosen.name,
            "actors": list(chosen.speakers),
            "clips": len(chosen.clips),
            "speakers": len(chosen.speakers),
        }
        with Bar(console) as bar:
            report = build(loaded, chosen.clips, asked, about=about, progress=bar)
        for one in loaded if keep else ():
            record(report, one.directory.path)
    except EngineError as error:
        raise click.ClickException(str(error)) from error
    _give(report, out, as_json=as_json)
    _warn([*warnings(report), *_trained_on(chosen, loaded)])


def _loaded(models: Sequence[str]) -> list[Recognizer]:
    """Each of `models` once. Raises ModelError, and CorpusError where a report could not tell two of them apart."""
    from ser_engine.models import find_model
    from ser_engine.recognizer import Recognizer

    loaded = [Recognizer.load(path) for path in dict.fromkeys(find_model(name).resolve() for name in models)]
    names = [one.info.name for one in loaded]
    if len(set(names)) < len(names):
        raise CorpusError("Two of the models are in directories of the same name; rename one.")
    return loaded


def _give(report: dict[str, Any], out: Path | None, *, as_json: bool) -> None:
    """Keep the report with its pictures in the folder `out`, and print it, also when it cannot be kept."""
    from ser_engine.training.pictures import pictures
    from ser_engine.training.report import to_markdown

    markdown, text = to_markdown(report), json.dumps(report, indent=2, ensure_ascii=False)
    try:
        if out is not None:
            with written_to(out):
                for name, content in {"report.md": markdown, "report.json": f"{text}\n", **pictures(report)}.items():
                    write_whole(out / name, content)
    finally:
        if as_json:
            click.echo(text)
        elif sys.stdout.isatty():
            Console().print(Markdown(markdown))
        else:
            click.echo(markdown)


def _refuse_unused(*, in_call: bool) -> None:
    """Raises UsageError for what would change nothing in calls, or of recordings without labels."""
    unused = {"conditions": "--condition", "out": "--out", "keep": "--record"} | (
        {} if in_call else {"actors": "--actors"}
    )
    context = click.get_current_context()
    given = [word for name, word in unused.items() if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    if given:
        where = "with --call" if in_call else "where the table has no labels"
        raise click.UsageError(f"{', '.join(given)} cannot be used {where}.")


def _print_beside(corpus: Path, actors: str, models: tuple[str, ...], *, in_call: bool, as_json: bool) -> None:
    """Figures in calls, or of recordings without labels, on the standard output."""
    from ser_engine.training import calls, unlabelled
    from ser_engine.training.corpus import read_corpus

    found: dict[str, Any] = {}
    known: list[tuple[str, str]] = []
    try:
        loaded = _loaded(models)
        with Bar(Console(stderr=True)) as bar:
            if in_call:
                chosen = _chosen(read_corpus(corpus), actors, [one.manifest for one in loaded])
                found = {one.info.name: calls.measure_calls(one, chosen.clips, progress=bar) for one in loaded}
                known = _trained_on(chosen, loaded)
            else:
                read = unlabelled.read_unlabelled(corpus)
                found = {one.info.name: unlabelled.measure_unlabelled(one, read, bar) for one in loaded}
                groups = {one.group for one in read}
                known = [
                    (one.info.name, f"trained on {', '.join(heard)}, so what it says of them is no figure of strangers")
                    for one in loaded
                    if (heard := sorted(groups & _further(one.manifest)))
                ]
    except EngineError as error:
        raise click.ClickException(str(error)) from error
    table = calls.to_markdown if in_call else unlabelled.to_markdown
    text = [f"## {name}\n\n{table(figures)}" for name, figures in found.items()]
    click.echo(json.dumps(found, indent=2) if as_json else "\n".join(text))
    _warn(known)


def _warn(known: Iterable[tuple[str, str]]) -> None:
    for where, warning in known:
        Console(stderr=True).print(f"Warning ({where}): {warning}.", style="bold", soft_wrap=True, highlight=False)


def _trained_on(chosen: Corpus, loaded: Sequence[Recognizer]) -> list[tuple[str, str]]:
    """Each model that has heard some of `chosen` in training, and a warning."""
    return [(one.info.name, f"trained on {heard}") for one in loaded if (heard := _heard(chosen, one.manifest))]


def _chosen(corpus: Corpus, actors: str, models: Sequence[Manifest]) -> Corpus:
    """The recordings that `actors` names. Raises CorpusError.

    Where the table states no split, who is held out was drawn at training time and stands in the model.
    """
    from ser_engine.training.split import choose

    drawn = [set(held) for one in models if (held := _held_out(corpus, one)) is not None]
    if actors != "validation" or not drawn or any(clip.split for clip in corpus.clips):
        return choose(corpus, actors)
    shared = set.intersection(*drawn) & set(corpus.speakers)
    if not shared:
        raise CorpusError("No speaker was held out by all of these models; measure them one by one.")
    return corpus.of_speakers(shared)


def _heard(chosen: Corpus, model: Manifest) -> str:
    """Whom of `chosen` the model heard in training, in words; empty when nobody."""
    held_out = [] if chosen.name in _further(model) else _held_out(chosen, model)
    if held_out is None:
        return ""
    heard = {clip.speaker for clip in chosen.clips if clip.split in (None, "train")} - set(held_out)
    return f"{len(heard)} of these {len(chosen.speakers)} speakers, so its figures are worth nothing" if heard else ""


def _further(model: Manifest) -> set[str]:
    """The corpora, and the kinds of sound, that a model was broadened with as a whole."""
    broadened = model.training.get("broadened")
    corpora = broadened.get("corpora") if isinstance(broadened, dict) else None
    named = corpora if isinstance(corpora, dict) else {}
    return {str(name) for part in ("further", "ordinary", "sounds") for name in named.get(part) or ()}


def _held_out(corpus: Corpus, model: Manifest) -> list[str] | None:
    """The speakers whom a model trained on `corpus` has not heard; None when it was trained on something else."""
    held_out = model.training.get("held_out_speakers")
    same = model.training.get("corpus") == corpus.name
    return [str(name) for name in held_out] if same and isinstance(held_out, list) else None


def _command(corpus: Path, actors: str, conditions: tuple[str, ...], models: tuple[str, ...]) -> str:
    """The command that makes this report, with the corpus by its folder's name."""
    words = ["undertone", "evaluate", "--corpus", corpus.resolve().name, "--actors", actors]
    words += [word for name in conditions for word in ("--condition", name)]
    words += [word for name in models for word in ("--model", Path(name).name)]
    return shlex.join(words)
