"""`/privacy`: what is stored about the asking person, and their say in it. Everybody may, for themselves only."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any, ClassVar, Final

import discord
from discord import app_commands

from bot.app import App
from bot.cards import Card, embed_of
from bot.commands.common import Interaction, acknowledged, defer, guild_of, member_of, say, say_as_json, told
from bot.commands.language import described, texts_of
from bot.commands.membership import end_stale_answers, unheard
from bot.commands.questions import Questions
from bot.commands.refusals import not_deleted
from bot.errors import NotPossible
from bot.texts import Texts, english
from storage.records import Decision, Purpose

DELETE_ID: Final = "undertone:delete"
EVERYWHERE: Final = ":everywhere"
BOTH: Final = "both"
WHAT: Final = [app_commands.Choice(name=described(f"PURPOSES.{what}"), value=what) for what in (*Purpose, BOTH)]
DECIDED: Final = {
    (Decision.OPT_IN, Purpose.LIVE): "SET_OPT_IN",
    (Decision.OPT_IN, Purpose.VOICE): "SET_OPT_IN_VOICE",
    (Decision.OPT_IN, BOTH): "SET_OPT_IN_BOTH",
    (Decision.OPT_OUT, Purpose.LIVE): "SET_OPT_OUT_LIVE",
    (Decision.OPT_OUT, Purpose.VOICE): "SET_OPT_OUT_VOICE",
    (Decision.OPT_OUT, BOTH): "SET_OPT_OUT",
    (None, Purpose.LIVE): "SET_ASK_LIVE",
    (None, Purpose.VOICE): "SET_ASK_VOICE",
    (None, BOTH): "SET_ASK",
}


class PrivacyGroup(app_commands.Group):
    def __init__(self, app: App) -> None:
        super().__init__(name="privacy", description=described("CMD_PRIVACY"))
        self._app = app

    @app_commands.command(name="status", description=described("CMD_PRIVACY_STATUS"))
    @app_commands.guild_only()
    async def status(self, interaction: Interaction) -> None:
        await defer(interaction)
        guild_id, user_id = guild_of(interaction).id, interaction.user.id
        await end_stale_answers(self._app, member_of(interaction))
        standing = {p: await self._app.storage.standing_consent(guild_id, user_id, p) for p in Purpose}
        counts = await self._app.storage.count_person(user_id, guild_id)
        session = self._app.sessions.of(guild_id)
        included = session is not None and session.consents(user_id)
        texts = texts_of(interaction)
        text = privacy_status(texts, standing, included_now=included, counts=counts)
        await say(interaction, embed=embed_of(Card(title=texts.PRIVACY_TITLE, text=text)))

    @app_commands.command(name="opt-in", description=described("CMD_PRIVACY_IN"))
    @app_commands.describe(what=described("ARG_PRIVACY_WHAT"))
    @app_commands.choices(what=WHAT)
    @app_commands.guild_only()
    async def opt_in(self, interaction: Interaction, what: str = Purpose.LIVE.value) -> None:
        await self._decide(interaction, Decision.OPT_IN, what)

    @app_commands.command(name="opt-out", description=described("CMD_PRIVACY_OUT"))
    @app_commands.describe(what=described("ARG_PRIVACY_WHAT"))
    @app_commands.choices(what=WHAT)
    @app_commands.guild_only()
    async def opt_out(self, interaction: Interaction, what: str = BOTH) -> None:
        await self._decide(interaction, Decision.OPT_OUT, what)

    @app_commands.command(name="ask-me", description=described("CMD_PRIVACY_ASK"))
    @app_commands.describe(what=described("ARG_PRIVACY_WHAT"))
    @app_commands.choices(what=WHAT)
    @app_commands.guild_only()
    async def ask_me(self, interaction: Interaction, what: str = BOTH) -> None:
        await self._decide(interaction, None, what)

    @app_commands.command(name="export", description=described("CMD_PRIVACY_EXPORT"))
    @app_commands.describe(everywhere=described("ARG_PRIVACY_EVERYWHERE"))
    async def export(self, interaction: Interaction, everywhere: bool = False) -> None:
        await defer(interaction)
        stored = await self._app.storage.export_person(interaction.user.id, scope(interaction, everywhere=everywhere))
        await say_as_json(interaction, lambda: stored, "undertone-my-data.json", parts="sessions_taken_part_in")

    @app_commands.command(name="delete", description=described("CMD_PRIVACY_DELETE"))
    @app_commands.describe(everywhere=described("ARG_PRIVACY_EVERYWHERE"))
    async def delete(self, interaction: Interaction, everywhere: bool = False) -> None:
        await defer(interaction)
        guild_id = scope(interaction, everywhere=everywhere)
        texts = texts_of(interaction)
        question = texts.ASK_DELETE_EVERYWHERE if guild_id is None else texts.ASK_DELETE_HERE
        button = DeleteButton(texts, everywhere=guild_id is None)
        await say(interaction, question, view=discord.ui.View(timeout=None).add_item(button))

    async def _decide(self, interaction: Interaction, decision: Decision | None, what: str) -> None:
        user_id = interaction.user.id
        purposes = tuple(Purpose) if what == BOTH else (Purpose(what),)
        says_no = decision is Decision.OPT_OUT and Purpose.VOICE in purposes
        with self._app.withdrawals.under_way(user_id) if says_no else nullcontext():
            refusable = decision is Decision.OPT_IN and Purpose.LIVE in purposes
            deciding = (self._decided(interaction, decision, purpose, refusable=refusable) for purpose in purposes)
            counted = await acknowledged(interaction, *deciding)
        await say(interaction, texts_of(interaction)(DECIDED[decision, what] if all(counted) else "DECIDED_LATER"))

    async def _decided(
        self, interaction: Interaction, decision: Decision | None, purpose: Purpose, *, refusable: bool
    ) -> bool:
        """Whether it counts. Who is never heard here agrees to nothing that they say with it; that they have the role
        by now, Discord tells only with what they do."""
        guild_id = guild_of(interaction).id
        if refusable:
            server = await self._app.storage.server(guild_id)
            if unheard(member_of(interaction), server.unheard_role_ids):
                raise NotPossible("ROLE_UNHEARD")
        return await self._app.sessions.decide(guild_id, interaction.user.id, decision, interaction.id, purpose)


class DeleteButton(
    discord.ui.DynamicItem[discord.ui.Button[Any]], template=rf"{DELETE_ID}(?P<everywhere>{EVERYWHERE})?"
):
    """Asks once more. Only the asking person sees it, and it works however late it is pressed, after a restart too."""

    app: ClassVar[App]
    questions: ClassVar[Questions]

    def __init__(self, texts: Texts, *, everywhere: bool) -> None:
        custom_id = DELETE_ID + (EVERYWHERE if everywhere else "")
        style = discord.ButtonStyle.danger
        super().__init__(discord.ui.Button(label=texts.BTN_DELETE, style=style, custom_id=custom_id))
        self._everywhere = everywhere

    @classmethod
    async def from_custom_id(
        cls, interaction: Interaction, item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> DeleteButton:
        return cls(english, everywhere=match["everywhere"] is not None)

    async def callback(self, interaction: Interaction) -> None:
        async with told(interaction):
            guild_id = scope(interaction, everywhere=self._everywhere)
            deleting = self.app.deletions.person(interaction.user.id, guild_id, interaction.id)
            (done,) = await acknowledged(interaction, deleting)
            await self.questions.take_back(interaction.user.id, guild_id)
            texts = texts_of(interaction)
            await say(interaction, "\n".join([deleted(texts, done.counts), *not_deleted(texts, done.refused)]))


def scope(interaction: Interaction, *, everywhere: bool) -> int | None:
    """The server that is meant; None is all of them, as it is in direct messages."""
    return None if everywhere else interaction.guild_id


def privacy_status(
    texts: Texts, standing: Mapping[Purpose, Decision | None], *, included_now: bool, counts: Mapping[str, int]
) -> str:
    """What was decided, what happens now, and how many entries of each kind an export would hold."""
    return texts(
        "PRIVACY_STATUS",
        decision=texts.PRIVACY_DECISIONS[standing[Purpose.LIVE] or "none"],
        voice=texts.PRIVACY_VOICE_DECISIONS[standing[Purpose.VOICE] or "none"],
        now=texts.PRIVACY_INCLUDED_NOW if included_now else texts.PRIVACY_NOT_INCLUDED_NOW,
        stored=texts.together(texts(f"PRIVACY_STORED.{name}", n=count) for name, count in counts.items() if count)
        or texts.PRIVACY_STORED_NOTHING,
    )


def deleted(texts: Texts, counts: dict[str, int]) -> str:
    """What is gone, in a person's terms and not in tables'."""
    if sessions := counts.get("participants"):
        return texts("DELETED_RESULTS", n=sessions)
    return texts.DELETED if any(counts.values()) else texts.NOTHING_TO_DELETE
