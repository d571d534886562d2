"""The report of `undertone evaluate` as text: one Markdown document, for the terminal, a folder, or the model card.

A report is plain data (see `build`), so that it can be kept as JSON and written out again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ser_engine.errors import CorpusError
from ser_engine.models import ModelDirectory, verify, write_manifest
from ser_engine.recognizer import Recognizer
from ser_engine.training.corpus import Clip
from ser_engine.training.measure import FOUR, ask, figures, score
from ser_engine.training.metrics import rounded
from ser_engine.training.recipes import Progress

_SET_NAMES: Final = {4: "four", 5: "five"}
ANGER: Final = "Happy / Disgust called Angry"
_SLICE_TITLES: Final = {"sex": "Sex", "age": "Age", "level": "Level of expression", "sentence": "Sentence"}


def build(
    models: Sequence[Recognizer],
    clips: Sequence[Clip],
    conditions: Sequence[str],
    *,
    about: Mapping[str, Any],
    progress: Progress,
) -> dict[str, Any]:
    """Measure every model under every condition; numbers are rounded to four digits.

    Each model is measured over the four labels of the old app, and over all of its own where those are others, as far
    as there are recordings of them. `about` (corpus, command) goes into the report as it is. Raises CorpusError when a
    recording cannot be read, or none has a label that a model knows.
    """
    found: dict[str, Any] = {}
    for model in models:
        labels = tuple(model.info.labels)
        sets: dict[str, tuple[str, ...]] = {"four": FOUR} if set(FOUR) <= set(labels) else {}
        if set(labels) != set(FOUR):
            sets[_SET_NAMES.get(len(labels), "all")] = labels
        wanted = set().union(*sets.values())
        heard = [clip for clip in clips if clip.label in wanted]
        if not heard:
            raise nothing_to_measure(len(clips), labels)
        sets = {name: members for name, members in sets.items() if any(clip.label in members for clip in heard)}
        by_condition = {}
        for condition in conditions:
            answers = ask(model, heard, condition, progress)
            by_condition[condition] = {
                name: {"labels": list(members), **figures(score(answers, members))} for name, members in sets.items()
            }
        found[model.info.name] = {
            "version": model.info.version,
            "runtime": model.info.runtime,
            "labels": list(labels),
            "conditions": by_condition,
        }
    report: dict[str, Any] = rounded({**about, "conditions": list(conditions), "models": found})
    return report


def nothing_to_measure(clips: int, labels: Sequence[str]) -> CorpusError:
    """The refusal of recordings of which none has a label that a model knows."""
    return CorpusError(f"None of the {clips} recordings is {', '.join(labels)}: nothing to measure.")


def to_markdown(report: Mapping[str, Any]) -> str:
    """The whole report: the engines side by side, then each engine's labels and slices under the first condition."""
    parts = [f"Made by `{report['command']}` on {report['clips']} recordings of {_count(report['speakers'])}.\n"]
    for set_name in ("four", "five", "all"):
        rows = list(_entries(report, set_name))
        if rows:
            labels = rows[0][2]["labels"]
            parts.append(f"## Over {len(labels)} labels ({', '.join(labels)})\n")
            parts.append(_side_by_side(rows))
    first = report["conditions"][0]
    for set_name in ("four", "five", "all"):
        for model, condition, entry in _entries(report, set_name):
            if condition == first:
                parts.append(f"## {model}, {len(entry['labels'])} labels, {condition}\n")
                parts.append(_labels(entry))
                parts.append(_slices(entry))
                parts.append(_risk(entry))
    parts += [f"**Warning** ({where}): {text}.\n" for where, text in warnings(report)]
    return "\n".join(parts)


_RECORDED: Final = (
    "clips",
    "speakers",
    "uar",
    "uar_interval",
    "accuracy",
    "recall",
    "taken_for_angry",
    "ece",
    "clear",
    "warnings",
)


def record(report: Mapping[str, Any], directory: Path) -> None:
    """Write the figures of the model in `directory` into its ``model.json``, with the command that made them.

    Raises ModelError when the directory's files are not what its manifest states.
    """
    manifest = verify(directory)
    name = ModelDirectory(path=directory, manifest=manifest).name  # the one that `build` knows it by
    conditions = {
        condition: {name: {key: entry[key] for key in _RECORDED} for name, entry in sets.items()}
        for condition, sets in report["models"][name]["conditions"].items()
    }
    figures = {"command": report["command"], "corpus": report["corpus"], "conditions": conditions}
    write_manifest(directory, manifest.model_copy(update={"evaluation": figures}))


