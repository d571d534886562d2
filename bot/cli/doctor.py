"""`undertone doctor`: checks what the service needs, one line each, and says what to do about what is wrong."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from email.utils import parsedate_to_datetime
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from typing import Final
from urllib.parse import urlsplit

import click

from bot.cli.options import Number
from bot.cli.running import port_trouble
from bot.errors import KeyFileError, PortInUse, SettingsError
from bot.settings import Settings, load_settings, unknown_variables, variable

MAX_CLOCK_ERROR_S: Final = 5.0


class CheckStatus(StrEnum):
    OK = "ok"
    NOTE = "note"
    """Works, but not as well as it could, or not needed for the demo."""
    BAD = "bad"


SIGNS: Final = {CheckStatus.OK: ("✔", "green"), CheckStatus.NOTE: ("•", "yellow"), CheckStatus.BAD: ("✘", "red")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    subject: str
    verdict: CheckStatus
    text: str
    """What is so, and what to do when it is not well."""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("--offline", is_flag=True, help="Ask nothing of Discord.")
@click.option("--start", "timed", is_flag=True, help="Start once and say what takes the time.")
@click.option(
    "--call", "channel_id", type=int, help="Join this voice channel and print what is met there, for a bug report."
)
@click.option("--me", type=int, help="With --call: your user id. You are heard, and what you say is thrown away.")
@click.option("--seconds", default=60.0, show_default=True, type=Number(1, 600), help="With --call: how long.")
def doctor(as_json: bool, offline: bool, timed: bool, channel_id: int | None, me: int | None, seconds: float) -> None:
    """Check the settings and what they lead to, and say what to do. Exit status 1 when something is wrong."""
    if channel_id is not None:
        from bot.cli import call

        call.printed(channel_id, me=me, seconds=seconds)
        return
    if timed:
        from bot.cli import start

        click.echo(start.told(as_json=as_json))
        return
    findings = examine(offline=offline)
    for finding in findings:
        if as_json:
            click.echo(json.dumps(asdict(finding)))
        else:
            sign, colour = SIGNS[finding.verdict]
            click.echo(f"{click.style(sign, fg=colour)} {finding.subject}: {finding.text}")
    sys.exit(1 if any(finding.verdict is CheckStatus.BAD for finding in findings) else 0)


def examine(*, offline: bool = False) -> list[Finding]:
    """All findings. A check that breaks is a finding itself."""
    try:
        settings = load_settings()
    except SettingsError as error:
        return [_bad("settings", str(error))]
    checks: list[tuple[str, Callable[[Settings], list[Finding]]]] = [
        ("settings", check_settings),
        ("data folder", check_data_dir),
        ("database", check_database),
        ("model", check_model),
        ("voice", check_voice),
        ("voice packets", check_socket),
        ("port", check_port),
    ]
    if not offline:
        checks.append(("Discord", check_discord))
    findings: list[Finding] = []
    for subject, check in checks:
        try:
            findings += check(settings)
        except Exception as error:  # noqa: BLE001  # a doctor must not die of the illness
            findings.append(_bad(subject, f"the check itself failed: {type(error).__name__}: {error}"))
    return findings


def check_settings(settings: Settings) -> list[Finding]:
    findings = []
    if settings.discord_token is None:
        findings.append(_note("DISCORD_TOKEN", "not set: only `undertone demo` runs. See .env.example."))
    else:
        findings.append(_ok("DISCORD_TOKEN", "set"))
    if not settings.is_discord:
        findings.append(_note("DISCORD_API_BASE", f"{settings.discord_api_base}: not Discord itself"))
    if settings.host not in ("127.0.0.1", "localhost", "::1") and not settings.public_url:
        findings.append(
            _bad("UNDERTONE_PUBLIC_URL", "not set, but the pages listen to the network: links cannot work. Set it.")
        )
    if settings.public_url:
        findings.append(_public_url(settings.public_url))
    if (settings.oauth_client_id is None) != (settings.oauth_client_secret is None):
        names = f"{variable('oauth_client_id')} and {variable('oauth_client_secret')}"
        findings.append(_bad("sign-in", f"only one of {names} is set. Set both, or neither."))
    elif not settings.oauth_client_id:
        findings.append(_note("sign-in", "not set up: reports open with the address that `undertone run` prints."))
    elif not settings.public_url:
        findings.append(_bad("sign-in", "needs UNDERTONE_PUBLIC_URL, the address that Discord sends people back to."))
    unnamed = [name for name in ("operator", "contact", "policy_url") if getattr(settings, name) is None]
    if unnamed:
        names = ", ".join(variable(name) for name in unnamed)
        findings.append(_note("operator", f"{names} not set: people are not told who runs this bot. Set them."))
    if unknown := unknown_variables():
        findings.append(_note("settings", f"{', '.join(unknown)}: there are none of that name. Misspelt?"))
    if settings.workers > (cores := os.cpu_count() or 1):
        findings.append(_note("UNDERTONE_WORKERS", f"{settings.workers} on {cores} cores: more than helps"))
    return findings


def _public_url(address: str) -> Finding:
    """Where people come in, and what a proxy in front must do for it."""
    path = urlsplit(address).path
    if not path:
        return _ok("UNDERTONE_PUBLIC_URL", address)
    return _ok(
        "UNDERTONE_PUBLIC_URL",
        f"{address}: every link begins with {path}/. The proxy may take {path} off or pass it on; both work.",
    )


def check_data_dir(settings: Settings) -> list[Finding]:
    from bot.secret import KEY_FILE, load_key

    if settings.secret_key is not None:
        return [_ok("data folder", f"{settings.data_dir} (the key is UNDERTONE_SECRET_KEY; keep a copy of it)")]
    try:
        load_key(settings.data_dir)
    except KeyFileError as error:
        return [_bad("data folder", str(error))]
    mode = (settings.data_dir / KEY_FILE).stat().st_mode & 0o777
    return [_ok("data folder", f"{settings.data_dir} (key file {mode:o}; back it up with the database)")]


def check_database(settings: Settings) -> list[Finding]:
    from bot.secret import key_of
    from storage import Storage
    from storage.errors import StorageError
    from storage.looking import look_at

    async def look() -> bool:
        key = key_of(settings)
        if (await look_at(settings.database_url)).is_older:
            return True  # to migrate it is for a start, after a copy
        storage = await Storage.open(settings.database_url, key=key)
        try:
            await storage.ping()
        finally:
            await storage.close()
        return False

    kind = settings.database_url.split(":", 1)[0].split("+", 1)[0]
    try:
        older = asyncio.run(look())
    except KeyFileError:
        return []  # told of the data folder
    except StorageError as error:
        return [_bad("database", f"{error} Check DATABASE_URL." if settings.database_address else str(error))]
    if older:
        text = "of an older version. A start changes it for good: make a copy first (undertone backup FOLDER)."
        return [_note("database", f"{kind}, reachable, {text}")]
    return [_ok("database", f"{kind}, reachable, schema up to date")]


def check_model(settings: Settings) -> list[Finding]:
    from ser_engine.errors import ModelError
    from ser_engine.models import find_model, verify

    try:
        manifest = verify(directory := find_model(settings.model))
    except ModelError as error:
        return [_bad("model", f"{error} Check UNDERTONE_MODEL.")]
    return [_ok("model", f"{directory.name} {manifest.version}: file hashes agree")]


def check_voice(_: Settings) -> list[Finding]:
    from bot.voice import compat
    from ser_engine import opus

    findings = []
    for package, wanted in compat.PINNED.items():
        try:
            found = version(package)
        except PackageNotFoundError:
            found = "missing"
        if found == wanted:
            findings.append(_ok(package, found))
        else:
            findings.append(_bad(package, f"{found}, but {wanted} is needed: pip install '{package}=={wanted}'"))
    problems = compat.check()
    verdict = _bad if problems else _ok
    findings.append(verdict("discord.py's private names", "; ".join(problems) or "all there"))
    try:
        opus.Decoder()
        findings.append(_ok("Opus", "found"))
    except Exception as error:  # noqa: BLE001  # whatever keeps the library from loading
        findings.append(_bad("Opus", f"cannot be loaded: {error}. Reinstall the package `av`."))
    return findings


def check_socket(_: Settings) -> list[Finding]:
    from bot.voice import reader

    if (granted := reader.granted_bytes()) >= reader.BUFFER_BYTES:
        return [_ok("voice packets", "wait for seconds while this machine is busy")]
    text = f"find room for {granted // 1280} at a time: words of many people are lost while this machine is busy. "
    return [_note("voice packets", f"{text}On Linux: sysctl -w net.core.rmem_max={reader.BUFFER_BYTES}")]


def check_port(settings: Settings) -> list[Finding]:
    trouble = port_trouble(settings.host, settings.port) if settings.port else None
    if isinstance(trouble, PortInUse):
        return [_note("PORT", f"{settings.port} on {settings.host} is taken (is Undertone running?). Else set PORT.")]
    return [_bad("PORT", str(trouble)) if trouble else _ok("PORT", f"{settings.port} on {settings.host} is free")]


def check_discord(settings: Settings) -> list[Finding]:
    """Whether Discord answers, knows the token, and agrees about the time."""
    return asyncio.run(_ask_discord(settings))


async def _ask_discord(settings: Settings) -> list[Finding]:
    import aiohttp

    token = settings.discord_token.get_secret_value().strip() if settings.discord_token else None
    path = "/users/@me" if token else "/gateway"
    headers = {"Authorization": f"Bot {token}"} if token else {}
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as http,
            http.get(settings.discord_api_base + path, headers=headers) as answer,
        ):
            status, date = answer.status, answer.headers.get("Date")
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        what = f"{settings.discord_api_base} does not answer ({type(error).__name__})"
        grave = _bad if token else _note
        return [grave("Discord", f"{what}: look at this machine's network, name server and firewall.")]
    findings = [_clock(date)] if date else []
    if status == 401:
        findings.append(_bad("Discord", "refuses DISCORD_TOKEN. Copy it anew from the application's Bot page."))
    elif status >= 400:
        findings.append(_bad("Discord", f"answers with status {status}. Try again later."))
    else:
        findings.append(_ok("Discord", "answers" + (" and knows the token" if token else "")))
        findings += await _ask_for_intent(settings, token) if token else []
    return findings


async def _ask_for_intent(settings: Settings, token: str) -> list[Finding]:
    from bot.application import MESSAGE_CONTENT_REMEDY, may_read_content

    allowed = await may_read_content(settings.discord_api_base, token)
    if allowed is None:
        return [_note("Message Content Intent", "Discord does not tell whether it is on.")]
    if not allowed:
        return [_note("Message Content Intent", f"off: {MESSAGE_CONTENT_REMEDY}")]
    return [_ok("Message Content Intent", "on")]


def _clock(date: str) -> Finding:
    error_s = time.time() - parsedate_to_datetime(date).timestamp()
    if abs(error_s) > MAX_CLOCK_ERROR_S:
        return _bad("clock", f"{error_s:+.0f} s off: set it (sign-in and share links depend on it).")
    return _ok("clock", "agrees with Discord's")


def _ok(subject: str, text: str) -> Finding:
    return Finding(subject=subject, verdict=CheckStatus.OK, text=text)


def _note(subject: str, text: str) -> Finding:
    return Finding(subject=subject, verdict=CheckStatus.NOTE, text=text)


def _bad(subject: str, text: str) -> Finding:
    return Finding(subject=subject, verdict=CheckStatus.BAD, text=text)
