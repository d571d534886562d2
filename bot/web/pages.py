"""The pages. Each is whole without JavaScript; the report's body is also served alone, for the live refresh."""

from __future__ import annotations

import asyncio
import json
import math
from typing import Any, Final

from aiohttp import web

from bot.pictures import palette
from bot.texts import english
from bot.web.api import DEFAULT_LIMIT, read_before, visible_sessions
from bot.web.errors import BadParameter, SignInNeeded
from bot.web.grants import headings_of
from bot.web.keys import BACKEND
from bot.web.predict import OLD_LABELS
from bot.web.reading import read_report
from bot.web.templating import palette_css as palette_sheet
from bot.web.templating import render
from bot.web.views import View, build_view
from storage.records import SessionState

_MAX_SECONDS: Final = 7 * 24 * 3600


async def session_list(request: web.Request) -> web.Response:
    """``GET /``: the sessions the visitor may open, newest first."""
    before = read_before(request)
    try:
        sessions, more = await visible_sessions(request, limit=DEFAULT_LIMIT, before=before)
    except SignInNeeded:
        return render(request, "welcome.html")
    rows = [
        {
            "session": session,
            "title": heading.title,
            "server": heading.server,
            "names": [heading.names[person.id] for person in heading.people],
            "duration_s": (session.ended_at - session.started_at).total_seconds() if session.ended_at else None,
        }
        for session, heading in zip(sessions, await headings_of(request, sessions), strict=True)
    ]
    return render(
        request, "sessions.html", rows=rows, older=sessions[-1].started_at if more and sessions else None, before=before
    )


async def report(request: web.Request) -> web.Response:
    """``GET /sessions/{id}`` and ``GET /s/{token}``; ``?speaker=&from=&to=`` choose what is shown."""
    return render(request, "report.html", **await _report_context(request))


async def report_body(request: web.Request) -> web.Response:
    """The part of the report page that changes while the session runs."""
    return render(request, "report_body.html", **await _report_context(request))


async def microphone(request: web.Request) -> web.Response:
    """``GET /microphone``: talk into the browser's microphone."""
    tones = {
        look.label: {"word": look.word, "emoji": look.emoji, "letter": look.letter, "css": look.css_class}
        for look in (*palette.EMOTIONS, palette.tone(None))
    }
    labels = palette.in_order(list(request.app[BACKEND].model.labels if request.app[BACKEND].ready else OLD_LABELS))
    return render(request, "microphone.html", tones=json.dumps(tones), labels=json.dumps(labels))


async def about(request: web.Request) -> web.Response:
    return render(request, "about.html")


async def palette_css(request: web.Request) -> web.Response:
    return web.Response(text=palette_sheet(), content_type="text/css")


async def _report_context(request: web.Request) -> dict[str, Any]:
    view = _view(request)
    reading = await read_report(request)
    grant, found, heading = reading.grant, reading.report, reading.heading
    return {
        "grant": grant,
        "report": found,
        "session": found.session,
        "live": found.session.state is SessionState.LIVE,
        "reason": english.END_REASONS.get(found.session.end_reason or ""),
        "title": heading.title,
        "server": heading.server,
        "summary": await asyncio.to_thread(reading.summary),
        "expires_at": reading.expires_at,
        "view": await asyncio.to_thread(build_view, found, heading.names, view, page=grant.page),
        "last_event_id": reading.last_event_id,
    }


def _view(request: web.Request) -> View:
    query = request.query
    speaker = query.get("speaker")
    if speaker is not None and not (speaker.isascii() and speaker.isdigit() and len(speaker) <= 18):
        raise BadParameter("'speaker' must be the number of a speaker in this session.")
    return View(
        speaker=int(speaker) if speaker is not None else None,
        from_s=_seconds(query.get("from"), "from"),
        to_s=_seconds(query.get("to"), "to"),
    )


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
