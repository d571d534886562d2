"""What a reader may change about a report on its page: share it, take links back, delete it.

Each is a form with the reader's token, and for the same people as the command in Discord. One's own results are one's
own to share; everybody's are shared by the person who started the session, by who manages the server, and by whoever
runs Undertone, and those they are about are told. A link is taken back by who made it, or by one of the last two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from aiohttp import web

from bot.web import words
from bot.web.errors import BadParameter, Conflict, Forbidden, NotFound
from bot.web.forms import read_form
from bot.web.grants import Grant, grant_of, visitor_of
from bot.web.keys import ACCESS, READERS, STORAGE, TELL
from bot.web.keys import DELETE as DELETE_SESSION
from bot.web.templating import redirect, render
from storage.records import ParticipantRecord, SessionRecord, SessionState

SHARE_ALL, SHARE_OWN, REVOKE, DELETE = "share_all", "share_own", "revoke", "delete"
DAYS: Final = (1, 7)
"""Lifetimes of a link that the form offers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a visitor is to a session, and so what they may do to its report."""

    user_id: int | None = None
    row_id: int | None = None
    """Their own participant row."""
    manages: bool = False
    """They manage the server, or run Undertone."""
    starter: bool = False

    @property
    def may(self) -> frozenset[str]:
        deeds = {SHARE_OWN} if self.row_id is not None else set()
        if self.manages or self.starter:
            deeds |= {SHARE_ALL, DELETE}
        return frozenset(deeds | {REVOKE} if deeds else ())


async def standing_of(
    request: web.Request, grant: Grant, session: SessionRecord, people: Sequence[ParticipantRecord]
) -> Standing:
    """`people` are the session's. Who came by a share link is nothing to it."""
    visitor = visitor_of(request)
    if grant.shared:
        return Standing()
    if visitor.user_id is None:
        return Standing(manages=visitor.owner)
    member = await request.app[READERS].membership(session.guild_id, visitor.user_id)
    return Standing(
        user_id=visitor.user_id,
        row_id=next((person.id for person in people if person.user_id == visitor.user_id), None),
        manages=member is not None and member.manages_server,
        starter=visitor.user_id == session.started_by,
    )


async def share(request: web.Request) -> web.Response:
    """``POST …/share``: make a link, and show it this one time; only its hash is kept."""
    grant, session, fields, standing = await _form(request)
    days, whose = fields.get("days", ""), fields.get("whose", "")
    if days not in map(str, DAYS):
        raise BadParameter(words.WHICH_DAYS)
    deed = {"": SHARE_ALL if SHARE_ALL in standing.may else SHARE_OWN, "all": SHARE_ALL, "own": SHARE_OWN}.get(whose)
    if deed is None:
        raise BadParameter(words.NO_FORM)
    _require(standing, deed)
    made, token = await request.app[STORAGE].create_share(
        grant.session_id,
        lifetime=timedelta(days=int(days)),
        maker_id=standing.user_id,
        participant_id=standing.row_id if deed == SHARE_OWN else None,
    )
    if deed == SHARE_ALL:
        await request.app[TELL](session, made, standing.user_id)
    access = request.app[ACCESS]
    base = access.public_url or f"{request.scheme}://{request.host}"
    own = made.participant_id is not None
    return render(request, "shared.html", link=f"{base.rstrip('/')}/s/{token}", share=made, grant=grant, own=own)


async def revoke(request: web.Request) -> web.Response:
    """``POST …/revoke``: the visitor's links to the report stop working; when they manage the server, all links."""
    grant, _, _, standing = await _form(request)
    _require(standing, REVOKE)
    await request.app[STORAGE].revoke_shares(grant.session_id, maker_id=None if standing.manages else standing.user_id)
    return redirect(f"{grant.page}?done={'revoked' if standing.manages else 'revoked_own'}#manage")


async def delete(request: web.Request) -> web.Response:
    """``POST …/delete``: the session and everything about it, at once."""
    _, session, fields, standing = await _form(request)
    _require(standing, DELETE)
    if fields.get("sure") != "yes":
        raise BadParameter(words.NOT_SURE)
    if session.state is SessionState.LIVE:
        raise Conflict(words.STILL_RUNS)
    whole = await request.app[DELETE_SESSION](session.id)
    return redirect(f"{request.app[ACCESS].base}/?done={'deleted' if whole else 'deleted_here'}")


async def _form(request: web.Request) -> tuple[Grant, SessionRecord, dict[str, str], Standing]:
    """The report, its session, the form's fields and what the visitor is to it. Raises unless it is our form."""
    grant = await grant_of(request)
    fields = dict(await read_form(request))
    session = await request.app[STORAGE].session(grant.session_id)
    if session is None:
        raise NotFound(words.NO_SESSION)
    people = await request.app[STORAGE].participants(grant.session_id)
    return grant, session, fields, await standing_of(request, grant, session, people)


def _require(standing: Standing, deed: str) -> None:
    if deed not in standing.may:
        raise Forbidden(words.NOT_YOURS_TO_DO)
