"""All words that people read in Discord, in the language of the person who reads them.

The sentences are in `bot/catalogue`, one gettext file a language: an entry's id is its name here. A private answer
speaks the language of the person's Discord, what is public speaks the server's. `of(locale)` gives the `Texts` of a
language; `texts.INCLUDED` is a sentence as it stands, `texts("MARKED", time="1:05")` one to fill in. A sentence that
counts something has a form for one and a form for many, chosen by `n`.

Rules: *sounds angry*, never *is angry*; what is unsure is called unclear; an emoji or a colour never says something
alone.
"""

from __future__ import annotations

import gettext
import io
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Final

from babel import negotiate_locale
from babel.dates import format_date
from babel.lists import format_list
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal

from bot.pictures.times import clock, spell
from ser_engine.errors import AudioError, EngineError

LANGUAGES: Final = ("en", "de")
"""The first is spoken to everybody whose language is not here."""

_CATALOGUE: Final = Path(__file__).parent / "catalogue"


class Texts:
    """The words of one language."""

    END_REASONS: Mapping[str, str]
    JOIN_FAILURES: Mapping[str, str]
    LINK_REASONS: Mapping[str, str]
    LINK_STATES: Mapping[str, str]
    LOSSES: Mapping[str, str]
    LOSSES_WINDOWS: Mapping[str, str]
    NAMES: Mapping[str, str]
    PERMISSIONS: Mapping[str, str]
    LANGUAGES: Mapping[str, str]
    PRIVACY_DECISIONS: Mapping[str, str]
    PRIVACY_VOICE_DECISIONS: Mapping[str, str]
    REFUSALS: Mapping[str, str] = {}  # English is the engine's own
    SESSION_STATES: Mapping[str, str]
    SETTINGS_TOPICS: Mapping[str, str]
    SUMMARY_PLACES: Mapping[str, str]
    TONES: Mapping[str, str]
    VOICE_MODES: Mapping[str, str]

    def __init__(self, language: str) -> None:
        self.language = language
        with (_CATALOGUE / f"{language}.po").open("rb") as source:
            entries = read_po(source, locale=language)
        compiled = io.BytesIO()
        write_mo(compiled, entries)
        compiled.seek(0)
        self._translations = gettext.GNUTranslations(compiled)
        self.keys = frozenset(str(entry.id[0] if entry.pluralizable else entry.id) for entry in entries if entry.id)
        self._counted = frozenset(str(entry.id[0]) for entry in entries if entry.id and entry.pluralizable)
        """Those with a form for one and a form for many."""
        groups: dict[str, dict[str, str]] = defaultdict(dict)
        for group, _, name in (key.partition(".") for key in self.keys if "." in key):
            groups[group][name] = self._translations.gettext(f"{group}.{name}")
        for group, members in groups.items():
            setattr(self, group, members)

    def __getattr__(self, name: str) -> str:
        """A sentence as it stands."""
        if name.startswith("_") or name not in self.keys:
            raise AttributeError(f"no text is named {name}")
        return self._translations.gettext(name)

    def __call__(self, key: str, /, **values: object) -> str:
        """A sentence with its values filled in; `n` is a number of things and chooses between one and many."""
        if key not in self.keys:
            raise KeyError(f"no text is named {key}")
        n = values.get("n")
        if not isinstance(n, int):
            return self._translations.gettext(key).format(**values)
        form = self._translations.ngettext(key, key, n) if key in self._counted else self._translations.gettext(key)
        return form.format(**values | {"n": self.number(n)})

    def refused(self, error: EngineError) -> str:
        """What the engine refuses; a text that stands in no catalogue stays in the log."""
        if error.key is None:
            return self.UNDECODABLE if isinstance(error, AudioError) else self.ENGINE_AWAY
        sentence = self.REFUSALS.get(error.key)
        return str(error) if sentence is None else sentence.format(**error.facts)

    # --- pieces that are the same everywhere

    def number(self, value: int) -> str:
        """``4,711``"""
        return format_decimal(value, locale=self.language)

    def together(self, parts: Iterable[str]) -> str:
        """``this, that and those``"""
        return format_list(list(parts), locale=self.language)

    def percent(self, share: float) -> str:
        return f"{round(share * 100)} %"

    def duration(self, seconds: float) -> str:
        """``42 s``, ``3 min 5 s``, ``1 h 2 min``: as on the web pages."""
        return spell(seconds)

    def day(self, when: datetime) -> str:
        """``2 March 2026``"""
        return format_date(when, "long", locale=self.language)

    def clock_time(self, seconds: float) -> str:
        """``3:05``, as on the time axis of pictures and pages."""
        return f"`{clock(seconds)}`"

    def bar(self, share: float, *, width: int = 8) -> str:
        """A small bar of text; `share` is 0 to 1."""
        filled = round(max(0.0, min(1.0, share)) * width)
        return "▰" * filled + "▱" * (width - filled)

    def tone(self, label: str | None) -> str:
        """What follows "sounds": an emotion's word, *unclear* for None, a foreign model's own label otherwise."""
        return self.TONES["Unclear"] if label is None else self.TONES.get(label, label.lower())

    def permissions(self, names: Iterable[str]) -> str:
        """Permissions as Discord's own client calls them: *Manage Server*."""
        known = self.PERMISSIONS
        return self.together(f"*{known.get(name, name.replace('_', ' ').title())}*" for name in names)


@cache
def _load(language: str) -> Texts:
    return Texts(language)


def of(locale: object) -> Texts:
    """The texts for a locale as Discord writes it (``de``, ``en-GB``), or in English."""
    wanted = str(locale) if locale is not None else LANGUAGES[0]
    return _load(negotiate_locale([wanted], LANGUAGES, sep="-") or LANGUAGES[0])


english: Final = of("en")
