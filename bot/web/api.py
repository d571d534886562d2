"""The JSON and CSV interface under ``/api/v1``, and the same files of one report below a share link."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from aiohttp import web

from bot.web import rows, words
from bot.web.chart import voice_out
from bot.web.errors import NotFound
from bot.web.keys import ACCESS
from bot.web.listing import read_limit, read_page
from bot.web.reading import read_report
from bot.web.schema import SessionListOut, session_out
from bot.web.templating import compressed
from storage.records import SessionReport


async def sessions(request: web.Request) -> web.Response:
    """``GET /api/v1/sessions``: newest first, those the visitor may open; see `read_filters` and `read_limit`."""
    limit = read_limit(request)
    page = await read_page(request, limit=limit)
    base = request.app[ACCESS].base
    out = [
        session_out(
            item.session,
            heading.people,
            heading.names,
            title=heading.title,
            url=f"{base}/sessions/{item.session.id}",
        )
        for item, heading in zip(page.listed, page.headings, strict=True)
    ]
    following = f"{base}/api/v1/sessions?{page.older.query(limit=str(limit))}" if page.older else None
    return _json(request, SessionListOut(sessions=out, next=following).model_dump_json())


async def report(request: web.Request) -> web.Response:
    """``GET /api/v1/sessions/{id}``: everything in the report."""
    reading = await read_report(request, fresh=True)
    return _json(
        request,
        await asyncio.to_thread(
            rows.report_json,
            reading.report,
            reading.heading.names,
            title=reading.heading.title,
            last_event_id=reading.last_event_id,
        ),
    )


async def summary(request: web.Request) -> web.Response:
    """``GET …/summary``: what the report says before its pictures."""
    reading = await read_report(request)
    return _json(request, (await reading.summary()).model_dump_json())


async def chart(request: web.Request) -> web.Response:
    """``GET …/chart.json``: what the report page is drawn from."""
    reading = await read_report(request)
    return (await reading.chart_json()).response(request, content_type="application/json")


async def voice(request: web.Request) -> web.Response:
    """``GET …/voices/{speaker}.json``: the probabilities of one speaker."""
    reading = await read_report(request, fresh=True)
    wanted = request.match_info["speaker"]
    person = next((p for p in reading.report.participants if str(p.participant.id) == wanted), None)
    if person is None:
        raise NotFound(words.NO_SPEAKER)
    out = await asyncio.to_thread(voice_out, person, reading.report, last_event_id=reading.last_event_id)
    return _json(request, out.model_dump_json())


async def windows_csv(request: web.Request) -> web.Response:
    return await _csv(request, "windows", rows.windows_csv)


async def participants_csv(request: web.Request) -> web.Response:
    return await _csv(request, "speakers", rows.participants_csv)


async def moments_csv(request: web.Request) -> web.Response:
    return await _csv(request, "moments", rows.moments_csv)


async def _csv(
    request: web.Request, name: str, write: Callable[[SessionReport, Mapping[int, str]], str]
) -> web.Response:
    reading = await read_report(request, fresh=True)
    text = await asyncio.to_thread(write, reading.report, reading.heading.names)
    started_at = reading.report.session.started_at
    disposition = f'attachment; filename="undertone-{started_at:%Y-%m-%d-%H%M}-{name}.csv"'
    headers = {"Content-Disposition": disposition}
    return compressed(request, web.Response(text=text, content_type="text/csv", charset="utf-8", headers=headers))


def _json(request: web.Request, body: str | bytes) -> web.Response:
    data = body.encode() if isinstance(body, str) else body
    return compressed(request, web.Response(body=data, content_type="application/json", charset="utf-8"))
