"""The doctor's look at what a receiving bot stands on: private names, exact versions, the clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import discord
import pytest
from alembic import command
from discord.gateway import DiscordVoiceWebSocket
from discord.voice_state import VoiceConnectionState

from bot.cli import checks
from bot.cli.checks import CheckStatus, Finding
from bot.settings import Settings, load_settings
from bot.voice import compat, reader
from sandbox import Sandbox
from storage.looking import look_at
from tests.storage.conftest import move

pytestmark = pytest.mark.integration


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(env_file=None, data_dir=tmp_path, database_address=None)


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox() as sandbox:
        yield sandbox


def about(findings: list[Finding], subject: str) -> Finding:
    (found,) = [finding for finding in findings if finding.subject == subject]
    return found


def test_the_libraries_that_are_installed_fit(settings: Settings) -> None:
    findings = checks.check_voice(settings)
    assert about(findings, "davey").text == compat.PINNED["davey"] == metadata.version("davey")
    assert {finding.verdict for finding in findings} == {CheckStatus.OK}


@pytest.mark.parametrize(
    ("granted", "verdict"), [(8 << 20, CheckStatus.OK), (4 << 20, CheckStatus.OK), (425_984, CheckStatus.NOTE)]
)
def test_too_little_room_for_voice_packets_is_told_with_what_to_do(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, granted: int, verdict: CheckStatus
) -> None:
    monkeypatch.setattr(reader, "granted_bytes", lambda: granted)
    (found,) = checks.check_socket(settings)
    assert found.verdict is verdict
    assert ("room for 332 at a time" in found.text) == ("net.core.rmem_max" in found.text) == (granted < 4 << 20)


def test_the_system_says_how_much_room_it_gives() -> None:
    assert reader.granted_bytes() > 0


@pytest.mark.parametrize(
    ("owner", "name"),
    [(VoiceConnectionState, "_poll_voice_ws"), (DiscordVoiceWebSocket, "received_binary_message")],
)
def test_a_private_name_of_discord_py_that_is_gone_is_told(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, owner: type, name: str
) -> None:
    monkeypatch.delattr(owner, name)
    found = about(checks.check_voice(settings), "discord.py's private names")
    assert found.verdict is CheckStatus.BAD
    assert name in found.text


def test_the_queue_between_shards_is_told_when_it_has_another_name(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def connect(self: object) -> None: ...

    monkeypatch.setattr(discord.AutoShardedClient, "connect", connect)
    found = about(checks.check_voice(settings), "discord.py's private names")
    assert "_AutoShardedClient__queue" in found.text


@pytest.mark.parametrize("package", ["davey", "discord.py"])
def test_another_version_is_told_with_what_to_type(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setattr(checks, "version", lambda name: "0.0.9" if name == package else metadata.version(name))
    found = about(checks.check_voice(settings), package)
    assert found.verdict is CheckStatus.BAD
    assert f"pip install '{package}=={compat.PINNED[package]}'" in found.text


@pytest.mark.parametrize(
    ("off_s", "verdict"),
    [(0.0, CheckStatus.OK), (3.0, CheckStatus.OK), (60.0, CheckStatus.BAD), (-60.0, CheckStatus.BAD)],
)
async def test_the_clock_is_held_against_discords(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, off_s: float, verdict: CheckStatus
) -> None:
    monkeypatch.setattr(checks, "time", SimpleNamespace(time=lambda: time.time() + off_s))  # ours, not the sandbox's
    settings = load_settings(
        env_file=None, data_dir=tmp_path, discord_token=sandbox.token, discord_api_base=sandbox.api_base
    )
    findings = await checks._ask_discord(settings)
    clock = about(findings, "clock")
    assert clock.verdict is verdict
    assert ("s off: set it" in clock.text) == (verdict is CheckStatus.BAD)
    if verdict is CheckStatus.BAD:
        assert clock.text[0] == f"{off_s:+.0f}"[0]
    assert about(findings, "Discord").text == "answers and knows the token"


async def test_a_token_that_discord_does_not_know_and_a_discord_that_is_away_are_told(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    base = sandbox.api_base
    wrong = load_settings(env_file=None, data_dir=tmp_path, discord_token="wrong", discord_api_base=base)
    assert about(await checks._ask_discord(wrong), "Discord").verdict is CheckStatus.BAD
    await sandbox.close()
    away = about(await checks._ask_discord(wrong), "Discord")
    assert away.verdict is CheckStatus.BAD
    assert "does not answer" in away.text
    assert "firewall" in away.text


def test_it_asks_who_runs_the_bot(settings: Settings, tmp_path: Path) -> None:
    found = about(checks.check_settings(settings), "operator")
    assert "UNDERTONE_OPERATOR, UNDERTONE_CONTACT, UNDERTONE_POLICY_URL not set" in found.text
    named = {"operator": "The Tone Club", "contact": "hello@tone.example", "policy_url": "https://tone.example/privacy"}
    named_settings = load_settings(env_file=None, data_dir=tmp_path, **named)
    assert not [one for one in checks.check_settings(named_settings) if one.subject == "operator"]


@pytest.mark.parametrize("address", ["sqlite://", "sqlite:///", "sqlite:///:memory:"])
def test_it_tells_that_a_database_without_a_file_keeps_nothing(address: str, tmp_path: Path) -> None:
    settings = load_settings(env_file=None, data_dir=tmp_path, database_address=address)
    found = about(checks.check_database(settings), "database")
    assert (found.verdict, "a stop deletes every result" in found.text) == (CheckStatus.NOTE, True)


def test_it_leaves_an_older_database_as_it_is(settings: Settings) -> None:
    """There is no way back from a newer schema, and whoever asks the doctor may not have a copy yet."""
    assert about(checks.check_database(settings), "database").verdict is CheckStatus.OK
    asyncio.run(move(settings.database_url, command.downgrade, "0006"))
    found = about(checks.check_database(settings), "database")
    assert found.verdict is CheckStatus.NOTE
    assert "undertone backup FOLDER" in found.text
    assert asyncio.run(look_at(settings.database_url)).revision == "0006"
    asyncio.run(move(settings.database_url, command.upgrade, "head"))
    assert about(checks.check_database(settings), "database").verdict is CheckStatus.OK
