"""`/report`: reports of past sessions, for those who took part, the one who started it and the server's viewer role."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any, Final

import structlog
from discord import app_commands

from bot.app import App
from bot.cards import Card, embed_of
from bot.commands.common import Interaction, defer, guild_of, manages_server, reads_all, say, say_as_json
from bot.commands.language import described, texts_of
from bot.commands.refusals import not_deleted
from bot.commands.sharing import tell_of_share
from bot.errors import NotAllowed, NotPossible
from bot.listening.summary import summary_card
from bot.report import without_notes
from bot.texts import Texts
from storage.errors import StorageError
from storage.listing import Wanted
from storage.records import SessionRecord, SessionReport, SessionState, WindowRecord

SHARED_FOR: Final = timedelta(days=7)
LISTED = 10
CHOSEN_FROM: Final = 200
CHOICES = 25
"""As many as Discord shows while a person types."""
CHOOSE_S: Final = 2.0
"""Of the 3 s that Discord waits for them."""

_log = structlog.get_logger(__name__)


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
        records = await self._theirs(interaction, limit=LISTED)
        if not records:
            raise NotPossible("NO_REPORT")
        texts = texts_of(interaction)
        lines = [self._line(record, texts) for record in records]
        await say(interaction, embed=embed_of(Card(title=texts.REPORTS_TITLE, text="\n".join(lines))))

    @app_commands.command(name="share", description=described("CMD_REPORT_SHARE"))
    @app_commands.describe(session=described("ARG_REPORT_SESSION"), everybody=described("ARG_REPORT_EVERYBODY"))
    async def share(self, interaction: Interaction, session: str | None = None, everybody: bool | None = None) -> None:
        """One's own results are one's own to share; everybody's, the starter's or a manager's, who is named for it."""
        await defer(interaction)
        record = await self._choose(interaction, session)
        may_share_all = record.started_by == interaction.user.id or manages_server(interaction)
        if everybody and not may_share_all:
            raise NotAllowed("MAY_NOT_SHARE_ALL")
        if self._app.share_url("") is None:
            raise NotPossible("NO_PUBLIC_URL")
        of_all = may_share_all if everybody is None else everybody
        row_id = None if of_all else await self._own_row(record, interaction.user.id)
        share, token = await self._app.storage.create_share(
            record.id, lifetime=SHARED_FOR, maker_id=interaction.user.id, participant_id=row_id
        )
        if of_all:
            await tell_of_share(self._app, record, share, maker_id=interaction.user.id)
        answer = texts_of(interaction)(
            "SHARED" if of_all else "SHARED_OWN",
            url=self._app.share_url(token),
            expires=int(share.expires_at.timestamp()),
        )
        await say(interaction, answer)

    @app_commands.command(name="revoke", description=described("CMD_REPORT_REVOKE"))
    @app_commands.describe(session=described("ARG_REPORT_SESSION"))
    async def revoke(self, interaction: Interaction, session: str | None = None) -> None:
        """For the one who made a link, and for Manage Server, of any session."""
        await defer(interaction)
        record = await self._choose(interaction, session, managing=True)
        maker_id = None if manages_server(interaction) else interaction.user.id
        number = await self._app.storage.revoke_shares(record.id, maker_id=maker_id)
        texts = texts_of(interaction)
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
        await say_as_json(interaction, lambda: without_ids(report), f"undertone-{record.id}.json", parts="participants")

    @share.autocomplete("session")
    @export.autocomplete("session")
    async def sessions_to_read(self, interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
        return await self._choices(interaction, typed)

    @revoke.autocomplete("session")
    @delete.autocomplete("session")
    async def sessions_to_manage(self, interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
        return await self._choices(interaction, typed, managing=True)

    async def _choices(
        self, interaction: Interaction, typed: str, *, managing: bool = False
    ) -> list[app_commands.Choice[str]]:
        """Nothing to choose from while the database is away: the command itself says so then."""
        records: Sequence[SessionRecord] = ()
        try:
            async with asyncio.timeout(CHOOSE_S):
                records = await self._theirs(interaction, limit=CHOSEN_FROM, managing=managing)
        except (NotPossible, StorageError, TimeoutError) as error:
            _log.info("sessions_not_offered", guild=interaction.guild_id, error=type(error).__name__)
        states = texts_of(interaction).SESSION_STATES
        names = [(f"{r.started_at:%Y-%m-%d %H:%M} UTC · {states[r.state.value]}", r.id) for r in records]
        return [app_commands.Choice(name=n, value=i) for n, i in names if typed.lower() in n.lower()][:CHOICES]

    def _line(self, record: SessionRecord, texts: Texts) -> str:
        url = self._app.report_url(record.id)
        name = f"[{record.id}]({url})" if url else f"`{record.id}`"
        state = texts.SESSION_STATES[record.state.value]
        return f"<t:{int(record.started_at.timestamp())}:f> · <#{record.channel_id}> · {state} · {name}"

    async def _has_all(self, interaction: Interaction, *, managing: bool) -> bool:
        """Whether the asking person may open every report of this server; `managing`: or may manage it."""
        if managing and manages_server(interaction):
            return True
        return reads_all(interaction, await self._app.storage.server(guild_of(interaction).id))

    async def _theirs(self, interaction: Interaction, *, limit: int, managing: bool = False) -> list[SessionRecord]:
        """Sessions of this server whose report the asking person may open, newest first; `managing`: or may manage."""
        guild_id = guild_of(interaction).id
        if await self._has_all(interaction, managing=managing):
            return await self._app.storage.sessions(guild_id=guild_id, limit=limit)
        own = await self._app.storage.listed(Wanted(guild_id=guild_id), limit=limit, user_id=interaction.user.id)
        return [one.session for one in own]

    async def _own_row(self, record: SessionRecord, user_id: int) -> int:
        for person in await self._app.storage.participants(record.id):
            if person.user_id == user_id:
                return person.id
        raise NotPossible("NO_OWN_ROW")

    async def _choose(
        self, interaction: Interaction, session_id: str | None, *, managing: bool = False
    ) -> SessionRecord:
        """The named session, or the newest. Raises NotPossible; does not tell what others have."""
        if session_id is None:
            for newest in await self._theirs(interaction, limit=1, managing=managing):
                return newest
            raise NotPossible("NO_REPORT")
        record = await self._app.storage.session(session_id)
        if record is None or record.guild_id != guild_of(interaction).id:
            raise NotPossible("NO_REPORT")
        if await self._has_all(interaction, managing=managing):
            return record
        if await self._app.storage.may_open(session_id, interaction.user.id):
            return record
        raise NotPossible("NO_REPORT")


def without_ids(report: SessionReport) -> dict[str, Any]:
    """A report as plain values, with pseudonyms only and without notes: the file may be passed on."""
    plain = asdict(without_notes(report))
    plain["session"].pop("started_by")
    for person, of in zip(plain["participants"], report.participants, strict=True):
        person["participant"].pop("user_id")
        person["windows"] = [{name: getattr(one, name) for name in WindowRecord.__slots__} for one in of.windows]
    return plain
