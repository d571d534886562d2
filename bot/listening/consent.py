"""Who is included in a session: pure rules, no clock, no Discord.

Nobody is included by default. A person becomes included by pressing the button, or by a standing opt-in while they are
in the channel; a standing opt-out wins over both. Someone unknown is excluded, and so are bots. A person who leaves and
comes back keeps their own decision for this session, but while they are away nothing of theirs is taken.

Discord delivers and acknowledges presses in any order, so a person's decisions are kept with the id of the interaction
that made them. Such an id is a time: the decisions are replayed in the order in which they were pressed, whatever order
their handling ends in.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from storage.records import Decision

KEPT_PRESSES: Final = 32
"""Decisions of one person that are replayed; what is older is settled, and a press from before that does not count."""


class PressResult(StrEnum):
    """What a press of a button came to."""

    INCLUDED = "included"
    ALREADY_INCLUDED = "already_included"
    EXCLUDED = "excluded"
    ALREADY_EXCLUDED = "already_excluded"
    OPTED_OUT = "opted_out"
    NOT_PRESENT = "not_present"


class Press(StrEnum):
    """A decision of a person."""

    INCLUDE = "include"
    EXCLUDE = "exclude"
    OPT_IN = "opt_in"
    OPT_OUT = "opt_out"
    ASK = "ask"
    """The standing answer is forgotten."""


STANDING: Final = {Decision.OPT_IN: Press.OPT_IN, Decision.OPT_OUT: Press.OPT_OUT, None: Press.ASK}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stance:
    """What a person's decisions come to."""

    standing: Decision | None = None
    wants_in: bool = False
    by_standing: bool = False
    """Included by the standing answer alone, not by the button."""

    def after(self, press: Press) -> Stance:
        match press:
            case Press.INCLUDE:
                if self.standing is Decision.OPT_OUT:
                    return self
                return replace(self, wants_in=True, by_standing=False)
            case Press.EXCLUDE:
                return replace(self, wants_in=False, by_standing=False)
            case Press.OPT_IN:
                by_standing = self.by_standing or not self.wants_in
                return replace(self, standing=Decision.OPT_IN, wants_in=True, by_standing=by_standing)
            case Press.OPT_OUT:
                return Stance(standing=Decision.OPT_OUT)
            case Press.ASK:
                return Stance(wants_in=self.wants_in and not self.by_standing)


@dataclass(slots=True)
class _Person:
    settled: Stance = field(default_factory=Stance)
    """Before the first of `presses`."""
    settled_until: int = 0
    presses: list[tuple[int, Press]] = field(default_factory=list)
    stance: Stance = field(default_factory=Stance)
    """What all of it comes to. It is asked for each packet, and so worked out when something changes."""
    present: bool = False
    seen: bool = False
    asked_storage: bool = False

    @property
    def included(self) -> bool:
        return self.present and self.stance.wants_in

    def settle(self, standing: Decision) -> None:
        """What was decided before the first of `presses`."""
        self.settled = self.settled.after(STANDING[standing])
        self._replay()

    def add(self, interaction_id: int, press: Press) -> None:
        if interaction_id <= self.settled_until:
            return
        bisect.insort(self.presses, (interaction_id, press))
        while len(self.presses) > KEPT_PRESSES:
            self.settled_until, oldest = self.presses.pop(0)
            self.settled = self.settled.after(oldest)
        self._replay()

    def retract(self, interaction_id: int) -> None:
        self.presses = [kept for kept in self.presses if kept[0] != interaction_id]
        self._replay()

    def _replay(self) -> None:
        stance = self.settled
        for _, press in self.presses:
            stance = stance.after(press)
        self.stance = stance


