"""Puts the web side together: routes, guards, and what the handlers share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Final

import aiohttp
from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client.registry import Collector

from bot.listening.live import LiveBus
from bot.web import api, apipage, events, health, manage, microphone, oauth, openapi, pages, predict, thumbnail, unfurl
from bot.web.access import Access
from bot.web.connections import Connections
from bot.web.guards import Guards
from bot.web.keys import (
    ACCESS,
    BACKEND,
    BUS,
    CONNECTIONS,
    DELETE,
    HTTP,
    METRICS,
    MICROPHONES,
    NAMES,
    OPERATOR,
    READERS,
    READY,
    REPORTS,
    SIGN_INS,
    STORAGE,
    STREAMS,
    TELL,
    TEMPLATES,
    THUMBNAILS,
    UPLOAD_RATE,
    UPLOADS,
    Counters,
    Delete,
    Operator,
    Ready,
    ReportStore,
    Streams,
    Tell,
)
from bot.web.limits import Microphones, RateLimiter, SignIns, Thumbnails, UploadGate
from bot.web.metrics import Metrics
from bot.web.names import NameDirectory, NoNames
from bot.web.pulse import PULSES, Pulses
from bot.web.readers import Readers
from bot.web.reports import Reports
from bot.web.templating import STATIC, environment, warm
from bot.web.upload import MAX_BODY_BYTES
from ser_engine.backends.base import InferenceBackend
from storage.records import SessionRecord, ShareRecord

_DISCORD_TIMEOUT: Final = aiohttp.ClientTimeout(total=10)


def _always_ready() -> Mapping[str, bool]:
    return {}


def _no_counters() -> Mapping[str, Mapping[str, float]]:
    return {}


def create_app(
    *,
    storage: ReportStore,
    backend: InferenceBackend,
    bus: LiveBus,
    access: Access,
    names: NameDirectory | None = None,
    ready: Ready = _always_ready,
    counters: Counters = _no_counters,
    each_session: Counters = _no_counters,
    measured: Iterable[Collector] = (),
    rate: RateLimiter | None = None,
    uploads: UploadGate | None = None,
    connections: Connections | None = None,
    delete: Delete | None = None,
    tell: Tell | None = None,
    operator: Operator | None = None,
    microphones: Microphones | None = None,
    frame_ancestors: tuple[str, ...] = (),
) -> web.Application:
    """The application; storage, backend and bus stay the caller's to open and close.

    `ready` says by name what else must hold (``{"gateway": True}``). `counters` gives totals by part and kind
    (``{"sessions": {"dropped_excluded": 12}}``) for ``/metrics``; those of backend, bus and uploads are added here;
    `each_session` gives those of each running session under a number, and `measured` is what is not only counted.
    `tell` says in Discord that everybody's results were shared; `operator` stands below every page.
    `connections` are those of the server that runs it. `frame_ancestors` are origins whose pages may show ours in a
    frame (the demo's channel view).
    """
    guards = Guards(access, frame_ancestors=frame_ancestors)
    app = web.Application(middlewares=[guards.middleware], client_max_size=MAX_BODY_BYTES)
    app.on_response_prepare.append(guards.add_headers)
    app[STORAGE], app[BACKEND], app[BUS], app[ACCESS] = storage, backend, bus, access
    app[DELETE] = delete if delete is not None else _delete_here(storage, bus)
    app[TELL] = tell if tell is not None else _tell_nobody
    app[OPERATOR] = operator if operator is not None else Operator()
    app[NAMES] = names if names is not None else NoNames()
    app[READERS] = Readers(storage, app[NAMES])
    app[READY] = ready
    app[UPLOAD_RATE] = rate if rate is not None else RateLimiter()
    app[UPLOADS] = uploads if uploads is not None else UploadGate()
    app[CONNECTIONS] = connections if connections is not None else Connections()
    app[MICROPHONES] = microphones if microphones is not None else Microphones()
    app[SIGN_INS] = SignIns()
    app[METRICS] = _metrics(app, counters, each_session)
    for one in measured:
        app[METRICS].registry.register(one)
    app[STREAMS] = Streams()
    app[REPORTS] = Reports()
    app[THUMBNAILS] = Thumbnails()
    app[PULSES] = Pulses()
    app[TEMPLATES] = environment()
    app.cleanup_ctx.append(_http_client)
    app.cleanup_ctx.append(_warm_templates)
    app.on_shutdown.append(events.end_streams)
    for prefix in dict.fromkeys((access.base, "")):  # a proxy may take the public address's path off, or pass it on
        _add_routes(app, prefix)
    return app


def _add_routes(app: web.Application, prefix: str) -> None:
    router = app.router

    def get(path: str, handler: Handler) -> None:
        router.add_get(prefix + path, handler)

    router.add_post(f"{prefix}/predict", predict.predict, expect_handler=predict.expect)
    router.add_post(f"{prefix}/api/v1/predict", predict.everything, expect_handler=predict.expect)
    get("/health", health.health)
    get("/health/ready", health.ready)
    get("/metrics", health.metrics)
    get("/api", apipage.page)
    get("/api/openapi.json", openapi.document)
    get("/api/v1/sessions", api.sessions)
    get("/api/v1/sessions/{session_id}", api.report)
    for base in ("/api/v1/sessions/{session_id}", "/s/{token}"):
        get(f"{base}/windows.csv", api.windows_csv)
        get(f"{base}/speakers.csv", api.participants_csv)
        get(f"{base}/moments.csv", api.moments_csv)
        get(f"{base}/summary", api.summary)
        get(f"{base}/chart.json", api.chart)
        get(base + r"/voices/{speaker:\d{1,18}}.json", api.voice)
        get(f"{base}/events", events.events)
    get("/s/{token}/report.json", api.report)
    get("/s/{token}/strip.png", unfurl.picture)
    for page in ("/sessions/{session_id}", "/s/{token}"):
        get(page, pages.report)
    for page in ("/", "/sessions", *(("",) if prefix else ())):
        get(page, pages.session_list)
    get("/sessions/{session_id}/strip.svg", thumbnail.thumbnail)
    router.add_post("/sessions/{session_id}/share", manage.share)
    router.add_post("/sessions/{session_id}/revoke", manage.revoke)
    router.add_post("/sessions/{session_id}/delete", manage.delete)
    get("/microphone", pages.microphone)
    get("/microphone/stream", microphone.stream)
    get("/about", pages.about)
    get("/palette.css", pages.palette_css)
    get("/sign-in", oauth.sign_in)
    get("/oauth/callback", oauth.callback)
    router.add_post(f"{prefix}/sign-out", oauth.sign_out)
    router.add_static(f"{prefix}/static", STATIC, append_version=True)


def _delete_here(storage: ReportStore, bus: LiveBus) -> Delete:
    """Deleting where there is no Discord: the rows, and the live events in memory."""

    async def delete(session_id: str) -> bool:
        await storage.delete_session(session_id)
        bus.forget(session_id)
        return True

    return delete


async def _tell_nobody(session: SessionRecord, share: ShareRecord, maker_id: int | None) -> None:
    """Where there is no Discord there is nobody to tell."""


def _metrics(app: web.Application, counters: Counters, each_session: Counters) -> Metrics:
    metrics = Metrics(counters, each_session)
    backend, bus, gate, rate = app[BACKEND], app[BUS], app[UPLOADS], app[UPLOAD_RATE]
    metrics.add_totals("engine", backend.counters)
    metrics.add_totals("live", bus.counters)
    metrics.add_totals("uploads", lambda: {"refused_full": gate.refused, "refused_rate": rate.refused})
    metrics.add_totals("sign_ins", lambda: {"refused": app[SIGN_INS].refused})
    metrics.add_totals("readers", lambda: {"servers_not_asked": app[READERS].not_asked})
    metrics.add_totals("connections", app[CONNECTIONS].counters)
    metrics.add_gauge("uploads_active", "Uploads in memory now.", lambda: gate.active)
    metrics.add_gauge("uploads_waiting", "Uploads that wait for a slot.", lambda: gate.waiting)
    microphones = app[MICROPHONES]
    metrics.add_totals("microphones", lambda: {"refused_full": microphones.refused})
    metrics.add_gauge("microphones_open", "Microphone pages that are heard now.", lambda: microphones.open)
    metrics.add_gauge("upload_clients", "Addresses in the rate limiter's table.", lambda: len(rate))
    metrics.add_gauge("model_ready", "1 when the recognition answers.", lambda: float(backend.ready))
    return metrics


async def _http_client(app: web.Application) -> AsyncIterator[None]:
    async with aiohttp.ClientSession(timeout=_DISCORD_TIMEOUT) as session:
        app[HTTP] = session
        yield


async def _warm_templates(_: web.Application) -> AsyncIterator[None]:
    """Beside everything else: nothing waits for it."""
    warming = asyncio.create_task(asyncio.to_thread(warm), name="templates")
    yield
    await warming
