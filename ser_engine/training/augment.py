"""What a call does to a voice, drawn at random: the other half of the training data.

CREMA-D is twelve sentences, one way of recording each actor, and loudness habits that a chat client's automatic gain
takes away. What a network learns of those does not travel, so every clip is also heard through rooms, microphones,
noise, the codec with lost packets, other speeds and levels, and from windows that start and end anywhere.

All functions take and give mono float32 at 16 kHz and draw only from the generator they are handed: a seed decides all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from ser_engine.audio import change_speed
from ser_engine.training.opus import through_opus
from ser_engine.types import SAMPLE_RATE_HZ, WINDOW_SAMPLES, Pcm

MIN_WINDOW_SAMPLES: Final = int(0.8 * SAMPLE_RATE_HZ)
SHORT_SAMPLES: Final = int(1.5 * SAMPLE_RATE_HZ)
BITRATES_BPS: Final = (16_000, 24_000, 32_000, 48_000, 64_000, 96_000)
_CALL_BITRATES_BPS: Final = (32_000, 48_000, 64_000, 64_000, 96_000)
"""Discord's channels have 64 kbit/s unless their owner changed it."""
_PACKET_SAMPLES: Final = SAMPLE_RATE_HZ // 50
_MOVED_SAMPLES: Final = SAMPLE_RATE_HZ // 200


def vary(
    pcm: Pcm,
    rng: np.random.Generator,
    others: Sequence[Pcm] = (),
    *,
    cleaned: float = 0.0,
    coded: float = 0.5,
    short: float = 0.0,
) -> Pcm:
    """One random view of `pcm`, 0.8 to 3 s long; `others` are clips of other people, for a babble of voices.

    In a share `cleaned` of the cases the background is taken out first, before other backgrounds come in; a share
    `coded` goes through Opus at the end; a share `short` is cut to 0.8 to 1.5 s.
    """
    if cleaned and rng.random() < cleaned:
        pcm = clean(pcm, rng)
    out = change_speed(pcm, float(rng.uniform(0.88, 1.13))) if rng.random() < 0.7 else pcm
    out = cut_short(out, rng) if short and rng.random() < short else cut(out, rng)
    if rng.random() < 0.35:
        out = in_room(out, rng)
    if rng.random() < 0.6:
        out = equalise(out, rng)
    if rng.random() < 0.2:
        out = compress(out, rng)
    if rng.random() < 0.3:
        out = pad_edges(out, rng)
    if rng.random() < 0.55:
        out = add_noise(out, noise(len(out), rng, others), snr_db=float(rng.triangular(5, 30, 30)))
    if rng.random() < 0.1:
        out = gate(out, rng)
    out = at_level(out, float(rng.uniform(-15, 0)), rng)
    if rng.random() < coded:
        loss = float(rng.uniform(0.02, 0.1)) if rng.random() < 0.35 else 0.0
        application: Literal["voip", "audio"] = "voip" if rng.random() < 0.5 else "audio"
        out = through_opus(out, int(rng.choice(BITRATES_BPS)), rng, loss=loss, application=application)
    return np.ascontiguousarray(out, dtype=np.float32)


def over_a_call(pcm: Pcm, rng: np.random.Generator) -> Pcm:
    """`pcm` as a good connection carries it: coded, nothing lost, its packets and window cut wherever they fall.

    At most 5 ms of the beginning are missing: that much the end of silence moves under the codec.
    """
    lead = int(rng.integers(0, _PACKET_SAMPLES))
    application: Literal["voip", "audio"] = "voip" if rng.random() < 0.5 else "audio"
    heard = through_opus(np.pad(pcm, (lead, 0)), int(rng.choice(_CALL_BITRATES_BPS)), rng, application=application)
    return heard[lead + int(rng.integers(0, _MOVED_SAMPLES)) :]


def cut(pcm: Pcm, rng: np.random.Generator) -> Pcm:
    """A window of `pcm`: in half of the cases as much as fits into 3 s, else 0.8 to 3 s from anywhere."""
    longest = min(len(pcm), WINDOW_SAMPLES)
    length = longest
    if rng.random() < 0.5 and longest > MIN_WINDOW_SAMPLES:
        length = int(rng.triangular(MIN_WINDOW_SAMPLES, longest, longest))
    start = int(rng.integers(0, len(pcm) - length + 1))
    return pcm[start : start + length]


