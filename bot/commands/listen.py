"""`/listen start|stop|status|check` and `/mark`."""

from __future__ import annotations

import io
from typing import Any, Final

import discord
from discord import app_commands

from bot.app import App
from bot.cards import Card, embed_of
from bot.commands import starting
from bot.commands.attest import attest_view
from bot.commands.common import Interaction, asker_of, defer, guild_of, operator_line, say, say_marked
from bot.commands.language import described, texts_of
from bot.commands.permissions import needs_attestation, require_start
from bot.commands.starting import VoiceChannel
from bot.errors import NotPossible
from bot.listening.losses import losses
from bot.listening.session import ListeningSession
from bot.texts import Texts
from bot.voice import check_call
from bot.voice.check import CHECK_S

FRAME_S: Final = 0.02
"""Length of an Opus packet."""


class ListenGroup(app_commands.Group):
    def __init__(self, app: App) -> None:
        super().__init__(name="listen", description=described("CMD_LISTEN"), guild_only=True)
        self._app = app

    @app_commands.command(name="start", description=described("CMD_LISTEN_START"))
    @app_commands.describe(channel=described("ARG_LISTEN_CHANNEL"))
    async def start(self, interaction: Interaction, channel: VoiceChannel | None = None) -> None:
        await defer(interaction)
        guild = guild_of(interaction)
        server = await self._app.storage.server(guild.id)
        if needs_attestation(asker_of(interaction), server):
            texts = texts_of(interaction)
            statement = texts("ATTEST", n=server.retention_days, operator=operator_line(self._app.settings, texts))
            await say(interaction, statement, view=attest_view(texts, channel.id if channel else None))
            return
        await starting.start(interaction, self._app, channel)

    @app_commands.command(name="stop", description=described("CMD_LISTEN_STOP"))
    async def stop(self, interaction: Interaction) -> None:
        await starting.stop(interaction, self._app, running(self._app, interaction))

    @app_commands.command(name="status", description=described("CMD_LISTEN_STATUS"))
    async def status(self, interaction: Interaction) -> None:
        await defer(interaction)
        await say(interaction, embed=embed_of(status_card(running(self._app, interaction), texts_of(interaction))))

    @app_commands.command(name="check", description=described("CMD_LISTEN_CHECK"))
    async def check(self, interaction: Interaction) -> None:
        await defer(interaction)
        guild, texts = guild_of(interaction), texts_of(interaction)
        require_start(asker_of(interaction), await self._app.storage.server(guild.id))
        channel = starting.voice_channel_of(guild, interaction.user.id)
        with self._app.sessions.reserved(guild.id, channel.id):
            await say(interaction, texts("CHECK_BEGINS", channel_id=channel.id, seconds=round(CHECK_S)))
            report = await check_call(channel, consent=lambda user_id: user_id == interaction.user.id, seconds=CHECK_S)
        file = discord.File(io.BytesIO(report.encode()), "undertone-call-check.txt")
        await say(interaction, texts.CHECK_DONE, file=file)


def mark_command(app: App) -> app_commands.Command[Any, ..., None]:
    @app_commands.command(name="mark", description=described("CMD_MARK"))
    @app_commands.describe(note=described("ARG_MARK_NOTE"))
    @app_commands.guild_only()
    async def mark(interaction: Interaction, note: app_commands.Range[str, 1, 200] | None = None) -> None:
        await defer(interaction)
        session = running(app, interaction)
        if session.ending:  # its summary is being written
            raise NotPossible("STALE_PANEL")
        if interaction.user.id not in session.people.book.present_ids():
            raise NotPossible("NOT_IN_THIS_VOICE")
        at_s = await session.mark(interaction.user.id, note or "")
        await say_marked(interaction, at_s)

    return mark


def running(app: App, interaction: Interaction) -> ListeningSession:
    """The server's running session. Raises NotPossible."""
    session = app.sessions.of(guild_of(interaction).id)
    if session is None:
        raise NotPossible("NOTHING_RUNS")
    return session


def status_card(session: ListeningSession, texts: Texts) -> Card:
    """What is heard, and every reason why something was not."""
    now, counters = session.snapshot(), session.counters()
    people = (texts("STATUS_INCLUDED", n=len(now.included)), texts("STATUS_EXCLUDED", n=len(now.excluded)))
    connection = texts(
        "STATUS_CONNECTION",
        channel_id=now.channel_id,
        time=texts.duration(session.limits.elapsed_s),
        state=texts.LINK_STATES.get(now.link, now.link),
    )
    heard = (
        texts("STATUS_HEARD_SPEECH", time=texts.duration(counters.get("frames", 0) * FRAME_S)),
        texts("STATUS_HEARD_WINDOWS", n=counters.get("predictions", 0)),
    )
    if now.unsaved:
        connection += f" · {texts.UNSAVED}"
    lost = losses(counters, texts) or [texts.STATUS_NOTHING_LOST]
    lines = [connection, texts.together(people), "", f"**{texts.STATUS_HEARD}**", *heard]
    lines += ["", f"**{texts.STATUS_LOST}**", *lost]  # too long for a field when everything went wrong
    return Card(title=texts.STATUS_TITLE, text="\n".join(lines), url=now.report_url)
