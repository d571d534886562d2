"""How well a model recognises, on clips it must not have been trained on: what it answers, then what that is worth.

A clip goes the way of every audio file: cut into windows, recognised, summed up. Figures over the four labels of the
old app are of the clips of those four, and of the probabilities of the four given that it is one of them, whatever else
the model can say; that is what `/predict` answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ser_engine.recognizer import Recognizer
from ser_engine.segmenter import segment_pcm
from ser_engine.summary import summarise
from ser_engine.training import conditions, metrics
from ser_engine.training.corpus import Clip
from ser_engine.training.recipes import Progress
from ser_engine.types import Pcm, Prediction, Window

FOUR: Final = ("Angry", "Happy", "Sad", "Disgust")
ANGRY: Final = "Angry"
AROUSED: Final = ("Happy", "Disgust")
"""What is called Angry when it is expressed strongly by somebody unlike the corpus."""
_BATCH_CLIPS: Final = 16
ROUNDS: Final = 1000
"""Bootstrap draws behind an interval."""
_LEAK: Final = 0.90
_COLLAPSE: Final = 0.95
_AGE_BANDS: Final = ((0, 29), (30, 39), (40, 49), (50, 59), (60, 200))


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What one model answered about clips under one condition. Arrays have a row a clip."""

    labels: tuple[str, ...]
    clips: tuple[Clip, ...]
    probabilities: metrics.Floats
    """(n, labels); equal shares where there was no answer."""
    unclear: NDArray[np.bool_]
    answered: NDArray[np.bool_]
    """False where the clip held too little speech for a window."""


def ask(recognizer: Recognizer, clips: Sequence[Clip], condition: str, progress: Progress) -> Answers:
    """Let `recognizer` hear each clip under `condition`.

    Raises CorpusError when a recording cannot be read.
    """
    labels = tuple(recognizer.info.labels)
    found: list[Prediction | None] = []
    progress.stage(f"{recognizer.info.name}, {condition}", len(clips))
    for start in range(0, len(clips), _BATCH_CLIPS):
        part = clips[start : start + _BATCH_CLIPS]
        cut = [_windows(conditions.apply(condition, clip.read(), clip.path.name), condition) for clip in part]
        named = [replace(window, speaker=str(k)) for k, windows in enumerate(cut) for window in windows]
        answers = iter(recognizer.predict(named, {}))  # a file's later windows are compared with its own earlier ones
        for windows in cut:
            pairs = [(window, next(answers)) for window in windows]
            found.append(summarise(pairs) if pairs else None)
        progress.advance(len(part))
    return answers_of(labels, clips, found)


def answers_of(labels: Sequence[str], clips: Sequence[Clip], found: Sequence[Prediction | None]) -> Answers:
    """One prediction a clip, or None where it held too little speech, as arrays."""
    equal = dict.fromkeys(labels, 1 / len(labels))
    table = [[(one.probabilities if one else equal)[label] for label in labels] for one in found]
    return Answers(
        labels=tuple(labels),
        clips=tuple(clips),
        probabilities=np.array(table, np.float64).reshape(len(clips), len(labels)),
        unclear=np.array([one is None or one.unclear for one in found], np.bool_),
        answered=np.array([one is not None for one in found], np.bool_),
    )


def _windows(pcm: Pcm, condition: str) -> list[Window]:
    if condition == "short":  # shorter than a door would let in; what is asked is how much less it tells
        return [Window(speaker="file", start_s=0.0, pcm=pcm, speech_ratio=1.0, gap_ratio=0.0)]
    return segment_pcm(pcm)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """Answers over one set of labels, as numbers. Arrays have a row a clip of one of `labels`."""

    labels: tuple[str, ...]
    clips: tuple[Clip, ...]
    truth: metrics.Ints
    decided: metrics.Ints
    confidence: metrics.Floats
    right: NDArray[np.bool_]
    clear: NDArray[np.bool_]
    unanswered: int

    def table(self, rows: Sequence[int] | metrics.Ints | None = None) -> metrics.Ints:
        chosen = slice(None) if rows is None else np.asarray(rows, np.int64)
        return metrics.confusion(self.truth[chosen], self.decided[chosen], len(self.labels))


