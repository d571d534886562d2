"""The pages: readable without JavaScript, true to the report, safe whatever people call themselves."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from bot.web import templating, words
from ser_engine.models import find_model, load_manifest
from storage import MomentRecord, SessionRecord, SessionState, Storage
from storage.errors import StorageUnavailable
from tests.bot.web.conftest import ALICE, BOB, KEY, MakeClient
from tests.fakes.databases import lay_tables
from tests.fakes.names import FakeNames
from tests.fakes.records import new_session, window

pytestmark = pytest.mark.integration

Client = TestClient[Any, Any]
ROOT = Path(__file__).parents[3]
EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


class _Page(HTMLParser):
    """What a browser without JavaScript shows, and what a page loads and runs."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._hidden = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._hidden += tag in ("script", "style", "title")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("script", "style", "title")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))


async def _page(client: Client, path: str, status: int = 200) -> _Page:
    async with client.get(path) as response:
        text = await response.text()
        assert response.status == status, text
        assert response.content_type == "text/html"
    return _Page(text)


async def test_the_list_names_each_session(client: Client, session: SessionRecord) -> None:
    page = await _page(client, "/")
    assert "Story night" in page.text
    assert "in The Speaking Room" in page.text
    assert "Alice, Bob" in page.text
    assert ("a", {"class": "session", "href": f"/sessions/{session.id}"}) in page.tags


async def test_an_empty_list_says_what_to_do(client: Client) -> None:
    assert "/listen start" in (await _page(client, "/")).text


async def test_the_report_shows_the_reports_figures(client: Client, storage: Storage, session: SessionRecord) -> None:
    report = await storage.report(session.id)
    assert report is not None
    page = await _page(client, f"/sessions/{session.id}")
    assert "3 of 4" in page.text
    assert f"{round(report.overlap_s)} s" in page.text
    for person in report.participants:
        assert f"{round(person.talk_s)} s" in page.text
        assert f"{round(person.unclear_share * 100)} %" in page.text
        for share in person.shares.values():
            assert f"{round(share * 100)} %" in page.text
    for shown in ("0:00–0:03", "0:10–0:13", "sounds angry", "unclear: unsure", "80 %"):
        assert shown in page.text


async def test_it_counts_the_marks_for_which_it_has_no_room(
    client: Client, storage: Storage, session: SessionRecord
) -> None:
    for number in range(8):
        mark = MomentRecord(at_s=float(number), kind="mark", participant_id=None, text=f"note {number}")
        await storage.add_moment(session.id, mark)
    page = await _page(client, f"/sessions/{session.id}")
    assert "1 more mark was made by hand; all of them are in the CSV file of moments." in page.text


async def test_the_words_are_about_sound(client: Client, session: SessionRecord) -> None:
    text = (await _page(client, f"/sessions/{session.id}")).text.lower()
    assert "never how a person feels" in text
    assert not re.search(r"\b(is|was|are) (angry|happy|sad|disgusted)\b", text)


async def test_every_picture_has_a_name_and_a_table(client: Client, session: SessionRecord) -> None:
    page = await _page(client, f"/sessions/{session.id}")
    pictures = [attrs for tag, attrs in page.tags if tag == "svg" and attrs.get("role") == "img"]
    assert len(pictures) == 2  # a bar for each speaker; the rest is drawn in the browser
    assert all(attrs.get("aria-labelledby") for attrs in pictures)
    assert sum(tag == "table" for tag, _ in page.tags) == 4  # talk, shares, windows, counts


async def test_it_says_first_how_it_sounded(client: Client, session: SessionRecord) -> None:
    page = await _page(client, f"/sessions/{session.id}")
    found = [page.text.index(words) for words in ("of the speech was unclear", "no audio was stored", "Every window")]
    assert found == sorted(found)


async def test_a_figure_and_its_percent_sign_stay_in_one_line(client: Client, session: SessionRecord) -> None:
    async with client.get(f"/sessions/{session.id}") as response:
        assert "\u00a0% of the speech was unclear." in await response.text()


