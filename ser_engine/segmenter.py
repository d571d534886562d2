"""A speaker's stream to windows of at most 3 s. Clock-free: positions on the timeline decide, not arrival.

Where a window begins and ends is decided by where there is sound at all (a very low absolute gate; a stretch without
packets is silence), never by the voice-activity detector. A detector looks at blocks and changes its mind after a
codec; a border that moved with it would make the same words two different windows, depending on whether they came as a
file or through a call. The first sample above the gate opens a window, so neither a codec's delay nor the packets'
phase can move it. The detector only says how much speech a finished window holds.

A window holds everything from its first audible sample to its last, at most 3 s later; silence inside it counts,
silence at its ends is not part of it. It is closed when the timeline is 3 s past its start, or 0.6 s after the speaker
fell silent, and dropped, counted, when there is less than 0.8 s of speech in it.

Somebody who talks for longer than 3 s ends with a short window, and the end of a sentence by itself tells little. So
what fills 3 s with it is given along (`Window.before`), unless a gate refuses the last window, from which it is taken.
For this the last window is kept until 0.6 s of silence follow.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from ser_engine.gates import gate
from ser_engine.samples import checked
from ser_engine.types import MIN_SPEECH_S, SAMPLE_RATE_HZ, WINDOW_S, Pcm, PcmFrame, Window, nothing

_VAD_FRAME_SAMPLES: Final = SAMPLE_RATE_HZ * 30 // 1000
_VAD_BRIDGE_BLOCKS: Final = 3
_VAD_PEAK: Final = 0.5
_VAD_MAX_GAIN: Final = 30.0
_FILE_BLOCK_SAMPLES: Final = SAMPLE_RATE_HZ


class SegmenterSettings(BaseModel):
    """What makes a window. Every door uses the defaults, or one clip would give two answers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    window_s: float = Field(default=WINDOW_S, gt=0, le=WINDOW_S)
    hangover_s: float = Field(default=0.6, gt=0)
    """Silence that ends a window."""
    min_speech_s: float = Field(default=MIN_SPEECH_S, ge=0)
    """A window with less speech in it is dropped, and counted."""
    gate_dbfs: float = Field(default=-62.0, lt=0)
    """A sample above this is sound. Rooms and microphones lie above it, a codec's rest after the last word below."""
    vad_mode: int = Field(default=2, ge=0, le=3)
    """WebRTC's aggressiveness; it hears the window brought to one peak, so that gain does not change its mind."""


class Segmenter:
    """Cuts one speaker's timeline into windows. Not thread-safe; one per speaker.

    Frames must come in the order of the timeline; what overlaps samples already seen is cut off and counted in
    `late_samples`. Where frames are missing there is silence. Counters: `dropped_short`, `late_samples`.
    """

    def __init__(self, speaker: str, settings: SegmenterSettings | None = None) -> None:
        self._speaker = speaker
        self._settings = settings or SegmenterSettings()
        self._gate = np.float32(10 ** (self._settings.gate_dbfs / 20))
        self._window_samples = round(self._settings.window_s * SAMPLE_RATE_HZ)
        self._hangover = round(self._settings.hangover_s * SAMPLE_RATE_HZ)
        self._pcm = np.zeros(self._window_samples, dtype=np.float32)
        self._lost = np.zeros(self._window_samples, dtype=np.bool_)
        self._open = False
        self._start = 0
        self._sound_end = 0  # one past the last audible sample of the open window, or of the last one
        self._earlier: Window | None = None  # the window that ends at _sound_end, or shortly before the open one begins
        self._position = 0  # one past the last sample seen
        self._begun = False
        self.dropped_short = 0
        self.late_samples = 0

    def push(self, frame: PcmFrame) -> list[Window]:
        """Take a frame; returns the windows that it closed, in order."""
        t, pcm = frame.t_samples, frame.pcm
        late = max(0, self._position - t) if self._begun else 0
        if late:
            self.late_samples += min(late, len(pcm))
            pcm, t = pcm[late:], t + late
        if len(pcm) == 0:
            return []
        self._position, self._begun = t + len(pcm), True
        closed = self._consume(t, pcm, frame.concealed)
        if not self._open:
            self._let_go(self._position)
        return closed

    def advance(self, now_samples: int) -> list[Window]:
        """The timeline is at `now_samples` and nothing before it is still to come: close what fell silent 0.6 s ago."""
        return self.flush() if now_samples - self._sound_end >= self._hangover else []

    def flush(self) -> list[Window]:
        """The stream has ended: close what is open, and keep nothing."""
        closed = self._close() if self._open else []
        self._earlier = None
        return closed

    def discard(self) -> None:
        """Forget the window in the making and the one before, and wipe the samples."""
        self._wipe()
        self._earlier = None

    def _consume(self, t: int, pcm: Pcm, concealed: bool) -> list[Window]:
        loud = np.abs(pcm) > self._gate
        first = int(loud.argmax())
        if not loud[first]:
            return self._go_on(t, pcm, concealed) if self._open else []
        end = t + len(pcm)
        room = self._open and end < self._start + self._window_samples
        if room and len(pcm) <= self._hangover and t + first - self._sound_end < self._hangover:
            # No silence in here ends the window, so where the sound ends is all that has to be known.
            self._sound_end = end - int(loud[::-1].argmax())
            return self._go_on(t, pcm, concealed)
        return self._cut(t, pcm, concealed, np.flatnonzero(loud) + t)

    def _cut(self, t: int, pcm: Pcm, concealed: bool, sound: NDArray[np.int_]) -> list[Window]:
        """Take a stretch in which windows may begin and end; `sound` are the positions of its audible samples."""
        closed: list[Window] = []
        while len(sound):
            if not self._open:
                self._begin(int(sound[0]))
            limit = self._start + self._window_samples
            silences = np.diff(sound, prepend=self._sound_end - 1) - 1
            beyond = np.flatnonzero((silences >= self._hangover) | (sound >= limit))
            taken = int(beyond[0]) if len(beyond) else len(sound)
            if taken:
                self._write(t, pcm, concealed)
                self._sound_end = int(sound[taken - 1]) + 1
            sound = sound[taken:]
            if len(sound):
                closed += self._close()
        return closed + self._go_on(t, pcm, concealed) if self._open else closed

    def _begin(self, start: int) -> None:
        self._let_go(start)
        self._open, self._start, self._sound_end = True, start, start

    def _let_go(self, now_samples: int) -> None:
        """Nobody goes on from the last window when it has been silent for so long."""
        if now_samples - self._sound_end >= self._hangover:
            self._earlier = None

    def _go_on(self, t: int, pcm: Pcm, concealed: bool) -> list[Window]:
        """The open window takes what lies in it, and closes when it is full or silent for long enough."""
        self._write(t, pcm, concealed)
        end = t + len(pcm)
        if end >= self._start + self._window_samples or end - self._sound_end >= self._hangover:
            return self._close()
        return []

    def _write(self, t: int, pcm: Pcm, concealed: bool) -> None:
        """Put the part of `pcm` that lies in the open window in its place."""
        begin, end = max(t, self._start), min(t + len(pcm), self._start + self._window_samples)
        if begin < end:
            self._pcm[begin - self._start : end - self._start] = pcm[begin - t : end - t]
            self._lost[begin - self._start : end - self._start] = concealed

    def _close(self) -> list[Window]:
        length = self._sound_end - self._start
        pcm, start, lost = self._pcm[:length].copy(), self._start, float(self._lost[:length].mean())
        self._wipe()
        earlier, self._earlier = self._earlier, None
        speech = speech_ratio(pcm, self._settings.vad_mode)
        if speech * length < self._settings.min_speech_s * SAMPLE_RATE_HZ:
            self.dropped_short += 1
            return []
        before = nothing() if earlier is None else self._end_of(earlier, start, length)
        at = {"start_s": start / SAMPLE_RATE_HZ, "speech_ratio": speech, "gap_ratio": lost}
        self._earlier = Window(speaker=self._speaker, pcm=pcm, before=before, **at)
        return [self._earlier]

    def _end_of(self, earlier: Window, start: int, length: int) -> Pcm:
        """What makes a full window of `length` samples from `start`: the end of the one before, and the pause between.

        Nothing where that one should not be relied on itself: noise, a tone, what is clipped.
        """
        room, pause = self._window_samples - length, start - round(earlier.end_s * SAMPLE_RATE_HZ)
        if room <= pause or gate(earlier) is not None:
            return nothing()
        return np.concatenate([earlier.pcm, np.zeros(pause, np.float32)])[-room:].copy()

    def _wipe(self) -> None:
        self._pcm.fill(0)
        self._lost.fill(False)
        self._open = False


