"""Looking at a file as a whole, and taking a stretch of it for a file of its own, whether it is bytes or a stream."""

from __future__ import annotations

import io
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

Source = bytes | BinaryIO
"""A whole file, or something to read one from; what cannot seek is read once, from its beginning to its end."""
Content = bytes | mmap.mmap


@contextmanager
def content_of(source: Source) -> Iterator[Content]:
    """The bytes of a file, without reading them of one that lies on a disk; none where it can only be read in turn."""
    if isinstance(source, bytes):
        yield source
        return
    if isinstance(source, io.BytesIO):
        yield source.getvalue()
        return
    try:
        mapped = mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ)
    except (AttributeError, OSError, ValueError):  # a pipe, an empty file, or no file of the system's
        yield b""
        return
    with mapped:
        yield mapped


def is_empty(source: Source) -> bool:
    """Whether there is no byte in it; of what can only be read once, nobody knows before."""
    if isinstance(source, bytes):
        return not source
    return source.seekable() and source.seek(0, io.SEEK_END) == 0


def stretch_of(source: Source, begin: int, end: int | None = None) -> Source:
    """What lies from `begin` to `end` (or to the last byte), as a file of its own."""
    if isinstance(source, bytes):
        return source[begin:end]
    return _Stretch(source, begin, source.seek(0, io.SEEK_END) if end is None else end)  # type: ignore[return-value]


class _Stretch(io.RawIOBase):
    """Reads from the stream that it lies in, which nobody else reads meanwhile."""

    def __init__(self, stream: BinaryIO, begin: int, end: int) -> None:
        self._stream, self._begin, self._end = stream, begin, end
        self._at = begin

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        whence_at = {io.SEEK_SET: self._begin, io.SEEK_CUR: self._at, io.SEEK_END: self._end}[whence]
        self._at = max(self._begin, whence_at + offset)
        return self._at - self._begin

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]  # the stub takes any buffer
        self._stream.seek(self._at)
        data = self._stream.read(max(0, min(len(buffer), self._end - self._at)))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
