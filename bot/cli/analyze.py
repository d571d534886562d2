"""`undertone analyze`: how recordings sound, a line a window and a summary. Standard output is a program's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from bot.cli.options import Named, write_whole
from bot.cli.recordings import each, opened, shown, size_of
from ser_engine.backends.process import keep_to_one_thread
from ser_engine.errors import AudioError, EngineError

if TYPE_CHECKING:
    from bot.cli.progress import Bar
    from ser_engine.analysis import Analysis
    from ser_engine.recognizer import Recognizer

_ANY_FILE: Final = Named(allow_dash=True, readable=False)
"""One that cannot be read is refused in its turn, like any other, and the rest go on."""
_LONG_BYTES: Final = 5 * 1024 * 1024
"""A file of this size takes long enough for a bar."""


@click.command()
@click.argument("files", nargs=-1, required=True, type=_ANY_FILE, metavar="FILE…")
@click.option("--model", default="default", show_default=True, help="Name or directory of the model.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a file, each on a line.")
@click.option("--csv", "as_csv", is_flag=True, help="Print a table with a row for each window of 3 s.")
@click.option("--picture", type=Named(dir_okay=False), help="Draw the strips into this SVG file.")
def analyze(files: Sequence[Path], model: str, as_json: bool, as_csv: bool, picture: Path | None) -> None:
    """Tell how recordings sound: any audio file, and the sound of any video, of any length.

    FILE may be a folder, which stands for the recordings in it, or - for standard input. A file that cannot be analysed
    is said so, the others go on, and the exit status is 1.
    """
    keep_to_one_thread()  # read when numpy is loaded, which is now
    from bot.cli import answers
    from ser_engine.recognizer import Recognizer

    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other.")
    if picture is not None and not picture.absolute().parent.is_dir():
        raise click.ClickException(f"There is no folder {shown(picture.absolute().parent)} to write the picture into.")
    try:
        recognizer = Recognizer.load(model)
    except EngineError as error:
        raise click.ClickException(str(error)) from error
    form = answers.Json() if as_json else answers.Csv(recognizer.info.labels) if as_csv else answers.Text()
    drawn: list[tuple[str, Analysis]] = []
    failed = False
    paths = each(files)
    if picture is not None and any(_is_same(path, picture) for path in paths):
        raise click.ClickException(f"{shown(picture)} is one of the recordings; name another file for the picture.")
    with _watched(paths) as bar:
        for path in paths:
            try:
                analysis = analysis_of(path, recognizer, bar)
            except AudioError as error:
                failed = True
                with _beside(bar):
                    form.refused(path, error)
                continue
            with _beside(bar):
                form.answered(path, analysis)
            if picture is not None:
                drawn.append((shown(Path(path.name)), analysis))
    if picture is not None:
        _draw(picture, drawn, recognizer)
    if failed:
        raise SystemExit(1)


def _is_same(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except OSError:  # one of them is not there
        return False


def analysis_of(path: Path, recognizer: Recognizer, bar: Bar | None = None) -> Analysis:
    """What a file sounds like, whatever its length; its samples are not kept. Raises AudioError."""
    from ser_engine.analysis import analysed, summed_up
    from ser_engine.audio import windows_of
    from ser_engine.limits import NO_LIMITS

    if bar is not None:
        bar.stage(shown(Path(path.name)), size_of(path))
    with opened(path, bar.advance if bar is not None else lambda _: None) as source:
        windows = windows_of(source, filename=path.name, limits=NO_LIMITS)
        return summed_up(analysed(recognizer, windows))


@contextmanager
def _watched(paths: Sequence[Path]) -> Iterator[Bar | None]:
    """A bar on standard error when there is something to wait for and a person looks on."""
    from rich.console import Console

    from bot.cli.progress import Bar

    console = Console(stderr=True)
    long = len(paths) > 1 or any((size_of(path) or _LONG_BYTES) >= _LONG_BYTES for path in paths)
    if not (long and console.is_terminal):
        yield None
        return
    with Bar(console, transient=True) as bar:
        yield bar


def _beside(bar: Bar | None) -> AbstractContextManager[None]:
    """An answer is printed where the bar stands, when both go to one terminal."""
    return nullcontext() if bar is None else bar.away()


def _draw(picture: Path, drawn: Sequence[tuple[str, Analysis]], recognizer: Recognizer) -> None:
    from bot.cli.strip import strips

    try:
        write_whole(picture, strips(drawn, labels=recognizer.info.labels))
    except OSError as error:
        raise click.ClickException(f"The picture cannot be written to {shown(picture)}: {error.strerror}.") from error
