"""A clip heard through a call's codec gives the windows, and the answers, of the same clip as a file."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import soxr

from bot.voice.opus import SILENCE, Decoder, Encoder
from ser_engine import Recognizer, Segmenter, segment_pcm
from ser_engine.models import available_models
from ser_engine.types import SAMPLE_RATE_HZ, Pcm, PcmFrame, Window
from tests.fakes.clips import clip, clip_paths

pytestmark = pytest.mark.integration

PAUSE = SAMPLE_RATE_HZ * 2


def heard(clips: Sequence[Pcm], *, bitrate_bps: int = 64_000, lead_samples: int = 0) -> list[Window]:
    """`clips` spoken one after another: 20 ms packets, five silent ones after each, then none for two seconds."""
    decoder, segmenter, out, t = Decoder(), Segmenter("live"), list[Window](), 7_777
    encoder = Encoder(bitrate_bps=bitrate_bps)
    for pcm in clips:
        at_48k = soxr.resample(np.pad(pcm, (lead_samples, 0)), SAMPLE_RATE_HZ, 48_000)
        for packet in [*encoder.packets(at_48k), *[SILENCE] * 5]:
            samples = decoder.decode(packet)
            out += segmenter.push(PcmFrame(speaker="live", t_samples=t, pcm=samples))
            t += len(samples)
        t += PAUSE
        out += segmenter.advance(t)
    return out


def filed(clips: Sequence[Pcm]) -> list[Window]:
    """The same as one recording with digital silence between the clips."""
    silence = np.zeros(PAUSE, dtype=np.float32)
    return segment_pcm(np.concatenate([part for pcm in clips for part in (pcm, silence)]))


@pytest.mark.parametrize(("bitrate_bps", "lead_samples"), [(64_000, 0), (64_000, 101), (24_000, 0), (16_000, 213)])
def test_borders_do_not_move(bitrate_bps: int, lead_samples: int) -> None:
    """By more than the codec's fade: the first packet after silence frames loses up to 18 ms to its change of mode."""
    clips = [clip(path) for path in clip_paths()]
    live, file = heard(clips, bitrate_bps=bitrate_bps, lead_samples=lead_samples), filed(clips)
    assert len(live) == len(file) >= len(clips)
    for a, b in zip(live, file, strict=True):
        assert abs(len(a.pcm) - len(b.pcm)) <= 0.03 * SAMPLE_RATE_HZ
        assert abs(a.speech_ratio - b.speech_ratio) < (0.12 if bitrate_bps == 64_000 else 0.25)
        assert abs(_delay(a.pcm, b.pcm)) <= 0.02 * SAMPLE_RATE_HZ


def _delay(a: Pcm, b: Pcm) -> int:
    """How many samples later the middle of `b` lies in `a`, looked for within 25 ms."""
    middle = b[6_000:18_000]
    fits = [float(np.dot(a[6_000 + d : 18_000 + d], middle)) for d in range(-400, 401)]
    return int(np.argmax(fits)) - 400


@pytest.mark.parametrize("model", available_models())
def test_answers_do_not_move(model: str) -> None:
    clips = [clip(path) for path in clip_paths()]
    recognizer = Recognizer.load(model)
    live, file = recognizer.predict(heard(clips)), recognizer.predict(filed(clips))
    apart = [
        max(abs(a.probabilities[label] - b.probabilities[label]) for label in recognizer.info.labels)
        for a, b in zip(live, file, strict=True)
    ]
    assert np.mean(np.asarray(apart) <= 0.02) >= 0.95, sorted(apart)[-8:]
    # Where two labels are as good as equal, the codec may tip the balance; nowhere else.
    other = [(a, b) for a, b in zip(live, file, strict=True) if a.emotion != b.emotion]
    assert all(a.confidence - a.probabilities[b.emotion] <= 0.04 for a, b in other)
