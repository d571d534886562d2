"""`/listen start|stop|status` and `/mark`."""

from __future__ import annotations

from typing import Any

from discord import app_commands

from bot import texts
from bot.app import App
from bot.cards import Card, embed_of
from bot.commands import starting
from bot.commands.attest import AttestView
from bot.commands.common import Interaction, asker_of, defer, guild_of, say
from bot.commands.permissions import needs_attestation, require_stop
from bot.errors import NotPossible
from bot.listening.session import ListeningSession


class ListenGroup(app_commands.Group):
    def __init__(self, app: App) -> None:
        super().__init__(name="listen", description=texts.CMD_LISTEN, guild_only=True)
        self._app = app

    @app_commands.command(name="start", description=texts.CMD_LISTEN_START)
    async def start(self, interaction: Interaction) -> None:
        await defer(interaction)
        guild = guild_of(interaction)
        server = await self._app.storage.server(guild.id)
        if needs_attestation(asker_of(interaction), server):
            text = texts.ATTEST.format(days=server.retention_days)
            await say(interaction, text, view=AttestView(self._app))
            return
        await starting.start(interaction, self._app)

    @app_commands.command(name="stop", description=texts.CMD_LISTEN_STOP)
    async def stop(self, interaction: Interaction) -> None:
        await defer(interaction)
        session = running(self._app, interaction)
        server = await self._app.storage.server(session.record.guild_id)
        require_stop(asker_of(interaction), server, started_by=session.record.started_by)
        await self._app.sessions.stop(session.record.guild_id)
        await say(interaction, texts.STOPPING_SESSION)

    @app_commands.command(name="status", description=texts.CMD_LISTEN_STATUS)
    async def status(self, interaction: Interaction) -> None:
        await defer(interaction)
        await say(interaction, embed=embed_of(status_card(running(self._app, interaction))))


def mark_command(app: App) -> app_commands.Command[Any, ..., None]:
    @app_commands.command(name="mark", description=texts.CMD_MARK)
    @app_commands.describe(note=texts.ARG_MARK_NOTE)
    @app_commands.guild_only()
    async def mark(interaction: Interaction, note: app_commands.Range[str, 1, 200] | None = None) -> None:
        await defer(interaction)
        session = running(app, interaction)
        if interaction.user.id not in session.people.book.present_ids():
            raise NotPossible(texts.NOT_IN_THIS_VOICE)
        at_s = await session.mark(interaction.user.id, note or "")
        await say(interaction, texts.marked(at_s))

    return mark


def running(app: App, interaction: Interaction) -> ListeningSession:
    """The server's running session. Raises NotPossible."""
    session = app.sessions.of(guild_of(interaction).id)
    if session is None:
        raise NotPossible(texts.NOTHING_RUNS)
    return session


def status_card(session: ListeningSession) -> Card:
    """What is heard, and every reason why something was not."""
    now = session.snapshot()
    counters = session.counters()
    lost = {name: value for name, value in counters.items() if value and name.startswith(LOSSES)}
    heard = {name: counters.get(name, 0) for name in ("frames", "windows", "predictions")}
    return Card(
        title=texts.STATUS_TITLE,
        text=texts.status_line(now.channel_id, session.elapsed_s, now.link, len(now.included), len(now.excluded)),
        fields=(
            (texts.STATUS_HEARD, texts.tally(heard)),
            (texts.STATUS_LOST, texts.tally(lost) or texts.STATUS_NOTHING_LOST),
        ),
        url=now.report_url,
    )


LOSSES = (
    "dropped",
    "windows_dropped",
    "windows_too_short",
    "windows_withdrawn",
    "predictions_lost",
    "concealed",
    "lost",
)
"""Counters that stand for something that was not heard."""
