"""A session's strip the size of a stamp, for the list: everybody's talk as one band.

It is shown as an image, so it brings its own colours, one picture a theme. There is no name in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from aiohttp import web

from bot.pictures import palette
from bot.pictures.geometry import span_of
from bot.report import Bin, bins_of
from bot.web import words
from bot.web.errors import NotFound
from bot.web.grants import grant_of
from bot.web.keys import STORAGE, THUMBNAILS
from storage.records import SessionReport

WIDTH_PX: Final = 200
HEIGHT_PX: Final = 36
BINS: Final = 60
_LEAST_SHARE: Final = 0.12
"""Below this share of speech, a stretch is left empty."""


async def thumbnail(request: web.Request) -> web.Response:
    """``GET /sessions/{id}/strip.svg?theme=``"""
    grant = await grant_of(request)
    store, held = request.app[STORAGE], request.app[THUMBNAILS]
    theme = "dark" if request.query.get("theme") == "dark" else "light"
    edition = await store.edition(grant.session_id)
    if edition is None:
        raise NotFound(words.NO_SESSION)
    key = (grant.session_id, theme, edition)  # with other rows, such as after somebody's were deleted, it is drawn anew
    picture = held.get(key)
    if picture is None:
        report = await store.report(grant.session_id)
        if report is None:
            raise NotFound(words.NO_SESSION)
        picture = await asyncio.to_thread(draw, report, theme)
        held.put(key, picture)
    return web.Response(text=picture, content_type="image/svg+xml", headers={"Cache-Control": "private, no-cache"})


def draw(report: SessionReport, theme: str) -> str:
    """The picture as SVG: how much of everybody's talk sounded like what, stretch by stretch."""
    surface = palette.DARK if theme == "dark" else palette.LIGHT
    windows = [window for person in report.participants for window in person.windows]
    labels = [*palette.in_order(list(report.session.labels)), palette.UNCLEAR]
    shares = _shares(bins_of(windows, from_s=0.0, to_s=span_of(report), count=BINS), labels)
    lower = [0.0] * BINS
    bands = [f'<path fill="{surface.track}" d="M0 0h{WIDTH_PX}v{HEIGHT_PX}H0z"/>']
    for label in labels:
        upper, lower = lower, [y + HEIGHT_PX * share[label] for y, share in zip(lower, shares, strict=True)]
        if max(low - up for low, up in zip(lower, upper, strict=True)) > 0.2:
            fill = getattr(palette.tone(label), theme).fill
            bands.append(f'<path fill="{fill}" d="M{_line(upper)}L{_line(lower, back=True)}z"/>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH_PX} {HEIGHT_PX}" preserveAspectRatio="none">'
        f"{''.join(bands)}</svg>"
    )


def _shares(bins: Sequence[Bin], labels: Sequence[str]) -> list[dict[str, float]]:
    """For each stretch the share of each label in what was said, smoothed with its neighbours; nothing in silence."""
    found = []
    for index in range(len(bins)):
        near = [(bins[n], weight) for n, weight in ((index - 1, 1), (index, 2), (index + 1, 1)) if 0 <= n < len(bins)]
        mixed = {label: sum(weight * _amount(b, label) for b, weight in near) for label in labels}
        total = sum(mixed.values())
        said = total > _LEAST_SHARE * sum(weight for _, weight in near)
        found.append({label: amount / total if said else 0.0 for label, amount in mixed.items()})
    return found


def _amount(stretch: Bin, label: str) -> float:
    return stretch.unclear if label == palette.UNCLEAR else stretch.shares.get(label, 0.0)


def _line(ys: Sequence[float], *, back: bool = False) -> str:
    width = WIDTH_PX / (BINS - 1)
    points = [f"{index * width:.1f} {y:.1f}" for index, y in enumerate(ys)]
    return "L".join(reversed(points) if back else points)
