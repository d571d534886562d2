"""What `/settings` says: every choice of the server, and everything that keeps a choice from working."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import discord

from bot.app import App
from bot.commands.voice_messages import UNASKED
from bot.settings import Settings
from bot.texts import Texts
from storage.records import ServerSettings, SummaryPlace

LISTENING: Final = ("view_channel", "connect", "speak", "send_messages", "embed_links", "attach_files")
LISTENING_TOO: Final = ("set_voice_channel_status", "add_reactions", "read_message_history")
POSTING: Final = ("view_channel", "send_messages", "embed_links", "attach_files")
ANSWERING: Final = (*POSTING, "add_reactions", "read_message_history")
IN_THREADS: Final = {"send_messages": "send_messages_in_threads"}
"""What counts in a thread, and what counts in its channel instead."""
LISTED: Final = 15
"""Channels and roles named in one line."""


def settings_lines(server: ServerSettings, texts: Texts) -> list[str]:
    """A line for every choice, in the order of the menu."""
    starters = [*(f"<@&{role}>" for role in server.listen_role_ids), texts.MANAGE_SERVER]
    days = texts("DAYS", n=server.retention_days)
    said = {
        "statement": texts.SETTINGS_ATTESTED if server.attested_at else texts.SETTINGS_NOT_ATTESTED,
        "start_roles": texts.together(starters[-LISTED:]),
        "unheard_roles": _named(texts, (f"<@&{role}>" for role in server.unheard_role_ids)),
        "viewer_role": _named(texts, [f"<@&{server.viewer_role_id}>"] if server.viewer_role_id else []),
        "report_channel": _named(texts, [f"<#{server.report_channel_id}>"] if server.report_channel_id else []),
        "summary": texts.SUMMARY_PLACES[server.summary_place],
        "live": texts.LIVE_SHOWN if server.live_emotions else texts.LIVE_HIDDEN,
        "voice": _voice(server, texts),
        "auto_listen": _named(texts, (f"<#{channel}>" for channel in server.auto_listen_ids)),
        "retention": days if server.chosen_days else texts("AS_THE_OPERATOR_SAYS", days=days),
        "language": texts.LANGUAGES[server.language or "discord"],
    }
    return [f"**{texts.SETTINGS_TOPICS[topic]}:** {value}" for topic, value in said.items()]


def warnings(app: App, guild: discord.Guild, server: ServerSettings, texts: Texts) -> list[str]:
    """Each missing permission, intent or address, with what it keeps from working."""
    return [
        *_permissions(guild, server, texts),
        *_intents(app, server, texts),
        *_operator(app.settings, texts),
        *_choices(server, texts),
    ]


def _permissions(guild: discord.Guild, server: ServerSettings, texts: Texts) -> Iterator[str]:
    everywhere = guild.me.guild_permissions
    missing = [name for name in (*LISTENING, *LISTENING_TOO) if not getattr(everywhere, name, True)]
    if missing:
        yield texts("WARN_LACKS_IN_SERVER", permissions=texts.permissions(missing))
    needed: list[tuple[int, tuple[str, ...]]] = []
    if server.report_channel_id:
        needed.append((server.report_channel_id, POSTING))
    needed += [(channel, ANSWERING) for channel, mode in server.voice_modes.items() if mode in UNASKED]
    needed += [(channel, ("view_channel", "connect")) for channel in server.auto_listen_ids]
    for channel_id, names in needed:
        channel = guild.get_channel_or_thread(channel_id)
        if channel is None:
            yield texts("WARN_NO_CHANNEL", channel_id=channel_id)
            continue
        allowed = channel.permissions_for(guild.me)
        if isinstance(channel, discord.Thread):
            names = tuple(IN_THREADS.get(name, name) for name in names)
        lacks = [name for name in names if not getattr(allowed, name, True) and name not in missing]
        if lacks:
            yield texts("BOT_LACKS", permissions=texts.permissions(lacks), channel_id=channel_id)


def _intents(app: App, server: ServerSettings, texts: Texts) -> Iterator[str]:
    if not app.client().intents.message_content and UNASKED & set(server.voice_modes.values()):
        yield texts.WARN_NO_INTENT


def _operator(settings: Settings, texts: Texts) -> Iterator[str]:
    if not settings.public_url:
        yield texts.WARN_NO_ADDRESS
    if not (settings.operator and settings.contact):
        yield texts.WARN_NO_OPERATOR


def _choices(server: ServerSettings, texts: Texts) -> Iterator[str]:
    if server.summary_place is SummaryPlace.REPORT_CHANNEL and not server.report_channel_id:
        yield texts.WARN_NO_REPORT_CHANNEL
    if server.auto_listen_ids and server.attested_at is None:
        yield texts.WARN_NOT_ATTESTED


def _voice(server: ServerSettings, texts: Texts) -> str:
    chosen = [f"<#{channel}> ({texts.VOICE_MODES[mode]})" for channel, mode in server.voice_modes.items()]
    return texts("VOICE_ELSEWHERE", chosen=_named(texts, chosen)) if chosen else texts.VOICE_MODES["on_request"]


def _named(texts: Texts, names: Iterable[str]) -> str:
    listed = list(names)
    more = [texts("AND_MORE", n=len(listed) - LISTED)] if len(listed) > LISTED else []
    return texts.together([*listed[:LISTED], *more]) or texts.NOWHERE
