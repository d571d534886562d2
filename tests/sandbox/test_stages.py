"""Stages: who joins listens, and who may mute lets people speak."""

from __future__ import annotations

import discord
import pytest

from sandbox import Sandbox
from sandbox.discord_py import logged_in
from sandbox.models import ChannelType
from sandbox.permissions import Permission

pytestmark = pytest.mark.integration


async def test_a_client_sees_a_stage_and_who_may_speak(sandbox: Sandbox) -> None:
    stage = sandbox.state.add_channel(sandbox.guild, "Open mic", ChannelType.STAGE)
    mara = sandbox.add_person("Mara")
    sandbox.state.join_voice(mara.id, stage)
    client = discord.AutoShardedClient(intents=discord.Intents(guilds=True, voice_states=True))
    async with logged_in(client, sandbox):
        channel = client.get_channel(stage.id)
        assert isinstance(channel, discord.StageChannel)
        (member,) = channel.members
        assert member in channel.listeners
        with pytest.raises(discord.Forbidden):
            await member.edit(suppress=False)
        sandbox.guild.members[sandbox.bot.id].role_ids.append(
            sandbox.state.add_role(sandbox.guild, "Moderator", permissions=int(Permission.MUTE_MEMBERS)).id
        )
        await member.edit(suppress=False)
        await sandbox.wait_for(lambda: member in channel.speakers)
        sandbox.state.join_voice(mara.id, stage)  # her client comes again, and she keeps her place
        assert not sandbox.guild.voice_states[mara.id].suppress
