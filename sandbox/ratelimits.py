"""Rate limits in Discord's form: a bucket per route and channel, told in headers, 429 when it is empty."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_BUCKETS_KEPT: Final = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    requests: int
    per_s: float


DEFAULT: Final = Limit(requests=50, per_s=1.0)

_BY_BUCKET: Final = {
    # Close to what Discord was seen to do; it may change any of them at any time, which is why they come in headers.
    "message-create": Limit(requests=5, per_s=5.0),
    "message-edit": Limit(requests=5, per_s=5.0),
    "message-delete": Limit(requests=5, per_s=1.0),
    "reaction": Limit(requests=1, per_s=0.25),
    "webhook": Limit(requests=5, per_s=2.0),
    "typing": Limit(requests=5, per_s=5.0),
    "channel-edit": Limit(requests=2, per_s=10.0),
    "voice-status": Limit(requests=5, per_s=5.0),
}


@dataclass(slots=True)
class _Bucket:
    used: int
    resets_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    allowed: bool
    headers: dict[str, str]
    retry_after_s: float


class RateLimits:
    def __init__(self, *, enabled: bool = True, clock: Callable[[], float] = time.monotonic) -> None:
        self.enabled = enabled
        self._clock = clock
        self._buckets: OrderedDict[tuple[str, str], _Bucket] = OrderedDict()

    def take(self, bucket: str, major: str) -> Verdict:
        """Count one request; `major` is the channel, server or webhook that has a bucket of its own."""
        if not self.enabled:
            return Verdict(allowed=True, headers={}, retry_after_s=0.0)
        limit = _BY_BUCKET.get(bucket, DEFAULT)
        now = self._clock()
        state = self._buckets.get((bucket, major))
        if state is None or state.resets_at <= now:
            state = self._buckets[bucket, major] = _Bucket(used=0, resets_at=now + limit.per_s)
            while len(self._buckets) > _BUCKETS_KEPT:
                self._buckets.popitem(last=False)
        allowed = state.used < limit.requests
        state.used += allowed
        left_s = max(state.resets_at - now, 0.001)
        headers = {
            "X-RateLimit-Limit": str(limit.requests),
            "X-RateLimit-Remaining": str(limit.requests - state.used),
            "X-RateLimit-Reset": f"{time.time() + left_s:.3f}",
            "X-RateLimit-Reset-After": f"{left_s:.3f}",
            "X-RateLimit-Bucket": hashlib.sha256(bucket.encode()).hexdigest()[:32],
        }
        return Verdict(allowed=allowed, headers=headers, retry_after_s=left_s)
