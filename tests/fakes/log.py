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
    """Put every logger's level, the root's handlers and structlog back."""
    root = logging.getLogger()
    handlers, levels = root.handlers[:], _levels()
    configured, config = structlog.is_configured(), structlog.get_config()
    try:
        yield
    finally:
        root.handlers[:] = handlers
        for name in _levels():
            logging.getLogger(name).setLevel(levels.get(name, logging.NOTSET))
        logging.captureWarnings(capture=False)
        structlog.configure(**config) if configured else structlog.reset_defaults()


def _levels() -> dict[str | None, int]:
    """By name; None is the root."""
    levels: dict[str | None, int] = {None: logging.root.level}
    for name, one in logging.root.manager.loggerDict.items():
        if isinstance(one, logging.Logger):
            levels[name] = one.level
    return levels


@contextmanager
def written(level: str = "debug", *, json: bool = False) -> Iterator[io.StringIO]:
    """What is logged meanwhile."""
    with restored():
        stream = io.StringIO()
        logs.configure(level, json=json, stream=stream)
        yield stream
