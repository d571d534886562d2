"""The log as a file would have it, and everything as it was afterwards."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from bot import logs


@contextmanager
def restored() -> Iterator[None]:
    """Put the standard library's loggers and structlog back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in (*logs._CHATTY, "discord", "discord.gateway")}
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        for name, old in levels.items():
            logging.getLogger(name).setLevel(old)
        logging.captureWarnings(capture=False)
        structlog.reset_defaults()


@contextmanager
def written(level: str = "debug", *, json: bool = False) -> Iterator[io.StringIO]:
    """What is logged meanwhile."""
    with restored():
        stream = io.StringIO()
        logs.configure(level, json=json, stream=stream)
        yield stream
