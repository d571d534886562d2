"""The panel's buttons. They carry fixed ids, so they work after a restart too, if only to say that it is over."""

from __future__ import annotations

from typing import Any

import discord

from bot.app import App
from bot.cards import Buttons, Card
from bot.commands.common import (
    Interaction,
    acknowledged,
    defer,
    guild_of,
    member_of,
    report_error,
    say,
    say_marked,
)
from bot.commands.language import texts_of
from bot.commands.membership import unheard
from bot.commands.open_summary import SummaryButton
from bot.commands.starting import stop
from bot.errors import NotPossible
from bot.listening.consent import PressResult
from bot.listening.session import ListeningSession
from bot.texts import Texts, english

INCLUDE_ID = "undertone:include"
EXCLUDE_ID = "undertone:exclude"
MARK_ID = "undertone:mark"
STOP_ID = "undertone:stop"

ANSWERS = {
    PressResult.INCLUDED: "INCLUDED",
    PressResult.ALREADY_INCLUDED: "ALREADY_INCLUDED",
    PressResult.EXCLUDED: "EXCLUDED",
    PressResult.ALREADY_EXCLUDED: "ALREADY_EXCLUDED",
    PressResult.OPTED_OUT: "OPTED_OUT",
    PressResult.NOT_PRESENT: "NOT_IN_THIS_VOICE",
}


def buttons_of(app: App, card: Card, texts: Texts) -> discord.ui.View | None:
    """What hangs below a message of a session."""
    match card.buttons:
        case Buttons.PANEL:
            return PanelView(app, texts, report_url=card.url)
        case Buttons.LEAVE:
            view = PanelView(app, texts)
            for item in (view.include, view.mark, view.stop_session):
                view.remove_item(item)
            return view
        case Buttons.SUMMARY:
            return discord.ui.View(timeout=None).add_item(SummaryButton(texts, card.session_id))
        case Buttons.NONE:
            return None


class PanelView(discord.ui.View):
    def __init__(self, app: App, texts: Texts = english, *, report_url: str | None = None) -> None:
        super().__init__(timeout=None)
        self._app = app
        if report_url is not None:
            self.add_item(discord.ui.Button(label=texts.SUMMARY_REPORT, url=report_url))
        self.include.label, self.exclude.label = texts.BTN_INCLUDE, texts.BTN_EXCLUDE
        self.mark.label, self.stop_session.label = texts.BTN_MARK, texts.BTN_STOP

    @discord.ui.button(style=discord.ButtonStyle.success, custom_id=INCLUDE_ID)
    async def include(self, interaction: Interaction, _: discord.ui.Button[Any]) -> None:
        await defer(interaction)
        server = await self._app.storage.server(guild_of(interaction).id)
        if unheard(member_of(interaction), server.unheard_role_ids):
            raise NotPossible("ROLE_UNHEARD")
        answer = await self._session(interaction).people.include(interaction.user.id, interaction.id)
        await say(interaction, texts_of(interaction)(ANSWERS[answer]))

    @discord.ui.button(style=discord.ButtonStyle.secondary, custom_id=EXCLUDE_ID)
    async def exclude(self, interaction: Interaction, button: discord.ui.Button[Any]) -> None:
        (answer,) = await acknowledged(interaction, self._leave_out(interaction))
        await say(interaction, texts_of(interaction)(ANSWERS[answer]))

    @discord.ui.button(style=discord.ButtonStyle.secondary, custom_id=MARK_ID)
    async def mark(self, interaction: Interaction, _: discord.ui.Button[Any]) -> None:
        await defer(interaction)
        session = self._session(interaction)
        if interaction.user.id not in session.people.book.present_ids():
            raise NotPossible("NOT_IN_THIS_VOICE")
        at_s = await session.mark(interaction.user.id)
        await say_marked(interaction, at_s)

    @discord.ui.button(style=discord.ButtonStyle.danger, custom_id=STOP_ID)
    async def stop_session(self, interaction: Interaction, _: discord.ui.Button[Any]) -> None:
        await stop(interaction, self._app, self._session(interaction))

    def is_dispatchable(self) -> bool:
        """No: discord.py would hold each panel ever posted. The one view that `register` adds answers for all."""
        return False

    async def on_error(self, interaction: Interaction, error: Exception, item: discord.ui.Item[Any], /) -> None:
        await report_error(interaction, error)

    async def _leave_out(self, interaction: Interaction) -> PressResult:
        """Out of whatever runs in this server; an old panel's button serves as well."""
        session = self._app.sessions.of(interaction.guild_id)
        if session is None:
            return PressResult.ALREADY_EXCLUDED
        return await session.people.exclude(interaction.user.id, interaction.id)

    def _session(self, interaction: Interaction) -> ListeningSession:
        """The session that this very panel belongs to; one that was posted a moment ago may not be known yet."""
        session = self._app.sessions.of(interaction.guild_id)
        if session is None or session.ending:
            raise NotPossible("STALE_PANEL")
        if interaction.message is not None and interaction.message.id < (session.panel.message_id or 0):
            raise NotPossible("OLD_PANEL")
        return session
