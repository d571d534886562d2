"""Puts every command into the tree, and the buttons that outlive a restart into the client."""

from __future__ import annotations

from typing import Any

import discord
from discord import app_commands

from bot.app import App
from bot.commands.about import about_command
from bot.commands.analyze import analyze_command, analyze_menu
from bot.commands.attest import AttestButton
from bot.commands.listen import ListenGroup, mark_command
from bot.commands.open_summary import SummaryButton
from bot.commands.panel_view import PanelView
from bot.commands.privacy import DeleteButton, PrivacyGroup
from bot.commands.report import ReportGroup
from bot.commands.settings import SettingsMenu, settings_command
from bot.commands.voice_buttons import AuthorButton, StatementButton
from bot.commands.voice_messages import VoiceMessages
from bot.commands.whose_voice import Remembered


def register(
    client: discord.Client, tree: app_commands.CommandTree[Any], app: App, remembered: Remembered
) -> VoiceMessages:
    """Fill an empty tree. Returns what answers to messages."""
    voice_messages = VoiceMessages(app, remembered)
    for command in (
        ListenGroup(app),
        mark_command(app),
        analyze_command(voice_messages),
        analyze_menu(voice_messages),
        ReportGroup(app),
        PrivacyGroup(app),
        settings_command(app),
        about_command(app),
    ):
        tree.add_command(command)
    for item in (AttestButton, DeleteButton, SettingsMenu, SummaryButton):
        item.app = app
        client.add_dynamic_items(item)
    DeleteButton.questions = voice_messages.questions
    client.add_view(PanelView(app))
    for button in (AuthorButton, StatementButton):
        button.messages = voice_messages
        client.add_dynamic_items(button)
    return voice_messages
