"""`undertone analyze`: how audio files sound, a line a window and a summary. Standard output is a program's."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ser_engine.backends.process import keep_to_one_thread
from ser_engine.errors import AudioError, EngineError
from ser_engine.refusals import refusal, too_large

if TYPE_CHECKING:
    from ser_engine.analysis import Analysis
    from ser_engine.recognizer import Recognizer
    from ser_engine.types import Prediction

_REASONS = {
    "unsure": "unsure",
    "no_speech": "no speech",
    "too_short": "too little speech",
    "clipped": "clipped",
}


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE…")
@click.option("--model", default="default", show_default=True, help="Name or directory of the model.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a file, each on a line.")
def analyze(files: Sequence[Path], model: str, as_json: bool) -> None:
    """Tell how audio files sound: wav, mp3, webm, ogg, flac or m4a, up to 25 MB and 10 minutes each.

    A file that cannot be analysed is said so, the others go on, and the exit status is 1.
    """
    keep_to_one_thread()  # read when numpy is loaded, which is now
    from ser_engine.recognizer import Recognizer

    try:
        recognizer = Recognizer.load(model)
    except EngineError as error:
        raise click.ClickException(str(error)) from error
    failed = False
    with _counted(files) as names:
        for path in names:
            try:
                analysis = analysis_of(path, recognizer)
            except AudioError as error:
                failed = True
                click.echo(_json_error(path, error) if as_json else f"{path}: {error}")
                continue
            click.echo(_json(path, analysis) if as_json else "\n".join(_lines(path, analysis)))
    if failed:
        raise SystemExit(1)


def analysis_of(path: Path, recognizer: Recognizer) -> Analysis:
    """Raises AudioError."""
    from ser_engine.analysis import summed_up
    from ser_engine.audio import DEFAULT_LIMITS, windows_of

    try:
        with path.open("rb") as stream:  # a device or a pipe states no size
            data = stream.read(DEFAULT_LIMITS.max_bytes + 1)
    except OSError as error:
        raise refusal("unreadable", reason=error.strerror) from error
    if len(data) > DEFAULT_LIMITS.max_bytes:
        raise too_large()
    windows = list(windows_of(data, filename=path.name))
    return summed_up(zip(windows, recognizer.predict(windows, {}), strict=True))


@contextmanager
def _counted(files: Sequence[Path]) -> Iterator[Iterator[Path]]:
    """The files, with a bar on standard error when there are several and a person looks on."""
    from rich.console import Console

    from bot.cli.progress import Bar

    console = Console(stderr=True)
    if len(files) < 2 or not console.is_terminal:
        yield iter(files)
        return
    with Bar(console) as bar:
        bar.stage("files", len(files))

        def each() -> Iterator[Path]:
            for path in files:
                yield path
                bar.advance()

        yield each()


def _lines(path: Path, analysis: Analysis) -> list[str]:
    windows = [
        f"  {window.start_s:6.1f} to {window.end_s:6.1f} s  {_words(prediction)}"
        for window, prediction in analysis.windows
    ]
    summary = analysis.summary
    if summary.reason == "no_speech":
        return [f"{path}:", *windows, f"  {'summary':<18}  {_words(summary)}"]
    spread = ", ".join(f"{label} {p:.0%}" for label, p in sorted(summary.probabilities.items(), key=lambda x: -x[1]))
    return [f"{path}:", *windows, f"  {'summary':<18}  {_words(summary)} ({spread})"]


def _words(prediction: Prediction) -> str:
    said = f"sounds {prediction.emotion.lower()}, {prediction.confidence:.0%}"
    if prediction.reason == "no_speech":
        return "unclear: no speech"
    return f"unclear: {_REASONS.get(prediction.reason or '', 'unsure')} ({said})" if prediction.unclear else said


def _json(path: Path, analysis: Analysis) -> str:
    windows = [
        {"start_s": round(window.start_s, 3), "end_s": round(window.end_s, 3), **_fields(prediction)}
        for window, prediction in analysis.windows
    ]
    return json.dumps({"file": str(path), "windows": windows, "summary": _fields(analysis.summary)}, ensure_ascii=False)


def _fields(prediction: Prediction) -> dict[str, Any]:
    return {
        "emotion": prediction.emotion,
        "confidence": round(prediction.confidence, 6),
        "unclear": prediction.unclear,
        "reason": prediction.reason,
        "probabilities": {label: round(p, 6) for label, p in prediction.probabilities.items()},
    }


def _json_error(path: Path, error: AudioError) -> str:
    return json.dumps({"file": str(path), "error": str(error), "code": error.code}, ensure_ascii=False)
