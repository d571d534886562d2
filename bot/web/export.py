"""A report as a file that stands alone, for archives and mail: everything as JSON, or one HTML page with no address.

The page has no script and fetches nothing: its style is in it, and the strip is drawn into it. It is read without the
service, so names are the pseudonyms of the session and what people wrote at marks is left out, as through a share link.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from markupsafe import Markup

from bot.pictures import geometry, svg
from bot.pictures.bands import bands_of
from bot.report import key_moments, without_notes
from bot.texts import english
from bot.web.chart import summary_out
from bot.web.measured import compares, measured
from bot.web.schema import report_out
from bot.web.templating import STATIC, environment, palette_css
from bot.web.views import PageQuery, build_view, counted
from ser_engine.types import WINDOW_S
from storage.records import MomentRecord, SessionReport, SessionState

TITLE: Final = "A conversation"
WIDTH_PX: Final = 960.0
NARROW_PX: Final = 328.0
"""On a phone, where names stand above the rows."""
CELL_PX: Final = 3.6
"""A window narrower than this is drawn as part of a band, as on the page of the service."""


def as_json(report: SessionReport) -> str:
    """What ``GET /api/v1/sessions/{id}`` gives through a share link."""
    report = without_notes(report)
    return report_out(report, _names(report), title=TITLE, last_event_id=0).model_dump_json(indent=2) + "\n"


def as_html(report: SessionReport, *, written_at: datetime | None = None) -> str:
    """The page of a report, whole in one file."""
    report = without_notes(report)
    names, session = _names(report), report.session
    known = compares(session.model, session.model_version)
    view = build_view(report, names, PageQuery(), page="", rows=None, compares=known)
    return (
        environment()
        .get_template("export.html")
        .render(
            title=TITLE,
            css=Markup("\n".join([palette_css(), *(_sheet(name) for name in ("style.css", "report.css"))])),  # noqa: S704
            report=report,
            session=session,
            live=False,
            interrupted=session.state is SessionState.INTERRUPTED,
            reason=english.END_REASONS.get(session.end_reason or ""),
            summary=summary_out(report, names, expires_at=None),
            view=view,
            strip=_strip(report, names, ident="strip", width=WIDTH_PX),
            narrow_strip=_strip(report, names, ident="narrow", width=NARROW_PX, gutter=0.0),
            compares=known,
            counted=counted(session.counters),
            measured=measured(session.model, session.model_version),
            written_at=written_at or datetime.now(UTC),
        )
    )


def _strip(report: SessionReport, names: dict[int, str], *, ident: str, **size: float) -> Markup:
    """The strip with the numbers of the moments that the page lists. `size`: see `geometry.strip`."""
    moments = tuple(
        MomentRecord(at_s=one.at_s, kind=one.kind, participant_id=one.participant_id, text=one.text)
        for one in key_moments(report)
    )
    laid = geometry.strip(replace(report, moments=moments), names, **size)
    title = "How each speaker sounded over time. The table below has the same figures."
    window_px = WINDOW_S * laid.plot_width / (laid.to_s - laid.from_s)
    bands = bands_of(report, laid, ident=ident) if window_px < CELL_PX else None
    return svg.strip_svg(laid, ident=ident, title=title, css_class="strip-picture", bands=bands)


def _names(report: SessionReport) -> dict[int, str]:
    return {person.participant.id: person.participant.pseudonym for person in report.participants}


def _sheet(name: str) -> str:
    return (STATIC / name).read_text(encoding="utf-8")
