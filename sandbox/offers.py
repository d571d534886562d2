"""What a person's client sends when they use a command, press a button or send a form: the interaction's payloads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox import payloads
from sandbox.commands import Leaf, OptionForm, OptionType
from sandbox.forms import UPLOAD_LIMIT_BYTES
from sandbox.interactions import Interaction
from sandbox.models import Attachment, Channel, Guild, Json, Message, Role, User
from sandbox.permissions import in_channel
from sandbox.world import World


class UnusableOption(ValueError):
    """The person's client would not let them send this."""


def slash_data(world: World, leaf: Leaf, values: Mapping[str, Any], channel: Channel) -> Json:
    """The ``data`` of a slash command, its values checked against the options that were registered."""
    unknown = values.keys() - {o.name for o in leaf.options}
    if unknown:
        raise UnusableOption(f"no such options: {', '.join(sorted(unknown))}")
    resolved: Json = {}
    options: list[Json] = []
    for option in leaf.options:
        if option.name in values:
            value = _value(world, option, values[option.name], resolved, channel)
            options.append({"name": option.name, "type": int(option.type), "value": value})
        elif option.required:
            raise UnusableOption(f"{option.name} is required")
    for step in reversed(leaf.path):
        options = [{"name": step.name, "type": int(step.type), "options": options}]
    return (
        _command_data(leaf) | ({"options": options} if options else {}) | ({"resolved": resolved} if resolved else {})
    )


def message_menu_data(world: World, leaf: Leaf, message: Message) -> Json:
    """The ``data`` of a context-menu command: it carries the whole message, whatever the bot's intents are."""
    body = payloads.message(message, world.state, world.urls, viewer_id=world.bot.id)
    return _command_data(leaf) | {"target_id": str(message.id), "resolved": {"messages": {str(message.id): body}}}


def modal_data(interaction: Interaction, values: Mapping[str, str]) -> Json:
    """The ``data`` of a form that was filled in; fields that are not named keep what they were opened with."""
    modal = interaction.modal
    if modal is None:
        raise UnusableOption("the bot opened no form")
    return {"custom_id": modal["custom_id"], "components": [_filled(c, values) for c in modal["components"]]}


def event(world: World, interaction: Interaction) -> Json:
    """The INTERACTION_CREATE dispatch."""
    user, channel = interaction.user, interaction.channel
    guild = world.state.guilds.get(channel.guild_id or 0)
    body: Json = {
        "id": str(interaction.id),
        "application_id": str(world.application_id),
        "type": interaction.type,
        "token": interaction.token,
        "version": 1,
        "data": interaction.data,
        "channel_id": str(channel.id),
        "channel": payloads.interaction_channel(channel, world.state, user.id),
        "locale": user.locale,
        "entitlements": [],
        "entitlement_sku_ids": [],
        "authorizing_integration_owners": _owners(world, user, channel),
        "attachment_size_limit": UPLOAD_LIMIT_BYTES,
    }
    if interaction.message is not None:
        body["message"] = payloads.message(interaction.message, world.state, world.urls, viewer_id=world.bot.id)
    if guild is None:
        return body | {"user": payloads.user(user), "context": 1, "app_permissions": "0"}
    return body | {
        "guild_id": str(guild.id),
        "guild": {"id": str(guild.id), "locale": guild.locale, "features": []},
        "guild_locale": guild.locale,
        "member": _member(guild, user, channel),
        "context": 0,
        "app_permissions": str(in_channel(guild, channel, world.bot.id)),
    }


def metadata(world: World, interaction: Interaction, triggered_by: Interaction | None = None) -> Json:
    """The ``interaction_metadata`` of the messages that answer it."""
    body: Json = {
        "id": str(interaction.id),
        "type": interaction.type,
        "user": payloads.user(interaction.user),
        "authorizing_integration_owners": _owners(world, interaction.user, interaction.channel),
    }
    if interaction.type == 2:
        body |= {"name": interaction.data["name"], "command_type": interaction.data["type"]}
    if interaction.data.get("target_id"):
        body["target_message_id"] = interaction.data["target_id"]
    if interaction.message is not None and interaction.type == 3:
        body["interacted_message_id"] = str(interaction.message.id)
    if triggered_by is not None:
        body["triggering_interaction_metadata"] = triggered_by.metadata
    return body