def segment_pcm(pcm: Pcm, speaker: str = "file", settings: SegmenterSettings | None = None) -> list[Window]:
    """Windows of a whole recording: the same segmenter, so the same windows as if it had been spoken live.

    Raises InvalidSamples for what is no mono samples as finite floats with a full scale of ±1.
    """
    pcm = checked(pcm)
    segmenter = Segmenter(speaker, settings)
    windows: list[Window] = []
    for t in range(0, len(pcm), _FILE_BLOCK_SAMPLES):
        windows += segmenter.push(PcmFrame(speaker=speaker, t_samples=t, pcm=pcm[t : t + _FILE_BLOCK_SAMPLES]))
    return windows + segmenter.flush()


def speech_ratio(pcm: Pcm, mode: int = 2) -> float:
    """Share of `pcm`'s whole blocks of 30 ms in which WebRTC's detector hears a voice, 0 to 1."""
    return float(speech_mask(pcm, mode).mean()) if len(pcm) >= _VAD_FRAME_SAMPLES else 0.0


def speech_mask(pcm: Pcm, mode: int = 2) -> NDArray[np.bool_]:
    """For each whole block of 30 ms, whether somebody speaks; shape ``(n // 480,)``.

    A block is speech when WebRTC's detector hears a voice in it, or within 90 ms both before and after: consonants and
    stops belong to what is said, and the answer moves less with the codec. The samples are brought to half scale first
    (by at most 30 dB), for the detector hears loudness.
    """
    import webrtcvad

    peak = float(np.abs(pcm).max()) if len(pcm) else 0.0
    gain = min(_VAD_PEAK / peak, _VAD_MAX_GAIN) if peak > 0 else 1.0
    blocks = len(pcm) // _VAD_FRAME_SAMPLES
    samples = np.clip(pcm[: blocks * _VAD_FRAME_SAMPLES] * (gain * 32767), -32768, 32767).astype("<i2")
    is_speech, data, size = webrtcvad.Vad(mode).is_speech, samples.tobytes(), 2 * _VAD_FRAME_SAMPLES
    voiced = np.asarray(
        [is_speech(data[at : at + size], SAMPLE_RATE_HZ) for at in range(0, blocks * size, size)], dtype=np.int64
    )
    around = np.ones(2 * _VAD_BRIDGE_BLOCKS + 1, dtype=np.int64)
    near = np.convolve(voiced, around) > 0  # three blocks longer at both ends
    far = np.convolve(~near, around)[2 * _VAD_BRIDGE_BLOCKS : 2 * _VAD_BRIDGE_BLOCKS + blocks]
    return np.asarray(far == 0)
