"""What is said of recordings: one in full, several in a list, a long one as a picture and its longest stretches."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, Final

import discord
import structlog

from bot.cards import Card, embed_of
from bot.errors import in_words
from bot.listening.discord_surface import may_attach
from bot.listening.events import window_record
from bot.listening.inert import inert
from bot.pictures import palette, summary_png
from bot.pictures.words import Words
from bot.texts import Texts
from ser_engine.analysis import Analysis
from ser_engine.types import Prediction, Window
from storage.records import ParticipantRecord, SessionRecord, SessionState
from storage.report import build_report

MAX_STRETCHES: Final = 5
"""Lines about how a recording goes on; more of them become a picture."""

NAME_CHARS: Final = 100
"""Of a file's name: ten of them and what is said of each stand in 4,096 characters."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file."""

    filename: str
    result: Analysis | Exception


class Answer:
    """One answer to all recordings of a message."""

    def __init__(self, outcomes: Sequence[Outcome], *, model: str) -> None:
        self._outcomes = outcomes
        self._model = model

    @property
    def emoji(self) -> str | None:
        """The reaction to the message; None when its recordings do not all sound alike."""
        emoji = {emoji_of(o.result) for o in self._outcomes if isinstance(o.result, Analysis)}
        return emoji.pop() if len(emoji) == 1 else None

    async def content(self, texts: Texts, *, below: discord.Message | None = None) -> dict[str, Any]:
        """What `send` and `reply` of discord.py take; words alone where the bot may attach nothing below a message."""
        if len(self._outcomes) != 1 or not isinstance(analysis := self._outcomes[0].result, Analysis):
            return {"embed": embed_of(list_card(self._outcomes, texts, model=self._model))}
        model = analysis.summary.engine or self._model
        embed = embed_of(analysis_card(analysis, texts, model=model))
        if len(stretches(analysis)) <= MAX_STRETCHES or not (below is None or may_attach(below.channel)):
            return {"embed": embed}
        picture = await asyncio.to_thread(picture_of, analysis, self._outcomes[0].filename, texts)
        if picture is None:
            return {"embed": embed}
        file = discord.File(io.BytesIO(picture), "over-time.png", description=texts.RECORDING_PICTURE_ALT)
        return {"embed": embed.set_image(url="attachment://over-time.png"), "file": file}


def analysis_card(analysis: Analysis, texts: Texts, *, model: str) -> Card:
    """The breakdown, and how it goes on when there is more than one window."""
    fields = [(texts.BREAKDOWN_TITLE, _breakdown(analysis.summary, texts))]
    if len(analysis.windows) > 1:
        fields.append((texts.OVER_TIME_TITLE, _over_time(analysis, texts)))
    return Card(
        title=texts.ANALYSIS_TITLE,
        text=_in_all(analysis.summary, texts),
        fields=tuple(fields),
        footer=texts("FOOTER", model=model),
        colour=_look(analysis).discord_colour,
    )


def list_card(outcomes: Sequence[Outcome], texts: Texts, *, model: str) -> Card:
    """A line for each of several recordings."""
    lines = []
    for number, outcome in enumerate(outcomes, 1):
        result = outcome.result
        said = _in_all(result.summary, texts) if isinstance(result, Analysis) else in_words(result, texts)
        lines.append(f"{number}. {inert(outcome.filename, NAME_CHARS)}: {said}")
    return Card(title=texts.ANALYSIS_TITLE, text="\n".join(lines), footer=texts("FOOTER", model=model))


def emoji_of(analysis: Analysis) -> str:
    return _look(analysis).emoji


def stretches(analysis: Analysis) -> list[list[tuple[Window, Prediction]]]:
    """Windows that sound alike, together, in order of time."""
    return [list(stretch) for _, stretch in groupby(analysis.windows, key=_shown)]


def picture_of(analysis: Analysis, filename: str, texts: Texts) -> bytes | None:
    """The recording as a strip, drawn as a session of one speaker is. None when it cannot be drawn."""
    now = datetime.now(UTC)
    session = SessionRecord(
        id="",
        guild_id=0,
        channel_id=0,
        started_by=None,
        state=SessionState.ENDED,
        started_at=now,
        ended_at=now,
        end_reason=None,
        model="",
        model_version="",
        labels=tuple(analysis.summary.probabilities),
    )
    speaker = ParticipantRecord(id=1, session_id="", pseudonym="", user_id=0, included_at=now, withdrawn_at=None)
    words = Words(title=texts.ANALYSIS_TITLE, foot=texts.PICTURE_FOOT, tones=texts.TONES)
    windows = [window_record(speaker.id, window, prediction) for window, prediction in analysis.windows]
    try:
        return summary_png(build_report(session, [speaker], windows, []), {speaker.id: filename}, words)
    except Exception as error:  # noqa: BLE001  # a picture that cannot be drawn must not cost the words
        _log.error("picture_failed", exc_info=error)
        return None


def _look(analysis: Analysis) -> palette.Swatch:
    return palette.tone(analysis.summary.emotion, unclear=analysis.summary.unclear)


def _in_all(summary: Prediction, texts: Texts) -> str:
    emoji, word = palette.tone(summary.emotion, unclear=summary.unclear).emoji, texts.tone(summary.emotion)
    if summary.unclear:
        return texts("ANALYSIS_UNCLEAR", emoji=emoji, word=word, share=texts.percent(summary.confidence))
    sure = f"{texts.bar(summary.confidence)} {texts.percent(summary.confidence)}"
    return texts("ANALYSIS_SOUNDS", emoji=emoji, word=word, sure=sure)


def _breakdown(summary: Prediction, texts: Texts) -> str:
    ranked = sorted(summary.probabilities.items(), key=lambda item: -item[1])
    lines = []
    for label, probability in ranked:
        share = f"{texts.bar(probability)} {texts.percent(probability)}"
        lines.append(f"{palette.tone(label).emoji} {texts.tone(label)}: {share}")
    return "\n".join(lines)


def _over_time(analysis: Analysis, texts: Texts) -> str:
    """The longest stretches, in order of time, a line each."""
    found = stretches(analysis)
    longest = sorted(found, key=lambda pairs: pairs[0][0].start_s - pairs[-1][0].end_s)[:MAX_STRETCHES]
    lines = [_stretch(pairs, texts) for pairs in sorted(longest, key=lambda pairs: pairs[0][0].start_s)]
    more = len(found) - len(lines)
    return "\n".join([*lines, *([texts("AND_MORE", n=more)] if more else [])])


def _stretch(pairs: Sequence[tuple[Window, Prediction]], texts: Texts) -> str:
    label = _shown(pairs[0])
    span = f"{texts.clock_time(pairs[0][0].start_s)}–{texts.clock_time(pairs[-1][0].end_s)}"
    return f"{span} {palette.tone(label).emoji} {texts.tone(label)}"


def _shown(pair: tuple[Window, Prediction]) -> str | None:
    """The label that a window is shown under; None is unclear."""
    prediction = pair[1]
    return None if prediction.unclear else prediction.emotion