def warnings(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Where something is wrong with a figure, and what."""
    return [
        (f"{model}, {condition}", text)
        for set_name in ("four", "five", "all")
        for model, condition, entry in _entries(report, set_name)
        for text in entry["warnings"]
    ]


def _entries(report: Mapping[str, Any], set_name: str) -> Iterable[tuple[str, str, Mapping[str, Any]]]:
    for model, found in report["models"].items():
        for condition, sets in found["conditions"].items():
            if set_name in sets:
                yield model, condition, sets[set_name]


def _side_by_side(rows: Sequence[tuple[str, str, Mapping[str, Any]]]) -> str:
    head = (
        "engine",
        "condition",
        "UAR",
        "95 %",
        "accuracy",
        "macro F1",
        "ECE",
        "weakest",
        ANGER,
        "clear",
        "right of them",
    )
    lines = []
    for model, condition, entry in rows:
        recall = {label: share for label, share in entry["recall"].items() if share is not None}
        weakest = min(recall, key=recall.__getitem__)
        clear = entry["clear"]
        lines.append(
            (
                model,
                condition,
                f"**{_number(entry['uar'])}**",
                _interval(entry["uar_interval"]),
                _number(entry["accuracy"]),
                _number(entry["macro_f1"]),
                _number(entry["ece"], 3),
                f"{weakest} {_number(recall[weakest])}",
                taken_for_angry(entry),
                _percent(clear["coverage"]),
                _percent(clear["accuracy"]),
            )
        )
    return table(head, lines) + _crowd_line(rows[0][2])


def taken_for_angry(entry: Mapping[str, Any]) -> str:
    """The mistakes of arousal in a cell."""
    return " / ".join(_percent(share) for share in entry["taken_for_angry"].values()) or "–"


def _crowd_line(entry: Mapping[str, Any]) -> str:
    crowd = entry["crowd"]
    if crowd is None:
        return ""
    recall = ", ".join(f"{label} {_number(share)}" for label, share in crowd["recall"].items())
    return (
        f"\nListeners, hearing the same {crowd['clips']} recordings: {_percent(crowd['of_all_votes'])} of their votes "
        f"name the intended emotion; of the votes that fall on one of these labels {_percent(crowd['among'])} "
        f"({recall}); the label with most votes has a UAR of {_number(crowd['plurality_uar'])}.\n"
    )


def _labels(entry: Mapping[str, Any]) -> str:
    labels = entry["labels"]
    lines = [
        (
            label,
            _number(entry["recall"][label]),
            _interval(entry["recall_interval"][label]),
            *map(str, row),
            str(sum(row)),
        )
        for label, row in zip(labels, entry["confusion"], strict=True)
    ]
    return table(("meant", "recall", "95 %", *(f"called {label}" for label in labels), "recordings"), lines)


def _slices(entry: Mapping[str, Any]) -> str:
    lines = [
        (
            _SLICE_TITLES[name],
            value,
            str(one["clips"]),
            _number(one["uar"]),
            _interval(one["uar_interval"]),
        )
        for name, values in entry["slices"].items()
        for value, one in values.items()
    ]
    return table(("slice", "", "recordings", "UAR", "95 %"), lines) if lines else ""


def _risk(entry: Mapping[str, Any]) -> str:
    points = entry["risk_coverage"]
    lines = [(_percent(p["coverage"]), _percent(p["accuracy"]), _number(p["threshold"])) for p in points]
    return table(("most confident", "right of them", "confidence from"), lines)


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table in Markdown. What folders and other people's columns are called may hold line ends and bars."""
    rows = [head, ["---"] * len(head), *lines]
    cells = ([" ".join(cell.split()).replace("|", "\\|") for cell in row] for row in rows)
    return "\n".join("| " + " | ".join(row) + " |" for row in cells) + "\n"


def _count(speakers: int) -> str:
    return "one speaker" if speakers == 1 else f"{speakers} speakers"


def _number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.0f} %"


def _interval(values: Sequence[float | None]) -> str:
    if values[0] is None:
        return "–"
    return f"{_number(values[0])} to {_number(values[1])}"
