"""`undertone analyze` from its words to its exit status, which tells of refused files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from bot.cli.analyze import analyze
from ser_engine.refusals import refusal
from tests.fakes.clips import clip_paths
from tests.fakes.model import make_model
from tests.fakes.odd import NOTHING_TO_HEAR, ODD_VOICES, white_noise

pytestmark = pytest.mark.integration


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


def test_where_a_picture_cannot_be_drawn_is_said_before_the_work(model: Path, tmp_path: Path) -> None:
    picture = tmp_path / "nowhere" / "strip.svg"
    result = CliRunner().invoke(analyze, [str(clip_paths()[0]), "--model", str(model), "--picture", str(picture)])
    assert result.exit_code == 1
    assert "There is no folder" in result.stderr
    assert result.stdout == ""


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
