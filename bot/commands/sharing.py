"""Whoever's results were shared reads it in Discord, where the session's summary stands."""

from __future__ import annotations

from contextlib import suppress

import structlog

from bot.app import App
from bot.commands.common import NO_MENTIONS
from bot.commands.language import public_texts
from bot.own_messages import TROUBLE
from storage.errors import StorageError
from storage.records import MessageKind, SessionRecord, ShareRecord

_log = structlog.get_logger(__name__)


async def tell_of_share(app: App, record: SessionRecord, share: ShareRecord, *, maker_id: int | None) -> None:
    """`maker_id` is who made the link; None: whoever runs the bot, on the web page. Does not raise for Discord."""
    posted = await app.storage.messages_of_session(record.id)
    places = [message.channel_id for message in posted if message.kind is MessageKind.SUMMARY]
    channel_id = places[-1] if places else record.channel_id
    try:
        client = app.client()
        guild = client.get_guild(record.guild_id)
        if guild is None and not app.neighbours.has(record.guild_id):  # a page of any process may make a link
            guild = await client.fetch_guild(record.guild_id, with_counts=False)
        texts = public_texts(await app.storage.server(record.guild_id), guild)
        who = texts.WHOEVER_RUNS_THIS if maker_id is None else f"<@{maker_id}>"
        text = texts(
            "SHARED_WITH_OTHERS",
            who=who,
            started=int(record.started_at.timestamp()),
            expires=int(share.expires_at.timestamp()),
        )
        channel = client.get_partial_messageable(channel_id, guild_id=record.guild_id)
        told = await channel.send(text, allowed_mentions=NO_MENTIONS)
    except TROUBLE as error:
        _log.warning("share_not_told", session=record.id, error=type(error).__name__)
        return
    await app.own.note(told, MessageKind.SHARED, session_id=record.id, about=maker_id)  # it names them
    if maker_id is not None:
        with suppress(StorageError):  # then it goes with the next deletion
            await _take_back(app, record, told.id, maker_id)


async def _take_back(app: App, record: SessionRecord, message_id: int, maker_id: int) -> None:
    """Whoever had everything deleted while Discord took the message, their link included, is named by none."""
    if not (await app.storage.count_person(maker_id, record.guild_id))["links_made"]:
        about = await app.storage.messages_about(maker_id, record.guild_id)
        await app.own.remove(one for one in about if one.message_id == message_id)
