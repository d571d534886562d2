"""Results on their way to the database, windows and what was noticed in them: written in batches, so that talk costs a
few transactions a second at most."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Collection
from typing import Final

import structlog

from storage.errors import StorageError
from storage.faults import never_fits
from storage.records import MomentRecord, WindowRecord
from storage.store import Storage

BATCH: Final = 500
LOG_EVERY_S: Final = 60.0
LATE_S: Final = 5.0
"""After which a batch counts as not written, although the database may still take it."""

_log = structlog.get_logger(__name__)


class WindowWriter:
    """A bounded buffer in front of `Storage.add_results`.

    `put` never blocks. When the database is away the results wait; beyond `limit` the oldest are dropped and counted.
    """

    def __init__(self, storage: Storage, *, flush_after_s: float = 0.4, limit: int = 5_000) -> None:
        self._storage = storage
        self._flush_after_s: Final = flush_after_s
        self._limit: Final = limit
        self._pending: deque[tuple[str, WindowRecord | MomentRecord]] = deque()
        self._flushing = asyncio.Lock()
        self.written = 0
        self.dropped = 0
        """Results that did not fit while the database was away."""
        self.orphaned = 0
        """Results about a participant who had been deleted before they were written."""
        self.refused = 0
        """Results that the database cannot take, however often it is asked."""
        self.failures = 0
        self.failing = False
        """Something waits that could not be written: results are not being saved."""
        self._logged_at = float("-inf")
        self._last: asyncio.Task[None] | None = None
        """The last flush that was begun; kept, so that it is not collected while it runs."""

    @property
    def pending(self) -> int:
        return len(self._pending)

    def counters(self) -> dict[str, int]:
        """Totals since the start, by name."""
        return {
            "written": self.written,
            "dropped": self.dropped,
            "orphaned": self.orphaned,
            "refused": self.refused,
            "failures": self.failures,
        }

    def put(self, session_id: str, result: WindowRecord | MomentRecord) -> None:
        """A moment has to be about a participant; a mark by hand is `Storage.add_moment`'s."""
        if len(self._pending) >= self._limit:
            self._pending.popleft()
            self.dropped += 1
        self._pending.append((session_id, result))

    def forget(self, participant_ids: Collection[int]) -> None:
        """These participants are deleted: what waits of them is not written any more."""
        kept = [item for item in self._pending if item[1].participant_id not in participant_ids]
        self.orphaned += len(self._pending) - len(kept)
        self._pending = deque(kept)

    async def run(self) -> None:
        """Write every `flush_after_s` seconds until cancelled; then write what is left."""
        try:
            while True:
                await asyncio.sleep(self._flush_after_s)
                flushing = self._begin()  # not to be cancelled: that would leave its connection hanging
                if not await _done_in_time(flushing):
                    self._note("late")
                await asyncio.wait({flushing})
        finally:
            await _done_in_time(self._begin())  # what hangs longer ends with the database

    def _begin(self) -> asyncio.Task[None]:
        task = self._last = asyncio.create_task(self._flush_or_log(), name="window-writer-flush")
        return task

    async def flush(self) -> None:
        """Write all that waits now, and not what comes meanwhile: while many talk that would never end.

        Raises StorageError; what could not be written waits on.

        Whoever waits for it may give up. It goes on to its end all the same: nobody could tell of a query that was cut
        off whether its rows are stored, and they would be written twice.
        """
        await asyncio.shield(self._flush())

    async def _flush(self) -> None:
        async with self._flushing:
            left = len(self._pending)
            apart = 0  # so many are written one by one, because one among them cannot be, and would hold up the rest
            while many := min(left, len(self._pending), 1 if apart else BATCH):
                batch = [self._pending.popleft() for _ in range(many)]
                try:
                    stored = await self._storage.add_results(batch)
                except BaseException as error:
                    if apart and never_fits(error):  # for the second time; before, its participant may have just gone
                        apart, left = apart - 1, left - 1
                        self.refused += 1
                        _log.error("result_never_written", session=batch[0][0], error=type(error).__name__)
                        continue
                    self._pending.extendleft(reversed(batch))
                    if never_fits(error):
                        apart = len(batch)
                        continue
                    self.failing = self.failing or not isinstance(error, asyncio.CancelledError)
                    raise
                apart, left = max(0, apart - many), left - many
                self.written += stored
                self.orphaned += many - stored
            if self.failing:  # also when what waited was deleted: nothing is left that is not saved
                self.failing = False
                _log.info("windows_are_written_again", waiting=len(self._pending))

    async def _flush_or_log(self) -> None:
        try:
            await self.flush()
        except Exception as error:  # noqa: BLE001  # nobody else writes results, so no fault may end this
            self._note(error.code if isinstance(error, StorageError) else type(error).__name__)

    def _note(self, code: str) -> None:
        """A batch could not be written, or not in time."""
        self.failing = True
        self.failures += 1
        if (now := time.monotonic()) - self._logged_at >= LOG_EVERY_S:
            self._logged_at = now
            _log.warning("windows_not_written", waiting=len(self._pending), error=code)


async def _done_in_time(task: asyncio.Task[None]) -> bool:
    """Whether it ends within `LATE_S`; it goes on otherwise, also when whoever waits is cancelled."""
    done, _ = await asyncio.wait({task}, timeout=LATE_S)
    return bool(done)
