"""Acting as a person: typing, commands, buttons, forms, reactions, voice messages.

A person can do what Discord's own client would let them do, and nothing else; what it would not offer raises here, so
that a test cannot prove something which no person could ever see.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sandbox import components, offers
from sandbox.commands import Command, CommandType
from sandbox.forms import AttachmentSlot, MessageForm
from sandbox.interactions import Interaction
from sandbox.menus import of_menu
from sandbox.models import Attachment, Channel, Json, Message, MessageFlag, User
from sandbox.ogg import describe
from sandbox.permissions import Permission, in_channel, to_write
from sandbox.posting import Upload
from sandbox.world import World


class NotOffered(PermissionError):
    """The person's client would not show this: no such command or button, or no right to use it."""


class People:
    """What the people of the simulated server can do."""

    def __init__(self, world: World) -> None:
        self._world = world

    # writing

    def send_message(
        self,
        user: User,
        channel: Channel,
        content: str = "",
        *,
        files: Sequence[tuple[str, bytes]] = (),
        reply_to: Message | None = None,
    ) -> Message:
        """Post a message; `files` are (name, content) pairs. A reply pings the author of what it replies to."""
        needed = to_write(channel) | (Permission.ATTACH_FILES if files else 0)
        self._need(user, channel, needed)
        fields: Json = {"content": content}
        if reply_to is not None:
            fields["message_reference"] = {"message_id": reply_to.id}
        uploads = {n: Upload(filename=name, content=data) for n, (name, data) in enumerate(files)}
        return self._world.posting.create(channel, user, MessageForm.model_validate(fields), uploads)

    def send_voice_message(
        self, user: User, channel: Channel, ogg: bytes, *, reply_to: Message | None = None
    ) -> Message:
        """Post an Ogg Opus recording as a voice message, with the length and the waveform that clients measure."""
        self._need(user, channel, to_write(channel) | Permission.SEND_VOICE_MESSAGES)
        duration_s, waveform = describe(ogg)
        slot = {"id": 0, "filename": "voice-message.ogg", "duration_secs": duration_s, "waveform": waveform}
        fields: Json = {"attachments": [slot], "flags": int(MessageFlag.VOICE_MESSAGE)}
        if reply_to is not None:
            fields["message_reference"] = {"message_id": reply_to.id}
        form = MessageForm.model_validate(fields)
        upload = Upload(filename="voice-message.ogg", content=ogg, content_type="audio/ogg")
        return self._world.posting.create(channel, user, form, {0: upload})

    def forward(self, user: User, message: Message, channel: Channel) -> Message:
        """Forward a message to a channel: a copy of what it holds, without its author."""
        self._need(user, self._channel_of(message), Permission.VIEW_CHANNEL)
        self._need(user, channel, to_write(channel))
        state = self._world.state
        files = [replace(file, id=state.ids.next()) for file in message.attachments]
        for file in files:
            state.keep_file(file)
        return state.add_message(
            Message(
                id=state.ids.next(),
                channel_id=channel.id,
                guild_id=channel.guild_id,
                author=user,
                flags=int(MessageFlag.HAS_SNAPSHOT),
                forwarded=replace(message, attachments=files, reactions=[]),
            )
        )

    def install(self, user: User) -> None:
        """Add the application to one's own account, for use in any place."""
        self._world.user_installs.add(user.id)

    def direct_message(self, user: User, content: str = "", *, files: Sequence[tuple[str, bytes]] = ()) -> Message:
        """Write to the bot in private."""
        return self.send_message(user, self.direct_messages(user), content, files=files)

    def direct_messages(self, user: User) -> Channel:
        return self._world.state.dm_channel(user.id)

    def react(self, user: User, message: Message, emoji: str) -> None:
        self._need(user, self._channel_of(message), Permission.ADD_REACTIONS | Permission.READ_MESSAGE_HISTORY)
        self._world.state.add_reaction(message, emoji, user.id)

    def delete(self, user: User, message: Message) -> None:
        if message.author is not user:
            self._need(user, self._channel_of(message), Permission.MANAGE_MESSAGES)
        self._world.state.delete_message(message)

    # commands

    def commands(self, user: User, channel: Channel) -> list[Command]:
        """The commands that this person is offered here."""
        return [c for c in self._world.commands.offered(channel.guild_id) if self._may_use(user, channel, c)]

    async def command(
        self,
        user: User,
        channel: Channel,
        text: str,
        options: Mapping[str, Any] | None = None,
        *,
        overridden: bool = False,
    ) -> Interaction:
        """Use the slash command `text` (``listen start``) and wait for the bot's first answer.

        `options` are values by name: text, numbers, `User`, `Channel`, `Role` or an `Attachment` of `file`. With
        `overridden` an administrator has opened the command for this person, whatever the bot asked for as its default.

        Raises:
            NotOffered: there is no such command, or not for this person.
        """
        leaf = self._world.commands.find(text, channel.guild_id)
        if leaf is None or not self._may_use(user, channel, leaf.command, overridden=overridden):
            raise NotOffered(f"/{text}")
        data = offers.slash_data(self._world, leaf, options or {}, channel)
        return await self._act(2, user, channel, data)

    async def context_menu(self, user: User, message: Message, name: str) -> Interaction:
        """Use *Apps → name* on a message."""
        channel = self._channel_of(message)
        leaf = self._world.commands.find(name, channel.guild_id, CommandType.MESSAGE)
        if leaf is None or not self._may_use(user, channel, leaf.command):
            raise NotOffered(name)
        return await self._act(2, user, channel, offers.message_menu_data(self._world, leaf, message))

    def file(self, channel: Channel, name: str, content: bytes) -> Attachment:
        """A file for an option of a command."""
        upload = Upload(filename=name, content=content)
        return self._world.posting.attach(channel.id, upload, AttachmentSlot(id=0), by_bot=False)

    # buttons and forms

    async def press(self, user: User, message: Message, custom_id: str) -> Interaction:
        """Press a button and wait for the bot's first answer.

        Raises:
            NotOffered: no such button, disabled, or the message is not visible to this person.
        """
        button = self._component(user, message, custom_id)
        data = {"custom_id": custom_id, "component_type": button["type"], "id": button.get("id", 0)}
        return await self._act(3, user, self._channel_of(message), data, message)

    async def choose(self, user: User, message: Message, custom_id: str, values: Sequence[str]) -> Interaction:
        """Choose from a menu: of texts, or of what there is in the server (people, roles, channels), by their ids."""
        menu = self._component(user, message, custom_id)
        if not menu.get("min_values", 1) <= len(values) <= menu.get("max_values", 1):
            raise NotOffered(f"{len(values)} of this menu")
        channel = self._channel_of(message)
        offered, resolved = of_menu(self._world, menu, channel, values)
        if not set(values) <= offered:
            raise NotOffered(", ".join(values))
        data = {"custom_id": custom_id, "component_type": menu["type"], "id": menu.get("id", 0), "values": [*values]}
        return await self._act(3, user, channel, data | resolved, message)

    async def submit(self, interaction: Interaction, values: Mapping[str, str]) -> Interaction:
        """Fill in the form that an interaction opened, and send it."""
        data = offers.modal_data(interaction, values)
        user, channel = interaction.user, interaction.channel
        return await self._act(5, user, channel, data, interaction.message, triggered_by=interaction)

    # inside

    async def _act(
        self,
        kind: int,
        user: User,
        channel: Channel,
        data: Json,
        message: Message | None = None,
        *,
        triggered_by: Interaction | None = None,
    ) -> Interaction:
        world = self._world
        interaction = world.interactions.create(kind, user, channel, data, message=message)
        interaction.metadata = offers.metadata(world, interaction, triggered_by)
        world.state.tell("INTERACTION_CREATE", channel.guild_id, offers.event(world, interaction))
        await world.interactions.first_answer(interaction)
        return interaction

    def _component(self, user: User, message: Message, custom_id: str) -> Json:
        found = components.find(message.components, custom_id)
        if message.visible_to not in (None, user.id) or found is None or found.get("disabled"):
            raise NotOffered(custom_id)
        self._need(user, self._channel_of(message), Permission.VIEW_CHANNEL)
        return found

    def _channel_of(self, message: Message) -> Channel:
        return self._world.state.channels[message.channel_id]

    def _allowed(self, user: User, channel: Channel) -> int:
        guild = self._world.state.guilds.get(channel.guild_id or 0)
        if guild is None:
            return -1 if channel.recipient_id == user.id else 0
        return in_channel(guild, channel, user.id)

    def _need(self, user: User, channel: Channel, needed: int) -> None:
        if self._allowed(user, channel) & needed != needed:
            raise NotOffered(Permission(needed).name or str(needed))

    def _may_use(self, user: User, channel: Channel, command: Command, *, overridden: bool = False) -> bool:
        allowed = self._allowed(user, channel)
        if not self._world.installed(user, channel, command.form.integration_types):
            return False
        if channel.guild_id is None:
            return allowed != 0
        wanted = command.form.default_member_permissions
        by_default = wanted is None or allowed & Permission.ADMINISTRATOR or (wanted and allowed & wanted == wanted)
        return bool(allowed & Permission.USE_APPLICATION_COMMANDS and (overridden or by_default))