async def test_the_models_own_figures_stand_beside_the_method(client: Client, storage: Storage) -> None:
    manifest = load_manifest(find_model("default"))
    for version, shown in ((manifest.version, True), ("0" * 12, False)):  # another network of that name proves nothing
        new = new_session(model="default", model_version=version, labels=manifest.labels)
        record = await storage.start_session(new)
        text = (await _page(client, f"/sessions/{record.id}")).text
        found = manifest.evaluation["conditions"]["clean"]["five"]
        assert ("Measured on" in text) is shown
        assert (f"(UAR){round(100 * found['uar'])} %" in text) is shown
        assert "another corpus" in text


async def test_it_says_whose_voice_is_still_new(client: Client, storage: Storage) -> None:
    manifest = load_manifest(find_model("default"))
    for version, known in ((manifest.version, True), ("0" * 12, False)):  # who compares is known of this network only
        new = new_session(model="default", model_version=version, labels=manifest.labels)
        record = await storage.start_session(new)
        for user, count in ((ALICE, 3), (BOB, 4)):
            person = await storage.include_participant(record.id, user)
            await storage.add_windows(record.id, [window(person.id, 3.0 * k) for k in range(count)])
            not_taken = [
                window(person.id, 30.0, engine="fast"),
                window(person.id, 33.0, unclear=True, reason="clipped"),
            ]
            await storage.add_windows(record.id, not_taken)
        page = await _page(client, f"/sessions/{record.id}")
        assert page.text.count(words.STILL_NEW) == known  # four windows are enough
        await storage.end_session(record.id, state=SessionState.ENDED, reason="stopped", counters={})
        page = await _page(client, f"/sessions/{record.id}")
        assert page.text.count(words.STAYED_NEW) == known, "nobody gets to know a voice any more"
        assert "2 of 11 windows came faster than it could answer: fast answered them" in page.text
        assert words.STILL_NEW not in page.text


def test_what_is_said_of_other_voices_is_what_the_model_card_says() -> None:
    card = " ".join((ROOT / "model" / "MODEL_CARD.md").read_text().split())
    elsewhere, here, chance = (f"0.{percent}" for percent in re.findall(r"(\d\d)\u00a0%", words.ELSEWHERE))
    assert f"reached a UAR of {elsewhere} (`default`)" in card
    assert f"where they reached {here} and" in card
    assert f"{chance} over five" in card


async def test_what_was_lost_and_why_it_ended_is_told(client: Client, session: SessionRecord, storage: Storage) -> None:
    page = await _page(client, f"/sessions/{session.id}")
    assert re.search(r"Lost on the network ?3 packets", page.text)
    assert "Cut short" not in page.text
    other = await storage.start_session(new_session(labels=("Angry",)))
    await storage.end_session(other.id, state=SessionState.INTERRUPTED, reason="voice_failed", counters={})
    assert "Cut short: the voice connection was lost" in (await _page(client, f"/sessions/{other.id}")).text


async def test_who_said_nothing_has_no_figures_of_how_it_sounded(
    client: Client, session: SessionRecord, storage: Storage
) -> None:
    await storage.include_participant(session.id, BOB + 1)
    page = await _page(client, f"/sessions/{session.id}")
    assert re.search(r"did not speak long enough\s*0 s\s*0\s*0 s\s*–", page.text)
    assert page.text.count("–") > len(session.labels), "there are no shares of nothing"


async def test_an_empty_report_says_so_once(client: Client, storage: Storage) -> None:
    record = await storage.start_session(new_session())
    page = await _page(client, "/")
    assert "nobody is included yet" in page.text
    await storage.end_session(record.id, state=SessionState.INTERRUPTED, reason="process_ended", counters={})
    page = await _page(client, f"/sessions/{record.id}")
    assert page.text.count("Nobody chose to be included.") == 1
    assert "spoke long enough" not in page.text
    assert "was heard until then" not in page.text


async def test_what_was_counted_is_said_in_words(client: Client, storage: Storage) -> None:
    record = await storage.start_session(new_session())
    counters = {"dropped_withdrawn": 12_345, "windows_too_short": 1, "people_not_included": 2, "lost": 0}
    await storage.end_session(record.id, state=SessionState.ENDED, reason="stopped", counters=counters)
    text = (await _page(client, f"/sessions/{record.id}")).text
    assert re.search(r"Left out: somebody chose Leave me out ?12,345 packets", text)
    assert re.search(r"Too short to say anything ?1 window ", text)
    assert re.search(r"People not included ?2", text)
    assert "Lost" not in text


