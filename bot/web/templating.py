"""Templates, their filters, and versioned addresses of the static files."""

from __future__ import annotations

import gzip
import hashlib
import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

import jinja2
from aiohttp import web
from markupsafe import Markup

from bot.pictures import palette
from bot.pictures.times import clock, spell
from bot.web import words
from bot.web.access import Mode
from bot.web.keys import ACCESS, OPERATOR, READY, TEMPLATES

_HERE: Final = Path(__file__).parent
STATIC: Final = _HERE / "static"
_REFUSED: Final = re.compile(r"(gzip|deflate)\s*;\s*q\s*=\s*0(\.0*)?\s*(,|$)")
PACKED_LEVEL: Final = 4
"""Of zlib: a long report's columns are a twelfth larger than at its usual 6, and cost a quarter of the time."""


@cache
def environment() -> jinja2.Environment:
    """The Jinja2 environment: it escapes everything and fails on a name it does not know. Made once a process."""
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    versions = {path.name: _version(path.read_bytes()) for path in STATIC.iterdir() if path.is_file()}
    palette_version = _version(palette_css().encode())

    @jinja2.pass_context
    def static(context: jinja2.runtime.Context, name: str) -> str:
        return f"{context['base']}/static/{name}?v={versions[name]}"

    env.globals.update(
        static=static,
        palette_version=palette_version,
        words=words,
        tone=palette.tone,
        EMOTIONS=palette.EMOTIONS,
    )
    env.filters.update(clock=clock, spell=spell, percent=percent, unbroken=unbroken, when=when, day=day, hour=hour)
    return env


def warm() -> None:
    """Compile every page: the first visitor of each would wait for it, and the loop with them."""
    env = environment()
    for name in env.list_templates(extensions=["html"]):
        env.get_template(name)


def render(request: web.Request, template: str, *, status: int = 200, **context: Any) -> web.Response:
    """Render a page with what every page needs."""
    from bot.web.grants import local_path, visitor_of

    access = request.app[ACCESS]
    text = (
        request.app[TEMPLATES]
        .get_template(template)
        .render(
            base=access.base,
            path=local_path(request),
            visitor=visitor_of(request),
            can_sign_in=access.mode is Mode.SIGN_IN,
            unsaved=_unsaved(request.app),
            operator=request.app[OPERATOR],
            **context,
        )
    )
    return compressed(request, web.Response(text=text, status=status, content_type="text/html", charset="utf-8"))


def _unsaved(app: web.Application) -> bool:
    """Whether results wait because the database cannot be written now."""
    ready = app[READY]
    state = None if inspect.iscoroutinefunction(ready) else ready()
    return isinstance(state, Mapping) and not state.get("saving", True)


def compressed(request: web.Request, response: web.Response) -> web.Response:
    """Let a text go out compressed: a long report shrinks to a tenth. Big ones are compressed in a thread."""
    if takes_packed(request):
        response.enable_compression()
    return response


def takes_packed(request: web.Request) -> bool:
    """Whether nothing packed is refused (``gzip;q=0``): aiohttp only looks whether the word is there."""
    return not _REFUSED.search(request.headers.get("Accept-Encoding", "").lower())


@dataclass(frozen=True, slots=True)
class Packed:
    """A text that many will be given, compressed once."""

    plain: bytes
    small: bytes

    @classmethod
    def of(cls, text: bytes) -> Packed:
        """Takes a while for long texts, so call it in a thread."""
        return cls(text, gzip.compress(text, PACKED_LEVEL, mtime=0))

    def response(self, request: web.Request, *, content_type: str) -> web.Response:
        if "gzip" not in request.headers.get("Accept-Encoding", "").lower() or not takes_packed(request):
            return web.Response(body=self.plain, content_type=content_type, charset="utf-8")
        headers = {"Content-Encoding": "gzip"}
        return web.Response(body=self.small, content_type=content_type, charset="utf-8", headers=headers)


def redirect(location: str) -> web.Response:
    """303: go there, with GET."""
    return web.Response(status=303, headers={"Location": location})


def percent(share: float) -> str:
    return f"{round(share * 100)} %"


def unbroken(sentence: str) -> str:
    """The sentence with each figure and its % kept in one line; `speakers.js` does the same."""
    return sentence.replace(" %", "\u00a0%")


def when(moment: datetime) -> Markup:
    """A time in UTC that a small script turns into the reader's own zone."""
    utc = moment.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(  # a constant; format() escapes
        utc.isoformat(timespec="seconds"), f"{utc:%A} {utc.day} {utc:%B %Y, %H:%M} UTC"
    )


def day(moment: datetime) -> str:
    utc = moment.astimezone(UTC)
    return f"{utc:%A} {utc.day} {utc:%B %Y}"


def hour(moment: datetime) -> Markup:
    """The time of day, likewise."""
    utc = moment.astimezone(UTC)
    return Markup('<time datetime="{}" data-show="clock">{}</time>').format(
        utc.isoformat(timespec="seconds"), f"{utc:%H:%M} UTC"
    )


def palette_css() -> str:
    """The palette as custom properties, so that pictures and pages share one table. Print is always light."""
    dark = _rules("dark", palette.DARK)
    steps = "\n".join(
        f".s{n} {{ --note: var(--note-{n}); --strength: {strength}; }}"
        for n, strength in enumerate(palette.STRENGTHS, 1)
    )
    light = _rules("light", palette.LIGHT)
    return f"{light}\n{steps}\n@media screen and (prefers-color-scheme: dark) {{\n{dark}\n}}\n"


def _rules(theme: str, surface: palette.Theme) -> str:
    tones = {tone.css_class: getattr(tone, theme) for tone in (*palette.EMOTIONS, palette.tone(None))}
    tones[palette.OTHER_CLASS] = tones["e-neutral"]
    return "\n".join(
        [
            f":root {{ --surface: {surface.surface}; --track: {surface.track}; --line: {surface.line}; "
            f"--text: {surface.text}; --muted: {surface.muted}; }}",
            *(
                f".{name} {{ --fill: {colours.fill}; --ink: {colours.ink}; {_notes(surface, colours)} }}"
                for name, colours in tones.items()
            ),
        ]
    )


def _notes(surface: palette.Theme, colours: palette.Colours) -> str:
    """What is drawn upon the fill, at each of its strengths; a letter stands on the full one."""
    fills = [palette.blend(surface.track, colours.fill, strength) for strength in palette.STRENGTHS]
    marks = [palette.mark_on(fill) for fill in fills]
    return " ".join(f"--note-{n}: {mark};" for n, mark in enumerate(marks, 1)) + f" --letter: {marks[-1]};"


def _version(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:10]
