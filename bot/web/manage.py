"""What a reader may change about a report on its page: share it, take all links back, delete it.

Each is a form with the reader's token. Those who may open a report under names may share it and take links back, as
with the commands in Discord; deleting takes away what others may open, so it is for the one who started the session and
for whoever runs Undertone.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from aiohttp import web

from bot.web import words
from bot.web.access import Visitor
from bot.web.errors import BadParameter, Conflict, Forbidden, NotFound
from bot.web.forms import read_form
from bot.web.grants import Grant, grant_of, visitor_of
from bot.web.keys import ACCESS, STORAGE
from bot.web.keys import DELETE as DELETE_SESSION
from bot.web.templating import redirect, render
from storage.records import SessionRecord, SessionState

SHARE, REVOKE, DELETE = "share", "revoke", "delete"
DAYS: Final = (1, 7, 30)
"""Lifetimes of a link that the form offers."""


def allowed(grant: Grant, session: SessionRecord, visitor: Visitor) -> frozenset[str]:
    """What the visitor may do to the report."""
    if grant.shared:
        return frozenset()
    if visitor.owner or (visitor.user_id is not None and visitor.user_id == session.started_by):
        return frozenset({SHARE, REVOKE, DELETE})
    return frozenset({SHARE, REVOKE})


async def share(request: web.Request) -> web.Response:
    """``POST …/share``: make a link, and show it this one time; only its hash is kept."""
    grant, _, fields = await _form(request, SHARE)
    days = fields.get("days", "")
    if days not in map(str, DAYS):
        raise BadParameter(words.WHICH_DAYS)
    made, token = await request.app[STORAGE].create_share(grant.session_id, lifetime=timedelta(days=int(days)))
    access = request.app[ACCESS]
    base = access.public_url or f"{request.scheme}://{request.host}"
    return render(request, "shared.html", link=f"{base.rstrip('/')}/s/{token}", share=made, grant=grant)


async def revoke(request: web.Request) -> web.Response:
    """``POST …/revoke``: no link of the report opens it any more."""
    grant, _, _ = await _form(request, REVOKE)
    await request.app[STORAGE].revoke_shares(grant.session_id)
    return redirect(f"{grant.page}?done=revoked#manage")


async def delete(request: web.Request) -> web.Response:
    """``POST …/delete``: the session and everything about it, at once."""
    _, session, fields = await _form(request, DELETE)
    if fields.get("sure") != "yes":
        raise BadParameter(words.NOT_SURE)
    if session.state is SessionState.LIVE:
        raise Conflict(words.STILL_RUNS)
    whole = await request.app[DELETE_SESSION](session.id)
    return redirect(f"{request.app[ACCESS].base}/?done={'deleted' if whole else 'deleted_here'}")


async def _form(request: web.Request, what: str) -> tuple[Grant, SessionRecord, dict[str, str]]:
    """The report, its session and the form's fields. Raises unless the visitor may do it, and sent our form."""
    grant = await grant_of(request)
    fields = dict(await read_form(request))
    session = await request.app[STORAGE].session(grant.session_id)
    if session is None:
        raise NotFound(words.NO_SESSION)
    if what not in allowed(grant, session, visitor_of(request)):
        raise Forbidden(words.NOT_YOURS_TO_DELETE)
    return grant, session, fields
