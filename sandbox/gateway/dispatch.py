"""From a change in the state to what one session is told about it; intents and permissions are honoured."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sandbox import payloads
from sandbox.gateway.session import Intent
from sandbox.models import Json, Message
from sandbox.permissions import Permission, in_channel
from sandbox.state import Change, State

_INTENTS: Final = {
    "GUILD_UPDATE": Intent.GUILDS,
    "GUILD_ROLE_CREATE": Intent.GUILDS,
    "GUILD_ROLE_UPDATE": Intent.GUILDS,
    "GUILD_ROLE_DELETE": Intent.GUILDS,
    "CHANNEL_CREATE": Intent.GUILDS,
    "CHANNEL_UPDATE": Intent.GUILDS,
    "CHANNEL_DELETE": Intent.GUILDS,
    "THREAD_CREATE": Intent.GUILDS,
    "THREAD_UPDATE": Intent.GUILDS,
    "THREAD_DELETE": Intent.GUILDS,
    "VOICE_CHANNEL_STATUS_UPDATE": Intent.GUILDS,
    "GUILD_MEMBER_ADD": Intent.GUILD_MEMBERS,
    "GUILD_MEMBER_UPDATE": Intent.GUILD_MEMBERS,
    "GUILD_MEMBER_REMOVE": Intent.GUILD_MEMBERS,
    "VOICE_STATE_UPDATE": Intent.GUILD_VOICE_STATES,
}


class Dispatcher:
    """Writes changes down for the bot with user id `bot_id`."""

    def __init__(self, state: State, urls: payloads.Urls, bot_id: int) -> None:
        self._state = state
        self._urls = urls
        self._bot_id = bot_id

    def events(self, change: Change, intents: int) -> Iterator[tuple[str, Json]]:
        kind = change.kind
        if kind in ("INTERACTION_CREATE", "VOICE_SERVER_UPDATE"):
            yield kind, change.subject
        elif kind.startswith("MESSAGE_REACTION"):
            yield from self._reaction(change, intents)
        elif kind.startswith("MESSAGE"):
            yield from self._message(change, intents)
        elif kind.startswith("GUILD_MEMBER"):
            yield from self._member(change, intents)
        elif kind in _INTENTS and intents & _INTENTS[kind] and self._is_member(change.guild_id):
            yield kind, self._plain(change)

    def guild_create(self, guild_id: int, intents: int) -> Json:
        wanted = Intent.GUILD_MEMBERS | Intent.GUILD_PRESENCES
        guild = self._state.guilds[guild_id]
        return payloads.guild_create(guild, self._state, bot_id=self._bot_id, all_members=intents & wanted == wanted)

    def _is_member(self, guild_id: int | None) -> bool:
        return guild_id in self._state.guilds and self._bot_id in self._state.guilds[guild_id].members

    def _plain(self, change: Change) -> Json:
        record = change.subject
        match change.kind:
            case "VOICE_STATE_UPDATE":
                who = self._state.guilds[record.guild_id].members.get(record.user_id)
                return payloads.voice_state(record, who=who)
            case "VOICE_CHANNEL_STATUS_UPDATE":
                return {"id": str(record.id), "guild_id": str(record.guild_id), "status": record.status}
            case "GUILD_ROLE_CREATE" | "GUILD_ROLE_UPDATE":
                return {"guild_id": str(change.guild_id), "role": payloads.role(record)}
            case "GUILD_ROLE_DELETE":
                return {"guild_id": str(change.guild_id), "role_id": str(record.id)}
            case "GUILD_UPDATE":
                return payloads.guild(record)
            case _:
                return payloads.channel(record, self._state)

    def _member(self, change: Change, intents: int) -> Iterator[tuple[str, Json]]:
        member, guild_id = change.subject, change.guild_id
        if member.user.id == self._bot_id and guild_id is not None and change.kind != "GUILD_MEMBER_UPDATE":
            if change.kind == "GUILD_MEMBER_ADD":
                yield "GUILD_CREATE", self.guild_create(guild_id, intents)
            else:
                yield "GUILD_DELETE", {"id": str(guild_id)}
            return
        own = member.user.id == self._bot_id
        if not self._is_member(guild_id) or not (own or intents & Intent.GUILD_MEMBERS):
            return
        if change.kind == "GUILD_MEMBER_REMOVE":
            yield change.kind, {"guild_id": str(guild_id), "user": payloads.user(member.user)}
        else:
            yield change.kind, payloads.member(member) | {"guild_id": str(guild_id)}

    def _sees(self, message: Message) -> bool:
        """Ephemeral messages come to a bot by REST alone; others where it may read the channel."""
        if message.ephemeral:
            return False
        if message.guild_id is None:
            return True
        guild = self._state.guilds[message.guild_id]
        channel = self._state.channels.get(message.channel_id)
        return channel is not None and bool(in_channel(guild, channel, self._bot_id) & Permission.VIEW_CHANNEL)

    def _message(self, change: Change, intents: int) -> Iterator[tuple[str, Json]]:
        message: Message = change.subject
        wanted = Intent.GUILD_MESSAGES if message.guild_id else Intent.DIRECT_MESSAGES
        if not intents & wanted or not self._sees(message):
            return
        where = self._where(message)
        if change.kind == "MESSAGE_DELETE":
            yield change.kind, {"id": str(message.id)} | where
            return
        body = payloads.message(message, self._state, self._urls, viewer_id=self._bot_id) | where
        if message.guild_id:
            member = self._state.guilds[message.guild_id].members.get(message.author.id)
            if member is not None:
                body["member"] = payloads.member(member, with_user=False)
        if not intents & Intent.MESSAGE_CONTENT and not self._may_read(message):
            body |= {"content": "", "embeds": [], "attachments": [], "components": []}
            body.pop("message_snapshots", None)
        referenced = body.get("referenced_message")
        if referenced and not intents & Intent.MESSAGE_CONTENT:
            original = self._state.message(message.channel_id, int(referenced["id"]))
            if original is not None and not self._may_read(original):
                referenced |= {"content": "", "embeds": [], "attachments": [], "components": []}
        yield change.kind, body

    def _may_read(self, message: Message) -> bool:
        """Without the privileged intent: direct messages, its own, and those that mention it."""
        own = message.author.id == self._bot_id
        return own or message.guild_id is None or self._bot_id in message.mention_ids

    def _where(self, message: Message) -> Json:
        where = {"channel_id": str(message.channel_id)}
        return where | {"guild_id": str(message.guild_id)} if message.guild_id else where

    def _reaction(self, change: Change, intents: int) -> Iterator[tuple[str, Json]]:
        message: Message = change.subject
        wanted = Intent.GUILD_MESSAGE_REACTIONS if message.guild_id else Intent.DIRECT_MESSAGE_REACTIONS
        if not intents & wanted or not self._sees(message):
            return
        emoji, user_id = change.extra
        body = self._where(message) | {
            "user_id": str(user_id),
            "message_id": str(message.id),
            "message_author_id": str(message.author.id),
            "emoji": payloads.emoji(emoji),
            "burst": False,
            "type": 0,
        }
        if message.guild_id and change.kind == "MESSAGE_REACTION_ADD":
            member = self._state.guilds[message.guild_id].members.get(user_id)
            if member is not None:
                body["member"] = payloads.member(member)
        yield change.kind, body
