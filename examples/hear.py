"""A bot that writes who talks how long, with nothing of Undertone but `bot.voice`.

    pip install "discord.py[voice]==2.7.1" davey==0.1.7 av numpy
    pip install --no-deps .            # in a checkout of Undertone
    DISCORD_TOKEN=… python examples/hear.py CHANNEL_ID [SECONDS]

It joins the voice channel and asks, in the channel's own chat, who wants to be counted. Only those who press the button
are heard: everybody else's packets are thrown away before they are decrypted.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections import Counter

import discord
import numpy as np

from bot.voice import Hearing, VoiceError, hear

LOUD = 0.003
"""Quieter than this is a pause (full scale is 1)."""


class CountMe(discord.ui.View):
    """The question, and who said yes."""

    def __init__(self) -> None:
        super().__init__(timeout=None)
        self.agreed: set[int] = set()
        self.call: Hearing | None = None

    @discord.ui.button(label="Count me", custom_id="count-me", style=discord.ButtonStyle.primary)
    async def count_me(self, interaction: discord.Interaction, _: discord.ui.Button[CountMe]) -> None:
        """Count the person, or stop counting them."""
        self.agreed ^= {interaction.user.id}
        if self.call is not None:
            self.call.forget(interaction.user.id)  # nothing counts that was said before the press
        counted = interaction.user.id in self.agreed
        await interaction.response.send_message("You are counted." if counted else "You are left out.", ephemeral=True)


async def who_talks(channel: discord.VoiceChannel, question: CountMe, seconds: float) -> Counter[int]:
    """Seconds of talk of each person who agreed, while the bot sits in the channel."""
    talked = Counter[int]()
    async with hear(channel, consent=question.agreed) as call:
        question.call = call
        await channel.send("I measure who talks how long. Who wants to be counted?", view=question)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                async for speaker, samples, _, _ in call:
                    if np.sqrt(np.mean(samples**2)) > LOUD:
                        talked[speaker] += len(samples)
    return Counter({speaker: talked[speaker] / 16_000 for speaker in talked if speaker in question.agreed})


class Bot(discord.Client):
    def __init__(self, channel_id: int, seconds: float) -> None:
        super().__init__(intents=discord.Intents(guilds=True, voice_states=True))
        self._channel_id, self._seconds = channel_id, seconds
        self._question: CountMe

    async def setup_hook(self) -> None:
        """The button is known before anybody sees it, so that no press is lost, however early."""
        self._question = CountMe()
        self.add_view(self._question)
        self._listening = asyncio.create_task(self._listen_once())

    async def _listen_once(self) -> None:
        """Listen, write the result into the channel's chat, and go. `on_ready` would not do: it may come again."""
        await self.wait_until_ready()
        channel = self.get_channel(self._channel_id)
        try:
            if not isinstance(channel, discord.VoiceChannel):
                print(f"{self._channel_id} is no voice channel that I can see.")
                return
            talked = await who_talks(channel, self._question, self._seconds)
            lines = [f"<@{user_id}> talked for {seconds:.1f} s" for user_id, seconds in talked.most_common()]
            await channel.send("\n".join(lines) or "Nobody who agreed talked.")
        except (VoiceError, discord.DiscordException) as error:
            print(error)
        finally:
            await self.close()


if __name__ == "__main__":
    if len(sys.argv) < 2 or "DISCORD_TOKEN" not in os.environ:
        sys.exit("DISCORD_TOKEN=… python examples/hear.py CHANNEL_ID [SECONDS]")
    Bot(int(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 60.0).run(os.environ["DISCORD_TOKEN"])
