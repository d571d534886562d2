"""Logs are events with fields, and never tell a key."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from bot import logs

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in (*logs._CHATTY, "discord", "discord.gateway")}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, old in levels.items():
        logging.getLogger(name).setLevel(old)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def test_events_have_fields_as_json() -> None:
    stream = io.StringIO()
    logs.configure("info", json=True, stream=stream)
    structlog.get_logger("bot.x").info("session_opened", session="abc", guild=5)
    event = json.loads(stream.getvalue())
    assert (event["event"], event["session"], event["guild"], event["level"]) == ("session_opened", "abc", 5, "info")


def test_the_standard_librarys_loggers_go_the_same_way() -> None:
    stream = io.StringIO()
    logs.configure("info", json=True, stream=stream)
    logging.getLogger("aiohttp.server").error("something %s", "odd")
    assert json.loads(stream.getvalue())["event"] == "something odd"


def test_nothing_below_the_level_is_written() -> None:
    stream = io.StringIO()
    logs.configure("warning", stream=stream)
    structlog.get_logger("bot.x").info("quiet")
    logging.getLogger("discord.gateway").info("quiet too")
    assert stream.getvalue() == ""


def test_a_second_configuration_leaves_nothing_of_the_first() -> None:
    logs.configure("warning", stream=io.StringIO(), gateway_level=logging.ERROR)
    stream = io.StringIO()
    logs.configure("debug", stream=stream)
    logging.getLogger("discord.gateway").debug("Keeping shard alive")
    assert "Keeping shard alive" in stream.getvalue()


def test_at_debug_the_transport_key_and_the_token_do_not_appear() -> None:
    stream = io.StringIO()
    logs.configure("debug", stream=stream)
    gateway = logging.getLogger("discord.gateway")
    gateway.debug("Voice websocket frame received: {'op': 4, 'd': {'secret_key': [1, 2, 3]}}")
    gateway.debug("For Shard ID %s: WebSocket Event: %s", 0, {"d": {"token": "abc.def"}})
    gateway.debug("Keeping shard alive")
    written = stream.getvalue()
    assert "Keeping shard alive" in written
    assert "[1, 2, 3]" not in written
    assert "abc.def" not in written


@pytest.mark.parametrize("as_json", [True, False])
def test_tracebacks_show_no_local_variables(as_json: bool) -> None:
    stream = io.StringIO()
    logs.configure("info", json=as_json, stream=stream)

    def fails() -> None:
        token = "Bot abc.def"
        raise RuntimeError(f"broken with {len(token)} characters")

    try:
        fails()
    except RuntimeError:
        structlog.get_logger("bot.x").exception("failed")
    assert "RuntimeError" in stream.getvalue()
    assert "in fails" in stream.getvalue()
    assert "'Bot abc.def'" not in stream.getvalue()


def test_discord_reconnects_are_one_line_outside_debug() -> None:
    stream = io.StringIO()
    logs.configure("info", stream=stream)
    try:
        raise OSError("gone")
    except OSError:
        logging.getLogger("discord.shard").exception("Attempting a reconnect")
    assert "Traceback" not in stream.getvalue()
    assert "OSError: gone" in stream.getvalue()


def test_a_trouble_that_repeats_is_told_once_a_minute_with_how_often() -> None:
    now = [0.0]
    repeats = logs.Repeats(monotonic=lambda: now[0])
    passed: list[Any] = []

    def trouble(event: Any, level: int = logging.WARNING) -> None:
        record = logging.LogRecord("bot.x", level, "", 0, event, None, None)
        if repeats.filter(record):
            passed.append(record.msg)

    for _ in range(300):
        trouble({"event": "windows_not_written", "error": "full", "waiting": len(passed)})
        trouble("socket.accept() out of system resource", logging.ERROR)
        now[0] += 0.1
    assert len(passed) == 2
    trouble({"event": "windows_not_written", "error": "locked"})  # another reason is news
    for reference in ("a", "b"):  # a person was told of each
        trouble({"event": "request_failed", "reference": reference})
    for _ in range(2):  # no trouble
        trouble({"event": "listening"}, logging.INFO)
    assert len(passed) == 7
    now[0] += 60
    trouble({"event": "windows_not_written", "error": "full"})
    trouble("socket.accept() out of system resource", logging.ERROR)
    assert passed[-2]["repeated"] == 299
    assert passed[-1].endswith("(and 299 times more before)")
