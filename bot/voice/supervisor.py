"""Compares the wanted state of a voice connection with its real one, and reconnects up to three times.

A voice connection can look healthy and hear nothing: the task that reads it has died, heartbeats are not answered, or
its keys belong to another epoch. The supervisor looks four times a second. It acts at once when the connection reports
its own end. What it does, it says in words.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from discord.errors import ConnectionClosed

from .compat import close_code
from .connection import final_reason
from .eventlog import event_log
from .faults import survive
from .receiver import Receiver
from .states import LinkState, Reason

LOOK_S: Final = 0.25
TRIES_S: Final = (0.0, 1.0, 3.0)
"""How long to wait before each try to come back."""
TRY_TIMEOUT_S: Final = 10.0
SETTLING_S: Final = 10.0
"""A connection may be between two voice servers for so long before it counts as lost."""
UNANSWERED_S: Final = 20.0
"""Heartbeats go out every 5 s or oftener; three without an answer are no accident."""
MISSING_S: Final = 5.0
KEEPALIVE_S: Final = 5.0
KEYS_WITHIN_S: Final = 5.0
"""So long the first keys of a new connection may take: with many people on a busy machine it is seconds, and another
connection would only begin the wait anew."""
PROVEN_WITHIN_S: Final = 10.0
"""Where nobody talks after a new connection was made for the keys' sake, it counts as well after so long."""
UNPLACED_SHOWN_S: Final = 5.0
"""That somebody cannot be placed is shown for so long after it was last so."""
UNPLACED_QUIET_S: Final = 60.0
"""After so long without anybody who cannot be placed, the next one is worth a reconnect again."""
FLAPPING: Final = (12, 60.0)
"""A link that had to come back so many times within so many seconds gives up."""

_log = event_log(__name__)


class Watched(Protocol):
    """What is looked at: a `HearingConnection`, or a test's fake."""

    @property
    def watching(self) -> bool: ...
    @property
    def registered(self) -> bool: ...
    def is_connected(self) -> bool: ...
    def unanswered_s(self) -> float: ...
    def voice_state(self) -> tuple[bool, bool]:
        """Whether Discord says that we are in a channel, and whether the server deafened us."""

    def gateway_up(self) -> bool:
        """Whether Discord's main gateway is connected, without which nobody joins a channel."""

    def register(self) -> None: ...
    def send_keepalive(self, counter: int) -> None: ...
    async def join(self, timeout_s: float) -> None: ...


