"""A report's figures, window by window, as one would write them down first: what the columns are held to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bot.report.moments import PAUSE_S
from storage import WindowRecord
from storage.report import TURN_GAP_S


@dataclass(frozen=True, kw_only=True)
class PlainFigures:
    """Of one speaker."""

    talk_s: float
    turns: int
    longest_s: float
    shares: dict[str, float]
    unclear_share: float


def figures(windows: Sequence[WindowRecord]) -> PlainFigures:
    clear: dict[str, float] = defaultdict(float)
    unclear_s = 0.0
    for window in windows:
        spoken_s = (window.end_s - window.start_s) * window.speech_ratio
        if window.unclear:
            unclear_s += spoken_s
        else:
            clear[window.emotion] += spoken_s
    talk_s = unclear_s + sum(clear.values())
    return PlainFigures(
        talk_s=talk_s,
        turns=turns(windows),
        longest_s=longest_turn_s(windows),
        shares=_in_shares(clear),
        unclear_share=unclear_s / talk_s if talk_s > 0 else 0.0,
    )


def shares(windows: Iterable[WindowRecord]) -> dict[str, float]:
    seconds: dict[str, float] = defaultdict(float)
    for window in windows:
        if not window.unclear:
            seconds[window.emotion] += (window.end_s - window.start_s) * window.speech_ratio
    return _in_shares(seconds)


def turns(windows: Sequence[WindowRecord]) -> int:
    breaks = [True for earlier, later in pairwise(windows) if later.start_s - earlier.end_s >= TURN_GAP_S]
    return (1 if windows else 0) + len(breaks)


def longest_turn_s(windows: Sequence[WindowRecord]) -> float:
    longest_s, begins_s, ends_s = 0.0, 0.0, float("-inf")
    for window in windows:
        if window.start_s - ends_s >= TURN_GAP_S:
            begins_s = window.start_s
        ends_s = window.end_s
        longest_s = max(longest_s, ends_s - begins_s)
    return longest_s


def overlap_s(windows: Sequence[WindowRecord]) -> float:
    edges = [(window.start_s, 1) for window in windows]
    edges += [(window.end_s, -1) for window in windows]
    edges.sort()
    total_s, open_windows, since_s = 0.0, 0, 0.0
    for at_s, step in edges:
        if open_windows >= 2:
            total_s += at_s - since_s
        open_windows += step
        since_s = at_s
    return total_s


def stretches(windows: Sequence[WindowRecord]) -> list[tuple[str, float, float, int, int, float]]:
    """Emotion, start, end, clear windows, strays and summed confidence of each run of clear windows that agree."""
    runs: list[list[float]] = []
    tones: list[str] = []
    stray: WindowRecord | None = None
    for window in windows:
        if window.unclear:
            continue
        near = bool(runs) and window.start_s - runs[-1][1] <= PAUSE_S
        if near and window.emotion == tones[-1]:
            runs[-1] = [
                *(runs[-1][0], window.end_s, runs[-1][2] + 1),
                *(runs[-1][3] + (stray is not None), runs[-1][4] + window.confidence),
            ]
            stray = None
        elif near and stray is None:
            stray = window
        else:
            tones.append(window.emotion)
            if near and stray is not None and stray.emotion == window.emotion:
                runs.append([stray.start_s, window.end_s, 2, 0, stray.confidence + window.confidence])
            else:
                runs.append([window.start_s, window.end_s, 1, 0, window.confidence])
            stray = None
    return [(tone, run[0], run[1], int(run[2]), int(run[3]), run[4]) for tone, run in zip(tones, runs, strict=True)]


def columns(windows: Sequence[WindowRecord], labels: Sequence[str], reasons: Sequence[str]) -> dict[str, list[int]]:
    """As the report page is given them."""
    starts = [round(10 * window.start_s) for window in windows]
    ends = [round(10 * window.end_s) for window in windows]
    why = [1 + reasons.index(window.reason or "unsure") if window.unclear else 0 for window in windows]
    return {
        "gap": [start - end for start, end in zip(starts, [0, *ends], strict=False)],
        "length": [end - start for start, end in zip(starts, ends, strict=True)],
        "label": [labels.index(window.emotion) for window in windows],
        "sure": [round(100 * window.confidence) for window in windows],
        "why": why,
        "speech": [round(100 * window.speech_ratio) for window in windows],
        "stood_in": [int(window.engine is not None) for window in windows],
    }


def _in_shares(seconds: dict[str, float]) -> dict[str, float]:
    total = sum(seconds.values())
    if total <= 0:
        return {}
    return {emotion: s / total for emotion, s in sorted(seconds.items(), key=lambda item: (-item[1], item[0]))}
