"""The pictures of `undertone evaluate`, as SVG written by hand: reliability, risk against coverage, confusion.

They carry their own numbers as text, so they read without colour and in print, light or dark.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

_SIZE: Final = 360
_LEFT, _TOP, _RIGHT, _BOTTOM = 56, 40, 16, 52
_WIDE: Final = _SIZE - _LEFT - _RIGHT
_HIGH: Final = _SIZE - _TOP - _BOTTOM
_COLOURS: Final = ("#3b6fb6", "#b5532a", "#2f8f6b", "#7b5aa6", "#8a6d1f", "#a0356e")
_DASHES: Final = ("none", "6 3", "2 3", "8 3 2 3", "1 2", "10 4")
_STYLE: Final = (
    "text{font:12px system-ui,sans-serif;fill:#1b1b1f}.s{font-size:11px}.h{font-weight:600;font-size:13px}"
    ".g{stroke:#c9c9d1}.a{stroke:#55555f}"
)


def pictures(report: Mapping[str, Any]) -> dict[str, str]:
    """The pictures of `report` (see `report.build`), by the names of their files."""
    first = report["conditions"][0]
    made: dict[str, str] = {}
    for set_name in ("four", "five", "all"):
        curves = {}
        for model, found in report["models"].items():
            entry = found["conditions"][first].get(set_name)
            if entry is None:
                continue
            made[f"{model}-{set_name}-reliability.svg"] = reliability(entry, f"{model}, {len(entry['labels'])} labels")
            made[f"{model}-{set_name}-confusion.svg"] = confusion(entry, f"{model}, {first}")
            curves[model] = entry["risk_coverage"]
        if curves:
            made[f"{set_name}-risk-coverage.svg"] = risk_coverage(curves, f"{first}, over {set_name} labels")
    return made


def reliability(entry: Mapping[str, Any], title: str) -> str:
    """How often an answer is right, against the confidence stated; the diagonal is honesty."""
    parts = [_axes(title, "stated confidence", "share that is right"), _line([(0, 0), (1, 1)], "#8d8d99", "4 4")]
    for one in entry["reliability"]:
        x, y = _x(one["low"]) + 1, _y(one["accuracy"])
        width = _x(one["high"]) - _x(one["low"]) - 2
        parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{_y(0) - y:.1f}" fill="{_COLOURS[0]}" '
            f'opacity="0.75"/><text class="s" x="{x + width / 2:.1f}" y="{y - 4:.1f}" text-anchor="middle">'
            f"{one['count']}</text>"
        )
    parts.append(f'<text x="{_x(0.04):.1f}" y="{_y(0.94):.1f}">ECE {entry["ece"]:.3f}</text>')
    return _svg(parts, title)


def risk_coverage(curves: Mapping[str, Sequence[Mapping[str, float]]], title: str) -> str:
    """How often the most confident answers are right, against how many are given."""
    parts = [_axes(title, "share of answers given", "share that is right")]
    for k, (model, points) in enumerate(curves.items()):
        colour, dash = _COLOURS[k % len(_COLOURS)], _DASHES[k % len(_DASHES)]
        parts.append(_line([(p["coverage"], p["accuracy"]) for p in points], colour, dash))
        y = _y(0.08) - 16 * (len(curves) - 1 - k)
        parts.append(
            f'<line x1="{_x(0.05):.1f}" x2="{_x(0.15):.1f}" y1="{y - 4:.1f}" y2="{y - 4:.1f}" stroke="{colour}" '
            f'stroke-width="2" stroke-dasharray="{dash}"/><text x="{_x(0.18):.1f}" y="{y:.1f}">{escape(model)}</text>'
        )
    return _svg(parts, title)


def confusion(entry: Mapping[str, Any], title: str) -> str:
    """What was meant (rows) against what was heard (columns): shares of each row."""
    labels = entry["labels"]
    cell_w, cell_h = _WIDE / len(labels), _HIGH / len(labels)
    parts = [f'<text class="h" x="{_LEFT}" y="20">{escape(title)}</text>']
    for i, (label, row) in enumerate(zip(labels, entry["confusion"], strict=True)):
        y = _TOP + i * cell_h
        parts.append(f'<text class="s" x="{_LEFT - 6}" y="{y + cell_h / 2 + 4:.1f}" text-anchor="end">{label}</text>')
        parts.append(
            f'<text class="s" x="{_LEFT + (i + 0.5) * cell_w:.1f}" y="{_TOP + _HIGH + 16}" text-anchor="middle">'
            f"{label}</text>"
        )
        for j, count in enumerate(row):
            share = count / max(sum(row), 1)
            ink = "#ffffff" if share > 0.55 else "#1b1b1f"
            parts.append(
                f'<rect x="{_LEFT + j * cell_w:.1f}" y="{y:.1f}" width="{cell_w - 2:.1f}" height="{cell_h - 2:.1f}" '
                f'fill="{_COLOURS[0]}" fill-opacity="{share:.3f}" stroke="#c9c9d1"/>'
                f'<text x="{_LEFT + (j + 0.5) * cell_w:.1f}" y="{y + cell_h / 2 + 4:.1f}" text-anchor="middle" '
                f'style="fill:{ink}">{100 * share:.0f} %</text>'
            )
    parts.append(f'<text x="{_LEFT + _WIDE / 2:.1f}" y="{_SIZE - 12}" text-anchor="middle">called (rows: meant)</text>')
    return _svg(parts, title)


def _axes(title: str, across: str, up: str) -> str:
    parts = [f'<text class="h" x="{_LEFT}" y="20">{escape(title)}</text>']
    for tenth in range(0, 11, 2):
        share = tenth / 10
        x, y = _x(share), _y(share)
        parts.append(
            f'<line class="g" x1="{_LEFT}" x2="{_LEFT + _WIDE}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="s" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tenth * 10} %</text>'
            f'<text class="s" x="{x:.1f}" y="{_TOP + _HIGH + 16}" text-anchor="middle">{tenth * 10} %</text>'
        )
    parts.append(f'<text x="{_LEFT + _WIDE / 2:.1f}" y="{_SIZE - 12}" text-anchor="middle">{escape(across)}</text>')
    parts.append(f'<text class="s" x="{_LEFT}" y="{_TOP - 6}">{escape(up)}</text>')
    return "".join(parts)


def _x(share: float) -> float:
    return _LEFT + share * _WIDE


def _y(share: float) -> float:
    return _TOP + (1 - share) * _HIGH


def _line(points: Sequence[tuple[float, float]], colour: str, dash: str) -> str:
    path = " ".join(f"{_x(x):.1f},{_y(y):.1f}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"/>'


def _svg(parts: Sequence[str], title: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_SIZE} {_SIZE}" width="{_SIZE}" height="{_SIZE}" '
        f'role="img" aria-label="{escape(title)}"><style>{_STYLE}</style>'
        f'<rect width="{_SIZE}" height="{_SIZE}" fill="#ffffff"/>{"".join(parts)}</svg>\n'
    )
