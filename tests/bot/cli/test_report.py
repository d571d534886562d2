"""`undertone report`: a stored session as JSON, or as one HTML file that fetches nothing."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from alembic import command
from click.testing import CliRunner, Result

from bot.cli.db import db
from bot.cli.report import report
from bot.pictures.palette import tone
from bot.report import MARKED
from bot.web import export
from bot.web.schema import ReportOut
from lab.seed import MINUTE, TWENTY, add
from storage import SessionReport, Storage
from storage.looking import look_at
from tests.storage.conftest import move

pytestmark = pytest.mark.integration

KEY = bytes(range(32))


@pytest.fixture
def session_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = f"sqlite:///{tmp_path / 'undertone.db'}"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("UNDERTONE_SECRET_KEY", KEY.hex())

    async def stored() -> str:
        storage = await Storage.open(url, key=KEY)
        try:
            return await add(storage, url, MINUTE)
        finally:
            await storage.close()

    return asyncio.run(stored())


def run(*words: str) -> Result:
    result = CliRunner().invoke(report, list(words))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


class Page(HTMLParser):
    """Every address that a page names, and the rows of its tables."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.opened: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "action", "srcset", "data")]


def test_json_is_what_the_interface_gives(session_id: str) -> None:
    result = run(session_id, "--json")
    assert result.exit_code == 0
    found = ReportOut.model_validate_json(result.stdout)
    assert found.id == session_id
    assert len(found.windows) == found.totals.windows > 10
    assert {person.name for person in found.participants} == {person.pseudonym for person in found.participants}
    assert sum(json.loads(result.stdout)["windows"][0]["probabilities"].values()) == pytest.approx(1, abs=0.01)


def test_the_page_is_whole_in_one_file(session_id: str, tmp_path: Path) -> None:
    found = ReportOut.model_validate_json(run(session_id, "--json").stdout)
    file = tmp_path / "report.html"
    assert run(session_id, "--html", str(file)).exit_code == 0
    text = file.read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    assert page.addresses == []
    assert "script" not in page.tags
    assert "default-src 'none'" in text
    assert not re.search(r"url\((?!\"?#)", text), "the style fetches something"
    assert page.tags.count("svg") >= 2 + len(found.participants)
    named = re.findall(r' id="([^"]*)"', text)
    assert len(named) == len({*named}), "two things of the page have one name"
    assert page.tags.count("tr") >= len(found.windows)
    for person in found.participants:
        assert person.pseudonym in text
    assert "How it was made" in text
    figures = dict(re.findall(r'data-figure="(\w+)">([^<]*)<', text))
    assert list(figures) == ["talk", "overlap", "longest", "turns", "clear"]
    assert figures["clear"].endswith(f" of {len(found.windows)}")


def test_a_long_conversation_is_drawn_in_bands(tmp_path: Path) -> None:
    """A window of two hours would be a third of a pixel."""
    url = f"sqlite:///{tmp_path / 'undertone.db'}"

    async def stored() -> SessionReport | None:
        storage = await Storage.open(url, key=KEY)
        try:
            return await storage.report(await add(storage, url, TWENTY))
        finally:
            await storage.close()

    found = asyncio.run(stored())
    assert found is not None
    strip = str(export._strip(found, export._names(found), ident="strip", width=export.WIDTH_PX))
    assert strip.count('<g class="bands">') == len(found.participants)
    assert 'class="note"' not in strip
    spoken = {window.emotion for person in found.participants for window in person.windows if not window.unclear}
    for emotion in spoken:
        assert f"area {tone(emotion).css_class}" in strip
    letters = re.findall(r'<text class="letter ([\w-]+)" x="([\d.]+)" y="([\d.]+)">(\w)</text>', strip)
    assert {letter for *_, letter in letters} >= {tone("Angry").letter, tone("Neutral").letter}
    assert all(css in {tone(e).css_class for e in spoken if tone(e).letter == letter} for css, *_, letter in letters)
    heights = [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.-]+)", strip)]
    bottom = float(str(re.findall(r'viewBox="0 0 960 (\d+)"', strip)[0]))
    assert all(0 <= y <= bottom for y in heights)


def test_what_people_wrote_is_left_out_as_it_may_name_somebody(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'undertone.db'}"

    async def stored() -> SessionReport | None:
        storage = await Storage.open(url, key=KEY)
        try:
            return await storage.report(await add(storage, url, replace(MINUTE, notes=((0.5, "Ada is moved"),))))
        finally:
            await storage.close()

    found = asyncio.run(stored())
    assert found is not None
    assert any(moment.text == "Ada is moved" for moment in found.moments)
    for written in (export.as_json(found), export.as_html(found)):
        assert "Ada" not in written
        assert MARKED in written


@pytest.mark.parametrize("words", [(), ("--json", "--html", "x.html")])
def test_one_form_at_a_time(session_id: str, words: tuple[str, ...]) -> None:
    result = run(session_id, *words)
    assert result.exit_code == 2
    assert "--json, or --html FILE" in result.stderr


def test_what_is_not_there_is_said_in_words(session_id: str, tmp_path: Path) -> None:
    result = run("nothing", "--json")
    assert (result.exit_code, "There is no session nothing." in result.stderr) == (1, True)
    result = run(session_id, "--html", str(tmp_path / "nowhere" / "report.html"))
    assert (result.exit_code, "cannot be written: No such file or directory." in result.stderr) == (1, True)


def test_an_older_or_an_empty_database_stays_as_it_is(session_id: str, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'undertone.db'}"
    asyncio.run(move(url, command.downgrade, "0007"))
    result = run(session_id, "--json")
    assert (result.exit_code, "undertone backup FOLDER" in result.stderr) == (1, True)
    assert asyncio.run(look_at(url)).revision == "0007"

    (tmp_path / "undertone.db").write_bytes(b"")
    result = run(session_id, "--json")
    assert (result.exit_code, "The database is empty" in result.stderr) == (1, True)
    assert asyncio.run(look_at(url)).revision is None


def test_an_id_that_is_no_text_is_no_session(session_id: str) -> None:
    result = run(session_id + "\udcff", "--json")
    assert result.exit_code == 1
    assert "There is no session" in result.output


@pytest.mark.parametrize("key", [None, KEY.hex()])
def test_where_nothing_is_stored_that_is_said_and_nothing_is_made(
    key: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UNDERTONE_DATA_DIR", "data")
    if key is not None:
        monkeypatch.setenv("UNDERTONE_SECRET_KEY", key)
    missing = "secret.key" if key is None else "undertone.db"
    for result in (run("a-session", "--json"), CliRunner().invoke(db, ["purge"])):
        assert (result.exit_code, missing in result.output, "UNDERTONE_DATA_DIR" in result.output) == (1, True, True)
    assert list(tmp_path.iterdir()) == []
