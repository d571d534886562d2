"""Puts every command into the tree, and the buttons that outlive a restart into the client."""

from __future__ import annotations

from typing import Any

import discord
from discord import app_commands

from bot.app import App
from bot.commands.about import about_command
from bot.commands.analyze import AnalyzeCommands
from bot.commands.attest import AttestView
from bot.commands.listen import ListenGroup, mark_command
from bot.commands.panel_view import PanelView
from bot.commands.privacy import PrivacyGroup
from bot.commands.report import ReportGroup
from bot.commands.settings import SettingsGroup
from bot.commands.voice_consent import ConsentButton, VoiceMessages


def register(client: discord.Client, tree: app_commands.CommandTree[Any], app: App) -> VoiceMessages:
    """Fill an empty tree. Returns what answers to messages."""
    voice_messages = VoiceMessages(app)
    analyze = AnalyzeCommands(app, voice_messages)
    for command in (
        ListenGroup(app),
        mark_command(app),
        analyze.command(),
        analyze.menu(),
        ReportGroup(app),
        PrivacyGroup(app),
        SettingsGroup(app),
        about_command(app),
    ):
        tree.add_command(command)
    client.add_view(PanelView(app))
    client.add_view(AttestView(app))
    ConsentButton.messages = voice_messages
    client.add_dynamic_items(ConsentButton)
    return voice_messages
