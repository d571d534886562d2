"""The service's settings for a loopback Discord."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
