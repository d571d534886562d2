"""Logs are events with fields, and never tell a key."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from typing import Any

import pytest
import structlog

from bot import logs
from bot.log_names import LogNames, log_names
from tests.fakes.log import restored

pytestmark = pytest.mark.unit


def test_what_a_test_sets_up_is_gone_after_it() -> None:
    before = [logging.getLogger(name).level for name in (None, "discord", "discord.gateway", "aiohttp.access")]
    handlers = logging.getLogger().handlers[:]
    with restored():
        logs.configure("warning", stream=io.StringIO(), gateway_level=logging.ERROR)
        logging.getLogger("a.logger.that.is.new").setLevel(logging.ERROR)
    assert [logging.getLogger(name).level for name in (None, "discord", "discord.gateway", "aiohttp.access")] == before
    assert logging.getLogger("a.logger.that.is.new").level == logging.NOTSET
    assert (logging.getLogger().handlers, structlog.is_configured()) == (handlers, False)


def test_events_have_fields_as_json() -> None:
    stream = io.StringIO()
    logs.configure("info", json=True, stream=stream)
    structlog.get_logger("bot.x").info("session_opened", session="abc", windows=5)
    event = json.loads(stream.getvalue())
    assert (event["event"], event["session"], event["windows"], event["level"]) == ("session_opened", "abc", 5, "info")


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


def test_what_a_second_ctrl_c_cuts_off_is_no_error() -> None:
    stream = io.StringIO()
    logs.configure("info", stream=stream)
    for fault in (asyncio.CancelledError(), OSError("the disk is full")):
        try:
            raise fault
        except BaseException:
            logging.getLogger("sqlalchemy.pool").error("Exception closing connection", exc_info=True)
    assert stream.getvalue().count("Exception closing connection") == 1
    assert "the disk is full" in stream.getvalue()


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


PERSON = 1575937420514295808


@pytest.mark.parametrize("as_json", [True, False])
def test_no_id_is_written_as_it_is(as_json: bool) -> None:
    stream = io.StringIO()
    logs.configure("debug", json=as_json, stream=stream)
    logger = structlog.get_logger("bot.x")
    logger.info("asked", user=PERSON, channel_id=5, windows=3, share=0.123456789012345678, many=[PERSON, {"a": PERSON}])
    logging.getLogger("discord.gateway").info("member %s of %d", f"<@{PERSON}>", PERSON)
    try:
        raise RuntimeError(f"404 for /guilds/{PERSON}/members")
    except RuntimeError:
        logger.exception("failed")
    text = stream.getvalue()
    assert str(PERSON) not in text
    assert text.count(log_names.of(PERSON)) >= 6
    assert log_names.of(5) in text
    assert "windows=3" in text or '"windows": 3' in text
    assert "0.12345678901234568" in text
    if as_json:
        assert all(json.loads(line) for line in text.splitlines())


def test_an_id_keeps_its_name_with_the_key_and_cannot_be_counted_through_without() -> None:
    one, same, other = LogNames(), LogNames(), LogNames()
    one.use(b"k" * 32)
    same.use(b"k" * 32)
    assert one.of(PERSON) == same.of(PERSON) == one.of(str(PERSON))
    assert one.of(PERSON) != other.of(PERSON)
    assert other.of(PERSON) != LogNames().of(PERSON)
    assert one.in_text(f"a{PERSON} {PERSON}") == f"a{PERSON} {one.of(PERSON)}"