def score(answers: Answers, labels: Sequence[str]) -> Scored:
    """`answers` about the clips of `labels`, decided among `labels` alone. A clip without an answer is not right."""
    rows = [k for k, clip in enumerate(answers.clips) if clip.label in labels]
    clips = tuple(answers.clips[k] for k in rows)
    chances = metrics.among(answers.probabilities[rows], [answers.labels.index(label) for label in labels])
    truth = np.array([labels.index(clip.label) for clip in clips], np.int64)
    decided = chances.argmax(axis=1)
    answered = answers.answered[rows]
    # No answer counts as a wrong one: the next label instead of the true one.
    decided = np.where(answered, decided, (truth + 1) % len(labels))
    return Scored(
        labels=tuple(labels),
        clips=clips,
        truth=truth,
        decided=decided,
        confidence=chances.max(axis=1),
        right=decided == truth,
        clear=~answers.unclear[rows],
        unanswered=int((~answered).sum()),
    )


def main_figures(scored: Scored, *, rounds: int = ROUNDS) -> dict[str, Any]:
    """How often a model is right, how sure it is and how well that agrees: what every table of figures shows."""
    table, right, clear = scored.table(), scored.right, scored.clear
    interval = metrics.bootstrap(
        [clip.speaker for clip in scored.clips], lambda rows: metrics.uar(scored.table(rows)), rounds=rounds
    )
    return {
        "clips": len(scored.clips),
        "uar": metrics.uar(table),
        "uar_interval": list(interval),
        "accuracy": metrics.accuracy(table),
        "recall": dict(zip(scored.labels, metrics.recalls(table).tolist(), strict=True)),
        "taken_for_angry": taken_for_angry(table, scored.labels),
        "ece": metrics.ece(scored.confidence, right),
        "clear": {
            "coverage": float(clear.mean()) if len(clear) else float("nan"),
            "accuracy": float(right[clear].mean()) if clear.any() else float("nan"),
        },
    }


def figures(scored: Scored, *, rounds: int = ROUNDS) -> dict[str, Any]:
    """Everything `undertone evaluate` reports of one model under one condition over one set of labels."""
    table = scored.table()
    right, confidence = scored.right, scored.confidence
    speakers = [clip.speaker for clip in scored.clips]

    def interval(statistic: Callable[[metrics.Ints], float]) -> list[float]:
        return list(metrics.bootstrap(speakers, statistic, rounds=rounds))

    coverage, accuracies, thresholds = metrics.risk_coverage(confidence, right)
    marks = [min(int(np.searchsorted(coverage, share - 1e-12)), len(coverage) - 1) for share in np.linspace(0.1, 1, 10)]
    return main_figures(scored, rounds=rounds) | {
        "speakers": len(set(speakers)),
        "unanswered": scored.unanswered,
        "accuracy_interval": interval(lambda rows: metrics.accuracy(scored.table(rows))),
        "macro_f1": metrics.macro_f1(table),
        "macro_f1_interval": interval(lambda rows: metrics.macro_f1(scored.table(rows))),
        "recall_interval": {
            label: interval(lambda rows, k=k: float(metrics.recalls(scored.table(rows))[k]))  # type: ignore[misc]
            for k, label in enumerate(scored.labels)
        },
        "confusion": table.tolist(),
        "ece_interval": interval(lambda rows: metrics.ece(confidence[rows], right[rows])),
        "reliability": [
            {"low": b.low, "high": b.high, "count": b.count, "confidence": b.confidence, "accuracy": b.accuracy}
            for b in metrics.reliability(confidence, right)
        ],
        "risk_coverage": [
            {"coverage": float(coverage[k]), "accuracy": float(accuracies[k]), "threshold": float(thresholds[k])}
            for k in marks
        ],
        "slices": slices(scored, rounds=rounds),
        "crowd": crowd(scored.clips, scored.labels),
        "warnings": warnings(table, scored.labels),
    }


