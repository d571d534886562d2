"""`undertone analyze` prints what a person and what a program reads, and its exit status tells of refused files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from bot.cli.analyze import analyze
from ser_engine import Recognizer, segment_pcm, summarise
from tests.fakes.clips import clip, clip_paths
from tests.fakes.model import LABELS, make_model

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("model") / "tiny", unclear_below=0.4)


def test_json_is_one_object_a_file_and_equals_the_engine(model: Path) -> None:
    paths = clip_paths()[:3]
    result = CliRunner().invoke(analyze, [*map(str, paths), "--model", str(model), "--json"])
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    recognizer = Recognizer.load(model)
    assert [line["file"] for line in lines] == [str(path) for path in paths]
    for line, path in zip(lines, paths, strict=True):
        windows = segment_pcm(clip(path))
        expected = recognizer.predict(windows)
        assert len(line["windows"]) == len(windows)
        for got, window, prediction in zip(line["windows"], windows, expected, strict=True):
            assert (got["start_s"], got["end_s"]) == pytest.approx((window.start_s, window.end_s), abs=1e-3)
            assert (got["emotion"], got["unclear"]) == (prediction.emotion, prediction.unclear)
            assert got["probabilities"] == pytest.approx(dict(prediction.probabilities), abs=1e-5)
        summary = summarise(list(zip(windows, expected, strict=True)))
        assert set(line["summary"]) >= {"emotion", "confidence", "unclear", "probabilities"}
        assert line["summary"]["emotion"] == summary.emotion
        assert list(line["summary"]["probabilities"]) == list(LABELS)


def test_refused_files_get_their_line_and_the_others_go_on(model: Path, tmp_path: Path) -> None:
    text, empty = tmp_path / "text.wav", tmp_path / "empty.wav"
    text.write_text("only words")
    empty.touch()
    files = [text, clip_paths()[0], empty, tmp_path / "missing.wav", tmp_path]
    result = CliRunner().invoke(analyze, [*map(str, files), "--model", str(model), "--json"])
    assert result.exit_code == 1
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["file"] for line in lines] == [str(path) for path in files]
    assert ["error" in line for line in lines] == [True, False, True, True, True]
    assert ["windows" in line for line in lines] == [False, True, False, False, False]
    assert lines[2]["code"] == "empty_audio"


def test_text_says_sounds_and_never_is(model: Path, tmp_path: Path) -> None:
    missing = tmp_path / "missing.wav"
    result = CliRunner().invoke(analyze, [str(clip_paths()[0]), str(missing), "--model", str(model)])
    assert result.exit_code == 1
    head, window, summary, refused = result.stdout.splitlines()
    assert head == f"{clip_paths()[0]}:"
    assert "0.0 to" in window
    assert "sounds" in window
    assert "summary" in summary
    assert "sounds" in summary
    assert refused == f"{missing}: The file cannot be read: No such file or directory."


def test_unknown_model_is_said_in_words() -> None:
    result = CliRunner().invoke(analyze, [str(clip_paths()[0]), "--model", "no-such-model"])
    assert result.exit_code == 1
    assert "There is no model 'no-such-model'" in result.stderr
