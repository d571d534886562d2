"""The menus of `/settings`: what each offers, and what a choice changes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Any, Final

import discord

from bot.texts import LANGUAGES, Texts
from storage.records import ServerSettings, SummaryPlace, VoiceMode

PREFIX: Final = "undertone:settings"
TOPIC: Final = "topic"
DAYS: Final = (1, 2, 3, 4, 5, 6, 7, 10, 14, 21, 30, 45, 60, 75, 90)
MAX_CHOSEN: Final = 25
"""Roles or channels in one menu of Discord's."""
MAX_VOICE_CHANNELS: Final = 50
ON: Final = "on"
OFF: Final = "off"
AS_DISCORD: Final = "discord"
AS_OPERATOR: Final = "operator"

Menu = discord.ui.Select[Any] | discord.ui.RoleSelect[Any] | discord.ui.ChannelSelect[Any]
_TEXT_CHANNELS: Final = [
    discord.ChannelType.text,
    discord.ChannelType.news,
    discord.ChannelType.voice,
    discord.ChannelType.stage_voice,
    discord.ChannelType.forum,
    discord.ChannelType.public_thread,
]


class Topic(StrEnum):
    """What can be changed. The value is part of a menu's id and of its texts' names."""

    START_ROLES = "start_roles"
    UNHEARD_ROLES = "unheard_roles"
    VIEWER_ROLE = "viewer_role"
    REPORT_CHANNEL = "report_channel"
    SUMMARY = "summary"
    LIVE = "live"
    VOICE = "voice"
    AUTO_LISTEN = "auto_listen"
    RETENTION = "retention"
    LANGUAGE = "language"


def menus_for(server: ServerSettings, texts: Texts, topic: Topic | None, channel_id: int | None) -> list[Menu]:
    """The menu of what to change, and below it the one for `topic`; voice messages first want a channel."""
    menus: list[Menu] = [
        _choice(f"{PREFIX}:{TOPIC}", texts.SETTINGS_CHOOSE, texts.SETTINGS_TOPICS, topic, order=list(Topic))
    ]
    if topic is not None:
        menus.append(_menu(server, texts, topic, channel_id))
    if topic is Topic.VOICE and channel_id is not None:
        custom_id = f"{PREFIX}:{Topic.VOICE}:{channel_id}"
        mode = server.voice_modes.get(channel_id, VoiceMode.ON_REQUEST)
        menus.append(_choice(custom_id, texts.SETTINGS_TOPICS["voice"], texts.VOICE_MODES, mode, order=list(VoiceMode)))
    return menus


def changed(server: ServerSettings, topic: Topic, values: Sequence[str], channel_id: int | None) -> ServerSettings:
    """The settings after a choice. Raises ValueError for what no menu offers."""
    ids = tuple(int(value) for value in values if value.isdecimal())[:MAX_CHOSEN]
    first = next(iter(ids), None)
    match topic:
        case Topic.START_ROLES:
            return replace(server, listen_role_ids=ids)
        case Topic.UNHEARD_ROLES:
            return replace(server, unheard_role_ids=ids)
        case Topic.VIEWER_ROLE:
            return replace(server, viewer_role_id=first)
        case Topic.REPORT_CHANNEL:
            return replace(server, report_channel_id=first)
        case Topic.AUTO_LISTEN:
            return replace(server, auto_listen_ids=ids)
        case Topic.SUMMARY:
            return replace(server, summary_place=SummaryPlace(values[0]))
        case Topic.LIVE:
            return replace(server, live_emotions=values[0] == ON)
        case Topic.RETENTION:
            return replace(server, chosen_days=None if values[0] == AS_OPERATOR else DAYS[DAYS.index(int(values[0]))])
        case Topic.LANGUAGE:
            return replace(server, language=LANGUAGES[LANGUAGES.index(values[0])] if values[0] != AS_DISCORD else None)
        case Topic.VOICE:
            if channel_id is None:
                raise ValueError("a mode needs its channel")
            others = {channel: mode for channel, mode in server.voice_modes.items() if channel != channel_id}
            if (mode := VoiceMode(values[0])) is not VoiceMode.ON_REQUEST:
                others[channel_id] = mode
            return replace(server, voice_modes=dict(list(others.items())[-MAX_VOICE_CHANNELS:]))


def _menu(server: ServerSettings, texts: Texts, topic: Topic, channel_id: int | None) -> Menu:
    custom_id, hint = f"{PREFIX}:{topic}", texts.SETTINGS_TOPICS[topic]
    match topic:
        case Topic.START_ROLES:
            return _roles(custom_id, hint, server.listen_role_ids, MAX_CHOSEN)
        case Topic.UNHEARD_ROLES:
            return _roles(custom_id, hint, server.unheard_role_ids, MAX_CHOSEN)
        case Topic.VIEWER_ROLE:
            return _roles(custom_id, hint, [server.viewer_role_id], 1)
        case Topic.REPORT_CHANNEL:
            return _channels(custom_id, hint, [server.report_channel_id], 1, _TEXT_CHANNELS[:4])
        case Topic.AUTO_LISTEN:
            voice = [discord.ChannelType.voice, discord.ChannelType.stage_voice]
            return _channels(custom_id, hint, server.auto_listen_ids, MAX_CHOSEN, voice)
        case Topic.VOICE:
            return _channels(custom_id, texts.SETTINGS_WHICH_CHANNEL, [channel_id], 1, _TEXT_CHANNELS, least=1)
        case Topic.SUMMARY:
            return _choice(custom_id, hint, texts.SUMMARY_PLACES, server.summary_place, order=list(SummaryPlace))
        case Topic.LIVE:
            switch = {ON: texts.LIVE_SHOWN, OFF: texts.LIVE_HIDDEN}
            return _choice(custom_id, hint, switch, ON if server.live_emotions else OFF, order=[ON, OFF])
        case Topic.RETENTION:
            days = {AS_OPERATOR: texts("AS_THE_OPERATOR_SAYS", days=texts("DAYS", n=server.operator_days))}
            days |= {str(day): texts("DAYS", n=day) for day in DAYS}
            return _choice(custom_id, hint, days, str(server.chosen_days or AS_OPERATOR), order=list(days))
        case Topic.LANGUAGE:
            return _choice(
                custom_id, hint, texts.LANGUAGES, server.language or AS_DISCORD, order=[AS_DISCORD, *LANGUAGES]
            )


def _choice(
    custom_id: str, hint: str, labels: Any, chosen: str | None, *, order: Iterable[str]
) -> discord.ui.Select[Any]:
    options = [discord.SelectOption(label=labels[value], value=str(value), default=value == chosen) for value in order]
    return discord.ui.Select(custom_id=custom_id, placeholder=hint, options=options)


def _roles(custom_id: str, hint: str, chosen: Iterable[int | None], most: int) -> discord.ui.RoleSelect[Any]:
    return discord.ui.RoleSelect(
        custom_id=custom_id,
        placeholder=hint,
        min_values=0,
        max_values=most,
        default_values=[discord.SelectDefaultValue.from_role(discord.Object(role)) for role in chosen if role],
    )


def _channels(
    custom_id: str,
    hint: str,
    chosen: Iterable[int | None],
    most: int,
    kinds: list[discord.ChannelType],
    *,
    least: int = 0,
) -> discord.ui.ChannelSelect[Any]:
    return discord.ui.ChannelSelect(
        custom_id=custom_id,
        placeholder=hint,
        channel_types=kinds,
        min_values=least,
        max_values=most,
        default_values=[discord.SelectDefaultValue.from_channel(discord.Object(one)) for one in chosen if one],
    )
