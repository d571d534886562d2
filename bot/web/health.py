"""Alive, ready, and figures: three different answers.

``/health`` is the old app's and says that the process answers. ``/health/ready`` says whether it can do its work now,
part by part, with 503 when it cannot. ``/metrics`` is for Prometheus.
"""

from __future__ import annotations

import asyncio
import inspect
import os
from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from bot.web.keys import BACKEND, METRICS, READY, STORAGE
from storage.errors import StorageError

_CHECK_TIMEOUT_S: Final = 2.0


async def health(request: web.Request) -> web.Response:
    return web.json_response(
        {
            "status": "healthy",
            "model_loaded": request.app[BACKEND].ready,
            "timestamp": datetime.now(UTC).isoformat(),
        }
    )


async def ready(request: web.Request) -> web.Response:
    """``{"ready": true, "checks": {"model": true, "database": true, …}}``; 503 when one is false."""
    checks = {
        "model": request.app[BACKEND].ready,
        "database": await _database_answers(request.app),
        "open_files": _may_open(),
    }
    others = request.app[READY]()
    checks.update(await others if inspect.isawaitable(others) else others)
    all_well = all(checks.values())
    return web.json_response({"ready": all_well, "checks": checks}, status=200 if all_well else 503)


async def metrics(request: web.Request) -> web.Response:
    return web.Response(
        body=request.app[METRICS].text(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
    )


def _may_open() -> bool:
    """Whether a file or a connection more can be opened: without, no new browser, file or voice is served."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        return False
    return True


async def _database_answers(app: web.Application) -> bool:
    try:
        async with asyncio.timeout(_CHECK_TIMEOUT_S):
            await app[STORAGE].ping()
    except (StorageError, TimeoutError, OSError):
        return False
    return True
