"""What `undertone doctor` checks: the settings, this machine, the database, the model, voice, and Discord."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from typing import Final
from urllib.parse import urlsplit

from bot.cli.running import port_trouble
from bot.errors import KeyFileError, PortInUse
from bot.settings import Settings, unknown_variables, variable

MAX_CLOCK_ERROR_S: Final = 5.0


class CheckStatus(StrEnum):
    OK = "ok"
    NOTE = "note"
    """Works, but not as well as it could, or not needed for the demo."""
    BAD = "bad"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    subject: str
    verdict: CheckStatus
    text: str
    """What is so, and what to do when it is not well."""


def check_settings(settings: Settings) -> list[Finding]:
    findings = []
    if settings.discord_token is None:
        findings.append(note("DISCORD_TOKEN", "not set: only `undertone demo` runs. See .env.example."))
    else:
        findings.append(ok("DISCORD_TOKEN", "set"))
    if not settings.is_discord:
        findings.append(note("DISCORD_API_BASE", f"{settings.discord_api_base}: not Discord itself"))
    if settings.host not in ("127.0.0.1", "localhost", "::1") and not settings.public_url:
        findings.append(
            bad("UNDERTONE_PUBLIC_URL", "not set, but the pages listen to the network: links cannot work. Set it.")
        )
    if settings.public_url:
        findings.append(_public_url(settings.public_url))
    if (settings.oauth_client_id is None) != (settings.oauth_client_secret is None):
        names = f"{variable('oauth_client_id')} and {variable('oauth_client_secret')}"
        findings.append(bad("sign-in", f"only one of {names} is set. Set both, or neither."))
    elif not settings.oauth_client_id:
        findings.append(note("sign-in", "not set up: reports open with the address that `undertone run` prints."))
    elif not settings.public_url:
        findings.append(bad("sign-in", "needs UNDERTONE_PUBLIC_URL, the address that Discord sends people back to."))
    unnamed = [name for name in ("operator", "contact", "policy_url") if getattr(settings, name) is None]
    if unnamed:
        names = ", ".join(variable(name) for name in unnamed)
        findings.append(note("operator", f"{names} not set: people are not told who runs this bot. Set them."))
    if unknown := unknown_variables():
        findings.append(note("settings", f"{', '.join(unknown)}: there are none of that name. Misspelt?"))
    if settings.workers > (cores := os.cpu_count() or 1):
        findings.append(note("UNDERTONE_WORKERS", f"{settings.workers} on {cores} cores: more than helps"))
    return findings


def _public_url(address: str) -> Finding:
    """Where people come in, and what a proxy in front must do for it."""
    path = urlsplit(address).path
    if not path:
        return ok("UNDERTONE_PUBLIC_URL", address)
    return ok(
        "UNDERTONE_PUBLIC_URL",
        f"{address}: every link begins with {path}/. The proxy may take {path} off or pass it on; both work.",
    )


def check_data_dir(settings: Settings) -> list[Finding]:
    from bot.secret import KEY_FILE, load_key

    if settings.secret_key is not None:
        return [ok("data folder", f"{settings.data_dir} (the key is UNDERTONE_SECRET_KEY; keep a copy of it)")]
    try:
        load_key(settings.data_dir)
    except KeyFileError as error:
        return [bad("data folder", str(error))]
    mode = (settings.data_dir / KEY_FILE).stat().st_mode & 0o777
    return [ok("data folder", f"{settings.data_dir} (key file {mode:o}; back it up with the database)")]


def check_database(settings: Settings) -> list[Finding]:
    from bot.secret import key_of
    from storage import Storage
    from storage.claim import file_of
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
        return [bad("database", f"{error} Check DATABASE_URL." if settings.database_address else str(error))]
    if older:
        text = "of an older version. A start changes it for good: make a copy first (undertone backup FOLDER)."
        return [note("database", f"{kind}, reachable, {text}")]
    if kind == "sqlite" and file_of(settings.database_url) is None:
        text = "a stop deletes every result. Name a file: DATABASE_URL=sqlite:///data/undertone.db"
        return [note("database", f"{kind} in memory: {text}")]
    return [ok("database", f"{kind}, reachable, schema up to date")]


def check_model(settings: Settings) -> list[Finding]:
    from ser_engine.errors import ModelError
    from ser_engine.models import find_model, verify

    try:
        manifest = verify(directory := find_model(settings.model))
    except ModelError as error:
        return [bad("model", f"{error} Check UNDERTONE_MODEL.")]
    return [ok("model", f"{directory.name} {manifest.version}: file hashes agree")]


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
            findings.append(ok(package, found))
        else:
            findings.append(bad(package, f"{found}, but {wanted} is needed: pip install '{package}=={wanted}'"))
    problems = compat.check()
    verdict = bad if problems else ok
    findings.append(verdict("discord.py's private names", "; ".join(problems) or "all there"))
    try:
        opus.Decoder()
        findings.append(ok("Opus", "found"))
    except Exception as error:  # noqa: BLE001  # whatever keeps the library from loading
        findings.append(bad("Opus", f"cannot be loaded: {error}. Reinstall the package `av`."))
    return findings


def check_socket(_: Settings) -> list[Finding]:
    from bot.voice import reader

    if (granted := reader.granted_bytes()) >= reader.BUFFER_BYTES:
        return [ok("voice packets", "wait for seconds while this machine is busy")]
    text = f"find room for {granted // 1280} at a time: words of many people are lost while this machine is busy. "
    return [note("voice packets", f"{text}On Linux: sysctl -w net.core.rmem_max={reader.BUFFER_BYTES}")]


def check_port(settings: Settings) -> list[Finding]:
    trouble = port_trouble(settings.host, settings.port) if settings.port else None
    if isinstance(trouble, PortInUse):
        return [note("PORT", f"{settings.port} on {settings.host} is taken (is Undertone running?). Else set PORT.")]
    return [bad("PORT", str(trouble)) if trouble else ok("PORT", f"{settings.port} on {settings.host} is free")]


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
        grave = bad if token else note
        return [grave("Discord", f"{what}: look at this machine's network, name server and firewall.")]
    findings = [_clock(date)] if date else []
    if status == 401:
        findings.append(bad("Discord", "refuses DISCORD_TOKEN. Copy it anew from the application's Bot page."))
    elif status >= 400:
        findings.append(bad("Discord", f"answers with status {status}. Try again later."))
    else:
        findings.append(ok("Discord", "answers" + (" and knows the token" if token else "")))
        findings += await _ask_for_intent(settings, token) if token else []
    return findings


async def _ask_for_intent(settings: Settings, token: str) -> list[Finding]:
    from bot.application import MESSAGE_CONTENT_REMEDY, may_read_content

    allowed = await may_read_content(settings.discord_api_base, token)
    if allowed is None:
        return [note("Message Content Intent", "Discord does not tell whether it is on.")]
    if not allowed:
        return [note("Message Content Intent", f"off: {MESSAGE_CONTENT_REMEDY}")]
    return [ok("Message Content Intent", "on")]


def _clock(date: str) -> Finding:
    error_s = time.time() - parsedate_to_datetime(date).timestamp()
    if abs(error_s) > MAX_CLOCK_ERROR_S:
        return bad("clock", f"{error_s:+.0f} s off: set it (sign-in and share links depend on it).")
    return ok("clock", "agrees with Discord's")


def ok(subject: str, text: str) -> Finding:
    return Finding(subject=subject, verdict=CheckStatus.OK, text=text)


def note(subject: str, text: str) -> Finding:
    return Finding(subject=subject, verdict=CheckStatus.NOTE, text=text)


def bad(subject: str, text: str) -> Finding:
    return Finding(subject=subject, verdict=CheckStatus.BAD, text=text)
