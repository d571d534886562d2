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
from tests.fakes.odd import NOTHING_TO_HEAR, ODD_VOICES, white_noise

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


def test_odd_files_are_analysed_or_refused_in_words(model: Path, tmp_path: Path) -> None:
    """One run over all of them: a bad file does not keep the next from its answer."""
    for k, make in enumerate([*ODD_VOICES.values(), *(make for make, _, _ in NOTHING_TO_HEAR.values())]):
        (tmp_path / f"{k:02}.wav").write_bytes(make())
    files = sorted(tmp_path.glob("*.wav"))
    result = CliRunner().invoke(analyze, [*map(str, files), "--model", str(model), "--json"])
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)  # no traceback
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    answered, refused = lines[: len(ODD_VOICES)], lines[len(ODD_VOICES) :]
    for name, line in zip(ODD_VOICES, answered, strict=True):
        assert sum(line["summary"]["probabilities"].values()) == pytest.approx(1, abs=1e-4), name
    for (name, (_, code, _)), line in zip(NOTHING_TO_HEAR.items(), refused, strict=True):
        assert line["code"] == code, name
        assert line["error"].endswith("."), name


def test_noise_sounds_like_nothing(model: Path, tmp_path: Path) -> None:
    (tmp_path / "noise.wav").write_bytes(white_noise())
    result = CliRunner().invoke(analyze, [str(tmp_path / "noise.wav"), "--model", str(model)])
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1].split() == ["summary", "unclear:", "no", "speech"]
    assert not any(label in result.stdout for label in LABELS)


def test_a_broken_model_is_said_in_words(tmp_path: Path) -> None:
    clip_path = str(clip_paths()[0])
    broken = make_model(tmp_path / "broken")
    (broken / "network.onnx").write_bytes(b"not a network")
    few = make_model(tmp_path / "few", answers=4)
    bare = tmp_path / "bare"
    bare.mkdir()
    pickled = make_model(tmp_path / "pickled")
    manifest = json.loads((pickled / "model.json").read_text())
    del manifest["files"]["scaler.json"]
    (pickled / "model.json").write_text(json.dumps(manifest))
    (pickled / "scaler.json").rename(pickled / "scaler.pkl")
    for directory, words in (
        (broken, "is not the file that model.json states"),
        (few, "gives 4 answers"),
        (bare, "it has no model.json"),
        (pickled, "A pickle runs code when it is read"),
    ):
        result = CliRunner().invoke(analyze, [clip_path, "--model", str(directory)])
        assert result.exit_code == 1, directory.name
        assert isinstance(result.exception, SystemExit), directory.name
        assert words in result.stderr, directory.name
        assert result.stdout == "", directory.name
