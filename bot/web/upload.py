"""One uploaded file, read into bounded memory: never onto a disk, never more than the limit, never for long.

aiohttp's own `Request.post` would do the reading, but writes large files to temporary ones.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final, cast

from aiohttp import BodyPartReader, MultipartReader, StreamReader, web
from aiohttp.http_exceptions import HttpProcessingError

from bot.web.errors import FORMATS, UploadProblem

MAX_FILE_BYTES: Final = 25 * 1024 * 1024
_FRAMING_BYTES: Final = 64 * 1024
"""What boundaries and part headers may add to the file."""
MAX_BODY_BYTES: Final = MAX_FILE_BYTES + _FRAMING_BYTES
READ_TIMEOUT_S: Final = 60.0
_CHUNK_BYTES: Final = 256 * 1024
_MAX_PARTS: Final = 16
_MAX_LINES: Final = 1_000
"""Boundaries and part headers; a form that is all line ends would otherwise cost seconds of computing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    filename: str
    """As the decoder should see it: with the extension of its format."""
    data: bytes


def too_large() -> UploadProblem:
    return UploadProblem(413, "The file is larger than 25 MB.")


def check_length(request: web.Request) -> None:
    """Refuse on the stated length alone, before a byte of the body is read. Raises UploadProblem."""
    if request.content_length is not None and request.content_length > MAX_BODY_BYTES:
        raise too_large()


async def read_upload(request: web.Request, *, field: str = "file", timeout_s: float = READ_TIMEOUT_S) -> Upload:
    """The file in the multipart field `field`. Raises UploadProblem with the old contract's status."""
    check_length(request)
    if request.content_type != "multipart/form-data":
        raise UploadProblem(400, "No audio file provided. Send it as multipart form data, in the field 'file'.")
    try:
        async with asyncio.timeout(timeout_s):
            return await _find(request, field)
    except TimeoutError:
        raise UploadProblem(408, "The upload took too long.") from None
    except (ValueError, AssertionError, RuntimeError, HttpProcessingError, web.RequestPayloadError):
        # aiohttp's multipart reader says so for a missing boundary, a broken header or a body that ends early
        raise UploadProblem(400, "The upload is not valid multipart form data.") from None


async def _find(request: web.Request, field: str) -> Upload:
    stream = _Bounded(request.content, MAX_BODY_BYTES)
    reader = MultipartReader(request.headers, cast(StreamReader, stream))
    for _ in range(_MAX_PARTS):
        part = await reader.next()
        if part is None:
            break
        if isinstance(part, BodyPartReader) and part.name == field and part.filename is not None:
            filename = _accepted_name(part.filename)
            return Upload(filename=filename, data=await _read(part))
        if isinstance(part, MultipartReader):
            raise UploadProblem(400, "The upload is not valid multipart form data.")
        if part.name == field and "filename" in part.headers.get("Content-Disposition", ""):
            raise UploadProblem(400, "Empty filename.")
    raise UploadProblem(400, "No audio file provided. Send it in the field 'file'.")


def _accepted_name(filename: str) -> str:
    """The name if its format is taken; a name without an extension is a browser's webm."""
    if not filename.strip():
        raise UploadProblem(400, "Empty filename.")
    stem, dot, extension = filename.rpartition(".")
    if not dot:
        return "recording.webm"
    if extension.lower() not in FORMATS:
        raise UploadProblem(400, f"Unsupported audio format. Use {', '.join(FORMATS)}.")
    return f"{'upload' if not stem else stem[:100]}.{extension.lower()}"


async def _read(part: BodyPartReader) -> bytes:
    data = bytearray()
    while not part.at_eof():
        data += await part.read_chunk(_CHUNK_BYTES)
        if len(data) > MAX_FILE_BYTES:
            raise too_large()
    if not data:
        raise UploadProblem(400, "The file is empty.")
    return bytes(data)


class _Bounded:
    """A request's body that may not give more than a number of bytes, whatever its headers claim."""

    def __init__(self, stream: StreamReader, limit: int) -> None:
        self._stream = stream
        self._left = limit
        self._lines_left = _MAX_LINES

    async def read(self, n: int = -1) -> bytes:
        return self._count(await self._stream.read(n))

    async def readline(self, *, max_line_length: int | None = None) -> bytes:
        self._lines_left -= 1
        if self._lines_left < 0:
            raise ValueError("more lines than a form has")
        return self._count(await self._stream.readline(max_line_length=max_line_length))

    def at_eof(self) -> bool:
        return self._stream.at_eof()

    def unread_data(self, data: bytes) -> None:
        self._left += len(data)
        self._stream.unread_data(data)

    def _count(self, data: bytes) -> bytes:
        self._left -= len(data)
        if self._left < 0:
            raise too_large()
        return data
