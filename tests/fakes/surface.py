"""A text channel without Discord: remembers every message and every change of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from bot.cards import Card
from bot.listening.surface import SurfaceGone
from bot.texts import english


@dataclass(slots=True)
class Posted:
    id: int
    cards: list[Card] = field(default_factory=list)
    """As posted and after each edit."""
    picture: bytes | None = None
    removed: bool = False

    @property
    def card(self) -> Card:
        return self.cards[-1]


class FakeSurface:
    """Satisfies Surface. `broken` names the methods that fail (`fail_with` says how)."""

    texts = english

    def __init__(self, *, names: dict[int, str] | None = None) -> None:
        self.messages: list[Posted] = []
        self.status: str | None = None
        self.statuses: list[str | None] = []
        self.deaf: bool | None = None
        self.names = names or {}
        self.broken: set[str] = set()
        self.fail_with: Exception = OSError("no way to Discord")

    async def post(self, card: Card) -> int:
        self._check("post")
        message = Posted(id=1000 + len(self.messages), cards=[card])
        self.messages.append(message)
        return message.id

    async def edit(self, message_id: int, card: Card) -> None:
        self._check("edit")
        message = self.message(message_id)
        if message.removed:
            raise SurfaceGone
        message.cards.append(card)

    async def remove(self, message_id: int) -> None:
        self._check("remove")
        self.message(message_id).removed = True

    async def post_picture(self, card: Card, picture: bytes, *, description: str) -> int:
        message_id = await self.post(card)
        self.message(message_id).picture = picture
        return message_id

    async def show_status(self, text: str | None) -> None:
        self._check("show_status")
        self.status = text
        self.statuses.append(text)

    async def deafen(self, *, deaf: bool) -> None:
        self._check("deafen")
        self.deaf = deaf

    def name(self, user_id: int) -> str | None:
        return self.names.get(user_id)

    def message(self, message_id: int) -> Posted:
        return next(message for message in self.messages if message.id == message_id)

    @property
    def panel(self) -> Card:
        """The newest state of the first message."""
        return self.messages[0].card

    def _check(self, method: str) -> None:
        if method in self.broken:
            raise self.fail_with
