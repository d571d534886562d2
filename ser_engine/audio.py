"""Any recording, within bounds, to what the engine hears: 16 kHz, mono, float32, in its place on the timeline.

PyAV decodes from bytes or from a stream: nothing is written to a disk and no program is started. The steps stand in
modules of their own: `container` (what the file is, which track), `timeline` (frames to placed pieces), `downmix`,
`level`. All of them work block by block, so that a hostile file costs no more memory than an honest one, and a
recording of hours no more than one of ten minutes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePath
from typing import Final

import numpy as np

from ser_engine.chained import links
from ser_engine.container import ENDINGS, big_endian, opened, stated_s, tracks_of
from ser_engine.errors import AudioError, AudioTooLong, DecodeTimeout, UndecodableAudio, UnsupportedFormat
from ser_engine.guess import protected
from ser_engine.level import level_dbfs, levelled, peak_dbfs
from ser_engine.limits import DEFAULT_LIMITS, DecodeLimits
from ser_engine.refusals import refusal, too_large, too_long
from ser_engine.segmenter import Segmenter
from ser_engine.stretch import Source, content_of, is_empty, stretch_of
from ser_engine.timeline import Deadline, can_be_heard, counted_s, pieces_of
from ser_engine.types import SAMPLE_RATE_HZ, Pcm, PcmFrame, Window

__all__ = [
    "DEFAULT_LIMITS",
    "DecodeLimits",
    "change_speed",
    "decode",
    "level_dbfs",
    "peak_dbfs",
    "pieces",
    "resample",
    "windows_of",
]

_PADDING_S: Final = 1.0
"""What a codec adds at the ends; a counted length may be that much too long."""
_BY_NAME: Final = {"not_audio": "not_as_named", "not_known": "not_known_as_named"}
_MAX_TRACKS: Final = 8
_MOST_UNDECIDED_SAMPLES: Final = 900 * SAMPLE_RATE_HZ
"""A track that holds no speech in this much of it is taken nevertheless."""


def windows_of(
    source: Source, *, filename: str | None = None, limits: DecodeLimits = DEFAULT_LIMITS
) -> Iterator[Window]:
    """The windows of a recording, in order, as they are decoded: the same as if it had been spoken live.

    Pauses that the container's times hold are kept in the windows' times. Raises what `pieces` does.
    """
    segmenter = Segmenter("file")
    for piece in pieces(source, filename=filename, limits=limits):
        yield from segmenter.push(piece)
    yield from segmenter.flush()


def decode(source: Source, *, filename: str | None = None, limits: DecodeLimits = DEFAULT_LIMITS) -> Pcm:
    """Samples of a whole recording, mono float32 at 16 kHz, shape ``(n,)``, n ≥ 1, finite and within ±1.

    Pauses are silence in it, as long as the whole stays within the longest length; otherwise they are cut out.
    Raises what `pieces` does.
    """
    parts = list(pieces(source, filename=filename, limits=limits))
    end = parts[-1].t_samples + len(parts[-1].pcm)
    if end == sum(len(part.pcm) for part in parts) or end > limits.max_duration_s * SAMPLE_RATE_HZ:
        return np.concatenate([part.pcm for part in parts])
    pcm = np.zeros(end, dtype=np.float32)
    for part in parts:
        pcm[part.t_samples : part.t_samples + len(part.pcm)] = part.pcm
    return pcm


def pieces(source: Source, *, filename: str | None = None, limits: DecodeLimits = DEFAULT_LIMITS) -> Iterator[PcmFrame]:
    """The samples of a recording in pieces, at least one: of the track that the container marks, or of the first that
    holds speech.

    `filename` is used only in the error message. A file that breaks off is decoded as far as it goes. Raises
    EmptyAudio, AudioTooLarge, AudioTooLong, UnsupportedFormat, UndecodableAudio, DecodeTimeout, InvalidSamples.
    """
    if is_empty(source):
        raise refusal("empty_file")
    if isinstance(source, bytes) and len(source) > limits.max_bytes:
        raise too_large(limits)
    if protected(content_of(source)):
        raise refusal("protected")
    try:
        empty = True
        for piece in _in_turn(source, limits, Deadline(limits.max_decode_s)):
            empty = False
            yield piece
    except MemoryError as error:
        raise refusal("too_much_memory") from error
    except UnsupportedFormat as error:
        ending = PurePath(filename or "").suffix.lower().lstrip(".")
        if error.key in _BY_NAME and ending in ENDINGS:
            raise refusal(_BY_NAME[error.key], ending=ending, **error.facts) from error
        raise
    if empty:
        raise refusal("no_sound")


def resample(pcm: Pcm, rate_hz: int) -> Pcm:
    """Mono samples at `rate_hz` to 16 kHz (soxr HQ)."""
    if rate_hz == SAMPLE_RATE_HZ:
        return pcm
    import soxr

    return np.asarray(soxr.resample(pcm, rate_hz, SAMPLE_RATE_HZ, quality="HQ"), dtype=np.float32)


def change_speed(pcm: Pcm, factor: float) -> Pcm:
    """`pcm` played `factor` times as fast; the pitch goes along, as with another size of vocal tract. Never empty."""
    if factor == 1 or len(pcm) < 2:
        return pcm
    import soxr

    return np.asarray(soxr.resample(pcm, SAMPLE_RATE_HZ * factor, SAMPLE_RATE_HZ), dtype=np.float32)


def _in_turn(source: Source, limits: DecodeLimits, deadline: Deadline) -> Iterator[PcmFrame]:
    """The pieces of every link of a joined file, one behind the other; a link that is damaged is passed over."""
    places = links(content_of(source))
    parts = [source] if len(places) == 1 else [stretch_of(source, *place) for place in places]
    refused: AudioError | None = None
    samples = end = 0
    for part in parts:
        begin = end
        try:
            for piece in _chosen(part, limits, deadline):
                samples += len(piece.pcm)
                if samples > limits.max_duration_s * SAMPLE_RATE_HZ:
                    raise too_long(limits)
                end = begin + piece.t_samples + len(piece.pcm)
                yield replace(piece, t_samples=begin + piece.t_samples) if begin else piece
        except (UndecodableAudio, UnsupportedFormat) as error:
            refused = refused or error
    if refused is not None and not samples:
        raise refused


def _chosen(source: Source, limits: DecodeLimits, deadline: Deadline) -> Iterator[PcmFrame]:
    """The pieces of the track to listen to: one after the other, the marked one first, until one holds speech.

    Where none does, the first that holds any sound. A source that cannot be read twice gives the marked track.
    """
    again = isinstance(source, bytes) or source.seekable()
    silent: list[PcmFrame] = []
    refused: AudioError | None = None
    number, tracks_left = 0, True
    while tracks_left:
        with opened(source) as container:
            tracks = tracks_of(container)[: _MAX_TRACKS if again else 1]
            tracks_left = number + 1 < len(tracks)
            track = tracks[number]
            long = (stated_s(container, track) or 0.0) > limits.max_duration_s + _PADDING_S
            if again and long and can_be_heard(track.rate, track.channels):
                _refuse_counted(source, number, limits, deadline)
            track.codec_context.thread_count = 1
            swapped = big_endian(source) and container.format.name == "wav"
            track_pieces = levelled(pieces_of(container, track, limits, deadline, swapped=swapped))
            if len(tracks) == 1:
                yield from track_pieces
                return
            held: list[PcmFrame] = []
            try:
                if _holds_speech(track_pieces, held):
                    yield from held
                    held.clear()
                    yield from track_pieces
                    return
            except (AudioTooLong, DecodeTimeout):
                raise
            except AudioError as error:
                refused = refused or error
            silent = silent or held
        number += 1
    if refused is not None and not silent:
        raise refused
    yield from silent


def _holds_speech(track_pieces: Iterator[PcmFrame], held: list[PcmFrame]) -> bool:
    """Whether somebody speaks in a track; `held` gets the pieces that it took to know."""
    from ser_engine.gates import gate  # not needed by those who only decode

    segmenter = Segmenter("file")
    samples = 0
    for piece in track_pieces:
        held.append(piece)
        samples += len(piece.pcm)
        spoken = any(gate(window) is None for window in segmenter.push(piece))
        if spoken or samples > _MOST_UNDECIDED_SAMPLES:
            return True
    return any(gate(window) is None for window in segmenter.flush())


def _refuse_counted(source: Source, number: int, limits: DecodeLimits, deadline: Deadline) -> None:
    """Refuse what is too long before it is decoded: its packets are counted, whatever its header states.

    The stream stands afterwards where it stood, for the decoder goes on reading it.
    """
    most_s = limits.max_duration_s + _PADDING_S
    at = 0 if isinstance(source, bytes) else source.tell()
    with opened(source) as container:
        if counted_s(container, tracks_of(container)[number], most_s, deadline) > most_s:
            raise too_long(limits)
    if not isinstance(source, bytes):
        source.seek(at)
