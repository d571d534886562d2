"""A loopback Discord in a process of its own, full of people who talk all the time.

    python -m lab.crowd PEOPLE SERVERS SPREAD_S

They begin to talk within SPREAD_S seconds of each other, evenly spread.
It prints one line of JSON (where it is, the bot's token, the certificate, who sits where) and lets everybody talk once
a line comes on its standard input. It answers each further line with what was said until then, and ends with that
input.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import AsyncExitStack
from typing import Any

from lab.soak_stage import speech_packets
from sandbox import Sandbox
from sandbox.models import Channel, ChannelType
from sandbox.permissions import BOT
from sandbox.voice import Chorus


def channels_of(sandbox: Sandbox, servers: int) -> list[Channel]:
    """A voice channel in each of so many servers with the bot in them."""
    state, channels = sandbox.state, [sandbox.voice_channel]
    for number in range(1, servers):
        guild = state.add_guild(f"Server {number + 1}", sandbox.you)
        role = state.add_role(guild, "Undertone", permissions=int(BOT), managed=True)
        channels.append(state.add_channel(guild, "Voice", ChannelType.VOICE))
        state.add_member(guild, sandbox.bot, role_ids=(role.id,))
    return channels


async def main(people: int, servers: int, spread_s: float) -> None:
    packets = list(speech_packets())
    lines = await standard_input()
    async with Sandbox(rate_limits=False) as sandbox, AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        channels = channels_of(sandbox, servers)
        seated: dict[int, list[int]] = {channel.id: [] for channel in channels}
        speakers = []
        for number in range(people):
            channel = channels[number % servers]
            user = sandbox.state.add_user(f"Person {number + 1}")
            sandbox.state.add_member(sandbox.state.guilds[channel.guild_id or 0], user)
            speaker = await stack.enter_async_context(sandbox.speaker(user))
            await speaker.join(channel.id)
            seated[channel.id].append(user.id)
            speakers.append(speaker)
        where: dict[str, Any] = {
            "api_base": sandbox.api_base,
            "gateway_url": sandbox.gateway_url,
            "token": sandbox.token,
            "certificate": sandbox.voice.certificate.authority_pem.decode("ascii"),
            "calls": [{"guild": c.guild_id, "channel": c.id, "people": seated[c.id]} for c in channels],
        }
        print(json.dumps(where), flush=True)  # noqa: T201 - the line that the other process waits for
        if await lines.readline():
            chorus = Chorus(sandbox.voice, speakers, packets, spread_s=spread_s)
            talking = tasks.create_task(chorus.sing(), name="talk")
            while await lines.readline():
                print(json.dumps({"sent": chorus.sent, "unsent": chorus.unsent}), flush=True)  # noqa: T201
            talking.cancel()


async def standard_input() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
