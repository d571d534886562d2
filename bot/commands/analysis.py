"""From an attachment to how it sounds: fetched, cut, recognised and summed up. Nothing of it is stored."""

from __future__ import annotations

import asyncio
from typing import Final
from urllib.parse import urlsplit

import discord

from bot.errors import MessageGone, NotPossible
from bot.settings import Settings
from ser_engine.analysis import Analysis, analyse
from ser_engine.backends.base import InferenceBackend
from ser_engine.limits import DEFAULT_LIMITS
from ser_engine.refusals import too_large

MAX_BYTES: Final = DEFAULT_LIMITS.max_bytes
FETCH_S: Final = 20.0
DISCORD_HOSTS: Final = frozenset({"cdn.discordapp.com", "media.discordapp.net"})


class Analyst:
    """Analyses attachments."""

    def __init__(self, backend: InferenceBackend, settings: Settings) -> None:
        self._backend = backend
        own = urlsplit(settings.discord_api_base).hostname
        self._hosts = DISCORD_HOSTS if settings.is_discord or own is None else DISCORD_HOSTS | {own}

    async def analyse(self, attachment: discord.Attachment) -> Analysis:
        """Raises AudioError, BackendError, NotPossible (foreign host), MessageGone, discord.HTTPException."""
        data = await self._fetch(attachment)
        return await analyse(self._backend, data, filename=attachment.filename)

    async def _fetch(self, attachment: discord.Attachment) -> bytes:
        """At once, because the address is signed and expires; only from Discord's own hosts."""
        if urlsplit(attachment.url).hostname not in self._hosts:
            raise NotPossible("FOREIGN_HOST")
        if attachment.size > MAX_BYTES:
            raise too_large()
        try:
            async with asyncio.timeout(FETCH_S):
                data = await attachment.read()
        except discord.NotFound as error:
            raise MessageGone from error
        if len(data) > MAX_BYTES:
            raise too_large()
        return data
