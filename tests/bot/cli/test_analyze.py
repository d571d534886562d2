"""`undertone analyze` prints what a person and what a program reads, and its exit status tells of refused files."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import shutil
import subprocess
import sys
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from bot.cli.analyze import analyze
from bot.cli.answers import Text
from ser_engine import Recognizer, segment_pcm, summarise
from ser_engine.analysis import Analysis
from ser_engine.refusals import refusal
from tests.fakes import backend
from tests.fakes.clips import clip, clip_paths
from tests.fakes.model import LABELS, make_model
from tests.fakes.odd import NOTHING_TO_HEAR, ODD_VOICES, white_noise
from tests.fakes.recordings import boxes, file, moved

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


def test_refused_files_get_their_line_and_the_others_go_on(model: Path, tmp_path: Path) -> None:
    text, empty = tmp_path / "text.wav", tmp_path / "empty.wav"
    text.write_text("only words")
    empty.touch()
    bare = tmp_path / "bare"
    bare.mkdir()
    files = [text, clip_paths()[0], empty, tmp_path / "missing.wav", bare]
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
    assert result.exit_code == 1
    assert result.stdout.strip() == f"{tmp_path / 'noise.wav'}: {refusal('only_noise')}"


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


def test_a_folder_is_its_recordings_and_a_dash_is_standard_input(model: Path, tmp_path: Path) -> None:
    for path in clip_paths()[:2]:
        shutil.copy(path, tmp_path)
    (tmp_path / "notes.txt").write_text("no recording")
    (tmp_path / f"._{clip_paths()[0].name}").write_bytes(bytes.fromhex("00051607") + bytes(78))  # a Mac's notes
    options = ["--model", str(model), "--json"]
    result = CliRunner().invoke(analyze, [str(tmp_path), "-", *options], input=io.BytesIO(clip_paths()[0].read_bytes()))
    assert result.exit_code == 0, result.output
    first, second, piped = (json.loads(line) for line in result.stdout.splitlines())
    assert [Path(line["file"]).name for line in (first, second)] == [path.name for path in clip_paths()[:2]]
    assert piped["file"] == "-"
    assert piped["summary"] == first["summary"]


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


def test_what_is_too_long_for_a_door_is_streamed_here(model: Path, tmp_path: Path) -> None:
    """28 MB and a quarter of an hour: silence, and a voice at its end."""
    long = tmp_path / "lecture.wav"
    voice = (clip(clip_paths()[0]) * 32767).astype("<i2").tobytes()
    size = 14 * 1024 * 1024 * 2
    with wave.open(str(long), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(bytes(size))
        file.writeframes(voice)
    for source in ([str(long)], ["-"]):
        result = CliRunner().invoke(
            analyze, [*source, "--model", str(model), "--json"], input=io.BytesIO(long.read_bytes())
        )
        assert result.exit_code == 0, result.output
        (window,) = json.loads(result.stdout)["windows"]
        assert window["start_s"] == pytest.approx(size / 32_000, abs=1)


def test_an_index_that_stands_last_is_read_from_a_file_and_refused_from_a_pipe(model: Path, tmp_path: Path) -> None:
    """70 MB, most of it free space: from a pipe the sound would be over before it is known how to read it."""
    parts = dict(boxes(file("ipod", "aac")))
    mdat = parts[b"mdat"] + bytes(70 * 2**20)
    mdat = len(mdat).to_bytes(4) + mdat[4:]
    big = tmp_path / "lecture.m4a"
    big.write_bytes(parts[b"ftyp"] + mdat + moved(parts[b"moov"], -len(parts.get(b"free", b""))))
    options = ["--model", str(model), "--json"]
    result = CliRunner().invoke(analyze, [str(big), *options])
    assert result.exit_code == 0, result.output
    result = CliRunner().invoke(analyze, ["-", *options], input=io.BytesIO(big.read_bytes()))
    assert result.exit_code == 1
    assert json.loads(result.stdout)["error"] == str(refusal("index_last", megabytes=64))


@pytest.mark.skipif(sys.platform == "win32", reason="a shell of Unix")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("- <&-", "standard input: The file cannot be read: standard input is closed."),
        ("CLIP --json >/dev/full", "The output cannot be written: No space left on device."),
        ("CLIP --picture /dev/full", "The picture cannot be written to /dev/full: No space left on device."),
        ("$(printf 'a%.0s' $(seq 5000)).wav", ": The file cannot be read: File name too long."),
        (". <&-", ".: There is no recording in this folder."),
    ],
)
def test_what_a_shell_may_do_to_it_ends_in_words(model: Path, tmp_path: Path, words: str, said: str) -> None:
    line = f"{sys.executable} -m bot analyze {words} --model {model}".replace("CLIP", str(clip_paths()[0]))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    ended = subprocess.run(  # noqa: S602  a shell is what is tested
        line, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1, ended.stderr
    assert said in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
    assert "Exception ignored" not in ended.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="a shell of Unix")
def test_a_picture_for_which_there_is_no_room_leaves_no_empty_file(model: Path, tmp_path: Path) -> None:
    line = f"ulimit -f 0; exec {sys.executable} -m bot analyze {clip_paths()[0]} --model {model} --picture strip.svg"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    ended = subprocess.run(  # noqa: S602  a shell is what is tested
        line, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, "The picture cannot be written to strip.svg" in ended.stderr) == (1, True), ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_words_are_those_of_every_other_place(capsys: pytest.CaptureFixture[str]) -> None:
    unsure, sure = backend.prediction("Disgust", 0.35, reason="unsure"), backend.prediction("Disgust", 0.9)
    for said in (unsure, sure):
        Text().answered(Path("a.wav"), Analysis(windows=(), summary=said))
    first, second = (line for line in capsys.readouterr().out.splitlines() if "summary" in line)
    assert "unclear: unsure (if anything, disgusted, 35%)" in first
    assert "sounds" not in first
    assert "sounds disgusted, 90%" in second


def test_where_a_picture_cannot_be_drawn_is_said_before_the_work(model: Path, tmp_path: Path) -> None:
    picture = tmp_path / "nowhere" / "strip.svg"
    result = CliRunner().invoke(analyze, [str(clip_paths()[0]), "--model", str(model), "--picture", str(picture)])
    assert result.exit_code == 1
    assert "There is no folder" in result.stderr
    assert result.stdout == ""


def test_a_file_that_may_not_be_read_does_not_keep_the_others_away(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked, opened = tmp_path / "locked.wav", Path.open
    locked.touch()

    def refused(path: Path, *rest: Any, **more: Any) -> Any:
        if path == locked:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return opened(path, *rest, **more)

    monkeypatch.setattr(os, "access", lambda path, mode, **_: Path(path) != locked)  # root may read everything
    monkeypatch.setattr(Path, "open", refused)
    result = CliRunner().invoke(analyze, [str(locked), str(clip_paths()[0]), "--model", str(model)])
    assert result.exit_code == 1
    assert "The file cannot be read: Permission denied" in result.output
    assert "summary" in result.output


def test_standard_input_is_read_once(model: Path) -> None:
    result = CliRunner().invoke(analyze, ["-", "-", "--model", str(model)], input=clip_paths()[0].read_bytes())
    assert (result.exit_code, result.output.count("summary")) == (1, 1)
    assert "standard input is closed" in result.output


def test_a_picture_is_not_drawn_over_a_recording(model: Path, tmp_path: Path) -> None:
    recording = Path(shutil.copy(clip_paths()[0], tmp_path / "voice.flac"))
    before = recording.read_bytes()
    link = tmp_path / "link.svg"
    link.symlink_to(recording)
    for picture in (recording, link):
        result = CliRunner().invoke(analyze, [str(recording), "--model", str(model), "--picture", str(picture)])
        assert result.exit_code == 1
        assert "is one of the recordings" in result.output
    assert recording.read_bytes() == before


def test_a_folder_that_may_not_be_looked_into_is_refused_and_not_left_out(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by its mode: tests may run as root, which may look into everything."""
    closed = tmp_path / "folder" / "closed"
    closed.mkdir(parents=True)
    shutil.copy(clip_paths()[0], tmp_path / "folder" / "open.flac")
    shutil.copy(clip_paths()[0], closed / "lost.flac")

    def refusing(look: Callable[..., Any]) -> Callable[..., Any]:
        def looked(path: Any = ".") -> Any:
            if Path(path) == closed:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return look(path)

        return looked

    for name in ("scandir", "listdir"):
        monkeypatch.setattr(os, name, refusing(getattr(os, name)))
    for folder in (tmp_path / "folder", closed):
        result = CliRunner().invoke(analyze, ["--model", str(model), "--json", str(folder)])
        answers = {Path(answer["file"]).name: answer for answer in map(json.loads, result.stdout.splitlines())}
        assert result.exit_code == 1
        assert answers["closed"]["error"] == "The file cannot be read: Permission denied."
        assert ("open.flac" in answers) == (folder != closed)


def test_files_that_may_only_be_listed_are_refused_each(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder with the right to read and not to enter."""
    shutil.copy(clip_paths()[0], tmp_path / "a.flac")

    def refusing(look: Callable[..., Any]) -> Callable[..., Any]:
        def looked(path: Path, *rest: Any, **more: Any) -> Any:
            if path.parent == tmp_path:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return look(path, *rest, **more)

        return looked

    for name in ("stat", "is_file", "open"):
        monkeypatch.setattr(Path, name, refusing(getattr(Path, name)))
    result = CliRunner().invoke(analyze, ["--model", str(model), str(tmp_path)])
    assert "a.flac: The file cannot be read: Permission denied." in result.stdout
