"""A voice call in the loopback Discord with our link in it, and people who talk."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import discord

from bot.voice import LinkState, Reason, VoiceLink, connect
from bot.voice.counters import ReceiveCounters
from sandbox import Sandbox
from sandbox.models import Channel, User
from sandbox.voice import Speaker, SpokenFrame, VoiceServer
from sandbox.voice.faults import Faults

from .plain_bot import PlainBot, logged_in
from .voice import Heard
from .waiting import until


async def worked_off(link: VoiceLink) -> None:
    """Until all that was said until now is heard or given up: what comes after it is from here on."""
    receiver = link.receiver

    def at_rest() -> bool:
        streams = [stream for one in receiver._speakers.values() for stream in one._streams.values()]
        return not receiver._backlog and receiver._hold.empty and not any(len(stream.jitter) for stream in streams)

    link._reader.catch_up()
    await until(at_rest)


class Call:
    """The bot's side of a call, and its people's."""

    def __init__(self, sandbox: Sandbox, bot: PlainBot) -> None:
        self.sandbox = sandbox
        self.bot = bot
        self.heard = Heard()
        self.opus: dict[int, list[bytes]] = defaultdict(list)
        self.states: list[tuple[LinkState, Reason]] = []
        self.included: set[int] = set()
        self.link: VoiceLink | None = None
        self.speakers: list[Speaker] = []

    @property
    def voice(self) -> VoiceServer:
        return self.sandbox.voice

    @property
    def bot_id(self) -> int:
        return self.sandbox.bot.id

    @property
    def faults(self) -> Faults:
        """What goes wrong between the voice server and the bot."""
        return self.voice.faults(self.bot_id)

    @property
    def counters(self) -> ReceiveCounters:
        assert self.link is not None
        return self.link.counters

    def channel(self, channel: Channel | None = None) -> discord.VoiceChannel:
        found = self.bot.get_channel((channel or self.sandbox.voice_channel).id)
        assert isinstance(found, discord.VoiceChannel)
        return found

    async def listen(self, channel: Channel | None = None) -> VoiceLink:
        """Join with the bot."""
        self.link = await connect(
            self.channel(channel),
            sink=self.heard,
            consent=self.included.__contains__,
            on_state=lambda state, reason: self.states.append((state, reason)),
            tap=lambda user_id, packet: self.opus[user_id].append(packet),
        )
        return self.link

    async def person(
        self,
        name: str,
        channel: Channel | None = None,
        *,
        included: bool = True,
        pace: float = 0.5,
        listening: bool = False,
    ) -> Speaker:
        """Somebody who sits down in the channel; they talk twice as fast as time, to save it."""
        user: User = self.sandbox.add_person(name)
        if included:
            self.included.add(user.id)
        speaker = self.sandbox.speaker(user, pace=pace, listening=listening)
        self.speakers.append(speaker)
        await speaker.join((channel or self.sandbox.voice_channel).id)
        return speaker

    async def settled(self) -> None:
        """Wait until the group has everyone, and until everyone has heard so and speaks with the new epoch's keys."""
        await self.voice.settled(self.sandbox.voice_channel.id)
        await self.until(self._all_in_one_epoch)

    def _all_in_one_epoch(self) -> bool:
        clients = [one.client for one in self.speakers if one.client is not None]
        here = [one.dave for one in clients if one.ticket.channel_id == self.sandbox.voice_channel.id]
        epochs = {member.epoch_authenticator for member in here}
        if self.link is not None and self.voice.connection(self.bot_id) is not None:
            session: Any = self.link.dave()[0]
            epochs.add(session.get_epoch_authenticator() if session is not None else None)
        under_way = any(getattr(member, "_pending", False) for member in here)
        return len(epochs) <= 1 and not under_way

    async def until(self, true: Callable[[], object], timeout_s: float = 60.0) -> float:
        """Wait until something is true; how long it took, less what this machine was late."""
        return await until(true, timeout_s)

    async def together(self, *names: str) -> list[Speaker]:
        """People who sit down one after the other; then the bot joins, and all are in one group."""
        speakers = [await self.person(name) for name in names]
        await self.listen()
        await self.settled()
        return speakers

    async def back(self, timeout_s: float = 60.0) -> float:
        """Wait until the bot noticed that the connection ended, and is back; how long that took."""
        link = self.link
        assert link is not None
        before = link.counters.reconnects
        return await self.until(
            lambda: link.counters.reconnects > before and link.state is LinkState.LISTENING, timeout_s
        )

    async def failed(self, timeout_s: float = 60.0) -> Reason:
        """Wait until the link gave up; why."""
        await self.until(lambda: self.states[-1][0] is LinkState.FAILED, timeout_s)
        return self.states[-1][1]

    async def stays_out(self) -> bool:
        """Whether the bot is in no call, once nothing of its link runs that could join one and it saw somebody come."""
        link = self.link
        assert link is not None
        await self.until(lambda: link._task is None or link._task.done())
        late = await self.person("Late")
        await self.until(lambda: late.user_id in self.channel().voice_states)
        return self.voice.connection(self.bot_id) is None

    def told(self, state: LinkState) -> list[Reason]:
        """The reasons told for a state, in order."""
        return [reason for told, reason in self.states if told is state]

    async def hears(self, speaker: Speaker, packets: list[bytes], timeout_s: float = 30.0) -> list[SpokenFrame]:
        """Let somebody talk, and wait until the bot heard the last of it or `timeout_s` is over."""
        heard = self.opus[speaker.user_id]
        before = len(heard)
        spoken = await speaker.say_packets(packets)
        with contextlib.suppress(TimeoutError):
            await self.until(lambda: heard[before:][-len(spoken) :] == [frame.opus for frame in spoken], timeout_s)
        return spoken

    async def hears_exactly(self, speaker: Speaker, packets: list[bytes]) -> None:
        """Let somebody talk: from here on, every frame is heard."""
        if self.link is not None:
            await worked_off(self.link)
        heard = len(self.opus[speaker.user_id])
        spoken = await self.hears(speaker, packets)
        assert self.opus[speaker.user_id][heard:] == [frame.opus for frame in spoken]

    def exact(self, speaker: Speaker) -> bool:
        """Whether the bot heard every frame that was spoken, byte for byte and in order, and nothing else."""
        return self.opus[speaker.user_id] == [frame.opus for frame in speaker.spoken]

    async def close(self) -> None:
        for speaker in self.speakers:
            await speaker.leave()
        if self.link is not None:
            await self.link.close()


@contextlib.asynccontextmanager
async def live_call(sandbox: Sandbox) -> AsyncIterator[Call]:
    """A bot that is logged in, and a call that ends with the block. `discord.http.Route.BASE` must point to it."""
    bot = PlainBot(connector=aiohttp.TCPConnector(ssl=sandbox.ssl_context()))
    async with logged_in(bot, sandbox):
        call = Call(sandbox, bot)
        try:
            yield call
        finally:
            await call.close()
