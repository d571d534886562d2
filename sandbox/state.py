"""The simulated Discord's memory, and the one place where it changes.

Every change is told to the listeners, in order and on the spot: the gateway turns it into a dispatch for the bot, the
page into an event for the browser, the voice side into a key change. Listeners are quick and synchronous, so nobody can
see a state between two changes.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from sandbox.ids import SnowflakeFactory
from sandbox.models import (
    SPOKEN,
    Attachment,
    Channel,
    ChannelType,
    Guild,
    Member,
    Message,
    Reaction,
    Role,
    User,
    VoiceState,
    utc_now,
)
from sandbox.permissions import EVERYONE

MESSAGES_PER_CHANNEL: Final = 500
"""Older ones are forgotten, with their attachments."""
FILES_LIMIT_BYTES: Final = 256 * 1024 * 1024
"""Of all files together; beyond it the oldest are no longer available."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something changed. `kind` names Discord's dispatch for it, or is ``SPEAKING``, which is the page's alone."""

    kind: str
    guild_id: int | None
    subject: Any
    """The record that changed; for a deletion, the record as it was."""
    extra: Any = None
    """A reaction's (emoji, user id); a voice state's channel before."""


Listener = Callable[[Change], None]


class State:
    def __init__(self) -> None:
        self.ids = SnowflakeFactory()
        self.users: dict[int, User] = {}
        self.guilds: dict[int, Guild] = {}
        self.channels: dict[int, Channel] = {}
        """Of every server, and the direct messages."""
        self._messages: dict[int, OrderedDict[int, Message]] = {}
        self._files: OrderedDict[int, Attachment] = OrderedDict()
        self._files_bytes = 0
        self._listeners: list[Listener] = []

    # listeners

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with every change from now on; returns a function that ends it."""
        self._listeners.append(listener)

        def stop() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return stop

    def tell(self, kind: str, guild_id: int | None, subject: Any, extra: Any = None) -> None:
        change = Change(kind=kind, guild_id=guild_id, subject=subject, extra=extra)
        for listener in tuple(self._listeners):
            listener(change)

    # people and places

    def add_user(self, name: str, *, colour: str = "#5b7fd1", bot: bool = False) -> User:
        user = User(id=self.ids.next(), name=name, colour=colour, bot=bot)
        self.users[user.id] = user
        return user

    def add_guild(self, name: str, owner: User, *, shard: tuple[int, int] | None = None) -> Guild:
        guild = Guild(id=self.ids.next(shard), name=name, owner_id=owner.id)
        guild.roles[guild.id] = Role(id=guild.id, name="@everyone", permissions=int(EVERYONE))
        self.guilds[guild.id] = guild
        self.add_member(guild, owner)
        self.tell("GUILD_CREATE", guild.id, guild)
        return guild

    def add_role(
        self, guild: Guild, name: str, *, permissions: int = 0, colour: int = 0, managed: bool = False
    ) -> Role:
        role = Role(
            id=self.ids.next(),
            name=name,
            permissions=permissions,
            colour=colour,
            position=len(guild.roles),
            managed=managed,
        )
        guild.roles[role.id] = role
        self.tell("GUILD_ROLE_CREATE", guild.id, role)
        return role

    def delete_role(self, guild: Guild, role: Role) -> None:
        """Delete a role. Discord names it to clients; that its members lost it they work out themselves."""
        del guild.roles[role.id]
        self.tell("GUILD_ROLE_DELETE", guild.id, role)

    def add_member(self, guild: Guild, user: User, *, role_ids: tuple[int, ...] = ()) -> Member:
        member = Member(user=user, guild_id=guild.id, role_ids=list(role_ids))
        guild.members[user.id] = member
        self.tell("GUILD_MEMBER_ADD", guild.id, member)
        return member

    def update_member(self, member: Member) -> None:
        """Tell that a member's roles or nickname were changed."""
        self.tell("GUILD_MEMBER_UPDATE", member.guild_id, member)

    def remove_member(self, guild: Guild, user_id: int) -> None:
        self.leave_voice(guild.id, user_id)
        member = guild.members.pop(user_id, None)
        if member is not None:
            self.tell("GUILD_MEMBER_REMOVE", guild.id, member)

    def add_channel(
        self, guild: Guild, name: str, kind: ChannelType = ChannelType.TEXT, *, topic: str | None = None
    ) -> Channel:
        channel = Channel(
            id=self.ids.next(), type=kind, name=name, guild_id=guild.id, position=len(guild.channels), topic=topic
        )
        guild.channels[channel.id] = channel
        self.channels[channel.id] = channel
        self.tell("CHANNEL_CREATE", guild.id, channel)
        return channel

    def add_thread(self, parent: Channel, name: str, owner: User) -> Channel:
        """A thread of a text channel, or a post of a forum."""
        if parent.guild_id is None:
            raise ValueError("a direct message has no threads")
        thread = Channel(
            id=self.ids.next(),
            type=ChannelType.PUBLIC_THREAD,
            name=name,
            guild_id=parent.guild_id,
            parent_id=parent.id,
            overwrites=parent.overwrites,  # a thread has none of its own
            owner_id=owner.id,
        )
        self.guilds[parent.guild_id].threads[thread.id] = thread
        self.channels[thread.id] = thread
        self.tell("THREAD_CREATE", parent.guild_id, thread)
        return thread

    def close_thread(self, thread: Channel) -> None:
        """Close a thread: it stays, and its messages are not to be changed any more."""
        thread.archived = True
        self.tell("THREAD_UPDATE", thread.guild_id, thread)

    def delete_thread(self, thread: Channel) -> None:
        """Delete a thread with its messages, of which nobody is told one by one."""
        if thread.guild_id is None:
            raise ValueError("a direct message has no threads")
        self.guilds[thread.guild_id].threads.pop(thread.id, None)
        self.channels.pop(thread.id, None)
        for message in self._messages.pop(thread.id, {}).values():
            self._forget_attachments(message)
        self.tell("THREAD_DELETE", thread.guild_id, thread)

    def update_channel(self, channel: Channel) -> None:
        """Tell that a channel's fields were changed."""
        self.tell("CHANNEL_UPDATE", channel.guild_id, channel)

    def set_voice_status(self, channel: Channel, status: str | None) -> None:
        channel.status = status or None
        self.tell("VOICE_CHANNEL_STATUS_UPDATE", channel.guild_id, channel)

    def delete_channel(self, channel: Channel) -> None:
        """Delete a server's channel; whoever sat in it is out of voice."""
        if channel.guild_id is None:
            raise ValueError("a direct message cannot be deleted")
        guild = self.guilds[channel.guild_id]
        for state in list(self.voice_states_in(channel.id)):
            self.leave_voice(guild.id, state.user_id)
        guild.channels.pop(channel.id, None)
        self.channels.pop(channel.id, None)
        for message in self._messages.pop(channel.id, {}).values():
            self._forget_attachments(message)
        self.tell("CHANNEL_DELETE", guild.id, channel)

    def dm_channel(self, user_id: int) -> Channel:
        """The bot's direct messages with a user, opened when there are none yet."""
        for channel in self.channels.values():
            if channel.type is ChannelType.DM and channel.recipient_id == user_id:
                return channel
        channel = Channel(id=self.ids.next(), type=ChannelType.DM, recipient_id=user_id)
        self.channels[channel.id] = channel
        return channel

    # messages

    def messages(self, channel_id: int) -> list[Message]:
        """Oldest first."""
        return list(self._messages.get(channel_id, {}).values())

    def message(self, channel_id: int, message_id: int) -> Message | None:
        return self._messages.get(channel_id, OrderedDict()).get(message_id)

    def attachment(self, attachment_id: int) -> Attachment | None:
        return self._files.get(attachment_id)

    def add_message(self, message: Message) -> Message:
        """Post a message; the channel forgets its oldest beyond `MESSAGES_PER_CHANNEL`."""
        kept = self._messages.setdefault(message.channel_id, OrderedDict())
        kept[message.id] = message
        for attachment in message.attachments:
            self.keep_file(attachment)
        while len(kept) > MESSAGES_PER_CHANNEL:
            self._forget_attachments(kept.popitem(last=False)[1])
        self.channels[message.channel_id].last_message_id = message.id
        self.tell("MESSAGE_CREATE", message.guild_id, message)
        return message

    def update_message(self, message: Message, *, edited: bool = True) -> None:
        """Tell that a message was changed; without `edited` it was only completed."""
        if edited:
            message.edited_at = utc_now()
        for attachment in message.attachments:
            self.keep_file(attachment)
        self.tell("MESSAGE_UPDATE", message.guild_id, message)

    def delete_message(self, message: Message) -> None:
        self._messages.get(message.channel_id, OrderedDict()).pop(message.id, None)
        self._forget_attachments(message)
        self.tell("MESSAGE_DELETE", message.guild_id, message)

    def keep_file(self, attachment: Attachment) -> None:
        """Serve a file from now on: of a message, or of a slash command's option."""
        if attachment.id not in self._files:
            self._files[attachment.id] = attachment
            self._files_bytes += len(attachment.content)
        while self._files_bytes > FILES_LIMIT_BYTES:
            self._forget_file(next(iter(self._files)))

    def _forget_file(self, attachment_id: int) -> None:
        attachment = self._files.pop(attachment_id, None)
        if attachment is not None:
            self._files_bytes -= len(attachment.content)

    def _forget_attachments(self, message: Message) -> None:
        for attachment in message.attachments:
            self._forget_file(attachment.id)

    def add_reaction(self, message: Message, emoji: str, user_id: int) -> None:
        reaction = next((r for r in message.reactions if r.emoji == emoji), None)
        if reaction is None:
            reaction = Reaction(emoji=emoji)
            message.reactions.append(reaction)
        if user_id not in reaction.user_ids:
            reaction.user_ids.append(user_id)
            self.tell("MESSAGE_REACTION_ADD", message.guild_id, message, (emoji, user_id))

    def remove_reaction(self, message: Message, emoji: str, user_id: int) -> None:
        reaction = next((r for r in message.reactions if r.emoji == emoji), None)
        if reaction is None or user_id not in reaction.user_ids:
            return
        reaction.user_ids.remove(user_id)
        if not reaction.user_ids:
            message.reactions.remove(reaction)
        self.tell("MESSAGE_REACTION_REMOVE", message.guild_id, message, (emoji, user_id))

    # voice

    def voice_state(self, guild_id: int, user_id: int) -> VoiceState | None:
        guild = self.guilds.get(guild_id)
        return guild.voice_states.get(user_id) if guild else None

    def voice_states_in(self, channel_id: int) -> Iterator[VoiceState]:
        for guild in self.guilds.values():
            yield from (state for state in guild.voice_states.values() if state.channel_id == channel_id)

    def join_voice(
        self,
        user_id: int,
        channel: Channel,
        *,
        session_id: str | None = None,
        self_mute: bool = False,
        self_deaf: bool = False,
    ) -> VoiceState:
        """Seat a user in a voice channel, or move them there; server mutes stay. On a stage they only
        listen at first. The listeners get the new state."""
        if channel.type not in SPOKEN or channel.guild_id is None:
            raise ValueError("that is no voice channel")
        guild = self.guilds[channel.guild_id]
        before = guild.voice_states.get(user_id)
        member = guild.members[user_id]
        state = VoiceState(
            guild_id=guild.id,
            channel_id=channel.id,
            user_id=user_id,
            session_id=session_id or (before.session_id if before else secrets.token_hex(16)),
            self_mute=self_mute,
            self_deaf=self_deaf,
            mute=member.mute,
            deaf=member.deaf,
            suppress=channel.type is ChannelType.STAGE
            and (before is None or before.channel_id != channel.id or before.suppress),
        )
        guild.voice_states[user_id] = state
        self.tell("VOICE_STATE_UPDATE", guild.id, state, before.channel_id if before else None)
        return state

    def leave_voice(self, guild_id: int, user_id: int) -> None:
        """Take a user out of voice; nothing happens when they are in no channel. `Change.extra` is the channel left."""
        state = self.guilds[guild_id].voice_states.pop(user_id, None)
        if state is not None:
            left, state.channel_id = state.channel_id, None
            state.speaking = False
            self.tell("VOICE_STATE_UPDATE", guild_id, state, left)

    def update_voice(
        self,
        state: VoiceState,
        *,
        self_mute: bool | None = None,
        self_deaf: bool | None = None,
        mute: bool | None = None,
        deaf: bool | None = None,
        suppress: bool | None = None,
    ) -> None:
        """Set the flags that are given; `mute` and `deaf` are the server's and outlast the visit."""
        state.suppress = state.suppress if suppress is None else suppress
        state.self_mute = state.self_mute if self_mute is None else self_mute
        state.self_deaf = state.self_deaf if self_deaf is None else self_deaf
        member = self.guilds[state.guild_id].members[state.user_id]
        if mute is not None:
            state.mute = member.mute = mute
        if deaf is not None:
            state.deaf = member.deaf = deaf
        self.tell("VOICE_STATE_UPDATE", state.guild_id, state, state.channel_id)

    def set_speaking(self, guild_id: int, user_id: int, speaking: bool) -> None:
        """Show on the page whether somebody is heard; told only when it changes."""
        state = self.voice_state(guild_id, user_id)
        if state is not None and state.speaking != speaking:
            state.speaking = speaking
            self.tell("SPEAKING", guild_id, state)
