"""What a reader wants of a session first: who sounded how, and when did it turn? Pure: a stored report in, words out.

`key_moments` finds the few moments worth a number, `story` tells the session in three sentences, `bins_of` smooths a
speaker's windows into bands that stay readable at any length. Discord's summary, the pages and the command line share
them, so that all three tell the same.
"""

from __future__ import annotations

from bot.report.bins import Bin, bins_of
from bot.report.moments import MARKED, KeyMoment, key_moments, marks_beside, turn_of, without_notes
from bot.report.story import Story, story

__all__ = [
    "MARKED",
    "Bin",
    "KeyMoment",
    "Story",
    "bins_of",
    "key_moments",
    "marks_beside",
    "story",
    "turn_of",
    "without_notes",
]
