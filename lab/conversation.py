"""The demo's conversation: who says which clip when, with pauses, second thoughts and people talking at once.

Pure: a seeded script without end. The clips are real recordings of actors (see the folder's README); each person of the
demo speaks with one actor's voice.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final

from sandbox.recordings import Recording, recordings

LULL_EVERY: Final = 9
"""Lines after which everybody is quiet for a moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    name: str
    actor: str
    colour: str
    included: bool


CAST: Final = (
    Person(name="Mara", actor="1021", colour="#c2577b", included=True),
    Person(name="Theo", actor="1015", colour="#4f7dc4", included=True),
    Person(name="Ines", actor="1079", colour="#b5762a", included=True),
    Person(name="Ravi", actor="1070", colour="#3d8f6f", included=True),
    Person(name="Otto", actor="1090", colour="#7a6a9a", included=False),
)
"""Mara starts the session; Otto would rather not be included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One turn. `pause_s` passes after it before the next begins; below zero, the next cuts in."""

    person: Person
    clip: Recording
    pause_s: float


def load_clips() -> dict[str, list[Recording]]:
    """The clips by actor, in the order of ``clips.csv``."""
    clips: dict[str, list[Recording]] = {}
    for clip in recordings():
        clips.setdefault(clip.actor, []).append(clip)
    return clips


def script(
    clips: Mapping[str, Sequence[Recording]], *, cast: Sequence[Person] = CAST, seed: int | None = None
) -> Iterator[Line]:
    """Lines without end. First each included person says one, so that a report has something to show soon."""
    chance = random.Random(seed)  # noqa: S311  # a conversation, not a secret
    decks: dict[str, list[Recording]] = {}
    last: Person | None = None
    silent: dict[str, int] = {}
    opening = [person for person in cast if person.included]
    for number in count():
        if number < len(opening):
            person = opening[number]
        elif last is not None and chance.random() < 0.2:
            person = last
        else:
            person = _next(chance, cast, last, silent)
        silent = {other.name: silent.get(other.name, 0) + 1 for other in cast} | {person.name: 0}
        deck = decks.setdefault(person.name, [])
        if not deck:
            deck += chance.sample(list(clips[person.actor]), len(clips[person.actor]))
        yield Line(person=person, clip=deck.pop(), pause_s=_pause(chance, number))
        last = person


def _next(chance: random.Random, cast: Sequence[Person], last: Person | None, silent: Mapping[str, int]) -> Person:
    """Somebody else, the likelier the longer they have been silent; those who are not included speak less."""
    others = [person for person in cast if person is not last]
    weights = [(1 + silent.get(person.name, 0)) * (1.0 if person.included else 0.3) for person in others]
    return chance.choices(others, weights)[0]


def _pause(chance: random.Random, number: int) -> float:
    if number % LULL_EVERY == LULL_EVERY - 1:
        return chance.uniform(1.5, 2.5)
    if number > len(CAST) and chance.random() < 0.28:
        return chance.uniform(-1.3, -0.5)
    return chance.uniform(0.2, 0.9)
