"""The slash commands and the context menu, a module per group."""

from __future__ import annotations

from bot.commands.register import register

__all__ = ["register"]
