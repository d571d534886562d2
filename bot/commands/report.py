"""`/report`: reports of past sessions, for those who took part and the one who started it."""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from datetime import timedelta

import discord
from discord import app_commands

from bot.app import App
from bot.cards import Card, embed_of
from bot.commands.common import Interaction, defer, guild_of, manages_server, say
from bot.commands.language import described, texts_of
from bot.commands.refusals import not_deleted
from bot.errors import NotAllowed, NotPossible
from bot.listening.summary import summary_card
from bot.texts import Texts
from storage.records import SessionRecord, SessionState

LISTED = 10
CHOICES = 25
"""As many as Discord shows while a person types."""


class ReportGroup(app_commands.Group):
    def __init__(self, app: App) -> None:
        super().__init__(name="report", description=described("CMD_REPORT"), guild_only=True)
        self._app = app

    @app_commands.command(name="last", description=described("CMD_REPORT_LAST"))
    async def last(self, interaction: Interaction) -> None:
        await defer(interaction)
        record = await self._choose(interaction, None)
        report = await self._app.storage.report(record.id)
        if report is None:
            raise NotPossible("NO_REPORT")
        card = summary_card(report, texts_of(interaction), report_url=self._app.report_url(record.id))
        await say(interaction, embed=embed_of(card))

    @app_commands.command(name="list", description=described("CMD_REPORT_LIST"))
    async def list_all(self, interaction: Interaction) -> None:
        await defer(interaction)
        records = (await self._theirs(interaction))[:LISTED]
        if not records:
            raise NotPossible("NO_REPORT")
        texts = texts_of(interaction)
        lines = [self._line(record, texts) for record in records]
        await say(interaction, embed=embed_of(Card(title=texts.REPORTS_TITLE, text="\n".join(lines))))

    @app_commands.command(name="share", description=described("CMD_REPORT_SHARE"))
    @app_commands.describe(session=described("ARG_REPORT_SESSION"), days=described("ARG_REPORT_DAYS"))
    async def share(
        self, interaction: Interaction, session: str | None = None, days: app_commands.Range[int, 1, 30] = 7
    ) -> None:
        await defer(interaction)
        record = await self._choose(interaction, session)
        share, token = await self._app.storage.create_share(record.id, lifetime=timedelta(days=days))
        url = self._app.share_url(token)
        if url is None:
            await self._app.storage.revoke_shares(record.id)
            raise NotPossible("NO_PUBLIC_URL")
        await say(interaction, texts_of(interaction)("SHARED", url=url, expires=int(share.expires_at.timestamp())))

    @app_commands.command(name="revoke", description=described("CMD_REPORT_REVOKE"))
    @app_commands.describe(session=described("ARG_REPORT_SESSION"))
    async def revoke(self, interaction: Interaction, session: str | None = None) -> None:
        await defer(interaction)
        record = await self._choose(interaction, session)
        number, texts = await self._app.storage.revoke_shares(record.id), texts_of(interaction)
        await say(interaction, texts("REVOKED", n=number) if number else texts.NOTHING_TO_REVOKE)

    @app_commands.command(name="delete", description=described("CMD_REPORT_DELETE"))
    @app_commands.describe(session=described("ARG_REPORT_SESSION"))
    async def delete(self, interaction: Interaction, session: str) -> None:
        """For the one who started it and for Manage Server: it takes away what others may open."""
        await defer(interaction)
        guild_id = guild_of(interaction).id
        record = await self._app.storage.session(session)
        if record is None or record.guild_id != guild_id:
            raise NotPossible("NO_REPORT")
        if record.started_by != interaction.user.id and not manages_server(interaction):
            raise NotAllowed("MAY_NOT_DELETE")
        if record.state is SessionState.LIVE:
            raise NotPossible("STILL_RUNS")
        done, texts = await self._app.deletions.session(record.id), texts_of(interaction)
        await say(interaction, "\n".join([texts.REPORT_DELETED, *not_deleted(texts, done.refused)]))

    @app_commands.command(name="export", description=described("CMD_REPORT_EXPORT"))
    @app_commands.describe(session=described("ARG_REPORT_SESSION"))
    async def export(self, interaction: Interaction, session: str | None = None) -> None:
        await defer(interaction)
        record = await self._choose(interaction, session)
        report = await self._app.storage.report(record.id)
        if report is None:
            raise NotPossible("NO_REPORT")
        plain = asdict(report)
        plain["session"].pop("started_by")
        for person in plain["participants"]:  # pseudonyms only: the file may be passed on
            person["participant"].pop("user_id")
        body = json.dumps(plain, indent=2, ensure_ascii=False, default=str).encode()
        await say(
            interaction,
            texts_of(interaction).EXPORTED,
            file=discord.File(io.BytesIO(body), f"undertone-{record.id}.json"),
        )

    @share.autocomplete("session")
    @revoke.autocomplete("session")
    @delete.autocomplete("session")
    @export.autocomplete("session")
    async def sessions_to_choose(self, interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
        records = await self._theirs(interaction)
        states = texts_of(interaction).SESSION_STATES
        names = [(f"{r.started_at:%Y-%m-%d %H:%M} UTC · {states[r.state.value]}", r.id) for r in records]
        return [app_commands.Choice(name=n, value=i) for n, i in names if typed.lower() in n.lower()][:CHOICES]

    def _line(self, record: SessionRecord, texts: Texts) -> str:
        url = self._app.report_url(record.id)
        name = f"[{record.id}]({url})" if url else f"`{record.id}`"
        state = texts.SESSION_STATES[record.state.value]
        return f"<t:{int(record.started_at.timestamp())}:f> · <#{record.channel_id}> · {state} · {name}"

    async def _theirs(self, interaction: Interaction) -> list[SessionRecord]:
        """Sessions of this server whose report the asking person may open, newest first."""
        own = await self._app.storage.sessions_of(interaction.user.id)
        records = await self._app.storage.sessions(guild_id=guild_of(interaction).id, limit=200)
        return [record for record in records if record.id in own]

    async def _choose(self, interaction: Interaction, session_id: str | None) -> SessionRecord:
        """The named session, or the newest. Raises NotPossible; does not tell what others have."""
        records = await self._theirs(interaction)
        for record in records:
            if session_id is None or record.id == session_id:
                return record
        raise NotPossible("NO_REPORT")
