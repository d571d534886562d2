"""The progress bar of long commands, on standard error so that standard output stays a program's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn


class Bar:
    """A bar for the stage at hand; what is to be kept is printed above it. Implements `recipes.Progress`.

    `transient`: nothing of it stays when it ends. What is shown may hold brackets, as names of files do.
    """

    def __init__(self, console: Console, *, transient: bool = False) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=transient,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._progress.stop()

    def stage(self, text: str, total: int | None) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(text, total=total)

    def advance(self, steps: int = 1) -> None:
        if self._task is not None:
            self._progress.advance(self._task, steps)

    def note(self, text: str) -> None:
        self._progress.console.print(text, highlight=False, markup=False)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Something is printed elsewhere on the same terminal: a transient bar is taken away for it."""
        self._progress.stop()
        try:
            yield
        finally:
            self._progress.start()
