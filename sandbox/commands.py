"""Application commands: what a bot registered, checked as Discord checks it, and found by what a person types."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from sandbox import errors
from sandbox.forms import parse
from sandbox.ids import SnowflakeFactory
from sandbox.models import Json

_LIMITS: Final = {1: 100, 2: 15, 3: 15}
"""How many commands of a type there may be, per scope."""


class CommandType(IntEnum):
    SLASH = 1
    USER = 2
    MESSAGE = 3


class OptionType(IntEnum):
    SUBCOMMAND = 1
    GROUP = 2
    STRING = 3
    INTEGER = 4
    BOOLEAN = 5
    USER = 6
    CHANNEL = 7
    ROLE = 8
    MENTIONABLE = 9
    NUMBER = 10
    ATTACHMENT = 11


class _Choice(BaseModel):
    name: str = Field(min_length=1, max_length=100)
    value: str | int | float


class OptionForm(BaseModel):
    model_config = ConfigDict(extra="allow")
    type: OptionType
    name: Annotated[str, StringConstraints(min_length=1, max_length=32)]
    name_localizations: dict[str, str] | None = None
    description: str = Field(min_length=1, max_length=100)
    description_localizations: dict[str, str] | None = None
    required: bool = False
    choices: list[_Choice] | None = Field(default=None, max_length=25)
    options: list[OptionForm] = Field(default_factory=list, max_length=25)
    autocomplete: bool = False

    @model_validator(mode="after")
    def _required_first(self) -> OptionForm:
        _check_options(self.options)
        return self


def _check_options(options: list[OptionForm]) -> None:
    seen_optional = False
    for option in options:
        if option.name != option.name.lower():
            raise ValueError("Command and option names are lower case.")
        if option.required and seen_optional:
            raise ValueError("Required options must be placed before non-required options.")
        seen_optional |= not option.required
    if len({o.name for o in options}) != len(options):
        raise ValueError("Option names must be unique.")


class CommandForm(BaseModel):
    model_config = ConfigDict(extra="ignore")
    name: str = Field(min_length=1, max_length=32)
    type: CommandType = CommandType.SLASH
    description: str = Field(default="", max_length=100)
    options: list[OptionForm] = Field(default_factory=list, max_length=25)
    default_member_permissions: int | None = None
    contexts: list[int] | None = None
    integration_types: list[int] | None = None
    dm_permission: bool | None = None
    nsfw: bool = False
    name_localizations: dict[str, str] | None = None
    description_localizations: dict[str, str] | None = None

    @model_validator(mode="after")
    def _by_type(self) -> CommandForm:
        if self.type is CommandType.SLASH:
            if not self.description:
                raise ValueError("A slash command needs a description.")
            if self.name != self.name.lower() or " " in self.name:
                raise ValueError("A slash command's name is one lower-case word.")
        elif self.description or self.options:
            raise ValueError("Context menu commands cannot have description or options.")
        _check_options(self.options)
        return self


@dataclass(slots=True, kw_only=True)
class Command:
    id: int
    version: int
    guild_id: int | None
    form: CommandForm

    def payload(self, application_id: int) -> Json:
        form = self.form
        options = [o.model_dump(mode="json", exclude_unset=True) for o in form.options]
        body: Json = {
            "id": str(self.id),
            "application_id": str(application_id),
            "version": str(self.version),
            "type": int(form.type),
            "name": form.name,
            "name_localizations": form.name_localizations,
            "description": form.description,
            "description_localizations": form.description_localizations,
            "default_member_permissions": (
                None if form.default_member_permissions is None else str(form.default_member_permissions)
            ),
            "dm_permission": self.in_direct_messages,
            "contexts": form.contexts,
            "integration_types": form.integration_types if form.integration_types is not None else [0],
            "nsfw": form.nsfw,
        }
        body |= {"options": options} if options else {}
        return body | ({"guild_id": str(self.guild_id)} if self.guild_id else {})

    @property
    def in_direct_messages(self) -> bool:
        if self.form.contexts is not None:
            return 1 in self.form.contexts
        return self.guild_id is None and self.form.dm_permission is not False

    @property
    def in_guilds(self) -> bool:
        return self.form.contexts is None or 0 in self.form.contexts


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """The part of a command that runs: the command itself or one of its subcommands."""

    command: Command
    path: tuple[OptionForm, ...] = ()
    """The group and subcommand on the way to it."""
    options: list[OptionForm] = field(default_factory=list)


class CommandBook:
    def __init__(self, ids: SnowflakeFactory) -> None:
        self._ids = ids
        self._commands: dict[int, Command] = {}

    def listed(self, guild_id: int | None) -> list[Command]:
        """The commands of one server alone, or the global ones."""
        return [c for c in self._commands.values() if c.guild_id == guild_id]

    def offered(self, guild_id: int | None) -> list[Command]:
        """What a person is offered in a server, or in direct messages."""
        if guild_id is None:
            return [c for c in self.listed(None) if c.in_direct_messages]
        return [c for c in self._commands.values() if c.guild_id in (None, guild_id) and c.in_guilds]

    def get(self, command_id: int, guild_id: int | None) -> Command:
        command = self._commands.get(command_id)
        if command is None or command.guild_id != guild_id:
            raise errors.unknown_command()
        return command

    def replace_all(self, guild_id: int | None, data: Any) -> list[Command]:
        """Overwrite a scope's commands; those that stay (same name and type) keep their ids."""
        forms = [parse(CommandForm, item) for item in data] if isinstance(data, list) else []
        for kind, limit in _LIMITS.items():
            if sum(form.type == kind for form in forms) > limit:
                raise errors.ApiError(400, 30032, f"Maximum number of application commands reached ({limit})")
        keys = [(form.type, form.name) for form in forms]
        if len(set(keys)) != len(keys):
            raise errors.invalid_field("name", "APPLICATION_COMMANDS_DUPLICATE_NAME", "Command names must be unique")
        before = {(c.form.type, c.form.name): c for c in self.listed(guild_id)}
        for old in before.values():
            del self._commands[old.id]
        return [self._put(guild_id, form, before.get((form.type, form.name))) for form in forms]

    def upsert(self, guild_id: int | None, data: Any) -> Command:
        form = parse(CommandForm, data)
        same = [c for c in self.listed(guild_id) if (c.form.type, c.form.name) == (form.type, form.name)]
        return self._put(guild_id, form, same[0] if same else None)

    def delete(self, command_id: int, guild_id: int | None) -> None:
        del self._commands[self.get(command_id, guild_id).id]

    def _put(self, guild_id: int | None, form: CommandForm, before: Command | None) -> Command:
        unchanged = before is not None and before.form == form
        version = before.version if before is not None and unchanged else self._ids.next()
        command = Command(id=before.id if before else self._ids.next(), version=version, guild_id=guild_id, form=form)
        self._commands[command.id] = command
        return command

    def find(self, text: str, guild_id: int | None, kind: CommandType = CommandType.SLASH) -> Leaf | None:
        """What ``listen start`` names: the command ``listen`` and its subcommand ``start``."""
        for command in self.offered(guild_id):
            if command.form.type is not kind:
                continue
            if kind is not CommandType.SLASH:
                if is_named(command.form, text):
                    return Leaf(command=command)
                continue
            words = text.split()
            if words and is_named(command.form, words[0]):
                return _descend(command, words[1:])
        return None


def is_named(form: CommandForm | OptionForm, word: str) -> bool:
    """Whether it is called that, in any language."""
    return word == form.name or word in (form.name_localizations or {}).values()


def in_language(form: CommandForm | OptionForm, locale: str) -> tuple[str, str]:
    """Name and description as a person with that locale is shown them."""
    names, descriptions = form.name_localizations or {}, form.description_localizations or {}
    return names.get(locale, form.name), descriptions.get(locale, form.description)


def _descend(command: Command, words: list[str]) -> Leaf | None:
    path: list[OptionForm] = []
    options = command.form.options
    for word in words:
        inner = next((o for o in options if is_named(o, word) and o.type <= OptionType.GROUP), None)
        if inner is None:
            return None
        path.append(inner)
        options = inner.options
    if any(o.type <= OptionType.GROUP for o in options):
        return None  # a group by itself does nothing
    return Leaf(command=command, path=tuple(path), options=options)
