"""The colours hold their contrast and stay apart for every kind of colour vision."""

from __future__ import annotations

import itertools
import math

import pytest

from bot.pictures import palette
from bot.pictures.palette import DARK, EMOTIONS, LIGHT, STRENGTHS, UNCLEAR, blend, in_order, mark_on, strength, tone

pytestmark = pytest.mark.unit

# Machado, Oliveira and Fernandes 2009, severity 1.0, on linear RGB.
VISION = {
    "normal": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}
JUST_APART = 10.0
"""CIE 1976 distance; about 2.3 can just be noticed side by side."""


def _linear(colour: str) -> list[float]:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]


def _contrast(one: str, other: str) -> float:
    """WCAG 2 contrast ratio."""
    lights = sorted(sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), _linear(x), strict=True)) for x in (one, other))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def _lab(colour: str, matrix: tuple[tuple[float, ...], ...]) -> tuple[float, float, float]:
    seen = [min(1.0, max(0.0, sum(a * b for a, b in zip(row, _linear(colour), strict=True)))) for row in matrix]
    to_xyz = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
    white = (0.95047, 1.0, 1.08883)
    scaled = [sum(a * b for a, b in zip(row, seen, strict=True)) / w for row, w in zip(to_xyz, white, strict=True)]
    x, y, z = (t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in scaled)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_ink_can_be_read(theme: str) -> None:
    surface = {"light": LIGHT, "dark": DARK}[theme]
    for look in (*EMOTIONS, tone(None)):
        assert _contrast(getattr(look, theme).ink, surface.surface) >= 4.5, look.label
    assert _contrast(surface.text, surface.surface) >= 7
    assert _contrast(surface.muted, surface.surface) >= 4.5


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_what_is_drawn_upon_a_fill_can_be_seen_at_every_strength(theme: str) -> None:
    track = {"light": LIGHT, "dark": DARK}[theme].track
    for look in EMOTIONS:
        for share in STRENGTHS:
            fill = blend(track, getattr(look, theme).fill, share)
            assert _contrast(mark_on(fill), fill) >= 4, (look.label, share)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("part", ["fill", "ink"])
def test_any_two_emotions_stay_apart(theme: str, vision: str, part: str) -> None:
    for one, other in itertools.combinations(EMOTIONS, 2):
        colours = [_lab(getattr(getattr(look, theme), part), VISION[vision]) for look in (one, other)]
        assert math.dist(*colours) >= JUST_APART, (one.label, other.label)


def test_colour_is_never_the_only_carrier() -> None:
    for attribute in ("word", "emoji", "letter", "height", "css_class"):
        values = [getattr(look, attribute) for look in EMOTIONS]
        assert len(set(values)) == len(values), attribute
    assert tone(None).emoji not in {look.emoji for look in EMOTIONS}


def test_the_five_labels_and_what_is_unclear() -> None:
    assert {look.label: look.emoji for look in EMOTIONS} == {
        "Angry": "😠",
        "Happy": "😊",
        "Sad": "😢",
        "Disgust": "🤢",
        "Neutral": "😐",
    }
    assert tone("Angry", unclear=True) is tone(None) is tone(UNCLEAR)
    assert tone(None).emoji == "❔"


def test_a_label_of_ones_own_model_is_shown_too() -> None:
    own = tone("Fear")
    assert (own.word, own.letter, own.css_class) == ("fear", "F", palette.OTHER_CLASS)
    assert in_order(["Fear", "Sad", "Angry"]) == ["Angry", "Sad", "Fear"]


def test_strength_rises_with_confidence() -> None:
    values = [strength(c / 100) for c in range(101)]
    assert values == sorted(values)
    assert values[0] > 0.2
    assert values[-1] == 1.0


def test_blending() -> None:
    assert blend("#000000", "#ffffff", 0.0) == "#000000"
    assert blend("#000000", "#ffffff", 1.0) == "#ffffff"
    assert blend("#000000", "#ff8000", 0.5) == "#804000"
