"""Live events of running sessions, from the listening session to any number of browsers.

Publishing is synchronous and never waits: a slow browser must not hold up a conversation. Each session keeps its last
2,000 events, numbered, so that a browser that lost its connection asks for what it missed. Numbers never go backwards:
what begins after something was forgotten begins above all that was. What no longer fits is counted; a follower that
cannot keep up is dropped and counted, and may come back with the id it saw last.

Kinds and their data (the listening session publishes them, the report page reads them):

- ``participant``: participant_id, pseudonym, included
- ``window``: the fields of `storage.records.WindowRecord`
- ``moment``: at_s, kind, participant_id, text
- ``state``: state (a `storage.records.SessionState`), link (a voice LinkState or None), reason; a state other than
  ``live`` ends the stream
- ``reset``: made here: the events asked for are no longer held; read the report anew

Where several processes share the database, `tell` hands each event on to the others, and `take` is how theirs come in.

Pages get one kind more, ``summary``, which the web side makes of the report and sends beside these.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from bot.listening.follower import Follower, LiveEvent

HISTORY_EVENTS: Final = 2_000
BACKLOG_EVENTS: Final = 500
"""What one follower may be behind before it is dropped."""
MAX_FOLLOWERS: Final = 500
ELSEWHERE_EVENTS: Final = 200
"""Held of a session that another process runs: for pages that come back at once."""
LATE_ROWS_S: Final = 3.0
"""Windows are in the database so long after they were told, at the latest."""
MAX_ENDED_SESSIONS: Final = 32
"""Ended sessions whose events are still held, for browsers that were away at the end."""


class TooManyFollowers(Exception):
    """As many browsers follow live as this process allows."""


@dataclass(slots=True, eq=False)
class _Channel:
    history: deque[LiveEvent]
    last_id: int = 0
    before: int = 0
    """Where its numbers begin: the one before the first."""
    ended: bool = False
    followers: set[Follower] = field(default_factory=set)
    series: int = 0
    """Tells a channel from one of the same session that was forgotten."""
    mending: bool = False
    """Something was lost on the way here, and pages will read the report once more."""


class LiveBus:
    """Fan-out of live events, one channel a session. All methods belong to one event loop."""

    def __init__(
        self,
        *,
        history: int = HISTORY_EVENTS,
        backlog: int = BACKLOG_EVENTS,
        max_followers: int = MAX_FOLLOWERS,
        max_ended: int = MAX_ENDED_SESSIONS,
    ) -> None:
        self._history = history
        self._backlog = backlog
        self._max_followers = max_followers
        self._max_ended = max_ended
        self._channels: dict[str, _Channel] = {}
        self._published = 0
        self._forgotten = 0
        self._slow_dropped = 0
        self._refused = 0
        self._gaps = 0
        self._floor = 0
        """Above every number of what was forgotten. A page that knows one of those then gets a ``reset``."""
        self._series = itertools.count(1)
        self.tell: Callable[[str, int, LiveEvent], None] | None = None

    def publish(self, session_id: str, kind: str, data: dict[str, Any]) -> None:
        """Number the event, keep it and hand it to whoever follows. Never blocks, never raises for a follower."""
        channel = self._channel(session_id)
        event = LiveEvent(id=channel.last_id + 1, kind=kind, data=data)
        self._published += 1
        self._hand_out(session_id, channel, event)
        if self.tell is not None:
            self.tell(session_id, channel.series, event)

    def take(self, session_id: str, series: int, event_id: int, kind: str, data: dict[str, Any]) -> None:
        """An event that another process published. Where one before it is missing, pages read the report anew.

        The end of a session is taken whatever its number: when its process died, another one says it.
        """
        channel = self._channel(session_id, ELSEWHERE_EVENTS)
        if channel.ended:
            return
        if _is_end(kind, data):
            event_id = channel.last_id + 1
        elif series != channel.series:
            channel.series, channel.last_id = series, 0
            channel.history.clear()
        elif event_id <= channel.last_id:
            return
        if event_id > channel.last_id + 1 or kind == "reset":
            self._gaps += 1
            channel.history.clear()
            channel.last_id = event_id if kind == "reset" else event_id - 1
            _mend(channel)
        if kind != "reset":
            self._hand_out(session_id, channel, LiveEvent(id=event_id, kind=kind, data=data))

    def _hand_out(self, session_id: str, channel: _Channel, event: LiveEvent) -> None:
        channel.last_id = event.id
        if len(channel.history) == channel.history.maxlen:
            self._forgotten += 1
        channel.history.append(event)
        for follower in list(channel.followers):
            if len(follower.queue) >= self._backlog:
                self._slow_dropped += 1
                channel.followers.discard(follower)
                follower.queue.clear()
                follower.close()
                continue
            follower.queue.append(event)
            follower.wake.set()
        if _is_end(event.kind, event.data):
            self._end(session_id, channel)

    def close(self, session_id: str) -> None:
        """End a session's stream without an event (its last one is a ``state``, if all goes well)."""
        if (channel := self._channels.get(session_id)) is not None:
            self._end(session_id, channel)

    def close_all(self) -> None:
        """End every stream: the service is stopping."""
        for session_id in list(self._channels):
            self.close(session_id)

    def forget(self, session_id: str) -> None:
        """Drop what is held of a session, because it was deleted."""
        if (channel := self._channels.pop(session_id, None)) is not None:
            self._floor = max(self._floor, channel.last_id + 1)
            for follower in channel.followers:
                follower.queue.clear()
                follower.close()

    def knows(self, session_id: str) -> bool:
        """Whether events of the session are held, live or lately ended."""
        return session_id in self._channels

    def held(self) -> list[str]:
        """The sessions of which events are held."""
        return list(self._channels)

    def recent(self, session_id: str) -> list[LiveEvent]:
        """The events of the session that are held, oldest first."""
        channel = self._channels.get(session_id)
        return list(channel.history) if channel is not None else []

    def last_id(self, session_id: str) -> int:
        """The id of the newest event; before the first, the one that comes before it."""
        channel = self._channels.get(session_id)
        return channel.last_id if channel is not None else self._floor

    @property
    def full(self) -> bool:
        """Whether as many follow as may."""
        return sum(len(channel.followers) for channel in self._channels.values()) >= self._max_followers

    @contextmanager
    def follow(self, session_id: str, last_id: int | None = None) -> Iterator[Follower]:
        """Follow the events after `last_id` (None: from now on), until the session ends.

        Begins with a ``reset`` event when some of the events asked for are gone. Raises TooManyFollowers.
        """
        channel = self._channel(session_id)
        if self.full:
            self._refused += 1
            raise TooManyFollowers("Too many pages follow live at the moment.")
        follower = Follower(queue=deque(_missed(channel, last_id)))
        if not channel.ended:
            channel.followers.add(follower)
        else:
            follower.close()
        try:
            yield follower
        finally:
            channel.followers.discard(follower)
            if (
                channel.last_id == channel.before
                and not channel.followers
                and self._channels.get(session_id) is channel
            ):
                del self._channels[session_id]  # nothing was ever published: only this page made the channel

    def nudge(self, session_id: str) -> None:
        """Wake everybody who follows, without an event."""
        if (channel := self._channels.get(session_id)) is not None:
            for follower in channel.followers:
                follower.wake.set()

    def counters(self) -> dict[str, int]:
        """Totals since the start, and how many follow now."""
        return {
            "published": self._published,
            "forgotten": self._forgotten,
            "slow_dropped": self._slow_dropped,
            "refused": self._refused,
            "gaps": self._gaps,
            "subscribers": sum(len(channel.followers) for channel in self._channels.values()),
        }

    def _channel(self, session_id: str, history: int | None = None) -> _Channel:
        if (channel := self._channels.get(session_id)) is None:
            series = next(self._series) if history is None else 0
            before = self._floor if history is None else 0  # of another process, its own numbers count
            channel = _Channel(
                history=deque(maxlen=history or self._history), last_id=before, before=before, series=series
            )
            self._channels[session_id] = channel
        return channel

    def _end(self, session_id: str, channel: _Channel) -> None:
        channel.ended = True
        for follower in channel.followers:
            follower.close()
        channel.followers.clear()
        self._channels[session_id] = self._channels.pop(session_id)  # the newest end comes last
        ended = [key for key, other in self._channels.items() if other.ended]
        for key in ended[: max(0, len(ended) - self._max_ended)]:
            del self._channels[key]


def _mend(channel: _Channel) -> None:
    """Have pages read the report now, and once more when all of it is surely in the database."""
    if not channel.mending:
        asyncio.get_running_loop().call_later(LATE_ROWS_S, _reset, channel)
        _reset(channel)
        channel.mending = True


def _reset(channel: _Channel) -> None:
    channel.mending = False
    for follower in channel.followers:
        follower.queue.append(LiveEvent(id=channel.last_id, kind="reset", data={}))
        follower.wake.set()


def _is_end(kind: str, data: dict[str, Any]) -> bool:
    return kind == "state" and data.get("state", "live") != "live"


def _missed(channel: _Channel, last_id: int | None) -> list[LiveEvent]:
    if last_id is None:
        return []
    held = [event for event in channel.history if event.id > last_id]
    oldest_wanted = last_id + 1
    gone = oldest_wanted <= channel.last_id and (not held or held[0].id > oldest_wanted)
    if gone or last_id > channel.last_id:  # overtaken, or an id of a process that is no more
        return [LiveEvent(id=channel.last_id, kind="reset", data={})]
    return held
