"""A conversation that the whole service listens to, through the real voice layer, in the loopback Discord."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp

from bot.commands.panel_view import INCLUDE_ID
from bot.listening.session import ListeningSession
from bot.service import Service
from bot.voice import LinkState, Reason, VoiceLink, connect
from sandbox import Message, Sandbox, User
from sandbox.state import Change
from sandbox.voice import Speaker, SpokenFrame
from sandbox.voice.faults import Faults
from storage.records import SessionRecord
from tests.fakes.backend import FakeBackend
from tests.fakes.call import worked_off
from tests.fakes.databases import lay_tables
from tests.fakes.settings import settings_for
from tests.fakes.voice_link import FakeVoice
from tests.fakes.waiting import until
from tests.fakes.world import World, text_of


class Conversation:
    """Anna, who is included, talks; what the bot hears of her and what its panel ever said is kept."""

    def __init__(
        self, sandbox: Sandbox, service: Service, opus: dict[int, list[bytes]], links: list[VoiceLink]
    ) -> None:
        self.sandbox = sandbox
        self.service = service
        self.world = World(sandbox, service, FakeVoice())
        self.opus = opus
        self.said: list[str] = []
        """What the panel read, after each change."""
        self._links = links
        self.anna: Speaker
        self.user: User
        self.panel: Message
        self.session: ListeningSession

    @property
    def link(self) -> VoiceLink:
        return self._links[-1]

    @property
    def faults(self) -> Faults:
        """What goes wrong between the voice server and the bot."""
        return self.sandbox.voice.faults(self.sandbox.bot.id)

    async def begin(self, speaker: Speaker, user: User) -> None:
        """Anna sits down, the owner starts the session, and Anna includes herself."""
        self.anna, self.user = speaker, user
        await speaker.join(self.sandbox.voice_channel.id)
        self.world.sit(self.world.owner)
        await self.world.seen(self.world.owner, user)
        self.panel = await self.world.attest_and_start()
        session = self.service.sessions.of(self.sandbox.guild.id)
        assert session is not None
        self.session = session
        self.sandbox.state.listen(self._note)
        await self.world.press(user, self.panel, INCLUDE_ID)
        await self.settled()

    def _note(self, change: Change) -> None:
        if change.kind == "MESSAGE_UPDATE" and change.subject.id == self.panel.id:
            self.said.append(text_of(change.subject))

    async def until(self, true: Callable[[], object], timeout_s: float = 60.0) -> float:
        """Wait until something is true; how long it took, less what this machine was late."""
        return await until(true, timeout_s)

    async def settled(self) -> None:
        """Until everyone is in one epoch and knows it."""
        await self.sandbox.voice.settled(self.sandbox.voice_channel.id)
        await self.until(self._one_epoch)

    def _one_epoch(self) -> bool:
        session: Any = self.link.dave()[0]
        client = self.anna.client
        return (
            session is not None
            and client is not None
            and client.dave.epoch_authenticator == session.get_epoch_authenticator()
        )

    async def hears(self, packets: list[bytes]) -> None:
        """Anna talks, and every frame of it is heard, byte for byte."""
        await worked_off(self.link)
        before = len(self.opus[self.user.id])
        spoken: list[SpokenFrame] = await self.anna.say_packets(packets)
        wanted = [frame.opus for frame in spoken]
        with contextlib.suppress(TimeoutError):
            await self.until(lambda: len(self.opus[self.user.id]) >= before + len(wanted))
        assert self.opus[self.user.id][before:] == wanted

    async def back(self, timeout_s: float = 60.0) -> float:
        """Until the link noticed that it was cut and is back; how long that took."""
        before = self.link.counters.reconnects
        return await self.until(
            lambda: self.link.counters.reconnects > before and self.link.state is LinkState.LISTENING, timeout_s
        )

    async def shows(self, text: str, timeout_s: float = 60.0) -> None:
        """Until the panel reads so, now."""
        await self.until(lambda: text in text_of(self.panel), timeout_s)

    async def showed(self, text: str, timeout_s: float = 60.0) -> None:
        """Until the panel has read so, if only for a moment."""
        await self.until(lambda: self.was_shown(text), timeout_s)

    async def shows_no_more(self, text: str, timeout_s: float = 60.0) -> None:
        await self.until(lambda: text not in text_of(self.panel), timeout_s)

    def was_shown(self, text: str) -> bool:
        return any(text in said for said in self.said)

    async def stays_out(self) -> bool:
        """Whether the bot is in no call, once nothing of its link runs that could join one and it saw somebody come."""
        await self.until(lambda: self.link._task is None or self.link._task.done())
        late = self.sandbox.add_person("Late")
        self.world.sit(late)
        await self.world.seen(late)
        return self.sandbox.voice.connection(self.sandbox.bot.id) is None

    async def over(self, timeout_s: float = 60.0) -> SessionRecord:
        """Until the session has ended; its record as it is stored."""
        await self.until(self.session.ended.done, timeout_s)
        record = await self.service.storage.session(self.session.record.id)
        assert record is not None
        return record


@contextlib.asynccontextmanager
async def conversation(sandbox: Sandbox, data_dir: Path, **settings: Any) -> AsyncIterator[Conversation]:
    """The service with a fake model and the real voice; a session runs and Anna is included."""
    opus: dict[int, list[bytes]] = defaultdict(list)
    links: list[VoiceLink] = []

    async def tapped(channel: Any, *, sink: Any, consent: Any, on_state: Callable[[LinkState, Reason], None]) -> Any:
        link = await connect(
            channel,
            sink=sink,
            consent=consent,
            on_state=on_state,
            tap=lambda user_id, packet: opus[user_id].append(packet),
            deaf=True,
        )
        links.append(link)
        return link

    lay_tables(data_dir / "undertone.db")
    service = Service(
        settings_for(sandbox, data_dir, **settings),
        make_connector=lambda: aiohttp.TCPConnector(ssl=sandbox.ssl_context()),
        backend=FakeBackend(),
        connect=tapped,
    )
    async with service:
        await service.discord_ready()
        user = sandbox.add_person("Anna")
        talk = Conversation(sandbox, service, opus, links)
        async with sandbox.speaker(user, pace=0.5) as speaker:
            await talk.begin(speaker, user)
            yield talk
