from __future__ import annotations

import asyncio
import logging
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import discord
import pytest
from discord.gateway import DiscordVoiceWebSocket, KeepAliveHandler, VoiceKeepAliveHandler
from discord.voice_state import VoiceConnectionState

import bot.voice
from bot.voice import IncompatibleLibrary, compat, logs
from bot.voice.compat.gateway import end_heartbeats
from tests.fakes.call import Call

SOURCES = sorted(Path(bot.voice.__file__).parent.glob("*.py"))


@pytest.mark.unit
def test_the_pinned_libraries_have_all_the_names_that_are_used() -> None:
    assert compat.check() == []
    compat.require()


@pytest.mark.unit
@pytest.mark.parametrize(
    ("owner", "name"),
    [(VoiceConnectionState, "_poll_voice_ws"), (DiscordVoiceWebSocket, "received_message")],
)
def test_a_method_that_is_gone_is_named(monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> None:
    monkeypatch.delattr(owner, name)
    with pytest.raises(IncompatibleLibrary, match=f"{owner.__name__} has no {name}"):
        compat.require()


@pytest.mark.unit
def test_heartbeats_end_with_their_client_and_with_no_other() -> None:
    def beating(kind: type[KeepAliveHandler], state: Any) -> KeepAliveHandler:
        socket: Any = SimpleNamespace(thread_id=0, _max_heartbeat_timeout=60.0, _connection=state)
        thread = kind(ws=socket, interval=60.0)
        thread.start()
        return thread

    client, other = (discord.Client(intents=discord.Intents.none()) for _ in range(2))
    threads = [
        beating(kind, state)
        for one in (client, other)
        for kind, state in (
            (KeepAliveHandler, one._connection),
            (VoiceKeepAliveHandler, SimpleNamespace(voice_client=SimpleNamespace(client=one))),
        )
    ]
    end_heartbeats(client)
    for thread in threads[:2]:
        thread.join(10.0)
    assert [thread.is_alive() for thread in threads] == [False, False, True, True]
    end_heartbeats(other)


@pytest.mark.unit
def test_an_attribute_that_is_gone_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def constructor(self: object) -> None:
        self.socket = None  # type: ignore[attr-defined]

    monkeypatch.setattr(VoiceConnectionState, "__init__", constructor)
    assert "VoiceConnectionState sets no secret_key" in compat.check()
    assert "VoiceConnectionState sets no socket" not in compat.check()


@pytest.mark.unit
def test_another_version_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discord, "__version__", "2.8.0")
    (problem,) = compat.check()
    assert "discord.py is 2.8.0" in problem
    assert "pip install discord.py==2.7.1" in problem


@pytest.mark.unit
def test_private_names_of_discord_py_are_used_in_one_module_only() -> None:
    """Of the names that this layer's classes define themselves, only discord.py's may be underscored from outside."""
    foreign = re.compile(r"(?:connection|client|_client|channel|guild|state|ws|super\(\))\._[a-z]\w+")
    own = {"link.py": {"_client.connection"}}
    for source in SOURCES:
        found = {match.group() for match in foreign.finditer(source.read_text())}
        assert found <= own.get(source.name, set()), source.name


@pytest.mark.unit
def test_the_filter_is_put_in_place_once() -> None:
    logs.protect()
    logs.protect()
    filters = logging.getLogger("discord.gateway").filters
    assert len([one for one in filters if type(one).__module__ == logs.__name__]) == 1


@pytest.mark.integration
async def test_at_debug_level_no_key_token_name_or_text_is_written(
    call: Call, caplog: pytest.LogCaptureFixture, speech: list[bytes]
) -> None:
    logs.protect()
    caplog.set_level(logging.DEBUG)
    anna = await call.person("Anna Quietword")
    link = await call.listen()
    await call.settled()
    secret = "the-words-of-a-person"
    call.sandbox.send_message(call.sandbox.you, call.sandbox.text, f"{call.sandbox.bot.id} {secret}")
    await call.hears(anna, speech[:10])
    mode, key = link.transport() or ("", b"")
    call.faults.refuse_resumes = 1  # op 7, and then a connection from its beginning
    closing = asyncio.create_task(call.voice.close(call.bot_id, 1006), name="close")
    await call.back()
    await closing
    written = caplog.text
    assert "Voice websocket frame received" in written  # it was logged, and at this level
    assert "WebSocket Event" in written
    assert mode.startswith("aead")
    forbidden = [str(list(key)), key.hex(), repr(key), call.sandbox.token, secret, "Anna Quietword"]
    connection = call.voice.connection(call.bot_id)
    assert connection is not None
    forbidden.append(connection.ticket.token)
    forbidden.append(connection.ticket.session_id)
    assert [word for word in forbidden if word in written] == []
    assert "DaveSession" not in written
