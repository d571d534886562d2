"""Text that people wrote, shown as they wrote it: no link, no mention, no formatting, and at most what fits."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Final

import discord

from bot.texts import Texts

_BREAK: Final = "\u2060"
"""Word joiner: nothing to see, and what stands around it is no address and no mention any more."""
_KEPT: Final = "\u200d"
"""Joins the parts of an emoji; every other invisible character goes, as some turn the text around them."""
_STARTERS: Final = ("://", "](", "@", "<", "www.")


def inert(text: str, limit: int) -> str:
    """At most `limit` characters of it, in one line."""
    visible = "".join(c if c == _KEPT or unicodedata.category(c)[0] != "C" else " " for c in text)
    plain = " ".join(visible.split())
    if len(plain) > limit:
        plain = plain[: limit - 1].rstrip() + "…"
    plain = discord.utils.escape_markdown(plain, ignore_links=False)
    for starter in _STARTERS:
        plain = plain.replace(starter, starter[0] + _BREAK + starter[1:])
    return plain


def fitting(lines: Sequence[str], limit: int, texts: Texts, *, of: int | None = None) -> str:
    """As many lines as fit into `limit` characters, and how many of all are not among them."""
    total = len(lines) if of is None else of
    reserve = len(texts("AND_MORE", n=total)) + 1
    kept: list[str] = []
    used = 0
    for line in lines:
        if used + len(line) + 1 > limit - reserve:
            break
        kept.append(line)
        used += len(line) + 1
    if len(kept) < total:
        kept.append(texts("AND_MORE", n=total - len(kept)))
    return "\n".join(kept)
