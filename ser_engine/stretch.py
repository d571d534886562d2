"""Looking at a file as a whole, and taking a stretch of it for a file of its own, whether it is bytes or a stream."""

from __future__ import annotations

import io
from typing import BinaryIO, Final

Source = bytes | BinaryIO
"""A whole file, or something to read one from; what cannot seek is read once, from its beginning to its end."""
_CHUNK_BYTES: Final = 1024 * 1024


class Looked:
    """A stream that seeks, looked at as bytes are: each stretch is read when it is asked for.

    It is not mapped into memory. What is cut off or lost meanwhile would end the process then; here it reads as less.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._length = stream.seek(0, io.SEEK_END)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, part: slice) -> bytes:
        begin, end, _ = part.indices(self._length)
        self._stream.seek(begin)
        return self._stream.read(max(0, end - begin))

    def find(self, what: bytes, begin: int) -> int:
        """Where `what` stands next, from `begin`; -1 where it does not."""
        while len(chunk := self[begin : begin + _CHUNK_BYTES]) >= len(what):
            if (found := chunk.find(what)) >= 0:
                return begin + found
            begin += len(chunk) - len(what) + 1
        return -1


Content = bytes | Looked


def content_of(source: Source) -> Content:
    """The bytes of a file; none where it can only be read in turn."""
    if isinstance(source, bytes):
        return source
    return Looked(source) if source.seekable() else b""


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
