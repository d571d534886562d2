"""Every setting, once: read from the environment and `.env` by the command line and handed down from there.

`DISCORD_TOKEN`, `DISCORD_API_BASE`, `DATABASE_URL` and `PORT` keep the names that hosts and other bots use; all others
begin with ``UNDERTONE_``. A wrong value ends in `SettingsError`, which says which one and what to write instead.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from bot.errors import SettingsError
from bot.sharding import Shards

DISCORD_API: Final = "https://discord.com/api/v10"
EVERY_NETWORK: Final = "0.0.0.0"  # noqa: S104  # only where a host asks for it

_ENCODING: Final = "utf-8-sig"
"""Of ``.env``: Windows' Notepad and PowerShell begin a file with a mark that would belong to the first name."""

LogLevel = Literal["debug", "info", "warning", "error"]


class Settings(BaseSettings):
    """What the service needs to know. Frozen: a change needs a restart."""

    model_config = SettingsConfigDict(
        env_prefix="UNDERTONE_",
        env_file=".env",
        env_file_encoding=_ENCODING,
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        populate_by_name=True,
    )

    discord_token: SecretStr | None = Field(None, validation_alias="DISCORD_TOKEN")
    """The bot's token; without it only the demo runs."""
    discord_api_base: str = Field(DISCORD_API, validation_alias="DISCORD_API_BASE")
    """Where Discord's REST interface is; another address is a loopback Discord."""
    database_address: str | None = Field(None, validation_alias="DATABASE_URL")
    """Address of the database, such as ``postgresql://user:password@host/name``; not set: SQLite in the data folder."""
    port: int = Field(8080, validation_alias="PORT", ge=0, le=65535)
    """TCP port of the web pages; 0 takes a free one. Hosts give it in the environment (not in ``.env``): then
    ``undertone run`` listens on every network, unless ``UNDERTONE_HOST`` is set."""

    host: str = "127.0.0.1"
    """Address the web pages listen on; 0.0.0.0 is every network."""
    data_dir: Path = Path("data")
    """Folder of the database and the key file."""
    secret_key: SecretStr | None = None
    """The key that hides user ids in the database, 64 hex digits; not set: it is kept in a file in the data folder."""
    model: str = "default"
    """The model that is served: ``default``, ``fast``, ``seed``, or the path of a model directory."""
    runtime: Literal["onnxruntime", "tensorflow"] | None = None
    """What runs the network: ``onnxruntime`` (also when not set) or ``tensorflow``, which needs the extra ``train``."""
    backend: Literal["workers", "ray"] = "workers"
    """Where recognition runs: ``workers`` (processes of this machine), or ``ray`` (Ray Serve; the extra ``ray``)."""
    ray_address: str | None = None
    """Address of a Ray cluster, such as ``head:6379`` or ``auto``; not set: Ray is started on this machine."""
    workers: int = Field(1, ge=0, le=64)
    """Inference processes; 0 recognises and decodes in the main process, which a broken file may then end. On Ray, the
    replicas."""
    degrade_after_s: float = Field(2.0, ge=0, le=10)
    """Seconds that speech may wait for recognition before the model ``fast`` answers in place of a slower one, until it
    eases; 0: it never does. Not with ``UNDERTONE_WORKERS=0`` and not on Ray."""
    log_level: LogLevel = "info"
    """The least serious events that are logged: ``debug``, ``info``, ``warning`` or ``error``."""
    log_json: bool = False
    """One JSON object a line instead of lines for people."""
    shards: Annotated[Shards | None, NoDecode] = None
    """Which of the bot's shards this process has, such as ``0,1/4``; not set: all of them. Processes that share the
    shards of one bot need PostgreSQL."""
    public_url: str | None = None
    """Address under which people reach the web pages, for links in Discord."""
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Sites whose pages may use ``/predict`` and ``/health``, with commas between them."""
    oauth_client_id: str | None = None
    """For signing in with Discord: the client id on the application's OAuth2 page. It also needs the secret and the
    public address."""
    oauth_client_secret: SecretStr | None = None
    """The client secret on the same page."""
    operator: str | None = None
    """Who runs this bot, as people are told."""
    contact: str | None = None
    """How people reach the operator: an address of mail, a page or an account."""
    policy_url: str | None = None
    """Address of the operator's privacy policy."""
    retention_days: int = Field(7, ge=1, le=90)
    """Days after which a session's results are deleted, unless a server chose otherwise; 1 to 90."""
    max_session_h: float = Field(6.0, gt=0, le=24)
    """Hours after which a session ends by itself; 24 at most."""

    @field_validator("*", mode="before")
    @classmethod
    def _text(cls, value: object) -> object:
        """No system takes a name with a zero byte in it, and each says so in another way."""
        if isinstance(value, str) and "\0" in value:
            raise ValueError("must be a text without zero bytes")
        return value

    @field_validator("shards", mode="before")
    @classmethod
    def _of_shards(cls, value: object) -> object:
        return Shards.parse(value) if isinstance(value, str) else value

    @field_validator("allowed_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("allowed_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """An origin is a scheme, a host and a port, as a browser sends it; people often add a slash."""
        origins = tuple(origin.rstrip("/") for origin in value)
        if any(not re.fullmatch(r"https?://[^/\s*]+", origin) for origin in origins):
            raise ValueError("must be addresses such as http://localhost:5173, with commas between them")
        return origins

    @field_validator("discord_api_base", "public_url", "policy_url")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        if value is not None and (set(value) & set("?# ") or not value.isprintable()):
            raise ValueError("must be an address without spaces, ? and #")
        if value is not None and not _names_a_host(value):
            raise ValueError("must name a host, such as https://undertone.example.org")
        return value.rstrip("/") if value else value

    @field_validator("database_address")
    @classmethod
    def _async_driver(cls, value: str | None) -> str | None:
        """Hosts hand out ``postgres://``; SQLAlchemy wants the driver named."""
        for prefix, driver in (
            ("postgres://", "postgresql+asyncpg://"),
            ("postgresql://", "postgresql+asyncpg://"),
            ("sqlite://", "sqlite+aiosqlite://"),
        ):
            if value is not None and value.startswith(prefix):
                value = driver + value.removeprefix(prefix)
        if value is not None and not _is_address(value):
            raise ValueError(
                "must be an address such as sqlite:///data/undertone.db (three slashes) or "
                "postgresql://user:password@host:5432/name; in a password write %40 for @ and %25 for %"
            )
        return value

    @field_validator("data_dir")
    @classmethod
    def _a_folder(cls, value: Path) -> Path:
        """In a database's address, what follows a question mark is no longer its name. A shell puts the home in place
        of ``~``; no shell reads ``.env``."""
        if "?" in str(value):
            raise ValueError("must be a folder without ? in its name")
        try:
            return value.expanduser()
        except RuntimeError as error:
            raise ValueError(f"begins with {value.parts[0]}, and that home is not known; write it out") from error

    @field_validator("secret_key")
    @classmethod
    def _a_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", value.get_secret_value()):
            raise ValueError("must be 64 hex digits; `openssl rand -hex 32` makes some")
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @property
    def database_url(self) -> str:
        """SQLAlchemy's address of the database: the one that was set, or that of a SQLite file in `data_dir`."""
        return self.database_address or f"sqlite+aiosqlite:///{(self.data_dir / 'undertone.db').absolute()}"

    @property
    def can_sign_in(self) -> bool:
        """Whether people can sign in to the web pages with Discord."""
        return bool(self.public_url and self.oauth_client_id and self.oauth_client_secret)

    @property
    def is_discord(self) -> bool:
        """True when the bot talks to Discord itself, not to a loopback Discord."""
        return self.discord_api_base.startswith(("https://discord.com/", "https://canary.discord.com/"))

    @property
    def token(self) -> str:
        """The token in the clear. Raises SettingsError when there is none."""
        if self.discord_token is None or not self.discord_token.get_secret_value().strip():
            raise SettingsError(
                "DISCORD_TOKEN is not set. Put the bot's token into the environment or into .env "
                "(see .env.example), or run `undertone demo`, which needs none."
            )
        return self.discord_token.get_secret_value().strip()


def load_routed(env_file: Path | None = Path(".env"), **overrides: Any) -> Settings:
    """`load_settings` for a service on a host that gives it PORT: its router comes from another machine.

    Where PORT stands in the environment and no address is set, the service listens on every network.
    """
    settings = load_settings(env_file, **overrides)
    if not os.environ.get("PORT") or "host" in settings.model_fields_set:
        return settings
    return load_settings(env_file, **overrides, host=EVERY_NETWORK)


def load_settings(env_file: Path | None = Path(".env"), **overrides: Any) -> Settings:
    """Read the settings; `overrides` win over the environment.

    Raises SettingsError with one line for each wrong value.
    """
    try:
        if env_file is not None:
            _check_lines(env_file)
        return Settings(_env_file=env_file, **overrides)  # type: ignore[call-arg]  # BaseSettings takes it; its stub hides it
    except UnicodeDecodeError:  # Windows' editors and shells may write UTF-16
        raise SettingsError(f"{env_file} is not a text in UTF-8. Save it as UTF-8.") from None
    except OSError as error:
        raise SettingsError(f"{env_file} cannot be read: {error.strerror}.") from None
    except ValidationError as error:
        lines = [f"{_name(str(item['loc'][0]))}: {_words(item['msg'])}" for item in error.errors()]
        raise SettingsError("These settings are wrong:\n" + "\n".join(f"  {line}" for line in lines)) from None


def _check_lines(env_file: Path) -> None:
    """Raises SettingsError for lines that would be passed over, and whatever was to be set in them."""
    from dotenv.parser import parse_stream

    if not env_file.is_file():
        return
    with env_file.open(encoding=_ENCODING) as file:
        wrong = [str(found.original.line) for found in parse_stream(file) if found.error]
    if wrong:
        lines = f"line {wrong[0]}" if len(wrong) == 1 else f"lines {', '.join(wrong)}"
        raise SettingsError(f"{env_file}, {lines}: write NAME=value, and close every quote that you open.")


def _names_a_host(address: str) -> bool:
    try:
        parts = urlsplit(address)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # half an IPv6 address, a port that is no number
        return False


def _is_address(value: str) -> bool:
    """Whether it is a database's address, as far as that can be told without the database."""
    from sqlalchemy.engine import make_url  # only where one is set: it takes a tenth of a second
    from sqlalchemy.exc import ArgumentError

    try:
        address = make_url(value)
    except (ArgumentError, ValueError):  # the second for a port that is no number
        return False
    host = address.host or ""
    return "@" not in host and not (host and address.get_backend_name() == "sqlite")


def unknown_variables(env_file: Path = Path(".env")) -> list[str]:
    """What is named like a setting of ours and is none: misspelt, most likely, and without effect."""
    from dotenv import dotenv_values

    known = {variable(field) for field in Settings.model_fields}
    named = {name.upper() for name in (*os.environ, *dotenv_values(env_file, encoding=_ENCODING))}
    return sorted(name for name in named - known if name.startswith("UNDERTONE_"))


def variable(field: str) -> str:
    """The environment variable that sets `field`."""
    alias = Settings.model_fields[field].validation_alias
    return str(alias) if alias else f"UNDERTONE_{field.upper()}"


def _name(location: str) -> str:
    return variable(location) if location in Settings.model_fields else location


def _words(message: str) -> str:
    return message.removeprefix("Value error, ").removeprefix("Input ").replace("Input should", "should")
