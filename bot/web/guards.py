"""Around every request: who may ask at all, what an error looks like, and the headers every answer carries."""

from __future__ import annotations

import secrets
from http import HTTPStatus
from typing import Final
from urllib.parse import quote, urlencode

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from bot.web import conditions, cors, words
from bot.web.access import KEY_COOKIE, SESSION_LIFETIME_S, Access, Mode
from bot.web.errors import Forbidden, NotFound, Problem, Refused, SignInNeeded, UploadProblem
from bot.web.forms import FORM_TYPE
from bot.web.grants import local_path
from bot.web.keys import ACCESS, CONNECTIONS, METRICS
from bot.web.predict import OLD_PATH, problem_response, refusal
from bot.web.templating import STATIC, redirect, render, takes_packed
from storage.errors import StorageError, TooManyShares, UnknownSession

log = structlog.get_logger(__name__)

_CONDITIONS: Final = frozenset({"If-None-Match", "If-Modified-Since", "Range"})
"""Requests that may be answered without a body, or with a part of one; aiohttp would compress those too."""
_MAX_NAME_CHARS: Final = 255
"""Of a part of an address; ours are shorter."""
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "media-src 'self' blob:; font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors {ancestors}"
)
SERVER: Final = "Undertone"
"""Without the versions of what it is made of."""
SAFE_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=(), payment=(), usb=()",
}


