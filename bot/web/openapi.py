"""The interface for programs as an OpenAPI document, made from the models that answer.

A path, what it gives and what it takes stand here once; the bodies are `bot.web.schema`. A test compares the list of
paths with the application's routes. Within ``/api/v1`` fields are added and never taken away or given another meaning;
what breaks that becomes ``/api/v2``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from aiohttp import web
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from bot.release import program_version
from bot.web.access import SESSION_COOKIE
from bot.web.keys import ACCESS
from bot.web.listing import DEFAULT_LIMIT, MAX_LIMIT
from bot.web.recording import RecordingOut
from bot.web.schema import ChartOut, ProblemOut, ReportOut, SessionListOut, SummaryOut, VoiceOut
from bot.web.templating import compressed
from storage.records import SessionState

_SESSION: Final = "/api/v1/sessions/{session_id}"
_SHARE: Final = "/s/{token}"
_TEXTS: Final = {"csv": "text/csv", "events": "text/event-stream"}
_FILE: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"file": {"type": "string", "contentMediaType": "application/octet-stream"}},
                    "required": ["file"],
                }
            }
        },
    }
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    path: str
    summary: str
    gives: type[BaseModel] | str
    """The model that answers, or a media type."""
    takes: tuple[dict[str, Any], ...] = ()
    method: str = "get"


def _both(tail: str, summary: str, gives: type[BaseModel] | str) -> tuple[Operation, Operation]:
    """By the session's address and by a share link's."""
    return (
        Operation(path=f"{_SESSION}/{tail}", summary=summary, gives=gives),
        Operation(path=f"{_SHARE}/{tail}", summary=f"{summary}, under pseudonyms", gives=gives),
    )


def _query(name: str, about: str, **kind: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": about, "schema": kind}


OPERATIONS: Final = (
    Operation(path="/api/v1/predict", summary="How a recording sounds", gives=RecordingOut, method="post"),
    Operation(
        path="/api/v1/sessions",
        summary="The sessions that you may open, newest first",
        gives=SessionListOut,
        takes=(
            _query("limit", "How many", type="integer", minimum=1, maximum=MAX_LIMIT, default=DEFAULT_LIMIT),
            _query("before", "Only those that began earlier; with its zone", type="string", format="date-time"),
            _query("server", "Only those of this Discord server", type="string", pattern="^[0-9]{1,19}$"),
            _query("channel", "Only those of this channel", type="string", pattern="^[0-9]{1,19}$"),
            _query("state", "Only those in this state", type="string", enum=[state.value for state in SessionState]),
            _query("day", "Only those that began on this day of UTC", type="string", format="date"),
        ),
    ),
    Operation(path=_SESSION, summary="Everything in a report", gives=ReportOut),
    Operation(path=f"{_SHARE}/report.json", summary="Everything in a report, under pseudonyms", gives=ReportOut),
    *_both("summary", "Sentences, facts, moments and figures", SummaryOut),
    *_both("chart.json", "What the report page is drawn from", ChartOut),
    *_both("voices/{speaker}.json", "The probabilities of one speaker", VoiceOut),
    *_both("windows.csv", "A line a window", _TEXTS["csv"]),
    *_both("speakers.csv", "A line a speaker", _TEXTS["csv"]),
    *_both("moments.csv", "A line a moment", _TEXTS["csv"]),
    *_both("events", "Live events; 204 when the session is over", _TEXTS["events"]),
)


async def document(request: web.Request) -> web.Response:
    """``GET /api/openapi.json``."""
    access = request.app[ACCESS]
    made = openapi(access.cookie(SESSION_COOKIE))
    return compressed(request, web.json_response(made | {"servers": [{"url": access.base or "/"}]}))


@cache
def openapi(cookie: str = SESSION_COOKIE) -> dict[str, Any]:
    """The document, without the server's address. `cookie` is the name of the one that a sign-in leaves."""
    models = sorted({op.gives for op in OPERATIONS if isinstance(op.gives, type)} | {ProblemOut}, key=str)
    _, schemas = models_json_schema(
        [(model, "serialization") for model in models], ref_template="#/components/schemas/{model}"
    )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Undertone",
            "version": program_version(),
            "description": "Reports of how conversations sounded. See docs/http.md for what each field means.",
        },
        "paths": {op.path: {op.method: _operation(op)} for op in OPERATIONS},
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "The key that `undertone run` prints"},
                "signIn": {"type": "apiKey", "in": "cookie", "name": cookie},
            },
        },
        "security": [{"key": []}, {"signIn": []}],
    }


def _operation(op: Operation) -> dict[str, Any]:
    if isinstance(op.gives, str):
        content: dict[str, Any] = {op.gives: {"schema": {"type": "string"}}}
    else:
        content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{op.gives.__name__}"}}}
    over = {"204": {"description": "The session is over"}} if op.gives == _TEXTS["events"] else {}
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemOut"}}}
    named = re.findall(r"{(\w+)}", op.path)
    parameters = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in named]
    return (
        (_FILE if op.method == "post" else {})
        | {
            "summary": op.summary,
            "parameters": [*parameters, *op.takes],
            "responses": {
                "200": {"description": op.summary, "content": content},
                **over,
                "default": {"description": "Refused, in words", "content": problem},
            },
        }
        | ({"security": []} if op.method == "post" or op.path.startswith(_SHARE) else {})
    )
