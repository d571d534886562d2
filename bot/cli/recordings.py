"""Recordings as a command line names them: files, folders, standard input, of any length and under any name."""

from __future__ import annotations

import io
import os
import re
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from ser_engine.guess import indexless
from ser_engine.limits import DEFAULT_LIMITS
from ser_engine.refusals import refusal

STDIN: Final = Path("-")
_HELD_BYTES: Final = 64 * 1024 * 1024
"""So much of a pipe is held, so that a file whose index stands at its end can be read from one."""

_NO_TEXT: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff]")
"""Control characters and ends of lines, and what XML does not hold."""

Source = bytes | BinaryIO


def shown(path: Path) -> str:
    """A name that every output can hold, on one line: what is no text in it, or moves a cursor, is an escape."""
    if path == STDIN:
        return "standard input"
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return _NO_TEXT.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def each(paths: Sequence[Path]) -> list[Path]:
    """The files that are meant: a folder stands for the recordings in it, by their names.

    Folders in it that may not be looked into stand among them, and are refused in their turn.
    """
    from ser_engine.container import ENDINGS

    found: list[Path] = []
    for path in paths:
        if path == STDIN or not is_folder(path):
            found.append(path)
            continue
        files, closed = _inside(path)
        recordings = [one for one in files if one.suffix.lower().lstrip(".") in ENDINGS and not _beside_another(one)]
        found += sorted(recordings + closed) or [path]
    return found


def _beside_another(path: Path) -> bool:
    """Whether it only holds what a Mac notes about a file, on a disk that is not its own: `._a.wav` beside `a.wav`."""
    return path.name.startswith("._") and _is_file(path.with_name(path.name[2:]))


def _inside(folder: Path) -> tuple[list[Path], list[Path]]:
    """The files in it, at any depth, and the folders that may not be looked into."""
    closed: list[Path] = []
    walk = os.walk(folder, onerror=lambda error: closed.append(Path(error.filename)))
    return [one for at, _, names in walk for name in names if _is_file(one := Path(at, name))], closed


def _is_file(path: Path) -> bool:
    """Whether it is one, or may be: of a folder that may be listed and not looked into, nothing else is known."""
    try:
        return path.is_file()
    except PermissionError:
        return True


def is_folder(path: Path) -> bool:
    """Whether it is one that can be looked into; a name that no system takes is none."""
    try:
        return path.is_dir()
    except OSError:
        return False


def size_of(path: Path) -> int | None:
    """How many bytes there are to read, where that is known."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


@contextmanager
def opened(path: Path, read: Callable[[int], None]) -> Iterator[Source]:
    """The bytes of a small file, a stream of a large one. `read` is told how many bytes were read.

    Raises UndecodableAudio when it cannot be read.
    """
    if path == STDIN and (sys.stdin is None or sys.stdin.closed):  # as `<&-` leaves it, or read already
        raise refusal("unreadable", reason="standard input is closed")
    try:
        if is_folder(path):
            next(path.iterdir(), None)  # says why, where it may not be looked into
            raise refusal("no_recordings")
        with sys.stdin.buffer if path == STDIN else path.open("rb") as stream:
            yield _source(stream, None if path == STDIN else size_of(path), read)
    except OSError as error:
        raise refusal("unreadable", reason=error.strerror or str(error)) from error


def _source(stream: BinaryIO, size: int | None, read: Callable[[int], None]) -> Source:
    if size is None:  # a device or a pipe
        head = stream.read(_HELD_BYTES + 1)
        read(len(head))
        if len(head) <= _HELD_BYTES:
            return head
        if indexless(head):
            raise refusal("index_last", megabytes=_HELD_BYTES >> 20)
        return io.BufferedReader(_Pipe(head, stream, read), 1 << 20)
    if size <= DEFAULT_LIMITS.max_bytes:
        data = stream.read()
        read(len(data))
        return data
    return io.BufferedReader(_Told(stream, read), 1 << 20)


class _Told(io.RawIOBase):
    """A file that tells how far it was read."""

    def __init__(self, stream: BinaryIO, read: Callable[[int], None]) -> None:
        self._stream = stream
        self._read = read
        self._farthest = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._stream.fileno()

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self._stream.seek(offset, whence)

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]  # the stub takes any buffer
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        self._read(max(0, self._stream.tell() - self._farthest))
        self._farthest = max(self._farthest, self._stream.tell())
        return len(data)


class _Pipe(io.RawIOBase):
    """What was read of a pipe already, and the rest; read once, from the beginning to the end."""

    def __init__(self, head: bytes, stream: BinaryIO, read: Callable[[int], None]) -> None:
        self._head = io.BytesIO(head)
        self._stream = stream
        self._read = read

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]  # the stub takes any buffer
        data = self._head.read(len(buffer))
        if not data:
            data = self._stream.read(len(buffer))
            self._read(len(data))
        buffer[: len(data)] = data
        return len(data)
