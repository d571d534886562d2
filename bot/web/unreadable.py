"""What is answered to bytes that are no request: a problem document, as to every other mistake of a program.

aiohttp answers them itself, before there is a request that the guards could see: in its own words, which repeat what
was sent, and with its version.
"""

from __future__ import annotations

from aiohttp import web

from bot.web import words
from bot.web.errors import BadParameter, Problem
from bot.web.guards import SAFE_HEADERS, SERVER
from bot.web.predict import problem_response


class Handler(web.RequestHandler):
    """aiohttp's handler of a connection, with our answer to what cannot be read."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        super().handle_error(request, status, exc, message)  # writes the log; raises when an answer has begun
        kind, detail = (BadParameter, words.NO_REQUEST) if status == 400 else (Problem, words.BROKEN)
        response = problem_response(status, kind.code, kind.title, detail)
        response.headers.update({**SAFE_HEADERS, "Server": SERVER, "Cache-Control": "no-store"})
        response.force_close()
        return response
