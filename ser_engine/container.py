"""What a file is, as its demuxer says: the container, its audio tracks, and the true words when there is nothing in it.

FFmpeg's demuxers look at the content, as players do; the name and the first bytes decide nothing. Only those of
`CONTAINERS` are ever opened, so a playlist or a script that calls itself audio reads no other file and no address.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from ser_engine.errors import EngineError
from ser_engine.guess import found_in, indexless, signature_at
from ser_engine.refusals import refusal
from ser_engine.stretch import Source, stretch_of

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer

CONTAINERS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    # FFmpeg's demuxer: (as people call it, how its files are named)
    "wav": ("WAV", ("wav", "wave", "bwf", "rf64")),
    "w64": ("Wave64", ("w64",)),
    "aiff": ("AIFF", ("aif", "aiff", "aifc")),
    "caf": ("CAF", ("caf",)),
    "au": ("AU", ("au", "snd")),
    "flac": ("FLAC", ("flac",)),
    "mp3": ("MP3", ("mp3", "mp2", "mpga")),
    "aac": ("AAC", ("aac", "adts")),
    "loas": ("AAC (LATM)", ("loas", "latm")),
    "ac3": ("AC-3", ("ac3",)),
    "eac3": ("E-AC-3", ("eac3", "ec3")),
    "dts": ("DTS", ("dts",)),
    "amr": ("AMR", ("amr", "awb")),
    "ogg": ("Ogg", ("ogg", "oga", "opus", "ogv", "ogx", "spx")),
    "matroska": ("Matroska or WebM", ("mka", "mkv", "webm", "weba")),
    "mov": ("MP4 or QuickTime", ("m4a", "m4b", "m4r", "mp4", "m4v", "mov", "qt", "3gp", "3gpp", "3g2", "f4v", "f4a")),
    "asf": ("Windows Media", ("wma", "wmv", "asf")),
    "avi": ("AVI", ("avi",)),
    "flv": ("Flash video", ("flv",)),
    "mpeg": ("MPEG", ("mpg", "mpeg", "vob")),
    "mpegts": ("MPEG transport stream", ("ts", "m2ts", "mts")),
    "mxf": ("MXF", ("mxf",)),
    "nut": ("NUT", ("nut",)),
    "rm": ("RealMedia", ("rm", "ra", "rmvb")),
    "ape": ("Monkey's Audio", ("ape",)),
    "wv": ("WavPack", ("wv",)),
    "tta": ("TTA", ("tta",)),
    "tak": ("TAK", ("tak",)),
    "mpc": ("Musepack", ("mpc",)),
    "mpc8": ("Musepack", ()),
    "shn": ("Shorten", ("shn",)),
    "truehd": ("TrueHD", ("thd",)),
    "dsf": ("DSF", ("dsf",)),
    "iff": ("IFF", ("iff", "8svx", "dff")),
    "oma": ("Sony OpenMG", ("oma", "aa3")),
    "qcp": ("QCP", ("qcp",)),
    "voc": ("Creative Voice", ("voc",)),
    "dss": ("DSS", ("dss",)),
    "nistsphere": ("NIST SPHERE", ("sph", "nist")),
    "ircam": ("IRCAM", ("sf", "ircam")),
    "sox": ("SoX", ("sox",)),
    "xwma": ("xWMA", ("xwma",)),
}
"""What is taken. Every codec that FFmpeg decodes is taken inside of them."""

ENDINGS: Final = frozenset(ending for _, endings in CONTAINERS.values() for ending in endings)
"""How files that may hold sound are named; it decides nothing, but doors that must choose among files may look."""

_MOST_STREAMS: Final = 255
"""Of sound, pictures, subtitles and attached fonts. Of a file with more, FFmpeg reads only the beginning."""
_OPTIONS: Final = {
    "format_whitelist": ",".join(CONTAINERS),
    "protocol_whitelist": "none",
    "max_streams": f"{_MOST_STREAMS + 1}",
}
_MAX_JUNK_BYTES: Final = 1024 * 1024


@contextmanager
def opened(source: Source) -> Iterator[InputContainer]:
    """The file, opened by the demuxer that its content asks for. Raises UnsupportedFormat, UndecodableAudio."""
    import av  # a quarter of a second: only those who decode pay

    container = _open(source)
    try:
        yield container
    except (av.FFmpegError, ValueError, IndexError, EOFError) as error:
        if isinstance(error, MemoryError):
            raise refusal("too_much_memory") from error
        raise refusal("damaged", kind=kind_of(container)) from error
    finally:
        container.close()


def kind_of(container: InputContainer) -> str:
    """The container as people call it."""
    return next((CONTAINERS[name][0] for name in container.format.name.split(",") if name in CONTAINERS), "audio")


def tracks_of(container: InputContainer) -> list[AudioStream]:
    """The audio tracks that can be decoded: those that the container marks first, else in their order.

    Raises UndecodableAudio where there is none.
    """
    import av

    every = list(container.streams.audio)
    if not every:
        raise refusal("no_track", kind=kind_of(container))
    known = [track for track in every if _decodable(track)]
    if not known:
        raise refusal("unknown_codec", kind=kind_of(container), codec=_codec_name(every[0]))
    marked = av.stream.Disposition.default
    return sorted(known, key=lambda track: not track.disposition & marked)


def stated_s(container: InputContainer, track: AudioStream) -> float | None:
    """The length that the file states; it may be an estimate, a clock or a lie."""
    import av

    if track.duration is not None and track.time_base is not None:
        return float(track.duration * track.time_base)
    return None if container.duration is None else container.duration / av.time_base


def big_endian(source: Source) -> bool:
    """Whether it is a RIFX file: a WAV whose samples FFmpeg takes for little-endian ones."""
    if isinstance(source, bytes):
        return source.startswith(b"RIFX")
    if not source.seekable():
        return False
    at = source.tell()
    source.seek(0)
    head = source.read(4)
    source.seek(at)
    return head == b"RIFX"


def _open(source: Source) -> InputContainer:
    import av

    try:
        return _try(source)
    except (av.FFmpegError, ValueError, IndexError, EOFError) as error:
        start = signature_at(_head(source)[:_MAX_JUNK_BYTES])
        if start:  # what stands before it is nobody's: players look for the sound behind it
            try:
                return _try(stretch_of(source, start))
            except (av.FFmpegError, ValueError, IndexError, EOFError):
                pass
        raise (refusal("too_much_memory") if isinstance(error, MemoryError) else _unknown(source)) from error


def _try(source: Source) -> InputContainer:
    import av

    file: Any = source
    if isinstance(source, bytes):
        file = io.BytesIO(source)
    elif source.seekable():
        source.seek(0)
    container: InputContainer = av.open(file, mode="r", container_options=_OPTIONS, metadata_errors="ignore")
    if len(container.streams) > _MOST_STREAMS:
        kind = kind_of(container)
        container.close()
        raise refusal("too_many_tracks", kind=kind, most=_MOST_STREAMS)
    return container


def _head(source: Source) -> bytes:
    """All that is held of a file, or its first megabyte; nothing of what can only be read once."""
    if isinstance(source, bytes):
        return source
    if not source.seekable():
        return b""
    source.seek(0)
    return source.read(_MAX_JUNK_BYTES)


def _unknown(source: Source) -> EngineError:
    """Why nothing could be opened, in true words."""
    head = _head(source)
    if indexless(head):
        return refusal("no_index")
    found, medium = found_in(head)
    if found is None:
        return refusal("not_known")
    return refusal("damaged", kind=found) if medium else refusal("not_audio", found=found)


def _decodable(track: AudioStream) -> bool:
    codec: Any = track.codec_context  # None for a codec that FFmpeg does not know, whatever the types say
    return codec is not None


def _codec_name(track: AudioStream) -> str:
    return str(getattr(track, "name", None) or "an unknown codec")
