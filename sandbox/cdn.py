"""Files of messages, at signed addresses that expire."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from sandbox.world import WORLD

ROUTES: Final = web.RouteTableDef()
_PICTURES: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})


@ROUTES.get(r"/attachments/{channel_id:\d{1,20}}/{attachment_id:\d{1,20}}/{filename}")
async def attachment(request: web.Request) -> web.Response:
    """Needs no token, as with Discord: whoever has the address may read it until it expires."""
    world = request.config_dict[WORLD]
    record = world.state.attachment(int(request.match_info["attachment_id"]))
    query = request.query
    signed = world.urls.is_valid(request.path, query.get("ex", ""), query.get("hm", ""))
    if record is None or not signed:
        return web.Response(status=404, text="This content is no longer available.")
    # Only pictures and sound are shown in place; anything else could be a page with a script in it.
    shown = record.content_type in _PICTURES or record.content_type.startswith("audio/")
    return web.Response(
        body=record.content,
        content_type=record.content_type if shown else "application/octet-stream",
        headers={
            "Content-Disposition": f'{"inline" if shown else "attachment"}; filename="{record.filename}"',
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "private, max-age=3600",
        },
    )
