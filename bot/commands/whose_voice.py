"""Who has to agree before a recording is analysed. Pure rules; what people answered is remembered in memory only.

A voice message was recorded by its author, so its author decides. Any other recording may hold anybody's voice: whoever
wants to know states that it is their own or that the person agreed, once a day. The messages of somebody who opted out
are never analysed.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from storage.records import Decision

STATEMENT_S: Final = 24 * 3600.0
"""How long a statement about a recording holds."""
MAX_REMEMBERED: Final = 10_000


class Verdict(Enum):
    ANALYSE = "analyse"
    ASK_AUTHOR = "ask_author"
    ASKER_STATES = "asker_states"
    AUTHOR_OPTED_OUT = "author_opted_out"
    ASKER_OPTED_OUT = "asker_opted_out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A person wants to know how a message sounds."""

    asker_id: int
    author_id: int
    own_voice: bool
    """Recorded by the author in Discord itself."""
    forwarded: bool
    author_standing: Decision | None
    """The author's standing answer for voice messages in this server."""
    original_opted_out: bool = False
    """Somebody else wrote what the message forwards, and opted out."""
    stated: bool
    """The asker stated today that recordings of theirs are their own voice or agreed to."""


def decide(case: Case) -> Verdict:
    own_message = case.asker_id == case.author_id
    if case.original_opted_out:
        return Verdict.AUTHOR_OPTED_OUT
    if case.author_standing is Decision.OPT_OUT:
        return Verdict.ASKER_OPTED_OUT if own_message else Verdict.AUTHOR_OPTED_OUT
    if case.own_voice:
        agreed = own_message or case.author_standing is Decision.OPT_IN
        return Verdict.ANALYSE if agreed else Verdict.ASK_AUTHOR
    if not own_message and not case.forwarded:
        return Verdict.ASK_AUTHOR
    return Verdict.ANALYSE if case.stated else Verdict.ASKER_STATES


class Statements:
    """Who stated, and until when that holds."""

    def __init__(self) -> None:
        self._until_s: OrderedDict[int, float] = OrderedDict()

    def make(self, person_id: int, now_s: float) -> None:
        self._until_s[person_id] = now_s + STATEMENT_S
        self._until_s.move_to_end(person_id)
        _bound(self._until_s)

    def holds(self, person_id: int, now_s: float) -> bool:
        return self._until_s.get(person_id, 0.0) > now_s


class Refusals:
    """Each *No*: to this asker about this message."""

    def __init__(self) -> None:
        self._said: OrderedDict[tuple[int, int], None] = OrderedDict()

    def note(self, message_id: int, asker_id: int) -> None:
        self._said[message_id, asker_id] = None
        _bound(self._said)

    def said(self, message_id: int, asker_id: int) -> bool:
        return (message_id, asker_id) in self._said


class Remembered:
    """What people answered, for as long as the process lives: clients come and go."""

    def __init__(self) -> None:
        self.statements = Statements()
        self.refusals = Refusals()


def _bound(remembered: OrderedDict[Any, Any]) -> None:
    while len(remembered) > MAX_REMEMBERED:
        remembered.popitem(last=False)