class Guards:
    def __init__(self, access: Access, *, frame_ancestors: tuple[str, ...] = ()) -> None:
        self._access = access
        self._csp = _CSP.format(ancestors=" ".join(frame_ancestors) or "'none'")
        self._framed = bool(frame_ancestors)
        self._files = frozenset(path.name for path in STATIC.iterdir() if path.is_file())

    @property
    def middleware(self) -> Middleware:
        @web.middleware
        async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await self._guarded(request, handler)

        return guarded

    async def add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        """Security headers on every answer, errors, files and streams included."""
        response.headers["Server"] = SERVER
        response.headers["Content-Security-Policy"] = self._csp
        for name, value in SAFE_HEADERS.items():
            response.headers.setdefault(name, value)
        cors.add_headers(request, response)
        if not self._framed:
            response.headers["X-Frame-Options"] = "DENY"
        if self._access.secure_cookies:
            response.headers["Strict-Transport-Security"] = "max-age=31536000"
        if local_path(request).startswith(("/static/", "/palette.css")):
            fresh = "max-age=31536000, immutable" if "v" in request.query else "no-cache"
            response.headers.setdefault("Cache-Control", fresh)
            response.headers.setdefault("Vary", "Accept-Encoding")  # some get it packed, and a proxy may keep it
        else:
            response.headers.setdefault("Cache-Control", "no-store")

    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        connections = request.app[CONNECTIONS]
        connections.begun(request.protocol)
        try:
            return await self._answered(request, handler)
        finally:
            connections.ended(request.protocol)

    async def _answered(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            self._admit(request)
            response = cors.preflight(request) or self._entered(request) or await handler(request)
            whole = not _CONDITIONS & request.headers.keys()
            if isinstance(response, web.FileResponse) and whole and takes_packed(request):
                response.enable_compression()  # style sheets and modules: a third of their size
        except web.HTTPException as error:
            response = _of_aiohttp(request, error)
        except Problem as problem:
            response = _of_problem(request, problem)
        except StorageError as error:
            response = _of_storage(request, error)
        except (ConnectionError, web.RequestPayloadError):
            response = web.Response(status=400)  # whoever asked has hung up, which is no fault and nobody reads this
            response.force_close()
        except Exception:
            reference = secrets.token_hex(4)
            log.exception("request_failed", route=_route(request), reference=reference)
            detail = f"The reason is in the log, under {reference}."
            response = _answer(request, 500, "unexpected", "Something broke on our side", detail)
        if not response.prepared and request.writer.output_size and request.transport is not None:
            request.transport.close()  # an answer had begun: a second one would be read as a part of it
        request.app[METRICS].responses.labels(route=_route(request), status=str(response.status)).inc()
        return response

    def _admit(self, request: web.Request) -> None:
        host = request.headers.get("Host")
        if not self._access.host_allowed(host):
            raise Forbidden(words.WRONG_HOST)
        names = request.raw_path.partition("?")[0].split("/")
        if "\0" in request.path or any(len(name) > _MAX_NAME_CHARS for name in names):
            raise NotFound(words.NO_PAGE)  # a database or a disk would refuse to look for it
        path = local_path(request)
        if path.startswith("/static/"):
            name = path.removeprefix("/static/")
            if name not in self._files:
                raise NotFound(words.NO_PAGE)  # aiohttp would say so without a word
            conditions.check(request, STATIC / name)
        if request.method in _SAFE_METHODS:
            return
        origin, fetch_site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
        if self._access.origin_allowed(origin, fetch_site, host) or cors.shared(request):
            return
        # Over plain http a browser says neither where a form comes from nor that it is ours; its token does.
        if origin == "null" and fetch_site is None and request.content_type == FORM_TYPE:
            return
        raise Forbidden(words.FOREIGN_PAGE)

    def _entered(self, request: web.Request) -> web.StreamResponse | None:
        """The answer to an address with the key: a cookie, and the same address without it. None: go on."""
        given = request.query.get("key")
        if given is None or self._access.mode is not Mode.KEY or request.method not in ("GET", "HEAD"):
            return None
        if not self._access.is_entry_key(given):
            raise Forbidden(words.WRONG_KEY)
        query = urlencode([(name, value) for name, value in request.query.items() if name != "key"])
        path = "/" + quote(local_path(request).lstrip("/"))  # neither another site's address nor a header of its own
        response = redirect(f"{self._access.base}{path}{'?' if query else ''}{query}")
        response.set_cookie(
            self._access.cookie(KEY_COOKIE),
            self._access.key_cookie(),
            max_age=SESSION_LIFETIME_S,
            path=self._access.cookie_path,
            httponly=True,
            samesite="Lax",
            secure=self._access.secure_cookies,
        )
        return response


def _of_storage(request: web.Request, error: StorageError) -> web.StreamResponse:
    """What cannot be stored is said in storage's own sentence; whether it answers at all is the operator's matter."""
    if isinstance(error, UnknownSession):
        return _of_problem(request, NotFound(words.NO_SESSION))
    if isinstance(error, TooManyShares):
        return _of_problem(request, Refused(str(error)))
    log.warning("storage_failed", code=error.code, path=_route(request))
    return _answer(request, 503, "unavailable", "Not available", words.STORAGE_AWAY)


def _of_aiohttp(request: web.Request, error: web.HTTPException) -> web.StreamResponse:
    if error.status < 400:
        raise error
    if error.status == 404:
        return _of_problem(request, NotFound(words.NO_PAGE))
    detail = error.reason
    if isinstance(error, web.HTTPMethodNotAllowed):
        detail = words.other_methods(error.allowed_methods)
    response = _answer(request, error.status, "http_error", HTTPStatus(error.status).phrase, detail)
    for name in ("Allow", "Content-Range"):
        if name in error.headers:
            response.headers[name] = error.headers[name]
    return response


def _of_problem(request: web.Request, problem: Problem) -> web.StreamResponse:
    if isinstance(problem, SignInNeeded) and _kind(request) == "page" and local_path(request) != "/":
        base = request.app[ACCESS].base
        return redirect(f"{base}/sign-in?{urlencode({'to': base + local_path(request)})}")
    response = _answer(request, problem.status, problem.code, problem.title, problem.detail)
    if problem.retry_after_s is not None:
        response.headers["Retry-After"] = str(problem.retry_after_s)
    return response


def _answer(request: web.Request, status: int, code: str, title: str, detail: str) -> web.StreamResponse:
    kind = _kind(request)
    if kind == "predict":
        return refusal(UploadProblem(status, detail))
    if kind == "api":
        return problem_response(status, code, title, detail)
    shut = detail == words.KEY_NEEDED  # the list, too
    return render(request, "error.html", status=status, title=title, detail=detail, code=code, shut=shut)


def _kind(request: web.Request) -> str:
    path = local_path(request)
    if path == OLD_PATH:
        return "predict"
    if path.startswith(("/api/", "/health", "/metrics")) or path.endswith((".json", ".csv", "/events", "/summary")):
        return "api"
    return "page"


def _route(request: web.Request) -> str:
    """The route's pattern, never the path: a path may hold a share link's token."""
    resource = request.match_info.route.resource
    return resource.canonical.removeprefix(request.app[ACCESS].base) if resource is not None else "unknown"
