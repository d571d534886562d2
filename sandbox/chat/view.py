"""The state as the page draws it. Addresses of files are relative, so that it works under any name of the host."""

from __future__ import annotations

from typing import Final

from sandbox import payloads
from sandbox.commands import Command, OptionForm, OptionType, in_language
from sandbox.models import Attachment, Channel, ChannelType, Json, Message, MessageFlag, User
from sandbox.people import People
from sandbox.world import SignedUrls, World

MESSAGES_SHOWN: Final = 100
"""Of each channel, the newest."""
_EXCERPT: Final = 90


class _Relative:
    def __init__(self, urls: SignedUrls) -> None:
        self._urls = urls

    def attachment(self, attachment: Attachment) -> str:
        return self._urls.attachment(attachment).removeprefix(self._urls.base)


class View:
    def __init__(self, world: World, people: People) -> None:
        self._world = world
        self._people = people
        self._urls = _Relative(world.urls)

    def snapshot(self, *, report_url: str | None, you: User) -> Json:
        """All that the page needs to draw itself."""
        state = self._world.state
        return {
            "you": str(you.id),
            "bot": str(self._world.bot.id),
            "report_url": report_url,
            "origin": self._world.urls.base,
            "messages": [
                self.message(m)
                for channel in state.channels.values()
                for m in state.messages(channel.id)[-MESSAGES_SHOWN:]
            ],
        } | self.places()

    def places(self) -> Json:
        """Who is there and where: everything beside the messages."""
        state = self._world.state
        guilds = list(state.guilds.values())
        return {
            "guild": guilds[0].name if guilds else "",
            "online": self._world.gateway.connected,
            "roles": [{"id": str(r.id), "name": r.name} for g in guilds[:1] for r in g.roles.values() if r.id != g.id],
            "people": [self.person(u) for u in state.users.values()],
            "channels": [self.channel(c) for c in state.channels.values()],
        }

    def person(self, user: User) -> Json:
        return {
            "id": str(user.id),
            "name": user.name,
            "colour": user.colour,
            "bot": user.bot,
            "locale": user.locale,
        }

    def channel(self, channel: Channel) -> Json:
        kinds = {ChannelType.TEXT: "text", ChannelType.VOICE: "voice", ChannelType.STAGE: "voice", ChannelType.DM: "dm"}
        return {
            "id": str(channel.id),
            "kind": kinds.get(channel.type, "other"),
            "type": int(channel.type),
            "name": channel.name,
            "topic": channel.topic,
            "status": channel.status,
            "with": str(channel.recipient_id) if channel.recipient_id else None,
            "seated": [
                {
                    "id": str(v.user_id),
                    "speaking": v.speaking,
                    "muted": v.mute or v.self_mute,
                    "deaf": v.deaf or v.self_deaf,
                }
                for v in self._world.state.voice_states_in(channel.id)
            ],
        }

    def message(self, message: Message) -> Json:
        body = payloads.message(message, self._world.state, self._urls, viewer_id=0)
        kept = ("id", "channel_id", "content", "timestamp", "embeds", "components", "attachments")
        return {key: body[key] for key in kept} | {
            "author": str(message.author.id),
            "edited": message.edited_at is not None and not message.ephemeral,
            "reactions": [{"emoji": r.emoji, "users": [str(u) for u in r.user_ids]} for r in message.reactions],
            "loading": message.loading,
            "voice": bool(message.flags & MessageFlag.VOICE_MESSAGE),
            "visible_to": str(message.visible_to) if message.visible_to else None,
            "reply": self._reply(message),
            "used": self._used(message),
        }

    def commands(self, user: User, channel: Channel) -> list[Json]:
        """What this person is offered here: slash commands, a line each, and the menu of a message."""
        offered: list[Json] = []
        for command in self._people.commands(user, channel):
            offered += self._lines(command, user.locale)
        return offered

    def _lines(self, command: Command, locale: str) -> list[Json]:
        form = command.form
        name, description = in_language(form, locale)
        if form.type != 1:
            return [{"kind": "menu", "name": name}] if form.type == 3 else []
        return [
            {
                "kind": "slash",
                "name": words,
                "description": said,
                "options": [_option(o, locale) for o in options],
            }
            for words, said, options in _leaves(name, description, form.options, locale)
        ]

    def _reply(self, message: Message) -> Json | None:
        if message.reply_to_id is None:
            return None
        target = self._world.state.message(message.channel_id, message.reply_to_id)
        if target is None:
            return {"author": None, "excerpt": ""}
        excerpt = target.content or ("a voice message" if target.flags & MessageFlag.VOICE_MESSAGE else "a file")
        return {"author": str(target.author.id), "excerpt": excerpt[:_EXCERPT]}

    def _used(self, message: Message) -> Json | None:
        if message.interaction is None or message.interaction["type"] != 2:
            return None
        slash = message.interaction.get("command_type") == 1
        return {"by": message.interaction["user"]["id"], "name": ("/" if slash else "") + message.interaction["name"]}


def _option(option: OptionForm, locale: str) -> Json:
    name, description = in_language(option, locale)
    return {"name": name, "description": description, "required": option.required, "type": int(option.type)}


def _leaves(
    name: str, description: str, options: list[OptionForm], locale: str
) -> list[tuple[str, str, list[OptionForm]]]:
    inner = [(in_language(o, locale), o.options) for o in options if o.type <= OptionType.GROUP]
    if not inner:
        return [(name, description, options)]
    return [leaf for (word, said), within in inner for leaf in _leaves(f"{name} {word}", said, within, locale)]