class ConsentBook:
    """The decisions of one session. `interaction_id` says when a decision was made."""

    def __init__(self) -> None:
        self._people: dict[int, _Person] = {}

    # --- coming and going

    def arrive(self, user_id: int) -> bool:
        """Somebody is in the channel. True when their standing answer is not known yet: see `learn`."""
        person = self._of(user_id)
        person.present = person.seen = True
        return not person.asked_storage

    def learn(self, user_id: int, standing: Decision | None) -> None:
        """The answer that was stored before this session heard of the person; their own presses come on top."""
        person = self._of(user_id)
        if not person.asked_storage:
            person.asked_storage = True
            if standing:
                person.settle(standing)

    def depart(self, user_id: int) -> None:
        """Somebody left the channel."""
        if (person := self._people.get(user_id)) is not None:
            person.present = False

    # --- deciding

    def include(self, user_id: int, interaction_id: int) -> PressResult:
        """*Include me* was pressed."""
        person = self._people.get(user_id)
        if person is None or not person.present:
            return PressResult.NOT_PRESENT
        before = person.included
        person.add(interaction_id, Press.INCLUDE)
        if person.included:
            return PressResult.ALREADY_INCLUDED if before else PressResult.INCLUDED
        return PressResult.OPTED_OUT if person.stance.standing is Decision.OPT_OUT else PressResult.ALREADY_EXCLUDED

    def exclude(self, user_id: int, interaction_id: int) -> PressResult:
        """*Leave me out* was pressed. Works for everyone, present or not."""
        person = self._of(user_id)
        before = person.stance.wants_in
        person.add(interaction_id, Press.EXCLUDE)
        if person.stance.wants_in:  # *Include me* was pressed after it
            return PressResult.ALREADY_INCLUDED
        return PressResult.EXCLUDED if before else PressResult.ALREADY_EXCLUDED

    def decide(self, user_id: int, standing: Decision | None, interaction_id: int) -> None:
        """A standing answer changed: an opt-out takes effect at once, an opt-in includes a person who is present."""
        self._of(user_id).add(interaction_id, STANDING[standing])

    def retract(self, user_id: int, interaction_id: int) -> None:
        """A decision that could not be carried out was never made."""
        self._of(user_id).retract(interaction_id)

    def newest(self, user_id: int) -> int:
        """The id of a person's newest decision; 0 when there is none."""
        person = self._people.get(user_id)
        return 0 if person is None else max([person.settled_until, *(press[0] for press in person.presses)])

    # --- who is in

    def included(self, user_id: int) -> bool:
        """Whether this person's voice may be taken now. Unknown: no."""
        person = self._people.get(user_id)
        return person is not None and person.included

    def wants_in(self, user_id: int) -> bool:
        """Whether this person agreed and did not withdraw, present or not."""
        person = self._people.get(user_id)
        return person is not None and person.stance.wants_in

    def by_standing(self, user_id: int) -> bool:
        """Whether the standing answer alone includes this person."""
        person = self._people.get(user_id)
        return person is not None and person.stance.by_standing

    def included_ids(self) -> list[int]:
        """In order of arrival."""
        return [user_id for user_id, person in self._people.items() if person.included]

    def excluded_ids(self) -> list[int]:
        """Who is present and not included, in order of arrival."""
        return [user_id for user_id, person in self._people.items() if person.present and not person.included]

    def seen_ids(self) -> set[int]:
        """Everybody who was in the channel at some time."""
        return {user_id for user_id, person in self._people.items() if person.seen}

    def asked(self, user_id: int) -> bool:
        """Whether it is known what this person answered before."""
        person = self._people.get(user_id)
        return person is not None and person.asked_storage

    def present_ids(self) -> list[int]:
        return [user_id for user_id, person in self._people.items() if person.present]

    def absentees(self, present: Iterable[int]) -> list[int]:
        """Who is booked as present but is not among `present`: their departure was missed."""
        here = set(present)
        return [user_id for user_id in self.present_ids() if user_id not in here]

    def _of(self, user_id: int) -> _Person:
        return self._people.setdefault(user_id, _Person())