def _owners(world: World, user: User, channel: Channel) -> Json:
    """By which installation the command is there: the server's, the person's, or both."""
    owners = {"0": str(channel.guild_id or 0)} if world.by_server(channel) else {}
    return owners | ({"1": str(user.id)} if user.id in world.user_installs else {})


def _member(guild: Guild, user: User, channel: Channel) -> Json:
    return payloads.member(guild.members[user.id]) | {"permissions": str(in_channel(guild, channel, user.id))}


def _command_data(leaf: Leaf) -> Json:
    body: Json = {"id": str(leaf.command.id), "name": leaf.command.form.name, "type": int(leaf.command.form.type)}
    return body | ({"guild_id": str(leaf.command.guild_id)} if leaf.command.guild_id else {})


def _value(world: World, option: OptionForm, value: Any, resolved: Json, channel: Channel) -> Any:
    match option.type, value:
        case ((OptionType.USER | OptionType.MENTIONABLE), User()):
            _resolve_user(world, value, resolved, channel)
        case OptionType.CHANNEL, Channel():
            body = payloads.interaction_channel(value, world.state, world.bot.id)
            resolved.setdefault("channels", {})[str(value.id)] = body
        case ((OptionType.ROLE | OptionType.MENTIONABLE), Role()):
            resolved.setdefault("roles", {})[str(value.id)] = payloads.role(value)
        case OptionType.ATTACHMENT, Attachment():
            world.state.keep_file(value)
            body = payloads.attachment(value, world.urls, ephemeral=True)
            resolved.setdefault("attachments", {})[str(value.id)] = body
        case OptionType.STRING, str():
            return _checked_text(option, value)
        case OptionType.BOOLEAN, bool():
            return value
        case ((OptionType.INTEGER | OptionType.NUMBER), (int() | float())):
            return _checked_number(option, value)
        case _:
            raise UnusableOption(f"{option.name} does not take {type(value).__name__}")
    return str(value.id)


def _checked_text(option: OptionForm, value: str) -> str:
    extra = option.model_extra or {}
    _check_choice(option, value)
    if not (extra.get("min_length") or 0) <= len(value) <= (extra.get("max_length") or 6_000):
        raise UnusableOption(f"{option.name} is too short or too long")
    return value


def _checked_number(option: OptionForm, value: float) -> float:
    extra = option.model_extra or {}
    _check_choice(option, value)
    least, most = extra.get("min_value"), extra.get("max_value")
    if (least is not None and value < least) or (most is not None and value > most):
        raise UnusableOption(f"{option.name} is out of range")
    return value


def _check_choice(option: OptionForm, value: str | float) -> None:
    if option.choices and value not in [c.value for c in option.choices]:
        raise UnusableOption(f"{option.name} is none of the choices")


def _resolve_user(world: World, user: User, resolved: Json, channel: Channel) -> None:
    resolved.setdefault("users", {})[str(user.id)] = payloads.user(user)
    guild = world.state.guilds.get(channel.guild_id or 0)
    if guild is not None and user.id in guild.members:
        member = _member(guild, user, channel)
        del member["user"], member["deaf"], member["mute"]
        resolved.setdefault("members", {})[str(user.id)] = member


def _filled(component: Json, values: Mapping[str, str]) -> Json:
    kept: Json = {"type": component["type"], "id": component.get("id", 0)}
    if "components" in component:
        kept["components"] = [_filled(c, values) for c in component["components"]]
    elif "component" in component:
        kept["component"] = _filled(component["component"], values)
    elif "custom_id" in component:
        custom_id = component["custom_id"]
        given = values.get(custom_id, component.get("value", ""))
        kept["custom_id"] = custom_id
        kept |= {"value": given} if component["type"] == 4 else {"values": [given] if given else []}
    return kept
