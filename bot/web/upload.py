"""One uploaded file, read into bounded memory: never onto a disk, never more than the limit, never for long.

aiohttp's own `Request.post` would do the reading, but writes large files to temporary ones.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from dataclasses import dataclass
from typing import Final, cast

from aiohttp import BodyPartReader, MultipartReader, StreamReader, web
from aiohttp.http_exceptions import HttpProcessingError

from bot.web.errors import UploadProblem
from ser_engine.limits import DEFAULT_LIMITS
from ser_engine.refusals import refusal, too_large

FIELD: Final = "file"
MAX_FILE_BYTES: Final = DEFAULT_LIMITS.max_bytes
_FRAMING_BYTES: Final = 64 * 1024
"""What boundaries and part headers may add to the file."""
MAX_BODY_BYTES: Final = MAX_FILE_BYTES + _FRAMING_BYTES
"""Of an encoded file less fits in: 18 MB where base64 makes four bytes of three."""
READ_TIMEOUT_S: Final = 60.0
IDLE_TIMEOUT_S: Final = 15.0
"""A body of which nothing arrives for this long is given up."""
_CHUNK_BYTES: Final = 256 * 1024
_MAX_PARTS: Final = 16
_MAX_NAME_CHARS: Final = 100
_ENCODINGS: Final = {"binary": 1, "8bit": 1, "7bit": 1, "base64": 1.5, "quoted-printable": 3}
"""How a part may be encoded, and how many bytes of it a byte of the file may need."""
_MAX_LINES: Final = 1_000
"""Boundaries and part headers; a form that is all line ends would otherwise cost seconds of computing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    filename: str
    """Used only in the error message; the content says what the file is."""
    data: bytes


def check_length(request: web.Request) -> None:
    """Refuse on the stated length alone, before a byte of the body is read. Raises AudioTooLarge."""
    if request.content_length is not None and request.content_length > MAX_BODY_BYTES:
        raise too_large()


async def read_upload(request: web.Request) -> Upload:
    """The file in the multipart field `FIELD`. Raises UploadProblem with the old contract's status, AudioError."""
    check_length(request)
    if request.content_type != "multipart/form-data":
        raise UploadProblem(400, "No audio file provided. Send it as multipart form data, in the field 'file'.")
    try:
        async with asyncio.timeout(READ_TIMEOUT_S):
            return await _find(request)
    except TimeoutError:
        raise UploadProblem(408, "The upload took too long.") from None
    except (ValueError, AssertionError, RuntimeError, HttpProcessingError, web.RequestPayloadError):
        # aiohttp's multipart reader says so for a missing boundary, a broken header or a body that ends early
        raise UploadProblem(400, "The upload is not valid multipart form data.") from None


async def _find(request: web.Request) -> Upload:
    stream = _Bounded(request.content, MAX_BODY_BYTES)
    reader = MultipartReader(request.headers, cast(StreamReader, stream))
    for _ in range(_MAX_PARTS):
        part = await reader.next()
        if part is None:
            break
        if isinstance(part, BodyPartReader) and part.name == FIELD and part.filename is not None:
            filename = _accepted_name(part.filename)
            return Upload(filename=filename, data=await _read(part))
        if isinstance(part, MultipartReader):
            raise UploadProblem(400, "The upload is not valid multipart form data.")
        if part.name == FIELD and "filename" in part.headers.get("Content-Disposition", ""):
            raise UploadProblem(400, "Empty filename.")
    raise UploadProblem(400, "No audio file provided. Send it in the field 'file'.")


def _accepted_name(filename: str) -> str:
    """The name, cut to a length; a name without an extension is a browser's webm."""
    name = filename.strip()
    if not name:
        raise UploadProblem(400, "Empty filename.")
    return name[-_MAX_NAME_CHARS:] if "." in name else "recording.webm"


async def _read(part: BodyPartReader) -> bytes:
    """The part's content; mail gateways encode it, and say how in ``Content-Transfer-Encoding``."""
    encoding = part.headers.get("Content-Transfer-Encoding", "binary").strip().lower()
    if encoding not in _ENCODINGS:
        raise UploadProblem(400, f"The Content-Transfer-Encoding must be one of {', '.join(_ENCODINGS)}.")
    limit = MAX_FILE_BYTES * _ENCODINGS[encoding]
    data = bytearray()
    while not part.at_eof():
        data += await part.read_chunk(_CHUNK_BYTES)
        if len(data) > limit:
            raise too_large()
    decoded = await asyncio.to_thread(_decoded, data, encoding)
    if len(decoded) > MAX_FILE_BYTES:
        raise too_large()
    if not decoded:
        raise refusal("empty_file")
    return decoded


def _decoded(data: bytearray, encoding: str) -> bytes:
    if encoding == "quoted-printable":
        return binascii.a2b_qp(bytes(data))
    if encoding != "base64":
        return bytes(data)
    try:
        return base64.b64decode(bytes(data).translate(None, b" \t\r\n"), validate=True)
    except binascii.Error:
        raise UploadProblem(400, "The file's part says that it is base64, but it is not.") from None


class _Bounded:
    """A request's body that may not give more than a number of bytes, whatever its headers claim."""

    def __init__(self, stream: StreamReader, limit: int) -> None:
        self._stream = stream
        self._left = limit
        self._lines_left = _MAX_LINES

    async def read(self, n: int = -1) -> bytes:
        async with asyncio.timeout(IDLE_TIMEOUT_S):
            return self._count(await self._stream.read(n))

    async def readline(self, *, max_line_length: int | None = None) -> bytes:
        self._lines_left -= 1
        if self._lines_left < 0:
            raise ValueError("more lines than a form has")
        async with asyncio.timeout(IDLE_TIMEOUT_S):
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
