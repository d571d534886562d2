"""Around every request: who may ask at all, what an error looks like, and the headers every answer carries."""

from __future__ import annotations

import secrets
from typing import Any, Final
from urllib.parse import urlencode

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from bot.web import words
from bot.web.access import Access
from bot.web.errors import Forbidden, NotFound, Problem, SignInNeeded, UploadProblem
from bot.web.keys import METRICS
from bot.web.predict import refusal
from bot.web.templating import redirect, render
from storage.errors import StorageError

log = structlog.get_logger(__name__)

_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "media-src 'self' blob:; font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors {ancestors}"
)
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=(), payment=(), usb=()",
}


class Guards:
    def __init__(self, access: Access, *, frame_ancestors: tuple[str, ...] = ()) -> None:
        self._access = access
        self._csp = _CSP.format(ancestors=" ".join(frame_ancestors) or "'none'")
        self._framed = bool(frame_ancestors)

    @property
    def middleware(self) -> Middleware:
        @web.middleware
        async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await self._guarded(request, handler)

        return guarded

    async def add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        """Security headers on every answer, errors, files and streams included."""
        response.headers["Server"] = "Undertone"  # without the versions of what it is made of
        response.headers["Content-Security-Policy"] = self._csp
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        if not self._framed:
            response.headers["X-Frame-Options"] = "DENY"
        if self._access.secure_cookies:
            response.headers["Strict-Transport-Security"] = "max-age=31536000"
        if request.path.startswith(("/static/", "/palette.css")):
            fresh = "max-age=31536000, immutable" if "v" in request.query else "no-cache"
            response.headers.setdefault("Cache-Control", fresh)
        else:
            response.headers.setdefault("Cache-Control", "no-store")

    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            self._admit(request)
            response = await handler(request)
        except web.HTTPException as error:
            response = _of_aiohttp(request, error)
        except Problem as problem:
            response = _of_problem(request, problem)
        except StorageError as error:
            log.warning("storage_failed", code=error.code, path=_route(request))
            response = _answer(request, 503, "unavailable", "Not available", "The database does not answer now.")
        except Exception:
            reference = secrets.token_hex(4)
            log.exception("request_failed", route=_route(request), reference=reference)
            detail = f"The reason is in the log, under {reference}."
            response = _answer(request, 500, "unexpected", "Something broke on our side", detail)
        request.app[METRICS].responses.labels(route=_route(request), status=str(response.status)).inc()
        return response

    def _admit(self, request: web.Request) -> None:
        host = request.headers.get("Host")
        if not self._access.host_allowed(host):
            raise Forbidden(words.WRONG_HOST)
        if request.method not in _SAFE_METHODS and not self._access.origin_allowed(
            request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site"), host
        ):
            raise Forbidden("Another site's page sent this; it is not taken.")


def _of_aiohttp(request: web.Request, error: web.HTTPException) -> web.StreamResponse:
    if error.status < 400:
        raise error
    if error.status == 404:
        return _of_problem(request, NotFound("There is no page at this address."))
    response = _answer(request, error.status, "http_error", error.reason, error.reason)
    if "Allow" in error.headers:
        response.headers["Allow"] = error.headers["Allow"]
    return response


def _of_problem(request: web.Request, problem: Problem) -> web.StreamResponse:
    if isinstance(problem, SignInNeeded) and _kind(request) == "page" and request.path != "/":
        return redirect(f"/sign-in?{urlencode({'to': request.path})}")
    response = _answer(request, problem.status, problem.code, problem.title, problem.detail)
    if problem.retry_after_s is not None:
        response.headers["Retry-After"] = str(problem.retry_after_s)
    return response


def _answer(request: web.Request, status: int, code: str, title: str, detail: str) -> web.StreamResponse:
    kind = _kind(request)
    if kind == "predict":
        return refusal(UploadProblem(status, detail))
    if kind == "api":
        body: dict[str, Any] = {"type": "about:blank", "title": title, "status": status, "detail": detail, "code": code}
        return web.json_response(body, status=status, content_type="application/problem+json")
    return render(request, "error.html", status=status, title=title, detail=detail, code=code)


def _kind(request: web.Request) -> str:
    path = request.path
    if path == "/predict":
        return "predict"
    if path.startswith(("/api/", "/health", "/metrics")) or path.endswith((".json", ".csv", "/events")):
        return "api"
    return "page"


def _route(request: web.Request) -> str:
    """The route's pattern, never the path: a path may hold a share link's token."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unknown"
