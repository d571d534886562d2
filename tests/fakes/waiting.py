"""Waiting for a condition. The limit ends a test that would wait for ever; no test is about it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(true: Callable[[], object], limit_s: float = 60.0) -> None:
    async with asyncio.timeout(limit_s):
        while not true():
            await asyncio.sleep(0.01)