def cut_short(pcm: Pcm, rng: np.random.Generator) -> Pcm:
    """0.8 to 1.5 s of `pcm` with its loudest moment inside: as short as an answer in a call."""
    length = min(len(pcm), int(rng.uniform(MIN_WINDOW_SAMPLES, SHORT_SAMPLES)))
    energy = np.convolve(np.square(pcm, dtype=np.float64), np.ones(SAMPLE_RATE_HZ // 10), mode="same")
    loudest = int(energy.argmax())
    first, last = max(0, loudest - length), min(loudest, len(pcm) - length)
    start = int(rng.integers(first, max(first, last) + 1))
    return pcm[start : start + length]


def in_room(pcm: Pcm, rng: np.random.Generator) -> Pcm:
    """`pcm` in a made room: direct sound and a tail of decaying noise, 0.1 to 0.7 s long, 0 to 15 dB below."""
    reverberation_s, direct_db = float(rng.uniform(0.1, 0.7)), float(rng.uniform(0, 15))
    t = np.arange(int(reverberation_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    tail = rng.standard_normal(len(t)) * np.exp(-6.9 * t / reverberation_s)
    tail[: int(rng.uniform(0.001, 0.01) * SAMPLE_RATE_HZ)] = 0
    tail *= 10 ** (-direct_db / 20) / np.sqrt(np.square(tail).sum() + 1e-12)
    tail[0] = 1.0
    size = 1 << (len(pcm) + len(tail) - 1).bit_length()
    wet = np.fft.irfft(np.fft.rfft(pcm, size) * np.fft.rfft(tail, size), size)[: len(pcm)]
    return np.asarray(wet, dtype=np.float32)


def equalise(pcm: Pcm, rng: np.random.Generator) -> Pcm:
    """`pcm` through a made microphone: a smooth curve of ±8 dB over an octave scale, sometimes a limited band."""
    hz = np.fft.rfftfreq(len(pcm), 1 / SAMPLE_RATE_HZ)
    octaves = np.log2(np.maximum(hz, 40.0) / 40.0)
    knots = np.linspace(0, np.log2(8000 / 40), 7)
    curve_db = np.interp(octaves, knots, rng.uniform(-8, 8, len(knots)))
    if rng.random() < 0.3:
        low_hz = float(rng.uniform(60, 350))
        curve_db -= 12 * np.maximum(0, np.log2(low_hz / np.maximum(hz, 10.0)))
    if rng.random() < 0.3:
        high_hz = float(rng.uniform(3000, 7500))
        curve_db -= 36 * np.maximum(0, np.log2(np.maximum(hz, 10.0) / high_hz))
    shaped = np.fft.irfft(np.fft.rfft(pcm) * 10 ** (np.maximum(curve_db, -60) / 20), len(pcm))
    return np.asarray(shaped, dtype=np.float32)


def compress(pcm: Pcm, rng: np.random.Generator) -> Pcm:
    """`pcm` as automatic gain leaves it: the slow envelope raised to a power below 1."""
    power = float(rng.uniform(0.3, 0.8))
    width = int(rng.uniform(0.02, 0.2) * SAMPLE_RATE_HZ)
    sums = np.cumsum(np.pad(np.square(pcm, dtype=np.float64), (width // 2 + 1, width - width // 2)))
    envelope = np.sqrt(np.maximum(sums[width:] - sums[:-width], 0) / width)[: len(pcm)]
    floor = 0.03 * envelope.max() + 1e-6
    gain = np.maximum(envelope, floor) ** (power - 1)
    return np.asarray(pcm * gain / gain.min() * 0.5, dtype=np.float32)


def pad_edges(pcm: Pcm, rng: np.random.Generator) -> Pcm:
    """`pcm` with up to 0.9 s of digital or nearly silent pause before and after it, 3 s at most."""
    room = WINDOW_SAMPLES - len(pcm)
    before, after = (int(min(room / 2, x)) for x in rng.uniform(0, 0.9 * SAMPLE_RATE_HZ, 2))
    padded = np.pad(pcm, (before, after))
    if rng.random() < 0.7:
        padded = padded + rng.standard_normal(len(padded)) * np.abs(pcm).max() * 10 ** (-rng.uniform(45, 75) / 20)
    return np.asarray(padded, dtype=np.float32)


def noise(n: int, rng: np.random.Generator, others: Sequence[Pcm] = ()) -> Pcm:
    """`n` samples of a room: coloured noise, hum, key clicks, or a babble of `others`; level about 1."""
    draw = rng.random()
    if draw < 0.25 and others:
        voices = [others[int(i)] for i in rng.integers(0, len(others), int(rng.integers(3, 7)))]
        mixed = np.zeros(n)
        for voice in voices:
            if len(voice) == 0:
                continue
            mixed += np.resize(np.roll(voice, int(rng.integers(0, len(voice)))), n) / (np.std(voice) + 1e-6)
        return np.asarray(mixed, dtype=np.float32)
    sound = coloured(n, float(rng.uniform(0, 2)), rng)
    if draw > 0.85:
        sound = 0.3 * sound + hum(n, rng)
    elif draw > 0.7:
        sound = 0.3 * sound + clicks(n, rng)
    return np.asarray(sound, dtype=np.float32)


def coloured(n: int, slope: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Noise whose power falls with frequency to the power `slope`: 0 white, 1 pink, 2 brown; root mean square 1."""
    spectrum = np.fft.rfft(rng.standard_normal(n))
    spectrum *= np.maximum(np.fft.rfftfreq(n, 1 / SAMPLE_RATE_HZ), 40.0) ** (-slope / 2)
    sound = np.fft.irfft(spectrum, n)
    return np.asarray(sound / (np.sqrt(np.mean(np.square(sound))) + 1e-12))


def hum(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Mains hum: 50 or 60 Hz and its harmonics."""
    t = np.arange(n) / SAMPLE_RATE_HZ
    base_hz = float(rng.choice([50.0, 60.0]))
    parts = [np.sin(2 * np.pi * (base_hz * k * t + rng.random())) / k ** rng.uniform(0.5, 2) for k in range(1, 8)]
    return np.asarray(np.sum(parts, axis=0))


def clicks(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Keys and knocks: short decaying bursts, about four a second."""
    out = np.zeros(n)
    for start in rng.integers(0, n, max(1, int(4 * n / SAMPLE_RATE_HZ))):
        length = min(n - int(start), int(rng.uniform(0.01, 0.06) * SAMPLE_RATE_HZ))
        decay = np.exp(-np.arange(length) / (length / 5))
        out[start : start + length] += 6 * rng.uniform(0.3, 1) * rng.standard_normal(length) * decay
    return out


def add_noise(pcm: Pcm, sound: Pcm, *, snr_db: float) -> Pcm:
    """`pcm` with `sound` so far below it that their root mean squares are `snr_db` apart."""
    speech = np.sqrt(np.mean(np.square(pcm, dtype=np.float64)))
    level = np.sqrt(np.mean(np.square(sound, dtype=np.float64)))
    return np.asarray(pcm + sound * (speech / (level + 1e-9) * 10 ** (-snr_db / 20)), dtype=np.float32)


def clean(pcm: Pcm, rng: np.random.Generator) -> Pcm:
    """`pcm` as a good noise suppression leaves it: the steady background 6 to 40 dB lower, by spectral subtraction.

    CREMA-D's actors sit in the same noise whether they shout or whisper: between its loudest and its quietest moments
    an angry clip has 32 dB and a sad one 16. With the level normalised, how loud the background is gives the emotion
    away there, and nowhere else. (Boll, "Suppression of Acoustic Noise in Speech Using Spectral Subtraction", 1979.)
    """
    size, hop = 512, 128
    depth_db, strength = float(rng.uniform(6, 40)), float(rng.uniform(1.5, 3.5))
    window = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size))
    padded = np.pad(pcm, (size, size + hop))
    spectrum = np.fft.rfft(np.lib.stride_tricks.sliding_window_view(padded, size)[::hop] * window, axis=1)
    power = np.square(np.abs(spectrum))
    power[1:-1] = (power[:-2] + power[1:-1] + power[2:]) / 3
    background = np.quantile(power[size // hop : -(size // hop + 1)], 0.15, axis=0)
    gain = np.maximum(1 - strength * background / np.maximum(power, 1e-20), 10 ** (-depth_db / 20))
    wide = np.cumsum(np.pad(gain, ((0, 0), (3, 2)), mode="edge"), axis=1)
    gain = (wide[:, 5:] - wide[:, :-5]) / 5  # smooth over five bands: single ones would ring
    frames = np.fft.irfft(spectrum * gain, size, axis=1) * window
    out = np.zeros((len(frames) + size // hop - 1, hop))
    for k in range(size // hop):
        out[k : k + len(frames)] += frames[:, k * hop : (k + 1) * hop]
    return np.asarray(out.reshape(-1)[size : size + len(pcm)] / 2, dtype=np.float32)


def gate(pcm: Pcm, rng: np.random.Generator) -> Pcm:
    """`pcm` as a client's noise suppression leaves it: frames of 20 ms far below the peak become nothing."""
    frame = SAMPLE_RATE_HZ // 50
    count = -(-len(pcm) // frame)
    padded = np.pad(pcm, (0, count * frame - len(pcm))).reshape(count, frame)
    loud = np.sqrt(np.mean(np.square(padded), axis=1))
    keep = (loud > loud.max() * 10 ** (-rng.uniform(28, 42) / 20)).astype(np.float64)
    keep = np.minimum(1, np.convolve(keep, np.ones(5), mode="same"))
    gain = np.interp(np.arange(count * frame), (np.arange(count) + 0.5) * frame, keep)[: len(pcm)]
    return np.asarray(pcm * gain, dtype=np.float32)


def at_level(pcm: Pcm, peak_dbfs: float, rng: np.random.Generator) -> Pcm:
    """`pcm` with its peak at `peak_dbfs`; one in twenty is driven 3 to 9 dB over full scale and clipped."""
    drive_db = float(rng.uniform(3, 9)) if rng.random() < 0.05 else peak_dbfs
    scaled = pcm * np.float32(10 ** (drive_db / 20) / (np.abs(pcm).max() + 1e-9))
    return np.asarray(np.clip(scaled, -1.0, 1.0), dtype=np.float32)
