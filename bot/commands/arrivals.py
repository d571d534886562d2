"""Who comes into the channel of a session: what the database knows of them is told to the session.

Leaving a server ends one's answers there, and a server chooses who is never heard, so both are looked up before a
standing answer counts. While the database is away nobody is included by an answer that cannot be read. They are asked
about again until it is back, and so is written who left themselves out meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import discord
import structlog

from bot.app import App
from bot.commands.membership import end_stale_answers, people_in, unheard
from bot.listening.session import ListeningSession
from storage.errors import StorageError

LOOK_AGAIN_S: Final = 5.0
LONGEST_WAIT_S: Final = 60.0
"""The database is asked more and more rarely while it is away."""

_log = structlog.get_logger(__name__)


async def never_heard(app: App, member: discord.Member) -> bool:
    """Somebody comes into a voice channel: whether they are never heard here. Raises StorageError."""
    session = app.sessions.of(member.guild.id)
    if session is None:
        return False  # a session that starts later looks at everybody who is there
    if unheard(member, session.server.unheard_role_ids):  # the session knows it while the database is away, too
        return True
    await end_stale_answers(app, member)
    server = await app.storage.server(member.guild.id)
    return unheard(member, server.unheard_role_ids)


async def tell_present(app: App, guild: discord.Guild) -> None:
    """Tell a server's session who is in its channel now: people may have come and gone unnoticed."""
    session = app.sessions.of(guild.id)
    channel = guild.get_channel(session.record.channel_id) if session is not None else None
    if session is None or not isinstance(channel, discord.VoiceChannel | discord.StageChannel):
        return
    unheard_role_ids: Collection[int] = session.server.unheard_role_ids
    unasked = False
    try:
        unheard_role_ids = (await app.storage.server(guild.id)).unheard_role_ids
        for member in channel.members:
            if not member.bot:
                await end_stale_answers(app, member)
    except StorageError as error:  # who left is gone all the same, and who came can press the button
        _log.warning("arrivals_not_looked_up", guild=guild.id, error=error.code)
        unasked = True
    await app.sessions.seen_present(guild.id, people_in(channel, unheard_role_ids), unasked=unasked)


async def look_again(app: App) -> None:
    """Make up for what the database was away for: ask about who came, and write who left themselves out. Runs until
    cancelled."""
    wait_s = LOOK_AGAIN_S
    while True:
        await app.clock.sleep(wait_s)
        waiting = [one for one in app.sessions.running() if not one.ending and _waits(one)]
        wait_s = min(wait_s * 2, LONGEST_WAIT_S) if waiting else LOOK_AGAIN_S
        for session in waiting:
            try:
                await session.people.settle_all()
                if session.people.unsettled_ids() and (guild := app.client().get_guild(session.record.guild_id)):
                    await tell_present(app, guild)
            except StorageError:
                continue  # it was logged when it was tried first
            except Exception as error:  # noqa: BLE001  # one session's fault must not end the others
                _log.error("arrivals_broke", session=session.record.id, exc_info=error)


def _waits(session: ListeningSession) -> bool:
    return bool(session.people.left_ids() or session.people.unsettled_ids())
