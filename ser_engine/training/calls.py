"""How well a model recognises in a call: each recording after others of the same speaker, in random order.

`undertone evaluate --call`. What the model makes of a recording is asked once; its answer after 0, 4, 8 and 16 earlier
ones is then decided as a session decides it, with a baseline of theirs. A speaker says each thing once, so somebody
with ten recordings is never judged after sixteen: `earlier` in the figures says how many there were.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from ser_engine.baseline import SpeakerBaseline, WindowOutput
from ser_engine.recognizer import Recognizer
from ser_engine.segmenter import segment_pcm
from ser_engine.summary import summarise
from ser_engine.training.corpus import Clip
from ser_engine.training.measure import ROUNDS, answers_of, main_figures, score
from ser_engine.training.metrics import rounded
from ser_engine.training.recipes import Progress
from ser_engine.training.report import ANGER, nothing_to_measure, taken_for_angry
from ser_engine.types import Prediction, Window

EARLIER: Final = (0, 4, 8, 16)
NEUTRAL_SHARES: Final = (0.2, 0.6, 0.9)
_BATCH_CLIPS: Final = 16
_GAP_S: Final = 100.0
"""Every recording of a call begins so much later than the one before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """A recording's windows, and what the model makes of each by itself."""

    clip: Clip
    windows: tuple[Window, ...]
    heard: tuple[WindowOutput, ...]


def measure_calls(
    model: Recognizer,
    clips: Sequence[Clip],
    *,
    shares: Sequence[float] = NEUTRAL_SHARES,
    seed: int = 0,
    rounds: int = ROUNDS,
    progress: Progress,
) -> dict[str, Any]:
    """Figures by the share of Neutral among a call's recordings and the number of earlier ones; numbers rounded.

    Raises CorpusError when a recording cannot be read, or none has a label that the model knows.
    """
    if not any(clip.label in model.info.labels for clip in clips):
        raise nothing_to_measure(len(clips), model.info.labels)
    said = _hear(model, clips, progress)
    progress.stage(f"{model.info.name}, calls", len(shares) * len(EARLIER))
    found: dict[str, Any] = {}
    for share in shares:
        for earlier in EARLIER:
            rng = np.random.default_rng([seed, earlier, round(100 * share)])
            calls = [_earlier(said, k, earlier, share, rng) for k in range(len(said))]
            found_here = [_in_call(model, said, k, calls[k]) for k in range(len(said))]
            answers = answers_of(model.info.labels, [one.clip for one in said], found_here)
            counted = float(np.mean([len(call) for call in calls])) if calls else 0.0
            every = main_figures(score(answers, model.info.labels), rounds=rounds)
            found[f"{share:g} neutral, after {earlier}"] = {"earlier": counted, **every}
            progress.advance()
    result: dict[str, Any] = rounded(found)
    return result


def to_markdown(found: Mapping[str, Mapping[str, Any]]) -> str:
    """A table of `measure_calls`."""
    lines = [
        f"| call | earlier | UAR | 95 % | recall of Neutral | weakest | {ANGER} | ECE | clear | right of them |",
        "|" + " --- |" * 10,
    ]
    for name, entry in found.items():
        recall = {label: value for label, value in entry["recall"].items() if value is not None}
        weakest = min(recall, key=recall.__getitem__)
        low, high = entry["uar_interval"]
        interval = "–" if low is None else f"{low:.2f} to {high:.2f}"
        right = entry["clear"]["accuracy"]
        cells = [
            *(
                name,
                f"{entry['earlier']:.1f}",
                f"{entry['uar']:.3f}",
                interval,
                f"{recall['Neutral']:.2f}" if "Neutral" in recall else "–",
            ),
            *(f"{weakest} {recall[weakest]:.2f}", taken_for_angry(entry)),
            *(f"{entry['ece']:.3f}", f"{entry['clear']['coverage']:.0%}"),
            "–" if right is None else f"{right:.0%}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _hear(model: Recognizer, clips: Sequence[Clip], progress: Progress) -> list[_Said]:
    progress.stage(f"{model.info.name}, listening", len(clips))
    said = []
    for start in range(0, len(clips), _BATCH_CLIPS):
        part = clips[start : start + _BATCH_CLIPS]
        cut = [segment_pcm(clip.read()) for clip in part]
        answers = iter(model.hear([window for windows in cut for window in windows]))
        for clip, windows in zip(part, cut, strict=True):
            heard = tuple(next(answers) for _ in windows)
            said.append(_Said(clip=clip, windows=tuple(windows), heard=heard))
        progress.advance(len(part))
    return said


def _earlier(said: Sequence[_Said], target: int, count: int, share: float, rng: np.random.Generator) -> list[int]:
    """At most `count` other recordings of the speaker, none twice, a share of them Neutral."""
    speaker = said[target].clip.speaker
    others = [int(k) for k in rng.permutation(len(said)) if said[k].clip.speaker == speaker and k != target]
    calm = [k for k in others if said[k].clip.label == "Neutral"]
    moved = [k for k in others if said[k].clip.label != "Neutral"]
    chosen: list[int] = []
    while len(chosen) < count and (calm or moved):
        from_calm = bool(calm) and (not moved or rng.random() < share)
        chosen.append((calm if from_calm else moved).pop())
    return chosen


def _in_call(model: Recognizer, said: Sequence[_Said], target: int, earlier: Sequence[int]) -> Prediction | None:
    baselines: dict[str, SpeakerBaseline] = {}
    answers: list[Prediction] = []
    windows: list[Window] = []
    for place, k in enumerate((*earlier, target)):
        windows = [
            replace(window, speaker="caller", start_s=window.start_s + _GAP_S * place) for window in said[k].windows
        ]
        answers = model.decider.decide(windows, said[k].heard, baselines)
    return summarise(list(zip(windows, answers, strict=True))) if windows else None