def taken_for_angry(table: metrics.Ints, labels: Sequence[str]) -> dict[str, float]:
    """Mistakes of arousal: which share of the clips of Happy and of Disgust is called Angry. Without clips: NaN."""
    if ANGRY not in labels:
        return {}
    angry = labels.index(ANGRY)
    return {
        label: float(table[k, angry] / table[k].sum()) if table[k].sum() else float("nan")
        for k, label in enumerate(labels)
        if label in AROUSED
    }


def slices(scored: Scored, *, rounds: int = ROUNDS) -> dict[str, dict[str, dict[str, Any]]]:
    """UAR, its interval and the number of clips by sex, age band, level of expression and sentence, where stated."""
    out: dict[str, dict[str, dict[str, Any]]] = {}
    for name, key in _SLICES.items():
        rows: dict[str, list[int]] = {}
        for k, clip in enumerate(scored.clips):
            value = key(clip)
            if value is not None:
                rows.setdefault(value, []).append(k)
        out[name] = {value: _slice(scored, np.array(chosen), rounds) for value, chosen in sorted(rows.items())}
    return out


def _slice(scored: Scored, chosen: metrics.Ints, rounds: int) -> dict[str, Any]:
    interval = metrics.bootstrap(
        [scored.clips[k].speaker for k in chosen],
        lambda rows: metrics.uar(scored.table(chosen[rows])),
        rounds=rounds,
    )
    return {"clips": len(chosen), "uar": metrics.uar(scored.table(chosen)), "uar_interval": list(interval)}


def _age_band(clip: Clip) -> str | None:
    if clip.age is None:
        return None
    low, high = next(band for band in _AGE_BANDS if band[0] <= clip.age <= band[1])
    return f"under {high + 1}" if low == 0 else f"{low} and over" if high == 200 else f"{low}–{high}"


_SLICES: Final[Mapping[str, Callable[[Clip], str | None]]] = {
    "sex": lambda clip: clip.sex,
    "age": _age_band,
    "level": lambda clip: clip.level,
    "sentence": lambda clip: clip.sentence,
}


def crowd(clips: Sequence[Clip], labels: Sequence[str]) -> dict[str, Any] | None:
    """How the corpus's own listeners did on the same clips, hearing the voice alone; None where nobody was asked.

    `of_all_votes`: share of all votes that name the intended emotion. `among`: share of the votes that fall on one of
    `labels`; per label in `recall`. `plurality_uar`: UAR when the most-voted of `labels` is the answer.
    """
    asked = [clip for clip in clips if sum(clip.votes.values()) > 0]
    if not asked:
        return None
    hits = sum(clip.votes.get(clip.label, 0) for clip in asked)
    within = sum(clip.votes.get(label, 0) for clip in asked for label in labels)
    recall = {}
    for label in labels:
        own = [clip for clip in asked if clip.label == label]
        votes = sum(clip.votes.get(other, 0) for clip in own for other in labels)
        recall[label] = sum(clip.votes.get(label, 0) for clip in own) / votes if votes else float("nan")
    heard = [clip for clip in asked if any(clip.votes.get(label, 0) for label in labels)]
    decided = [int(np.argmax([clip.votes.get(label, 0) for label in labels])) for clip in heard]
    truth = [labels.index(clip.label) for clip in heard]
    table = metrics.confusion(np.array(truth, np.int64), np.array(decided, np.int64), len(labels))
    return {
        "clips": len(asked),
        "of_all_votes": hits / sum(sum(clip.votes.values()) for clip in asked),
        "among": hits / within if within else float("nan"),
        "recall": recall,
        "plurality_uar": metrics.uar(table),
    }


def warnings(table: metrics.Ints, labels: Sequence[str]) -> list[str]:
    """Signs that a figure is too good to be true, or that a network has given up."""
    found = []
    if table.sum() >= 100 and metrics.uar(table) > _LEAK:
        found.append("UAR over 0.90: voices or clips of the training are probably among those measured")
    called, are = table.sum(axis=0) / max(table.sum(), 1), table.sum(axis=1) / max(table.sum(), 1)
    most = int(called.argmax())
    if called[most] > _COLLAPSE >= are[most]:  # where nearly all are of one label, that is the right answer
        found.append(f"{labels[most]} in over 95 % of the decisions: the network has collapsed")
    return found
