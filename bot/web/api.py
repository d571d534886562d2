"""The JSON and CSV interface under ``/api/v1``, and the same files of one report below a share link."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any

from aiohttp import web

from bot.web import words
from bot.web.chart import voice_out
from bot.web.errors import NotFound
from bot.web.keys import ACCESS
from bot.web.listing import read_limit, read_page
from bot.web.reading import read_report
from bot.web.schema import ReportOut, SessionListOut, report_out, session_out
from bot.web.templating import compressed


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
    return _json(SessionListOut(sessions=out, next=following).model_dump_json())


async def report(request: web.Request) -> web.Response:
    """``GET /api/v1/sessions/{id}``: everything in the report."""
    body = await _report(request)
    return _json(await asyncio.to_thread(body.model_dump_json))


async def summary(request: web.Request) -> web.Response:
    """``GET …/summary``: what the report says before its pictures."""
    reading = await read_report(request)
    return _json((await reading.summary()).model_dump_json())


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
    return _json(out.model_dump_json())


async def windows_csv(request: web.Request) -> web.Response:
    """One line a window, probabilities in a column each."""
    body = await _report(request)
    people = {p.id: p for p in body.participants}
    labels = body.model.labels
    rows = (
        {
            "speaker": people[window.participant_id].name,
            "start_s": round(window.start_s, 3),
            "end_s": round(window.end_s, 3),
            "emotion": window.emotion,
            "confidence": round(window.confidence, 4),
            "unclear": int(window.unclear),
            "reason": window.reason or "",
            "speech_ratio": round(window.speech_ratio, 4),
            "gap_ratio": round(window.gap_ratio, 4),
            **{f"p_{label}": round(window.probabilities.get(label, 0.0), 4) for label in labels},
            "engine": window.engine or "",
        }
        for window in body.windows
    )
    columns = ["speaker", "start_s", "end_s", "emotion", "confidence", "unclear", "reason", "speech_ratio", "gap_ratio"]
    return await _csv(body, "windows", [*columns, *(f"p_{label}" for label in labels), "engine"], rows)


async def participants_csv(request: web.Request) -> web.Response:
    """One line a speaker, shares in a column each."""
    body = await _report(request)
    labels = body.model.labels
    rows = (
        {
            "speaker": person.name,
            "windows": person.windows,
            "talk_s": round(person.talk_s, 3),
            "turns": person.turns,
            "unclear_share": round(person.unclear_share, 4),
            **{f"share_{label}": round(person.shares.get(label, 0.0), 4) for label in labels},
        }
        for person in body.participants
    )
    columns = ["speaker", "windows", "talk_s", "turns", "unclear_share", *(f"share_{label}" for label in labels)]
    return await _csv(body, "speakers", columns, rows)


async def moments_csv(request: web.Request) -> web.Response:
    body = await _report(request)
    people = {p.id: p.name for p in body.participants}
    rows = (
        {
            "at_s": round(moment.at_s, 3),
            "kind": moment.kind,
            "speaker": people.get(moment.participant_id, "") if moment.participant_id is not None else "",
            "text": moment.text,
        }
        for moment in body.moments
    )
    return await _csv(body, "moments", ["at_s", "kind", "speaker", "text"], rows)


async def _report(request: web.Request) -> ReportOut:
    reading = await read_report(request, fresh=True)
    return await asyncio.to_thread(
        report_out,
        reading.report,
        reading.heading.names,
        title=reading.heading.title,
        last_event_id=reading.last_event_id,
    )


def _json(body: str | bytes) -> web.Response:
    data = body.encode() if isinstance(body, str) else body
    return compressed(web.Response(body=data, content_type="application/json", charset="utf-8"))


async def _csv(body: ReportOut, name: str, columns: list[str], rows: Iterable[Mapping[str, Any]]) -> web.Response:
    def write() -> str:
        sheet = io.StringIO()
        writer = csv.DictWriter(sheet, columns, lineterminator="\r\n")
        writer.writeheader()
        writer.writerows({key: _inert(value) for key, value in row.items()} for row in rows)
        return sheet.getvalue()

    disposition = f'attachment; filename="undertone-{body.started_at:%Y-%m-%d-%H%M}-{name}.csv"'
    headers = {"Content-Disposition": disposition}
    text = await asyncio.to_thread(write)
    return compressed(web.Response(text=text, content_type="text/csv", charset="utf-8", headers=headers))


def _inert(value: object) -> object:
    """A name that a spreadsheet would run as a formula gets an apostrophe before it."""
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return "'" + value
    return value
