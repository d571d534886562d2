"""The pages. Each can be read without JavaScript; pictures and what is live are drawn in the browser."""

from __future__ import annotations

import asyncio
import json
import math
from datetime import UTC
from typing import Any, Final

from aiohttp import web

from bot.pictures import palette
from bot.texts import english
from bot.web import manage, words
from bot.web.errors import BadParameter, SignInNeeded
from bot.web.keys import ACCESS, BACKEND, STORAGE
from bot.web.listing import DEFAULT_LIMIT, places, read_page
from bot.web.measured import compares, measured
from bot.web.predict import OLD_LABELS
from bot.web.reading import read_report
from bot.web.templating import palette_css as palette_sheet
from bot.web.templating import render
from bot.web.unfurl import preview
from bot.web.views import PageQuery, build_view, counted
from storage.records import SessionRecord, SessionState

_MAX_SECONDS: Final = 7 * 24 * 3600


async def session_list(request: web.Request) -> web.Response:
    """``GET /``, ``GET /sessions``: the sessions the visitor may open, newest first; filters as query parameters."""
    try:
        page = await read_page(request, limit=DEFAULT_LIMIT)
    except SignInNeeded:
        return render(request, "welcome.html")
    base = request.app[ACCESS].base
    rows = [
        {
            "session": item.session,
            "day": item.session.started_at.astimezone(UTC).date().isoformat(),
            "thumb": f"{base}/sessions/{item.session.id}/strip.svg",
            "title": heading.title,
            "server": heading.server,
            "names": [heading.names[person.id] for person in heading.people],
            "duration_s": _lasted_s(item.session),
        }
        for item, heading in zip(page.listed, page.headings, strict=True)
    ]
    servers, channels = await places(request, page)
    return render(
        request,
        "sessions.html",
        rows=rows,
        filters=page.filters,
        servers=servers,
        channels=channels,
        older=page.older.query() if page.older else None,
        done=words.DONE.get(request.query.get("done", "")),
    )


async def report(request: web.Request) -> web.Response:
    """``GET /sessions/{id}`` and ``GET /s/{token}``; ``?from=`` says where the table of windows begins."""
    return render(request, "report.html", **await _report_context(request))


async def microphone(request: web.Request) -> web.Response:
    """``GET /microphone``: talk into the browser's microphone."""
    labels = palette.in_order(list(request.app[BACKEND].model.labels if request.app[BACKEND].ready else OLD_LABELS))
    return render(request, "microphone.html", tones=tones_json(), labels=json.dumps(labels))


async def about(request: web.Request) -> web.Response:
    return render(request, "about.html", days=request.app[STORAGE].retention_days)


async def palette_css(request: web.Request) -> web.Response:
    return web.Response(text=palette_sheet(), content_type="text/css")


def tones_json() -> str:
    """How each label is shown, for the scripts."""
    return json.dumps(
        {
            look.label: {"word": look.word, "letter": look.letter, "css": look.css_class, "height": look.height}
            for look in (*palette.EMOTIONS, palette.tone(None))
        }
    )


async def _report_context(request: web.Request) -> dict[str, Any]:
    view = _view(request)
    reading = await read_report(request)
    grant, found, heading = reading.grant, reading.report, reading.heading
    key = ("view", tuple(heading.names.items()), grant.page, view)
    known = await asyncio.to_thread(compares, found.session.model, found.session.model_version)
    shown = await reading.held.answer(
        key, lambda: build_view(found, heading.names, view, page=grant.page, compares=known)
    )
    standing = await manage.standing_of(request, grant, found.session, heading.people)
    return {
        "grant": grant,
        "report": found,
        "session": found.session,
        "live": found.session.state is SessionState.LIVE,
        "reason": english.END_REASONS.get(found.session.end_reason or ""),
        "title": heading.title,
        "server": heading.server,
        "summary": await reading.summary(),
        "expires_at": reading.expires_at,
        "view": shown,
        "preview": preview(request, reading, await reading.summary()) if grant.shared else None,
        "compares": known,
        "counted": counted(found.session.counters),
        "measured": await asyncio.to_thread(measured, found.session.model, found.session.model_version),
        "tones": tones_json(),
        "may": standing.may,
        "manages": standing.manages,
        "days": manage.DAYS,
        "done": words.DONE.get(request.query.get("done", "")),
        "last_event_id": reading.last_event_id,
    }


def _lasted_s(session: SessionRecord) -> float | None:
    return (session.ended_at - session.started_at).total_seconds() if session.ended_at else None


def _view(request: web.Request) -> PageQuery:
    return PageQuery(from_s=_seconds(request.query.get("from"), "from") or 0.0)


def _seconds(raw: str | None, name: str) -> float | None:
    if raw is None:
        return None
    try:
        value = float(raw)
    except ValueError:
        value = math.nan
    if not 0 <= value <= _MAX_SECONDS:
        raise BadParameter(f"'{name}' must be a number of seconds.")
    return value
