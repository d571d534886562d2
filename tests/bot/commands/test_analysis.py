"""What is fetched, and what is said of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import discord
import numpy as np
import pytest

from bot.commands.analysis import MAX_BYTES, Analyst
from bot.commands.answers import MAX_STRETCHES, Outcome, analysis_card, list_card, picture_of
from bot.errors import NotPossible
from bot.settings import load_settings
from bot.texts import english as texts
from bot.texts import of
from ser_engine.analysis import Analysis
from ser_engine.errors import AudioTooLarge
from ser_engine.types import SAMPLE_RATE_HZ, Prediction, Window
from tests.fakes.backend import FakeBackend, prediction

pytestmark = pytest.mark.unit


def attachment(url: str, *, size: int = 10, name: str = "a.ogg", kind: str | None = None) -> discord.Attachment:
    data: Any = {"id": 1, "size": size, "url": url, "proxy_url": url, "filename": name}
    if kind is not None:
        data["content_type"] = kind
    state: Any = SimpleNamespace(http=None)  # nothing here may fetch
    return discord.Attachment(data=data, state=state)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/a.ogg",
        "http://127.0.0.1/a.ogg",
        "https://cdn.discordapp.com.example.org/a.ogg",
        "https://cdn.discordapp.com@example.org/a.ogg",
        "file:///etc/passwd",
    ],
)
async def test_only_discords_own_hosts_are_fetched_from(url: str) -> None:
    analyst = Analyst(FakeBackend(), load_settings(env_file=None, discord_api_base="https://discord.com/api/v10"))
    with pytest.raises(NotPossible, match="Discord itself"):
        await analyst.analyse(attachment(url))


async def test_a_large_file_is_refused_before_it_is_fetched() -> None:
    analyst = Analyst(FakeBackend(), load_settings(env_file=None, discord_api_base="https://discord.com/api/v10"))
    with pytest.raises(AudioTooLarge):
        await analyst.analyse(attachment("https://cdn.discordapp.com/a.ogg", size=MAX_BYTES + 1))


def analysis(*said: Prediction, summary: Prediction) -> Analysis:
    pcm = np.zeros(3 * SAMPLE_RATE_HZ, dtype=np.float32)
    windows = [
        Window(speaker="file", start_s=3.0 * at, pcm=pcm, speech_ratio=0.9, gap_ratio=0.0) for at in range(len(said))
    ]
    return Analysis(windows=tuple(zip(windows, said, strict=True)), summary=summary)


def test_stretches_that_sound_alike_are_one_line() -> None:
    unsure = prediction("Angry", 0.3, reason="unsure")
    unsure_too = prediction("Sad", 0.3, reason="unsure")
    happy = prediction("Happy", 0.8)
    card = analysis_card(analysis(happy, happy, unsure, unsure_too, happy, summary=happy), texts, model="m")
    over_time = dict(card.fields)[texts.OVER_TIME_TITLE].splitlines()
    assert over_time == ["`0:00`–`0:06` 😊 happy", "`0:06`–`0:12` ❔ unclear", "`0:12`–`0:15` 😊 happy"]


def test_an_unclear_sum_says_so_and_what_is_likeliest() -> None:
    unsure = prediction("Sad", 0.35, reason="unsure")
    card = analysis_card(analysis(unsure, summary=unsure), texts, model="m")
    assert "unclear" in card.text
    assert "sounds sad (35 %)" in card.text
    assert texts.OVER_TIME_TITLE not in dict(card.fields)


def test_ten_minutes_of_changes_fit_an_embed() -> None:
    said = [prediction(("Happy", "Sad")[at % 2], 0.8) for at in range(200)]
    over_time = dict(analysis_card(analysis(*said, summary=said[0]), texts, model="m").fields)[texts.OVER_TIME_TITLE]
    assert len(over_time) <= 1024
    assert over_time.splitlines()[-1] == texts("AND_MORE", n=200 - MAX_STRETCHES)


def test_the_picture_speaks_the_language_of_the_answer() -> None:
    happy = prediction("Happy", 0.8)
    english, german = (picture_of(analysis(happy, summary=happy), "a.wav", of(language)) for language in ("en", "de"))
    assert english is not None
    assert english != german


def test_ten_files_with_long_names_fit_an_embed_and_name_nobody() -> None:
    happy = analysis(prediction("Happy", 0.8), summary=prediction("Happy", 0.8))
    names = ["_" * 250 + ".wav", "www.example.org_<@1>.wav", *(f"{number}.wav" for number in range(8))]
    card = list_card([Outcome(name, happy) for name in names], texts, model="m")
    assert len(card.text) <= 4096
    assert "<@1>" not in card.text
    assert "9. 6.wav: " in card.text
    assert len(list_card([Outcome("_" * 250, happy)] * 10, texts, model="m").text) <= 4096
