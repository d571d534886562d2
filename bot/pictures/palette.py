"""How each emotion is shown, everywhere: one table of words, emoji, letters, heights and colours.

A colour is never the only carrier of a meaning: beside it stand a letter, and in a heat strip the height of a note, as
on a staff (angry highest, sad lowest). `ink` holds at least 4.5:1 against its surface and is for text, lines and notes;
`fill` is for areas. Any two of either stay apart in normal sight and in the three kinds of colour blindness (a test
simulates them). What is drawn upon a fill is `mark_on` of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Colours:
    fill: str
    ink: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Swatch:
    """An emotion as it is shown."""

    label: str
    """The model's label."""
    word: str
    """What follows "sounds"."""
    emoji: str
    letter: str
    height: float
    """Where its note lies in a strip: 0 the bottom, 1 the top."""
    light: Colours
    dark: Colours

    @property
    def css_class(self) -> str:
        return f"e-{self.label.lower()}" if self.label in _TONES or self.label == UNCLEAR else OTHER_CLASS

    @property
    def discord_colour(self) -> int:
        """For the stripe of an embed, 0xRRGGBB."""
        return int(self.dark.fill[1:], 16)


@dataclass(frozen=True, slots=True, kw_only=True)
class Theme:
    """A surface and what is written on it."""

    surface: str
    track: str
    """A speaker's empty row."""
    line: str
    text: str
    muted: str
    """Secondary text, still 4.5:1."""


UNCLEAR: Final = "Unclear"
STRENGTHS: Final = (0.32, 0.54, 0.78, 1.0)
"""Opacity of a cell's colour over its row, by `level`."""
_LEAST_CONFIDENCE: Final = (0.45, 0.6, 0.75)
OTHER_CLASS: Final = "e-other"
"""CSS class of a label that only somebody's own model knows."""

LIGHT: Final = Theme(surface="#faf8f4", track="#f0ece4", line="#d8d2c6", text="#1d1c1a", muted="#66625a")
DARK: Final = Theme(surface="#16181c", track="#20232a", line="#383d47", text="#eceae6", muted="#a5a8ae")

_UNCLEAR_TONE: Final = Swatch(
    label=UNCLEAR,
    word="unclear",
    emoji="❔",
    letter="?",
    height=0.5,
    light=Colours(fill="#cdc7ba", ink="#6f6a60"),
    dark=Colours(fill="#434853", ink="#989da7"),
)

_TONES: Final = {
    tone.label: tone
    for tone in (
        Swatch(
            label="Angry",
            word="angry",
            emoji="😠",
            letter="A",
            height=1.0,
            light=Colours(fill="#c2301f", ink="#8f1710"),
            dark=Colours(fill="#f2664a", ink="#ff8a70"),
        ),
        Swatch(
            label="Happy",
            word="happy",
            emoji="😊",
            letter="H",
            height=0.75,
            light=Colours(fill="#e5a50a", ink="#946300"),
            dark=Colours(fill="#f7cf57", ink="#ffdd7a"),
        ),
        Swatch(
            label="Neutral",
            word="neutral",
            emoji="😐",
            letter="N",
            height=0.5,
            light=Colours(fill="#949aa3", ink="#646b75"),
            dark=Colours(fill="#a9afb8", ink="#bcc2cb"),
        ),
        Swatch(
            label="Disgust",
            word="disgusted",
            emoji="🤢",
            letter="D",
            height=0.25,
            light=Colours(fill="#0f7a5c", ink="#0a5f48"),
            dark=Colours(fill="#2fb893", ink="#4fd6b0"),
        ),
        Swatch(
            label="Sad",
            word="sad",
            emoji="😢",
            letter="S",
            height=0.0,
            light=Colours(fill="#2f6fc9", ink="#1f57ad"),
            dark=Colours(fill="#5b9bf5", ink="#8bbaff"),
        ),
    )
}

EMOTIONS: Final = tuple(_TONES.values())
"""The five known emotions, from the highest note to the lowest: the order of every legend and table."""


def tone(label: str | None, *, unclear: bool = False) -> Swatch:
    """How a label is shown. One that only somebody's own model knows gets its first letter and the neutral colours."""
    if unclear or label is None or label == UNCLEAR:
        return _UNCLEAR_TONE
    if (known := _TONES.get(label)) is not None:
        return known
    neutral = _TONES["Neutral"]
    return Swatch(
        label=label,
        word=label.lower(),
        emoji="🔹",
        letter=label[:1].upper(),
        height=0.5,
        light=neutral.light,
        dark=neutral.dark,
    )


def in_order(labels: tuple[str, ...] | list[str]) -> list[str]:
    """Labels in the order of every legend; unknown ones last, as the model has them."""
    known = list(_TONES)
    return sorted(labels, key=lambda label: known.index(label) if label in known else len(known))


def level(confidence: float) -> int:
    """One of four steps, 1 the faintest: below 0.45 it is a guess among several."""
    return 1 + sum(confidence >= least for least in _LEAST_CONFIDENCE)


def strength(confidence: float) -> float:
    """How strongly a cell is coloured, up to 1: the surer, the stronger."""
    return STRENGTHS[level(confidence) - 1]


def mark_on(colour: str) -> str:
    """What is drawn upon a colour, a note or a letter: near black or white, whichever can be seen better (over 4:1)."""
    return max(("#0d0c0b", "#ffffff"), key=lambda mark: contrast(mark, colour))


def contrast(one: str, other: str) -> float:
    """The contrast ratio of WCAG 2, from 1 to 21."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def blend(surface: str, colour: str, share: float) -> str:
    """`colour` laid over `surface` with opacity `share`; all as ``#rrggbb``."""
    mixed = (round(_channel(surface, i) * (1 - share) + _channel(colour, i) * share) for i in range(3))
    return "#" + "".join(f"{value:02x}" for value in mixed)


def _luminance(colour: str) -> float:
    channels = [_channel(colour, index) / 255 for index in range(3)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _channel(colour: str, index: int) -> int:
    return int(colour[1 + 2 * index : 3 + 2 * index], 16)
