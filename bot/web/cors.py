"""Which other sites' pages may use the old interface: those of ``UNDERTONE_ALLOWED_ORIGINS``, and nothing else of ours.

The old React page runs on a port of its own, so its browser asks before it uploads (the preflight) and hides the answer
from the page unless the answer names it.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

from bot.web.grants import local_path
from bot.web.keys import ACCESS

METHODS: Final = {"/predict": "POST, OPTIONS", "/health": "GET, HEAD, OPTIONS"}
"""What is shared, and how it is asked."""
_PREFLIGHT_S: Final = 600


def shared(request: web.Request) -> bool:
    """Whether it is asked of something that is shared, by a page of a site that was named."""
    return local_path(request) in METHODS and request.app[ACCESS].shares_with(request.headers.get("Origin"))


def preflight(request: web.Request) -> web.Response | None:
    """The answer to a browser that asks whether a page may ask; None for any other request."""
    if request.method != "OPTIONS" or "Access-Control-Request-Method" not in request.headers or not shared(request):
        return None
    headers = {
        "Access-Control-Allow-Methods": METHODS[local_path(request)],
        "Access-Control-Allow-Headers": request.headers.get("Access-Control-Request-Headers", "Content-Type"),
        "Access-Control-Max-Age": str(_PREFLIGHT_S),
    }
    return web.Response(status=204, headers=headers)


def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Let the page read the answer, whatever it is."""
    if local_path(request) not in METHODS:
        return
    response.headers.add("Vary", "Origin")
    if shared(request):
        response.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
        response.headers["Access-Control-Expose-Headers"] = "Undertone-Prediction, Retry-After"
        response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
