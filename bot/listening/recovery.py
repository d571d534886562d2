"""After a kill: what the process before left in Discord is put right when Discord can be talked to again.

The panel says that the session ended with the program, the status line is cleared and the summary is posted, as at any
other end.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import structlog

from bot.cards import Card
from bot.errors import NotPossible
from bot.listening.board import ended_card
from bot.listening.ends import quietly
from bot.listening.farewell import keep_posting_summary
from bot.listening.notices import OWN_STATUS_LINES
from bot.listening.surface import DISCORD_TROUBLE, Posted, Surface, SurfaceGone
from storage.records import MessageKind, MessageRecord, ServerSettings, SessionRecord

if TYPE_CHECKING:
    from bot.app import App

STEP_S: Final = 30.0

_log = structlog.get_logger(__name__)


async def recover(app: App, records: Sequence[SessionRecord]) -> None:
    """Never raises: one session's trouble must not keep the others waiting."""
    if not records:
        return
    await app.connected()
    for record in records:
        messages = await quietly("messages", app.storage.messages_of_session(record.id), STEP_S)
        server = await quietly("server", app.storage.server(record.guild_id), STEP_S)
        if messages is None or server is None:  # the session keeps its owner's name, so the next start finds it
            continue
        await _put_right(app, record, server, messages)
        await quietly("owner", app.storage.settled(record.id), STEP_S)
        _log.info("session_put_right", session=record.id, messages=len(messages))


async def _put_right(
    app: App, record: SessionRecord, server: ServerSettings, messages: Sequence[MessageRecord]
) -> None:
    panels = [message for message in messages if message.kind is MessageKind.PANEL]
    surface = app.surface(record, panels[-1].channel_id if panels else None, server)
    url = app.report_url(record.id)
    lasted_s = (record.ended_at - record.started_at).total_seconds() if record.ended_at is not None else 0.0
    card = ended_card(
        surface.texts,
        channel_id=record.channel_id,
        reason=record.end_reason or "",
        duration_s=lasted_s,
        report_url=url,
    )
    for panel in panels:
        if not await quietly("panel", _say(surface, _posted(panel), card), STEP_S):  # Discord was slow, or is away
            await quietly("panel", surface.remove_later(_posted(panel)), STEP_S)
    for message in messages:
        if message.kind is MessageKind.NOTICE:
            await quietly("notice", surface.remove(_posted(message)), STEP_S)
    await quietly("status", clear_status(app, record, surface), STEP_S)
    if not any(message.kind is MessageKind.SUMMARY for message in messages):
        await quietly("summary", keep_posting_summary(app, surface, record.id, names={}), STEP_S)


async def clear_status(app: App, record: SessionRecord, surface: Surface) -> None:
    """Take the bot's own words off the channel's status line. Only who is in the channel may, so it looks in.

    Where a session runs again the words are true, and the server's one voice connection is not free.
    """
    with suppress(TimeoutError):  # unreadable: then it says what the bot wrote, and that is not true any more
        if await surface.status() not in OWN_STATUS_LINES:
            return
    with suppress(NotPossible), app.sessions.reserved(record.guild_id, record.channel_id):
        async with surface.looking_in():
            await surface.show_status(None)


async def _say(surface: Surface, panel: Posted, card: Card) -> bool:
    """In its panel; one that Discord does not let be changed is deleted, now or later. True: neither is left to do."""
    try:
        await surface.edit(panel, card)
    except (SurfaceGone, *DISCORD_TROUBLE):
        await surface.remove(panel)
    return True


def _posted(message: MessageRecord) -> Posted:
    return Posted(channel_id=message.channel_id, message_id=message.message_id)
