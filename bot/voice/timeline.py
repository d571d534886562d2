"""Where a packet stands on its speaker's timeline: by the sender's RTP timestamps, never by when the packet arrived.

Arrival says only where a stream begins on the session's clock. From there on the sender's own 48 kHz clock counts, so
that jitter, bursts and stalls of the network cannot stretch or overlap speech. Two things make a stream begin anew: a
jump of its timestamps, and a drift of more than a second against the session's clock: ahead of it at any time, behind
it when noticed after a pause (clients that stop their timestamps while silent; clocks that run apart over hours).
Pure and clock-free. Positions are samples at 16 kHz since the session's start.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from . import rtp

RTP_HZ: Final = 48_000
OUT_HZ: Final = 16_000
_RATIO: Final = RTP_HZ // OUT_HZ
MAX_FILL_SAMPLES: Final = OUT_HZ
"""1 s: a longer loss is not made up but left empty."""
MAX_DRIFT_SAMPLES: Final = OUT_HZ
MAX_GAP_SAMPLES: Final = 60 * OUT_HZ
"""Longer than this, a step of the timestamps is a jump and no pause."""
_MASK: Final = (1 << 32) - 1


class Placement(NamedTuple):
    t_samples: int
    fill_samples: int
    """Samples directly before `t_samples` that were lost on the way and are to be made up."""


class Timeline:
    """One speaker's timeline. It outlives streams and connections, and never runs back."""

    def __init__(self) -> None:
        self.end_samples = 0
        """Where the last placed packet ended."""
        self._origin_samples = 0
        self._first_rtp: int | None = None
        self._last_rtp = 0
        """Unwrapped."""

    def restart(self) -> None:
        """The next packet belongs to another stream: its timestamps mean nothing in relation to the last ones."""
        self._first_rtp = None

    def goes_on(self, timestamp: int, samples: int, arrived_samples: int) -> bool:
        """Take a packet that begins where the last one ended, as nearly all do; False when it has to be placed."""
        if self._first_rtp is None:
            return False
        unwrapped = self._last_rtp + ((timestamp - self._last_rtp) & _MASK)
        t = self._origin_samples + (unwrapped - self._first_rtp) // _RATIO
        if t != self.end_samples or t - arrived_samples > MAX_DRIFT_SAMPLES:
            return False
        self._last_rtp = unwrapped
        self.end_samples = t + samples
        return True

    def place(
        self, timestamp: int, samples: int, *, lost_packets: int, arrived_samples: int, after_pause: bool
    ) -> Placement:
        """Place a packet of `samples` (at 16 kHz) with 32-bit RTP `timestamp`.

        `arrived_samples` is the session's clock at its arrival; it is looked at only where a stream begins and to
        notice drift. `lost_packets` are those missing directly before it.
        """
        t = None if self._first_rtp is None else self._by_timestamp(timestamp, self._first_rtp)
        if t is not None and (
            t - arrived_samples > MAX_DRIFT_SAMPLES  # nobody speaks ahead of time
            or (after_pause and arrived_samples - t > MAX_DRIFT_SAMPLES)
        ):
            t = None
        if t is None:
            self._first_rtp = self._last_rtp = timestamp
            self._origin_samples = t = max(self.end_samples, arrived_samples)
            fill = 0
        else:
            # A sender's timestamps may overlap by a rounding; the timeline may not.
            t = max(t, self.end_samples)
            gap = t - self.end_samples
            fill = min(gap, MAX_FILL_SAMPLES, lost_packets * max(samples, 1)) if lost_packets else 0
        self.end_samples = t + samples
        return Placement(t, fill)

    def _by_timestamp(self, timestamp: int, first_rtp: int) -> int | None:
        unwrapped = self._last_rtp + rtp.after(timestamp, self._last_rtp, rtp.HALF_TIMESTAMP)
        t = self._origin_samples + (unwrapped - first_rtp) // _RATIO
        if not self.end_samples - MAX_DRIFT_SAMPLES <= t <= self.end_samples + MAX_GAP_SAMPLES:
            return None
        self._last_rtp = unwrapped
        return t
