"""What one door takes all doors take, with one answer; what one refuses all refuse, in one sentence.

The table of recordings goes through the library, the command line, `POST /predict` and what Discord's commands, its
context menu and private messages share. A model made in milliseconds answers in all of them.
"""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import discord
import numpy as np
import pytest
from aiohttp.test_utils import TestClient
from click.testing import CliRunner

from bot.cli.analyze import analyze
from bot.commands.analysis import Analyst
from bot.settings import load_settings
from bot.web.limits import RateLimiter
from ser_engine.analysis import analyse
from ser_engine.audio import windows_of
from ser_engine.backends.inline import InlineBackend
from ser_engine.errors import AudioError
from ser_engine.types import Pcm
from tests.bot.web.conftest import MakeClient
from tests.fakes.model import make_model
from tests.fakes.recordings import Recording, Refusal, content, voice
from tests.fakes.recordings_table import LIST, REFUSED, TAKEN, written

pytestmark = pytest.mark.integration

CASES = Path(__file__).parents[2] / "ser_engine" / "cases"
"""Recordings of public bug reports; what each sounds like is tested beside them."""
UNLIMITED = ("too_large", "too_long")
"""What the command line takes, because it is the person's own machine."""

Answer = dict[str, float] | str
"""Probabilities, or the sentence of a refusal."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
async def backend(model: Path) -> AsyncIterator[InlineBackend]:
    made = InlineBackend(model)
    await made.start()
    yield made
    await made.close()


def likeness(pcm: Pcm) -> float:
    """The best correlation of a window with the voice, wherever it begins."""
    size = 1 << 17
    window, whole = np.fft.rfft(pcm, size), np.fft.rfft(voice(), size)
    best = float(np.fft.irfft(window * np.conj(whole), size).max())
    return best / float(np.linalg.norm(pcm) * np.linalg.norm(voice()) + 1e-9)


def reported() -> tuple[Recording, ...]:
    return tuple(
        Recording(container="", codec="", oddity=path.stem, name=path.name, make=path.read_bytes)
        for path in sorted(CASES.iterdir())
        if path.suffix != ".md"
    )


def test_the_table_is_long_enough() -> None:
    assert len(TAKEN) >= 80
    assert len({row.title for row in TAKEN}) == len(TAKEN)


@pytest.mark.parametrize("row", TAKEN, ids=lambda row: row.title)
def test_the_voice_is_heard_in_it(row: Recording) -> None:
    windows = list(windows_of(content(row), filename=row.name))
    assert len(windows) == row.windows
    assert max(likeness(window.pcm) for window in windows[:5]) > row.alike


ROWS: tuple[Recording | Refusal, ...] = (*TAKEN, *reported(), *REFUSED)
A_TIME = 16


@pytest.mark.parametrize("first", range(0, len(ROWS), A_TIME))
async def test_every_door_gives_the_same_answer(
    model: Path, backend: InlineBackend, make_client: MakeClient, tmp_path: Path, first: int
) -> None:
    rows = ROWS[first : first + A_TIME]
    client = await make_client(backend=backend, rate=RateLimiter(burst=1_000))
    from_command_line = on_the_command_line(rows, model, tmp_path)
    analyst = Analyst(backend, load_settings(env_file=None))
    for k, row in enumerate(rows):
        library = await in_the_library(row, backend)
        if not (isinstance(row, Refusal) and row.key in UNLIMITED):
            assert from_command_line[k] == approximately(library), row
        assert await in_discord(row, analyst) == approximately(library), row
        assert await uploaded(row, client) == approximately(library), row
        if isinstance(row, Refusal):
            assert isinstance(library, str), row
            assert library.endswith("."), row
        else:
            assert not isinstance(library, str), (row.title, library)


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: row.what)
async def test_the_refusal_names_the_true_reason(row: Refusal, backend: InlineBackend) -> None:
    with pytest.raises(AudioError) as refused:
        await analyse(backend, content(row), filename=row.name)
    assert refused.value.key == row.key
    assert refused.value.code != "audio_error"


def approximately(answer: Answer) -> Any:
    return answer if isinstance(answer, str) else pytest.approx(answer, abs=1e-3)


async def in_the_library(row: Recording | Refusal, backend: InlineBackend) -> Answer:
    try:
        return dict((await analyse(backend, content(row), filename=row.name)).summary.probabilities)
    except AudioError as error:
        return str(error)


async def in_discord(row: Recording | Refusal, analyst: Analyst) -> Answer:
    try:
        return dict((await analyst.analyse(attachment_of(row))).summary.probabilities)
    except AudioError as error:
        return str(error)


def attachment_of(row: Recording | Refusal) -> discord.Attachment:
    async def from_cdn(_: str) -> bytes:
        return content(row)

    url = "https://cdn.discordapp.com/attachments/1/2/file"
    data: Any = {"id": 1, "size": len(content(row)), "url": url, "proxy_url": url, "filename": row.name}
    state: Any = SimpleNamespace(http=SimpleNamespace(get_from_cdn=from_cdn))
    return discord.Attachment(data=data, state=state)


async def uploaded(row: Recording | Refusal, client: TestClient[Any, Any]) -> Answer:
    form = aiohttp.FormData()
    form.add_field("file", io.BytesIO(content(row)), filename=row.name)
    async with client.post("/predict", data=form) as response:
        body = await response.json()
        if response.status != 200:
            assert 400 <= response.status < 500
            return str(body["error"])
        own: dict[str, float] = json.loads(response.headers["Undertone-Prediction"])["probabilities"]
        return own


def on_the_command_line(rows: tuple[Recording | Refusal, ...], model: Path, folder: Path) -> list[Answer]:
    paths = []
    for k, row in enumerate(rows):
        (folder / str(k)).mkdir()
        paths.append(folder / str(k) / row.name)
        paths[-1].write_bytes(content(row))
    result = CliRunner().invoke(analyze, [*map(str, paths), "--model", str(model), "--json"])
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [Path(answer["file"]) for answer in answers] == paths
    return [answer["error"] if "error" in answer else answer["summary"]["probabilities"] for answer in answers]


def test_the_documents_list_what_the_table_holds() -> None:
    assert LIST.read_text(encoding="utf-8") == written(), "run: python -m tests.fakes.recordings_table"
