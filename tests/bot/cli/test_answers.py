"""What `undertone analyze` prints for people and for programs, whatever the files are called."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from bot.cli.analyze import analyze
from bot.cli.answers import Text
from ser_engine import Recognizer, segment_pcm, summarise
from ser_engine.analysis import Analysis
from tests.fakes import backend
from tests.fakes.clips import clip, clip_paths
from tests.fakes.model import LABELS

pytestmark = pytest.mark.integration


def test_json_is_one_object_a_file_and_equals_the_engine(model: Path) -> None:
    paths = clip_paths()[:3]
    result = CliRunner().invoke(analyze, [*map(str, paths), "--model", str(model), "--json"])
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    recognizer = Recognizer.load(model)
    assert [line["file"] for line in lines] == [str(path) for path in paths]
    for line, path in zip(lines, paths, strict=True):
        windows = segment_pcm(clip(path))
        expected = recognizer.predict(windows, {})
        assert len(line["windows"]) == len(windows)
        for got, window, prediction in zip(line["windows"], windows, expected, strict=True):
            assert (got["start_s"], got["end_s"]) == pytest.approx((window.start_s, window.end_s), abs=1e-3)
            assert (got["emotion"], got["unclear"]) == (prediction.emotion, prediction.unclear)
            assert got["probabilities"] == pytest.approx(dict(prediction.probabilities), abs=1e-5)
        summary = summarise(list(zip(windows, expected, strict=True)))
        assert set(line["summary"]) >= {"emotion", "confidence", "unclear", "probabilities"}
        assert line["summary"]["emotion"] == summary.emotion
        assert list(line["summary"]["probabilities"]) == list(LABELS)


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


def test_the_words_are_those_of_every_other_place(capsys: pytest.CaptureFixture[str]) -> None:
    unsure, sure = backend.prediction("Disgust", 0.35, reason="unsure"), backend.prediction("Disgust", 0.9)
    for said in (unsure, sure):
        Text().answered(Path("a.wav"), Analysis(windows=(), summary=said))
    first, second = (line for line in capsys.readouterr().out.splitlines() if "summary" in line)
    assert "unclear: unsure (if anything, disgusted, 35%)" in first
    assert "sounds" not in first
    assert "sounds disgusted, 90%" in second


def test_a_name_that_is_no_text_is_answered_as_any_other(model: Path, tmp_path: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/Stra\xdfe.flac"))
    shutil.copy(clip_paths()[0], odd)
    command = [sys.executable, "-m", "bot", "analyze", str(odd), str(clip_paths()[1]), "--model", str(model)]
    for encoding in ("utf-8:strict", "ascii:strict"):
        for form in ("--json", "--csv"):
            environment = {**os.environ, "PYTHONIOENCODING": encoding}
            ended = subprocess.run([*command, form], capture_output=True, env=environment, check=False)  # noqa: S603
            assert (ended.returncode, ended.stderr) == (0, b""), (encoding, form)
            assert b"Stra" in ended.stdout
            assert clip_paths()[1].name.encode() in ended.stdout
            if form == "--json":
                assert json.loads(ended.stdout.splitlines()[0])["file"] == str(odd)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows takes no such name")
def test_a_name_with_control_characters_breaks_no_table_picture_or_terminal(model: Path, tmp_path: Path) -> None:
    odd, picture = tmp_path / "a\nb\x1b[31m\x01.flac", tmp_path / "strip.svg"
    shutil.copy(clip_paths()[0], odd)
    options = ["--model", str(model), "--picture", str(picture)]
    for form in ("--csv", "--json", None):
        result = CliRunner().invoke(analyze, [str(odd), *options, *([form] if form else [])])
        assert result.exit_code == 0, result.output
        assert not set(result.stdout) & {"\x1b", "\x01"}, form
        if form == "--csv":
            assert [row["file"] for row in csv.DictReader(io.StringIO(result.stdout))] == [
                rf"{tmp_path}/a\nb\x1b[31m\x01.flac"
            ]
    drawn = ElementTree.fromstring(picture.read_text())  # noqa: S314  # our own
    assert drawn.findtext("{http://www.w3.org/2000/svg}title") == "How a recording sounds over time"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such terminals")
def test_on_a_terminal_answers_stand_on_lines_of_their_own_and_the_bar_shows_names_as_they_are(
    model: Path, tmp_path: Path
) -> None:
    first, second = tmp_path / "take [live].flac", tmp_path / "[red]take.flac"
    for path in (first, second):
        shutil.copy(clip_paths()[0], path)
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "bot", "analyze", str(first), str(second), "--model", str(model)]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "400"}
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as started:  # noqa: S603
        os.close(theirs)
        said = b"".join(iter(lambda: _read_terminal(ours), b"")).decode()
    os.close(ours)
    assert started.returncode == 0, said
    erased = [line.rpartition("\x1b[2K")[2] for line in said.split("\r\n")]
    assert [line for line in erased if line.endswith(".flac:")] == [f"{first}:", f"{second}:"]
    for path in (first, second):
        assert f"{path.name} \x1b" in said


def _read_terminal(ours: int) -> bytes:
    try:
        return os.read(ours, 65_536)
    except OSError:  # as Linux says that the other side has ended
        return b""


def test_a_table_and_a_picture_show_every_window(model: Path, tmp_path: Path) -> None:
    picture = tmp_path / "strip.svg"
    files = [*map(str, clip_paths()[:2]), str(tmp_path / "missing.wav")]
    result = CliRunner().invoke(analyze, [*files, "--model", str(model), "--csv", "--picture", str(picture)])
    assert result.exit_code == 1
    assert "missing.wav: The file cannot be read: No such file or directory." in result.stderr
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [row["file"] for row in rows] == files[:2]
    for row in rows:
        assert sum(float(row[label]) for label in LABELS) == pytest.approx(1, abs=1e-4)
    drawn = ElementTree.fromstring(picture.read_text())  # noqa: S314  # our own
    titles = [element.text or "" for element in drawn.iter("{http://www.w3.org/2000/svg}title")]
    assert sum("sure" in title or "unclear" in title for title in titles) == len(rows)
    shown = [text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert "unclear" in shown, "the key does not say what is hatched"
    assert {"0:00", "0:01"} <= {*shown}, "a short recording has an axis too"
