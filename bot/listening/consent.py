"""Who is included in a session: pure rules, no clock, no Discord.

Nobody is included by default. A person becomes included by pressing the button, or by a standing opt-in when they are
in the channel; a standing opt-out wins over both. Someone unknown is excluded, and so are bots. Whoever leaves and
comes back keeps their own decision for this session, but while away nothing of theirs is taken.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from storage.records import Decision


class Answer(StrEnum):
    """What a press of a button, or an arrival, came to."""

    INCLUDED = "included"
    ALREADY_INCLUDED = "already_included"
    EXCLUDED = "excluded"
    ALREADY_EXCLUDED = "already_excluded"
    OPTED_OUT = "opted_out"
    NOT_PRESENT = "not_present"


@dataclass(slots=True)
class _Person:
    standing: Decision | None
    wants_in: bool
    present: bool


class ConsentBook:
    """The decisions of one session."""

    def __init__(self) -> None:
        self._people: dict[int, _Person] = {}

    def arrive(self, user_id: int, *, standing: Decision | None, bot: bool = False) -> Answer:
        """Somebody is in the channel. INCLUDED when that includes them at once (standing opt-in, or came back)."""
        if bot:
            return Answer.EXCLUDED
        person = self._people.get(user_id)
        if person is None:
            person = self._people[user_id] = _Person(standing, standing is Decision.OPT_IN, present=True)
        else:
            person.present = True
        return Answer.INCLUDED if self.included(user_id) else Answer.EXCLUDED

    def depart(self, user_id: int) -> None:
        """Somebody left the channel."""
        if (person := self._people.get(user_id)) is not None:
            person.present = False

    def include(self, user_id: int) -> Answer:
        """*Include me* was pressed."""
        person = self._people.get(user_id)
        if person is None or not person.present:
            return Answer.NOT_PRESENT
        if person.standing is Decision.OPT_OUT:
            return Answer.OPTED_OUT
        if person.wants_in:
            return Answer.ALREADY_INCLUDED
        person.wants_in = True
        return Answer.INCLUDED

    def exclude(self, user_id: int) -> Answer:
        """*Leave me out* was pressed. Works for everyone, present or not."""
        person = self._people.get(user_id)
        if person is None or not person.wants_in:
            return Answer.ALREADY_EXCLUDED
        person.wants_in = False
        return Answer.EXCLUDED

    def decide(self, user_id: int, standing: Decision | None) -> Answer:
        """A standing decision changed while the session runs. It never includes anybody in it: the button does."""
        person = self._people.get(user_id)
        if person is None:
            return Answer.NOT_PRESENT
        person.standing = standing
        return self.exclude(user_id) if standing is Decision.OPT_OUT else Answer.ALREADY_EXCLUDED

    def included(self, user_id: int) -> bool:
        """Whether this person's voice may be taken now. Unknown: no."""
        person = self._people.get(user_id)
        return person is not None and person.present and person.wants_in and person.standing is not Decision.OPT_OUT

    def included_ids(self) -> list[int]:
        """In order of arrival."""
        return [user_id for user_id in self._people if self.included(user_id)]

    def excluded_ids(self) -> list[int]:
        """Who is present and not included, in order of arrival."""
        return [user_id for user_id, person in self._people.items() if person.present and not self.included(user_id)]

    def present_ids(self) -> list[int]:
        return [user_id for user_id, person in self._people.items() if person.present]

    def absentees(self, present: Iterable[int]) -> list[int]:
        """Who is booked as present but is not among `present`: their departure was missed."""
        here = set(present)
        return [user_id for user_id in self.present_ids() if user_id not in here]
