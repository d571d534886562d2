"""Answers in JSON. The content type is exactly ``application/json``: with a charset the client would read text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web


def reply(body: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(body=json.dumps(body).encode(), status=status, content_type="application/json", headers=headers)


def no_content() -> web.Response:
    return web.Response(status=204)
