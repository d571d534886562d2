"""What the options of several commands have in common."""

from __future__ import annotations

import errno
import math
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import click

from ser_engine.errors import EngineError

_ONLY_IN_PLACE: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY})
"""Of a folder that is closed to this user, and of a single file that a container was given."""


class Number(click.FloatRange):
    """A number within bounds. Python reads *nan* and *inf* as numbers too, and no comparison refuses *nan*."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is not a number that can be counted with.", param, ctx)
        return number


class Named(click.Path):
    """A file or a folder. An empty name, as of a variable that is not set, is refused: it is the folder at hand."""

    def __init__(self, **options: Any) -> None:
        super().__init__(path_type=Path, **options)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("An empty name is no file's and no folder's.", param, ctx)
        return super().convert(value, param, ctx)


@contextmanager
def written_to(folder: Path) -> Iterator[None]:
    """Raises ClickException in words for the engine's errors, and for a `folder` or a file that cannot be used."""
    try:
        yield
    except EngineError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        what = f"{folder} cannot be written"
        if error.filename is not None:  # it may have been read
            what = f"{os.fsdecode(error.filename)} cannot be read or written"
        raise click.ClickException(f"{what}: {error.strerror or error}.") from error


def write_whole(path: Path, text: str) -> None:
    """Write `path` beside its place, then move it there: a full disk or Ctrl-C leaves what was there, and no part.

    Raises OSError.
    """
    if _is_output(path):  # /dev/stdout: another file in its place would lose what was printed there
        click.echo(text.encode(), nl=False)
        return
    if path.exists() and not path.is_file():  # a device or a pipe
        path.write_text(text, encoding="utf-8")
        return
    path = path.resolve()  # a link goes on pointing there
    draft = path.with_name(f".undertone-{os.getpid()}.draft")
    try:
        draft.touch()
        if path.exists():  # first its rights: nobody else reads the new one meanwhile, and a read-only one stays
            shutil.copymode(path, draft)
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    except BaseException as error:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        if not (isinstance(error, OSError) and error.errno in _ONLY_IN_PLACE and path.is_file()):
            raise
        path.write_text(text, encoding="utf-8")


def _is_output(path: Path) -> bool:
    """Whether it is what standard output goes to."""
    try:
        return os.path.samestat(path.stat(), os.fstat(sys.stdout.fileno()))
    except (AttributeError, OSError, ValueError):  # it is closed, or no file of the system's; there is no such path
        return False
