"""A clip heard through a call's codec gives the windows, and the answers, of the same clip as a file."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest
import soxr

from bot.voice.counters import ReceiveCounters
from bot.voice.speaker import AudioPacket, HeardSpeaker
from ser_engine import Recognizer, Segmenter, segment_pcm
from ser_engine.models import available_models
from ser_engine.opus import SILENCE, Encoder
from ser_engine.types import SAMPLE_RATE_HZ, Pcm, PcmFrame, Window
from tests.fakes.clips import clip, clip_paths

pytestmark = pytest.mark.integration

PAUSE = SAMPLE_RATE_HZ * 2


class Ear:
    """A `FrameSink` that segments what the voice layer hands on."""

    def __init__(self) -> None:
        self.segmenter = Segmenter("7")
        self.windows: list[Window] = []

    def frame(self, frame: PcmFrame) -> None:
        self.windows += self.segmenter.push(frame)

    def silence(self, speaker: str, now_samples: int) -> None:
        self.windows += self.segmenter.advance(now_samples)


def heard(clips: Sequence[Pcm], *, bitrate_bps: int = 64_000, lead_samples: int = 0) -> list[Window]:
    """`clips` spoken one after another into the voice layer: packets of 20 ms, five silent ones after each clip, then
    none for two seconds."""
    ear, encoder = Ear(), Encoder(bitrate_bps=bitrate_bps, application="voip", wideband_speech=True)
    speaker = HeardSpeaker(7, ear, ReceiveCounters())
    sequence, tick = 65_500, 40_000
    for pcm in clips:
        at_48k = soxr.resample(np.pad(pcm, (lead_samples, 0)), SAMPLE_RATE_HZ, 48_000)
        for data in [*encoder.packets(at_48k), *[SILENCE] * 5]:
            packet = AudioPacket(tick * 960 % 2**32, data, tick * 320)
            speaker.push(1, [(sequence % 2**16, packet, tick * 0.02)], tick * 0.02)
            sequence, tick = sequence + 1, tick + 1
        for _ in range(100):
            tick += 1
            speaker.tick(tick * 0.02, holding=False, stalled=False)
    return ear.windows + ear.segmenter.flush()


def filed(clips: Sequence[Pcm]) -> list[Window]:
    """The same as one recording with digital silence between the clips."""
    silence = np.zeros(PAUSE, dtype=np.float32)
    return segment_pcm(np.concatenate([part for pcm in clips for part in (pcm, silence)]))


@pytest.mark.parametrize(("bitrate_bps", "lead_samples"), [(64_000, 0), (64_000, 101), (24_000, 0), (16_000, 213)])
def test_borders_do_not_move(bitrate_bps: int, lead_samples: int) -> None:
    """By more than a few milliseconds of the codec's settling."""
    clips = [clip(path) for path in clip_paths()]
    live, file = heard(clips, bitrate_bps=bitrate_bps, lead_samples=lead_samples), filed(clips)
    assert len(live) == len(file) >= len(clips)
    for a, b in zip(live, file, strict=True):
        assert abs(len(a.pcm) - len(b.pcm)) <= 0.03 * SAMPLE_RATE_HZ
        assert abs(a.speech_ratio - b.speech_ratio) < 0.25
        assert abs(_delay(a.pcm, b.pcm)) <= (0.012 if bitrate_bps == 64_000 else 0.02) * SAMPLE_RATE_HZ


def _delay(a: Pcm, b: Pcm) -> int:
    """How many samples later the middle of `b` lies in `a`, looked for within 25 ms."""
    middle = b[6_000:18_000]
    fits = [float(np.dot(a[6_000 + d : 18_000 + d], middle)) for d in range(-400, 401)]
    return int(np.argmax(fits)) - 400


HELD = {"seed": (0.4, 0.95), "fast": (0.02, 0.7), "default": (0.02, 0.8)}
"""By engine: a difference, and the share of windows that stay below it."""
LEADS_SAMPLES = (0, 53, 101, 213)
"""How much silence comes before a clip: it decides where the codec's packets begin and end."""


@cache
def spoken_and_filed() -> tuple[list[Window], list[Window]]:
    """The demo's clips, heard with each lead, and as often from a file."""
    clips = [clip(path) for path in clip_paths()]
    live = [window for lead in LEADS_SAMPLES for window in heard(clips, lead_samples=lead)]
    return live, filed(clips) * len(LEADS_SAMPLES)


@pytest.mark.slow
@pytest.mark.parametrize("model", available_models())
def test_answers_do_not_move(model: str) -> None:
    """By more than 0.02, in as many windows as each engine holds now; wanted are 95 of 100.

    The codec's noise is about 1 dB of a mel band, and where an engine hesitates that moves its answer
    (`docs/experiments.md`). The old network is the exception: 1 ms less of a clip moves its answers by more than 0.02
    in two of five.
    """
    recognizer = Recognizer.load(model)
    live, file = (recognizer.predict(windows) for windows in spoken_and_filed())
    apart = [
        max(abs(a.probabilities[label] - b.probabilities[label]) for label in recognizer.info.labels)
        for a, b in zip(live, file, strict=True)
    ]
    within, share = HELD[model]
    assert np.mean(np.asarray(apart) <= within) >= share, sorted(apart)[-8:]
    # Where two labels are as good as equal, or the answer is called unclear, the codec may tip the balance.
    other = [(a, b) for a, b in zip(live, file, strict=True) if a.emotion != b.emotion]
    assert all(a.unclear or a.confidence - a.probabilities[b.emotion] <= 2 * within for a, b in other)
