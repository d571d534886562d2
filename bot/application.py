"""What the bot asks of Discord's gateway, and whether the application behind the token may have it.

An intent that an application may not have ends the connection, so the bot asks for *Message Content* only when the
application's flags allow it.
"""

from __future__ import annotations

from typing import Final

import aiohttp
import discord

TIMEOUT_S: Final = 10.0
CONTENT_FLAGS: Final = discord.ApplicationFlags(
    gateway_message_content=True, gateway_message_content_limited=True
).value
"""Of an application in many servers that Discord approved, and of one in few servers, which needs no approval."""
MESSAGE_CONTENT_REMEDY: Final = (
    "Voice messages that do not mention the bot stay unseen. Switch on Message Content Intent on the application's Bot "
    "page, and restart."
)
UNREACHABLE_REMEDY: Final = (
    "Discord cannot be reached: look at this machine's network, name server and firewall. It is tried again, at most "
    "a minute apart."
)


async def may_read_content(api_base: str, token: str) -> bool | None:
    """Whether the owner switched *Message Content Intent* on; None when Discord does not tell."""
    headers = {"Authorization": f"Bot {token}"}
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as http,
            http.get(f"{api_base}/applications/@me", headers=headers) as answer,
        ):
            if answer.status != 200:
                return None
            body = await answer.json()
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        return None
    return bool(int(body.get("flags") or 0) & CONTENT_FLAGS)


def intents(*, message_content: bool) -> discord.Intents:
    wanted = discord.Intents.none()
    wanted.message_content = message_content
    wanted.guilds = True
    wanted.voice_states = True
    wanted.guild_messages = True
    wanted.dm_messages = True
    return wanted
