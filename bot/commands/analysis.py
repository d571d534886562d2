"""From an attachment to words about how it sounds: fetch, cut, recognise, sum up. Nothing of it is stored."""

from __future__ import annotations

import asyncio
from itertools import groupby
from typing import Final
from urllib.parse import urlsplit

import discord

from bot.cards import Card
from bot.errors import NotPossible
from bot.pictures import palette
from bot.settings import Settings
from bot.texts import Texts
from ser_engine.analysis import Analysis, analyse
from ser_engine.backends.base import InferenceBackend
from ser_engine.limits import DEFAULT_LIMITS
from ser_engine.refusals import too_large
from ser_engine.types import Prediction, Window

MAX_BYTES: Final = DEFAULT_LIMITS.max_bytes
FETCH_S: Final = 20.0
MAX_STRETCHES: Final = 15
AT_ONCE: Final = 4
"""Files analysed at the same time; more wait."""

DISCORD_HOSTS: Final = frozenset({"cdn.discordapp.com", "media.discordapp.net"})
AUDIO_ENDINGS: Final = (".wav", ".mp3", ".ogg", ".oga", ".opus", ".webm", ".flac", ".m4a", ".mp4", ".aac")


class Analyst:
    """Analyses attachments, a few at a time."""

    def __init__(self, backend: InferenceBackend, settings: Settings) -> None:
        self._backend = backend
        own = urlsplit(settings.discord_api_base).hostname
        self._hosts = DISCORD_HOSTS if settings.is_discord or own is None else DISCORD_HOSTS | {own}
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def analyse(self, attachment: discord.Attachment) -> Analysis:
        """Raises AudioError, BackendError, NotPossible (foreign host), discord.HTTPException."""
        async with self._slots:
            data = await self._fetch(attachment)
            return await analyse(self._backend, data, filename=attachment.filename)

    async def _fetch(self, attachment: discord.Attachment) -> bytes:
        """At once, because the address is signed and expires; only from Discord's own hosts."""
        if urlsplit(attachment.url).hostname not in self._hosts:
            raise NotPossible("FOREIGN_HOST")
        if attachment.size > MAX_BYTES:
            raise too_large()
        async with asyncio.timeout(FETCH_S):
            data = await attachment.read()
        if len(data) > MAX_BYTES:
            raise too_large()
        return data


def audio_of(message: discord.Message) -> discord.Attachment | None:
    """The attachment to analyse: the voice message, or the first file that looks like sound."""
    return next((attachment for attachment in message.attachments if is_audio(attachment)), None)


def is_audio(attachment: discord.Attachment) -> bool:
    kind = attachment.content_type or ""
    return (
        attachment.is_voice_message()
        or kind.startswith("audio/")
        or attachment.filename.lower().endswith(AUDIO_ENDINGS)
    )


def analysis_card(analysis: Analysis, texts: Texts, *, model: str) -> Card:
    """The breakdown, over time when there is more than one window."""
    summary = analysis.summary
    look, word = palette.tone(summary.emotion, unclear=summary.unclear), texts.tone(summary.emotion)
    if summary.unclear:
        text = texts("ANALYSIS_UNCLEAR", emoji=look.emoji, word=word, share=texts.percent(summary.confidence))
    else:
        sure = f"{texts.bar(summary.confidence)} {texts.percent(summary.confidence)}"
        text = texts("ANALYSIS_SOUNDS", emoji=look.emoji, word=word, sure=sure)
    fields = [(texts.BREAKDOWN_TITLE, _breakdown(summary, texts))]
    if len(analysis.windows) > 1:
        fields.append((texts.OVER_TIME_TITLE, _over_time(analysis, texts)))
    return Card(
        title=texts.ANALYSIS_TITLE,
        text=text,
        fields=tuple(fields),
        footer=texts("FOOTER", model=model),
        colour=look.discord_colour,
    )


def reaction_of(analysis: Analysis) -> str:
    return palette.tone(analysis.summary.emotion, unclear=analysis.summary.unclear).emoji


def _breakdown(summary: Prediction, texts: Texts) -> str:
    ranked = sorted(summary.probabilities.items(), key=lambda item: -item[1])
    lines = []
    for label, probability in ranked:
        share = f"{texts.bar(probability)} {texts.percent(probability)}"
        lines.append(f"{palette.tone(label).emoji} {texts.tone(label)}: {share}")
    return "\n".join(lines)


def _over_time(analysis: Analysis, texts: Texts) -> str:
    """Stretches of windows that sound alike, a line each."""
    lines = []
    for shown, stretch in groupby(analysis.windows, key=_shown):
        pairs = list(stretch)
        span = f"{texts.clock_time(pairs[0][0].start_s)}–{texts.clock_time(pairs[-1][0].end_s)}"
        lines.append(f"{span} {palette.tone(shown).emoji} {texts.tone(shown)}")
    more = len(lines) - MAX_STRETCHES
    return "\n".join([*lines[:MAX_STRETCHES], *([texts("AND_MORE", n=more)] if more > 0 else [])])


def _shown(pair: tuple[Window, Prediction]) -> str | None:
    """The label that a window is shown under; None is unclear."""
    prediction = pair[1]
    return None if prediction.unclear else prediction.emotion
