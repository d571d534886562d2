"""What a chat shows of a shared link: a title, the sentences, and the strip as a picture. All of it under pseudonyms.

Whoever draws the preview fetches the picture without a cookie, so it lies below the link's address and ends with it.
"""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from bot.pictures import summary_png
from bot.web.keys import ACCESS
from bot.web.reading import Reading, read_report
from bot.web.schema import SummaryOut

_ISOLATES = {0x2068: None, 0x2069: None}
"""They keep a name from turning the sentence around it; a preview's plain text shows some of them as boxes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    title: str
    text: str
    page: str | None
    picture: str | None
    """Absolute addresses; None without UNDERTONE_PUBLIC_URL, because a preview needs to know where this is."""


def preview(request: web.Request, reading: Reading, summary: SummaryOut) -> Preview:
    access = request.app[ACCESS]
    site = access.public_url.removesuffix(access.base) if access.public_url else None
    page = f"{site}{reading.grant.page}" if site is not None else None
    return Preview(
        title=f"How {'one voice' if reading.grant.only is not None else 'a conversation'} sounded · {summary.line[1]}",
        text=" ".join(summary.sentences).translate(_ISOLATES),
        page=page,
        picture=f"{page}/strip.png" if page is not None else None,
    )


async def picture(request: web.Request) -> web.Response:
    """``GET /s/{token}/strip.png``: the picture that Discord's summary has."""
    reading = await read_report(request)
    names = reading.heading.names
    png = await reading.held.answer(("png", tuple(names.items())), lambda: summary_png(reading.report, names))
    return web.Response(body=png, content_type="image/png", headers={"Cache-Control": "private, max-age=300"})
