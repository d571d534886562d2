"""A typed slash command: ``listen start``, or ``mark note:the joke``, with values read as the bot declared them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from sandbox.commands import OptionForm, OptionType
from sandbox.forms import AttachmentSlot
from sandbox.models import Channel
from sandbox.people import NotOffered
from sandbox.posting import Upload
from sandbox.world import World

_OPTION: Final = re.compile(r"(?:^|\s)([\w-]+):")
_YES: Final = {"true", "yes", "on", "1"}


def read_command(
    world: World, channel: Channel, typed: str, files: Sequence[tuple[str, bytes]]
) -> tuple[str, dict[str, Any]]:
    """The command's words and its options; files go to the options that take one, in order.

    Raises:
        NotOffered: there is no such command.
        ValueError: a value does not fit its option.
    """
    first = _OPTION.search(typed)
    words = " ".join((typed[: first.start()] if first else typed).split())
    leaf = world.commands.find(words, channel.guild_id)
    if leaf is None:
        raise NotOffered(f"/{words}")
    by_name = {name: o for o in leaf.options for name in (o.name, *(o.name_localizations or {}).values())}
    options: dict[str, Any] = {}
    found = list(_OPTION.finditer(typed))
    for number, mark in enumerate(found):
        following = found[number + 1] if number + 1 < len(found) else None
        text = typed[mark.end() : following.start() if following else len(typed)].strip()
        if mark[1] not in by_name:
            raise ValueError(f"/{words} has no option {mark[1]}")
        option = by_name[mark[1]]
        options[option.name] = _value(world, channel, option, text)
    waiting = [o for o in leaf.options if o.type is OptionType.ATTACHMENT and o.name not in options]
    for empty, (name, content) in zip(waiting, files, strict=False):
        upload = Upload(filename=name, content=content)
        options[empty.name] = world.posting.attach(channel.id, upload, AttachmentSlot(id=0), by_bot=False)
    return words, options


def _value(world: World, channel: Channel, option: OptionForm, text: str) -> Any:
    state = world.state
    guild = state.guilds.get(channel.guild_id or 0)
    name = text.lstrip("@#").lower()
    match option.type:
        case OptionType.INTEGER:
            return int(text)
        case OptionType.NUMBER:
            return float(text)
        case OptionType.BOOLEAN:
            return text.lower() in _YES
        case OptionType.USER:
            named: list[Any] = [u for u in state.users.values() if u.name.lower() == name]
        case OptionType.CHANNEL:
            named = [c for c in state.channels.values() if c.name.lower() == name]
        case OptionType.ROLE:
            named = [r for r in guild.roles.values() if r.name.lower() == name] if guild else []
        case _:
            return text
    if not named:
        raise ValueError(f"{option.name}: nobody and nothing here is called {text}")
    return named[0]
