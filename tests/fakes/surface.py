"""A text channel without Discord: remembers every message and every change of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from bot.cards import Card
from bot.listening.surface import Draw, NoPlace, Posted, SurfaceGone
from bot.texts import english
from storage.records import MessageKind, ServerSettings


@dataclass(slots=True)
class Shown:
    posted: Posted
    kind: MessageKind
    cards: list[Card] = field(default_factory=list)
    """As posted and after each edit."""
    picture: bytes | None = None
    mention: tuple[int, ...] = ()
    reaction: str | None = None
    removed: bool = False

    @property
    def card(self) -> Card:
        return self.cards[-1]


class FakeSurface:
    """Satisfies Surface. `broken` names the methods that fail (`fail_with` says how), `places` channels, best first."""

    texts = english
    server = ServerSettings(guild_id=1)

    def __init__(self, *, names: dict[int, str] | None = None) -> None:
        self.messages: list[Shown] = []
        self.places = [20]
        self.line: str | None = None
        self.lines: list[str | None] = []
        self.heard = True
        self.deaf: bool | None = None
        self.told: list[Card] = []
        self.looks = 0
        self.later: list[Posted] = []
        """To be deleted with the next round of deletions."""
        self.names = names or {}
        self.broken: set[str] = set()
        self.fail_with: Exception = OSError("no way to Discord")

    async def post(
        self, card: Card, kind: MessageKind, *, picture: Draw | None = None, mention: Sequence[int] = ()
    ) -> Posted:
        self._check("post")
        if not self.places:
            raise NoPlace
        posted = Posted(channel_id=self.places[0], message_id=1000 + len(self.messages))
        drawn = await picture() if picture is not None else None
        png = drawn.png if drawn is not None else None
        self.messages.append(Shown(posted=posted, kind=kind, cards=[card], picture=png, mention=tuple(mention)))
        return posted

    async def edit(self, posted: Posted, card: Card) -> None:
        self._check("edit")
        message = self.message(posted)
        if message.removed:
            raise SurfaceGone
        message.cards.append(card)

    async def remove(self, posted: Posted) -> None:
        self._check("remove")
        self.message(posted).removed = True

    async def remove_later(self, posted: Posted) -> None:
        self.later.append(posted)

    def stands_well(self, posted: Posted) -> bool:
        return self.places[:1] == [posted.channel_id]

    async def react(self, posted: Posted, emoji: str | None, *, instead_of: str | None) -> None:
        self._check("react")
        message = self.message(posted)
        assert message.reaction == instead_of
        message.reaction = emoji

    async def tell_starter(self, card: Card) -> None:
        self.told.append(card)

    async def status(self) -> str | None:
        self._check("status")
        return self.line

    @asynccontextmanager
    async def looking_in(self) -> AsyncIterator[None]:
        self.looks += 1
        yield

    async def show_status(self, text: str | None) -> None:
        self._check("show_status")
        self.line = text
        self.lines.append(text)

    def audible(self) -> bool:
        return self.heard

    async def deafen(self, *, deaf: bool) -> None:
        self._check("deafen")
        self.deaf = deaf

    def name(self, user_id: int) -> str | None:
        return self.names.get(user_id)

    async def called(self, user_id: int) -> str | None:
        return self.names.get(user_id)

    def message(self, posted: Posted) -> Shown:
        return next(message for message in self.messages if message.posted == posted)

    def of(self, kind: MessageKind) -> list[Shown]:
        return [message for message in self.messages if message.kind is kind]

    @property
    def panel(self) -> Card:
        """The newest state of the first message."""
        return self.messages[0].card

    def _check(self, method: str) -> None:
        if method in self.broken:
            raise self.fail_with