async def test_a_refusal_leads_somewhere_else(
    client: Client, make_client: MakeClient, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link to the list below a refused list, or below a link that is of no use, would end in a refusal again."""

    def ways(page: _Page) -> list[str | None]:
        inside = page.tags[[tag for tag, _ in page.tags].index("main") :]
        return [attrs.get("href") for tag, attrs in inside if tag == "a"]

    shut = await make_client(access={"open_to_all": False, "entry_key": "key"})
    for path in ("/", "/sessions/none"):
        assert ways(await _page(shut, path, 403)) == ["/about"]
    assert "UNDERTONE_<wbr>OAUTH_<wbr>CLIENT_<wbr>ID" in await (await shut.get("/")).text()
    assert ways(await _page(client, "/s/none", 404)) == ["/about"]
    assert ways(await _page(client, "/sessions/none", 404)) == ["/"]
    assert ways(await _page(client, "/?before=2020-01-01T00:00:00Z")) == ["/sessions"]

    async def away(*_: object, **__: object) -> None:
        raise StorageUnavailable("away")

    monkeypatch.setattr(storage, "listed", away)
    page = await _page(client, "/sessions", 503)
    assert "try again in a minute" in page.text
    assert ways(page) == ["/sessions"]


async def test_ids_are_unique(client: Client, session: SessionRecord) -> None:
    page = await _page(client, f"/sessions/{session.id}")
    ids = [attrs["id"] for _, attrs in page.tags if attrs.get("id")]
    assert len(ids) == len(set(ids))


async def test_names_cannot_become_markup(
    client: Client, session: SessionRecord, storage: Storage, names: FakeNames
) -> None:
    names.people[ALICE] = names.people[BOB] = EVIL
    names.channels[20] = names.guilds[10] = EVIL
    await storage.add_moment(session.id, MomentRecord(at_s=1.0, kind="mark", participant_id=None, text=EVIL))
    _, token = await storage.create_share(session.id, lifetime=timedelta(hours=1))
    for path in ("/", f"/sessions/{session.id}", f"/s/{token}"):
        page = await _page(client, path)
        assert all((attrs["src"] or "").startswith("/sessions/") for tag, attrs in page.tags if tag == "img")
        assert all((attrs.get("src") or "").startswith("/static/") for tag, attrs in page.tags if tag == "script")
        assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)


async def test_a_running_session_says_so_and_a_cut_one_too(
    client: Client, live_session: SessionRecord, storage: Storage
) -> None:
    page = await _page(client, f"/sessions/{live_session.id}")
    assert any(tag == "script" and "report.js" in (attrs["src"] or "") for tag, attrs in page.tags)
    assert "Latest" in page.text
    assert any(attrs.get("id") == "live-state" for _, attrs in page.tags)
    await storage.end_session(live_session.id, state=SessionState.INTERRUPTED, reason="interrupted", counters={})
    page = await _page(client, f"/sessions/{live_session.id}")
    assert not any(attrs.get("id") == "live-state" for _, attrs in page.tags)
    assert "interrupted" in page.text


async def test_a_session_in_which_nobody_spoke(client: Client, storage: Storage) -> None:
    empty = await storage.start_session(new_session())
    page = await _page(client, f"/sessions/{empty.id}")
    assert "Nothing to show yet" in page.text
    assert "Voice channel" in page.text


async def test_labels_of_another_model_can_be_told_apart(client: Client, storage: Storage) -> None:
    record = await storage.start_session(new_session(labels=("Calm", "Bored")))
    person = await storage.include_participant(record.id, 7)
    said = {"Calm": 0.9, "Bored": 0.1}
    await storage.add_windows(record.id, [window(person.id, 0.0, emotion="Calm", probabilities=said)])
    async with client.get(f"/sessions/{record.id}") as response:
        text = await response.text()
    ids = [attrs["id"] for _, attrs in _Page(text).tags if attrs.get("id")]
    assert len(ids) == len(set(ids))
    legend = text[text.index('class="legend"') :]
    assert re.findall(r'class="letter e-other"[^>]*>(\w)<', legend[: legend.index("</ul>")]) == ["C", "B"]


async def test_the_table_of_a_long_session_has_pages_and_the_page_stays_small(client: Client, storage: Storage) -> None:
    record = await storage.start_session(new_session())
    person = await storage.include_participant(record.id, 7)
    probabilities = {"Angry": 0.3, "Fear": 0.7}
    await storage.add_windows(
        record.id,
        [window(person.id, 3.0 * n, emotion="Fear", confidence=0.7, probabilities=probabilities) for n in range(7000)],
    )
    async with client.get(f"/sessions/{record.id}") as response:
        text = await response.text()
    page = _Page(text)
    assert len(text) < 100_000
    assert len(page.tags) < 2_000
    assert "sounds fear" in text
    assert "Windows 1 to 100 of 7000" in page.text
    later = next(attrs["href"] for tag, attrs in page.tags if tag == "a" and attrs.get("rel") == "next")
    part = await _page(client, later or "")
    assert "Windows 101 to 200 of 7000" in part.text
    assert "5:00–5:03" in part.text
    earlier = next(attrs["href"] for tag, attrs in part.tags if tag == "a" and attrs.get("rel") == "prev")
    assert "Windows 1 to 100 of 7000" in (await _page(client, earlier or "")).text
    assert "Windows 6901 to 7000 of 7000" in (await _page(client, f"/sessions/{record.id}?from={3 * 6900}")).text


@pytest.mark.parametrize("query", ["from=x", "from=-1", "from=nan", "from=1e99"])
async def test_a_choice_that_makes_no_sense(client: Client, session: SessionRecord, query: str) -> None:
    page = await _page(client, f"/sessions/{session.id}?{query}", 400)
    assert "must be" in page.text


@pytest.mark.parametrize("query", ["from=100000", "to=x&speaker=9"])
async def test_a_time_outside_the_session_begins_anew(client: Client, session: SessionRecord, query: str) -> None:
    assert "sounds angry" in (await _page(client, f"/sessions/{session.id}?{query}")).text


async def test_an_address_that_is_none(client: Client) -> None:
    assert "no page at this address" in (await _page(client, "/nothing", 404)).text
    assert "no such session" in (await _page(client, "/sessions/nothing", 404)).text
    assert "expired" in (await _page(client, "/s/nothing", 404)).text


async def test_it_is_told_how_long_results_are_kept_here(tmp_path: Path, make_client: MakeClient) -> None:
    lay_tables(tmp_path / "other.db")
    for days, said in ((30, "deleted after 30 days,"), (1, "deleted after 1 day,")):
        storage = await Storage.open(f"sqlite:///{tmp_path / 'other.db'}", key=KEY, retention_days=days)
        client = await make_client(storage=storage)
        async with client.get("/about") as response:
            assert said in await response.text()
        await storage.close()


async def test_the_microphone_page_has_the_five_components(client: Client) -> None:
    page = await _page(client, "/microphone")
    classes = {attrs.get("class") for _, attrs in page.tags}
    assert {"mic-recorder", "emotion-card", "probability-bars", "timeline", "session-stats"} <= classes
    assert "Nothing is stored" in page.text
    assert any(tag == "noscript" for tag, _ in page.tags)


async def test_no_visitor_waits_until_a_page_is_compiled(
    make_client: MakeClient, live_session: SessionRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    def warm() -> None:
        templating.warm()
        loop.call_soon_threadsafe(begun.set)

    def compiled(*_: object, **__: object) -> None:
        raise AssertionError("a page is compiled while somebody waits for it")

    monkeypatch.setattr("bot.web.app.warm", warm)
    client = await make_client()
    async with asyncio.timeout(30):
        await begun.wait()
    monkeypatch.setattr("jinja2.Environment.compile", compiled)
    for path in ("/", "/about", "/microphone", f"/sessions/{live_session.id}", "/sessions/none"):
        async with client.get(path) as response:
            assert response.status in (200, 404), path
            assert "<html" in await response.text()
