"""The service's settings for a loopback Discord, and discord.py's addresses as they were before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import discord
import pytest

from bot.settings import Settings, load_settings
from sandbox import Sandbox


def settings_for(sandbox: Sandbox, data_dir: Path, **changes: Any) -> Settings:
    """Web pages on a free port and SQLite in `data_dir`, whatever the environment says; `changes` count more."""
    values: dict[str, Any] = {
        "data_dir": data_dir,
        "port": 0,
        "discord_token": sandbox.token,
        "discord_api_base": sandbox.api_base,
        "database_address": None,
    }
    return load_settings(env_file=None, **values | changes)


def keep_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put discord.py's addresses back when the test ends: a service changes them for the whole process."""
    gateway = discord.gateway.DiscordWebSocket
    monkeypatch.setattr(discord.http.Route, "BASE", discord.http.Route.BASE)
    monkeypatch.setattr(gateway, "DEFAULT_GATEWAY", gateway.DEFAULT_GATEWAY)
