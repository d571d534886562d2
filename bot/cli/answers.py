"""What `undertone analyze` prints: text for people, JSON and CSV for programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import click

from bot.cli.recordings import shown
from bot.pictures import palette
from ser_engine.analysis import Analysis
from ser_engine.errors import AudioError
from ser_engine.types import Prediction

_REASONS: Final = {
    "unsure": "unsure",
    "no_speech": "no speech",
    "too_short": "too little speech",
    "clipped": "clipped",
}


class Form(Protocol):
    """How answers are printed, one file after the other."""

    def answered(self, path: Path, analysis: Analysis) -> None: ...

    def refused(self, path: Path, error: AudioError) -> None: ...


class Text:
    """A line a window, and a summary."""

    def answered(self, path: Path, analysis: Analysis) -> None:
        click.echo(f"{shown(path)}:")
        for window, prediction in analysis.windows:
            click.echo(f"  {window.start_s:6.1f} to {window.end_s:6.1f} s  {_words(prediction)}")
        summary = analysis.summary
        spread = sorted(summary.probabilities.items(), key=lambda item: -item[1])
        shares = ", ".join(f"{label} {p:.0%}" for label, p in spread)
        click.echo(f"  {'summary':<18}  {_words(summary)} ({shares})")

    def refused(self, path: Path, error: AudioError) -> None:
        click.echo(f"{shown(path)}: {error}")


class Json:
    """One object a file, each on a line, in ASCII, so that any name comes through any output."""

    def answered(self, path: Path, analysis: Analysis) -> None:
        windows = [
            {"start_s": round(window.start_s, 3), "end_s": round(window.end_s, 3), **_fields(prediction)}
            for window, prediction in analysis.windows
        ]
        click.echo(json.dumps({"file": str(path), "windows": windows, "summary": _fields(analysis.summary)}))

    def refused(self, path: Path, error: AudioError) -> None:
        click.echo(json.dumps({"file": str(path), "error": str(error), "code": error.code}))


class Csv:
    """A row a window; refusals go to standard error."""

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = labels
        self._row("file", "start_s", "end_s", "emotion", "confidence", "unclear", "reason", *labels)

    def answered(self, path: Path, analysis: Analysis) -> None:
        for window, prediction in analysis.windows:
            said = _fields(prediction)
            self._row(
                shown(path),
                round(window.start_s, 3),
                round(window.end_s, 3),
                *(said[name] for name in ("emotion", "confidence", "unclear", "reason")),
                *(said["probabilities"][label] for label in self._labels),
            )

    def refused(self, path: Path, error: AudioError) -> None:
        click.echo(f"{shown(path)}: {error}", err=True)

    def _row(self, *values: object) -> None:
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow(values)
        click.echo(line.getvalue())


def _words(prediction: Prediction) -> str:
    said = f"{palette.tone(prediction.emotion).word}, {prediction.confidence:.0%}"
    if prediction.reason == "no_speech":
        return "unclear: no speech"
    if prediction.unclear:
        return f"unclear: {_REASONS.get(prediction.reason or '', 'unsure')} (if anything, {said})"
    return f"sounds {said}"


def _fields(prediction: Prediction) -> dict[str, Any]:
    return {
        "emotion": prediction.emotion,
        "confidence": round(prediction.confidence, 6),
        "unclear": prediction.unclear,
        "reason": prediction.reason,
        "probabilities": {label: round(p, 6) for label, p in prediction.probabilities.items()},
    }