class Supervisor:
    """Owns the way back. `run()` ends when the link is beyond hope; its result says why."""

    def __init__(
        self,
        connection: Watched,
        receiver: Receiver,
        tell: Callable[[LinkState, Reason], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        look_s: float = LOOK_S,
    ) -> None:
        self._connection = connection
        self._receiver = receiver
        self._tell = tell
        self._clock = clock
        self._sleep = sleep
        self._look_s = look_s
        self._ended = asyncio.Event()
        self._end: tuple[Reason, int | None] | None = None
        self._returns: deque[float] = deque(maxlen=FLAPPING[0])
        self._deaf_tries = 0
        """Connections that were made anew for the keys' sake, until something is decrypted."""
        self._deaf_tried_s = float("-inf")
        """When the last of them was begun."""
        self._unsettled_s: float | None = None
        self._missing_s: float | None = None
        self._returned_s = float("-inf")
        """When the last connection was made in place of another."""
        self._keepalive_s = float("-inf")
        self._keepalives = 0
        self._unplaced_s = float("-inf")
        """When somebody who cannot be placed was last heard."""

    def lost(self, reason: Reason, code: int | None) -> None:
        """The connection reports its end. The first report that is final stays."""
        if self.final is None:
            self._end = (reason, code)
        self._ended.set()

    @property
    def final(self) -> Reason | None:
        """Why nobody may come back, as far as the connection reported it."""
        return self._end[0] if self._end is not None and self._end[0] in _FINAL else None

    async def run(self) -> Reason:
        """Watch until nothing can be done any more; why that is."""
        while True:
            reason = await self._next_trouble()
            if reason is None:
                continue
            if reason in _FINAL:
                return reason
            failed = await self._come_back(reason)
            if failed is not None:
                return failed

    # -- looking ----------------------------------------------------------------------------------------------------

    async def _next_trouble(self) -> Reason | None:
        """Wait a moment, or until the connection reports its end; what is wrong, if anything."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._look_s):
                await self._ended.wait()
        return self._end[0] if self._end is not None else self._look()

    def _look(self) -> Reason | None:
        connection, now_s = self._connection, self._clock()
        if not connection.registered:
            connection.register()
        if not connection.watching:
            return Reason.POLLER_DIED
        if not connection.is_connected():
            if self._unsettled_s is None:
                self._unsettled_s = now_s
                self._tell(LinkState.RECONNECTING, Reason.SERVER_MOVED)
            return Reason.CONNECTION_LOST if now_s - self._unsettled_s > SETTLING_S else None
        if self._unsettled_s is not None:
            self._unsettled_s = None
            self._tell(LinkState.LISTENING, Reason.REJOINED)
        if connection.unanswered_s() > UNANSWERED_S:
            return Reason.POLLER_DIED
        self._keep_alive(now_s)
        present, deafened = connection.voice_state()
        if not present:
            self._missing_s = self._missing_s if self._missing_s is not None else now_s
            return Reason.CONNECTION_LOST if now_s - self._missing_s > MISSING_S else None
        self._missing_s = None
        if self._receiver.deaf_to():
            self._tell(LinkState.CANNOT_DECRYPT, Reason.UNDECRYPTABLE)
            return self._about_keys(now_s)
        if self._deaf_tries and self._receiver.hears_since(self._deaf_tried_s):
            self._deaf_tries = 0
        if self._is_unproven(now_s):
            self._tell(LinkState.CANNOT_DECRYPT, Reason.UNDECRYPTABLE)
            return None
        trouble = self._receiver.trouble
        if trouble.someone_unplaced:
            tried, self._unplaced_s = now_s - self._unplaced_s < UNPLACED_QUIET_S, now_s
            if not tried:
                return Reason.UNPLACED  # Discord names everybody's streams to who connects
            self._tell(LinkState.LISTENING, Reason.UNPLACED)
        elif now_s - self._unplaced_s >= UNPLACED_SHOWN_S:
            well = Reason.OVERLOADED if trouble.overloaded else Reason.JOINED
            self._tell(LinkState.LISTENING, Reason.DEAFENED if deafened else well)
        return None

    def _about_keys(self, now_s: float) -> Reason | None:
        """Packets of included people come and cannot be decrypted: try another connection now and then."""
        if now_s - self._deaf_tried_s < TRIES_S[-1]:
            return None
        if now_s - self._returned_s < KEYS_WITHIN_S and not self._receiver.hears_since(self._returned_s):
            return None
        if self._deaf_tries >= len(TRIES_S):
            # Others are heard: staying is better than leaving them.
            return None if self._receiver.hears_since(now_s - SETTLING_S) else Reason.UNDECRYPTABLE
        self._deaf_tries += 1
        self._deaf_tried_s = now_s
        return Reason.CONNECTION_LOST

    def _is_unproven(self, now_s: float) -> bool:
        """A connection made anew for the keys' sake has decrypted nothing yet: whether it can is not known."""
        return self._deaf_tries > 0 and now_s - self._deaf_tried_s < TRIES_S[-1] + PROVEN_WITHIN_S

    def _keep_alive(self, now_s: float) -> None:
        """Discord stops sending to a client that sends nothing for minutes."""
        if now_s - self._keepalive_s >= KEEPALIVE_S:
            self._keepalive_s = now_s
            self._connection.send_keepalive(self._keepalives)
            self._keepalives += 1
            self._receiver.counters.keepalives += 1

    # -- coming back ------------------------------------------------------------------------------------------------

    async def _come_back(self, reason: Reason) -> Reason | None:
        """Three tries; None when back, otherwise why not."""
        counters = self._receiver.counters
        code = self._end[1] if self._end is not None else None
        _log.warning("voice_connection_lost", reason=reason.code, close_code=code)
        undecryptable = self._is_unproven(self._clock())
        self._tell(LinkState.RECONNECTING, Reason.UNDECRYPTABLE if undecryptable else reason)
        if self._is_flapping():
            return Reason.GAVE_UP
        for number, wait_s in enumerate(TRIES_S, start=1):
            await self._sleep(wait_s)
            self._forget_end()
            failure = await self._try(number)
            if failure is None:
                counters.reconnects += 1
                self._returned_s = self._clock()
                self._returns.append(self._returned_s)
                self._unsettled_s = self._missing_s = None
                self._keepalive_s = float("-inf")
                if undecryptable:
                    self._tell(LinkState.CANNOT_DECRYPT, Reason.UNDECRYPTABLE)
                else:
                    self._tell(LinkState.LISTENING, Reason.REJOINED)
                return None
            counters.reconnects_failed += 1
            if failure in _FINAL:
                return failure
        return Reason.GAVE_UP

    async def _try(self, number: int) -> Reason | None:
        """One try; None when it worked."""
        began_s = self._clock()
        while not self._connection.gateway_up() and self._clock() - began_s < TRY_TIMEOUT_S:
            await self._sleep(LOOK_S)
        while True:
            if self.final is not None:  # taken out while it waited: stay out
                return self.final
            left_s = TRY_TIMEOUT_S - (self._clock() - began_s)
            try:
                async with asyncio.timeout(max(left_s, 0.0) + 1.0):
                    await self._connection.join(max(left_s, 1.0))
            except ConnectionClosed as error:
                code = close_code(error)
                _log.warning("voice_rejoin_refused", number=number, close_code=code)
                self._receiver.journal.failed("rejoin", error, code)
                return final_reason(code) or Reason.CONNECTION_LOST
            except TimeoutError as error:
                _log.warning("voice_rejoin_timed_out", number=number)
                self._receiver.journal.failed("rejoin", error, None)
                return Reason.CONNECTION_LOST
            except OSError as error:
                # The network or Discord's gateway is away: that lasts, and a try should last longer than a moment.
                _log.warning("voice_rejoin_failed", number=number, error=type(error).__name__)
            except Exception as error:  # noqa: BLE001 - whatever it is, the next try may work
                survive(self._receiver.counters, "voice_rejoin_failed", error, number=number)
            else:
                return None
            if self._clock() - began_s + LOOK_S >= TRY_TIMEOUT_S:
                return Reason.CONNECTION_LOST
            await self._sleep(LOOK_S)

    def _forget_end(self) -> None:
        if self.final is None:
            self._end = None
            self._ended.clear()

    def _is_flapping(self) -> bool:
        count, within_s = FLAPPING
        return len(self._returns) == count and self._clock() - self._returns[0] < within_s


_FINAL: Final = frozenset(
    {
        Reason.CALL_ENDED,
        Reason.CHANNEL_GONE,
        Reason.DAVE_REFUSED,
        Reason.RATE_LIMITED,
        Reason.REMOVED,
        Reason.UNDECRYPTABLE,
        Reason.GAVE_UP,
    }
)
"""Reasons after which the link ends; the bot does not press itself on a call it was taken out of."""
