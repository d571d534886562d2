"""A whole report as JSON, and its tables as CSV, for sessions of any length. Pure; call it in a thread.

Two hours of talk have 12,000 windows. An object for each would be made by calls that let nobody else work for a tenth
of a second, a thread or not. So the text is written from the columns, some windows at a time.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from bot.web.schema import report_out
from storage.columns import Windows
from storage.records import SessionReport
from storage.report import windows_in_order

AT_ONCE: Final = 250
"""Windows that are written in one go."""
_NO_WINDOWS: Final = '"windows":[]'
"""Where they belong in the report's JSON. No text in it can hold this: its quotes would be escaped."""
_BOOLS: Final = ("false", "true")
_ROW: Final = (
    '{"participant_id":%d,"start_s":%r,"end_s":%r,"speech_ratio":%r,"gap_ratio":%r,"emotion":%s,"confidence":%r,'
    '"unclear":%s,"reason":%s,"probabilities":{%s},"engine":%s}'
)

Row = Sequence[object]


def report_json(report: SessionReport, names: Mapping[int, str], *, title: str, last_event_id: int) -> bytes:
    """What `schema.ReportOut` describes, as JSON."""
    body = report_out(report, names, title=title, last_event_id=last_event_id, windows=False).model_dump_json()
    head, _, tail = body.partition(_NO_WINDOWS)
    rows = ",".join(",".join(_objects(part)) for part in _parts(windows_in_order(report)))
    return "".join((head, '"windows":[', rows, "]", tail)).encode()


def windows_csv(report: SessionReport, names: Mapping[int, str]) -> str:
    """One line a window, probabilities in a column each."""
    labels = report.session.labels
    columns = ["speaker", "start_s", "end_s", "emotion", "confidence", "unclear", "reason", "speech_ratio", "gap_ratio"]
    return _csv(
        [*columns, *(f"p_{label}" for label in labels), "engine"],
        (row for part in _parts(windows_in_order(report)) for row in _lines(part, names, labels)),
    )


def participants_csv(report: SessionReport, names: Mapping[int, str]) -> str:
    """One line a speaker, shares in a column each."""
    labels = report.session.labels
    rows = (
        (
            names.get(person.participant.id, person.participant.pseudonym),
            len(person.windows),
            round(person.talk_s, 3),
            person.turns,
            round(person.unclear_share, 4),
            *(round(person.shares.get(label, 0.0), 4) for label in labels),
        )
        for person in report.participants
    )
    return _csv(["speaker", "windows", "talk_s", "turns", "unclear_share", *(f"share_{one}" for one in labels)], rows)


def moments_csv(report: SessionReport, names: Mapping[int, str]) -> str:
    """One line a moment."""
    rows = (
        (
            round(moment.at_s, 3),
            moment.kind,
            names.get(moment.participant_id, "") if moment.participant_id is not None else "",
            moment.text,
        )
        for moment in report.moments
    )
    return _csv(["at_s", "kind", "speaker", "text"], rows)


def _parts(windows: Windows) -> Iterator[Windows]:
    return (windows[at : at + AT_ONCE] for at in range(0, len(windows), AT_ONCE))


def _objects(part: Windows) -> list[str]:
    """A JSON object a window."""
    emotions, reasons, engines = map(_texts, (part.emotions, part.reasons, part.engines))
    keys = [f"{text}:" for text in _texts(part.labels)]
    columns = (
        part.participant_id.tolist(),
        part.start_s.tolist(),
        part.end_s.tolist(),
        part.speech_ratio.tolist(),
        part.gap_ratio.tolist(),
        [emotions[place] for place in part.emotion.tolist()],
        part.confidence.tolist(),
        [_BOOLS[unclear] for unclear in part.unclear.tolist()],
        [reasons[place] for place in part.reason.tolist()],
        [_chances(keys, row) for row in part.probabilities.tolist()],
        [engines[place] for place in part.engine.tolist()],
    )
    return list(map(_ROW.__mod__, zip(*columns, strict=True)))


def _chances(keys: Sequence[str], row: Sequence[float]) -> str:
    """Not a number is what a label without a probability has."""
    return ",".join([f"{key}{chance!r}" for key, chance in zip(keys, row, strict=True) if chance == chance])


def _texts(values: Iterable[str | None]) -> list[str]:
    return [json.dumps(value) for value in values]


def _lines(part: Windows, names: Mapping[int, str], labels: Sequence[str]) -> Iterator[Row]:
    """A line a window."""
    places = [part.labels.index(label) if label in part.labels else None for label in labels]
    for window, row in zip(part, part.probabilities.tolist(), strict=True):
        yield (
            names[window.participant_id],
            round(window.start_s, 3),
            round(window.end_s, 3),
            window.emotion,
            round(window.confidence, 4),
            int(window.unclear),
            window.reason or "",
            round(window.speech_ratio, 4),
            round(window.gap_ratio, 4),
            *(0.0 if place is None or row[place] != row[place] else round(row[place], 4) for place in places),
            window.engine or "",
        )


def _csv(columns: Sequence[str], rows: Iterable[Row]) -> str:
    sheet = io.StringIO()
    writer = csv.writer(sheet, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows(list(map(_inert, row)) for row in rows)
    return sheet.getvalue()


def _inert(value: Any) -> Any:
    """A name that a spreadsheet would run as a formula gets an apostrophe before it."""
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return "'" + value
    return value
