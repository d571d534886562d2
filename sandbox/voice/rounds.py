"""What a group asks of its call, and what may be under way in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from sandbox.voice.mls import Proposal
from sandbox.voice.ops import Op


class Outbox(Protocol):
    """How the group reaches its members; a member who is gone is not reached, and that is no error."""

    def send_json(self, user_id: int, op: Op, data: dict[str, Any]) -> None: ...
    def send_binary(self, user_id: int, op: Op, body: bytes) -> None: ...


class Cancellable(Protocol):
    def cancel(self) -> None: ...


Schedule = Callable[[float, Callable[[], None]], Cancellable]
"""Call a function after some seconds, as `asyncio.loop.call_later` does."""


@dataclass(slots=True, kw_only=True)
class Round:
    """Proposals are out, and no commit has come yet."""

    proposals: dict[int, list[Proposal]]
    """By member asked."""
    timer: Cancellable


@dataclass(slots=True, kw_only=True)
class Transition:
    """Everyone has the new epoch's keys, or soon will; it takes effect when all are ready."""

    id: int
    told: set[int]
    """Who is to execute it."""
    waiting: set[int]
    timer: Cancellable


@dataclass(slots=True, kw_only=True)
class GroupSettings:
    ready_timeout_s: float = 2.0
    """How long a transition waits for the slowest member."""
    commit_timeout_s: float = 2.0
    """How long a round waits for a commit before it is taken back and tried again."""
    waits_for: Callable[[int], bool] = field(default=lambda _user_id: True)
    """Whether a transition waits for this member at all; tests make somebody late on purpose."""
