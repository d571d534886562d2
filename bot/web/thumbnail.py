"""A session's strip the size of a stamp, for the list: a row a speaker, in stretches of equal length.

It is shown as an image, so it brings its own colours, one picture a theme. There is no name in it.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Final

from aiohttp import web

from bot.pictures import palette
from bot.pictures.geometry import span_of
from bot.report import Bin, bins_of
from bot.web import words
from bot.web.errors import NotFound
from bot.web.grants import grant_of
from bot.web.keys import STORAGE, THUMBNAILS
from storage.records import SessionReport, SessionState

WIDTH_PX: Final = 200
HEIGHT_PX: Final = 36
BINS: Final = 50
MAX_ROWS: Final = 6
_GAP_PX: Final = 1.5
_LEAST_SHARE: Final = 0.12
"""Below this share of speech, a stretch is left empty."""


async def thumbnail(request: web.Request) -> web.Response:
    """``GET /sessions/{id}/strip.svg?theme=``"""
    grant = await grant_of(request)
    store, held = request.app[STORAGE], request.app[THUMBNAILS]
    theme = "dark" if request.query.get("theme") == "dark" else "light"
    session = await store.session(grant.session_id)  # first: what was deleted is gone here too
    if session is None:
        raise NotFound(words.NO_SESSION)
    picture = held.get(session.id, theme)
    if picture is None:
        report = await store.report(session.id)
        if report is None:
            raise NotFound(words.NO_SESSION)
        picture = await asyncio.to_thread(draw, report, theme)
        if session.state is not SessionState.LIVE:
            held.put(session.id, theme, picture)
    return web.Response(text=picture, content_type="image/svg+xml", headers={"Cache-Control": "private, max-age=300"})


def draw(report: SessionReport, theme: str) -> str:
    """The picture as SVG."""
    surface = palette.DARK if theme == "dark" else palette.LIGHT
    people = [person for person in report.participants if person.windows][:MAX_ROWS]
    height = (HEIGHT_PX - _GAP_PX * max(0, len(people) - 1)) / max(1, len(people))
    paths: dict[str, list[str]] = defaultdict(list)
    for index, person in enumerate(people):
        y = index * (height + _GAP_PX)
        paths[surface.track].append(f"M0 {y:.1f}h{WIDTH_PX}v{height:.1f}H0z")
        bins = bins_of(person.windows, from_s=0.0, to_s=span_of(report), count=BINS)
        for place, label in enumerate(map(_label, bins)):
            if label is not None:
                width = WIDTH_PX / BINS
                look = getattr(palette.tone(label), theme)
                paths[look.fill].append(f"M{place * width:.1f} {y:.1f}h{width:.1f}v{height:.1f}h-{width:.1f}z")
    body = "".join(f'<path fill="{fill}" d="{"".join(parts)}"/>' for fill, parts in paths.items())
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH_PX} {HEIGHT_PX}" shape-rendering="crispEdges">'
        f"{body}</svg>"
    )


def _label(stretch: Bin) -> str | None:
    """What most of a stretch sounded like; None when hardly anything was said."""
    clear = sum(stretch.shares.values())
    if clear + stretch.unclear < _LEAST_SHARE:
        return None
    if stretch.unclear > clear:
        return palette.UNCLEAR
    return max(stretch.shares, key=stretch.shares.__getitem__)
