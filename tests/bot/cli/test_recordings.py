"""What `undertone analyze` may be given: files of any length, folders, standard input, and what may not be read."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from bot.cli import recordings
from bot.cli.analyze import analyze
from ser_engine.limits import DecodeLimits
from ser_engine.refusals import refusal
from tests.fakes.clips import clip, clip_paths
from tests.fakes.recordings import boxes, file, moved, voice

pytestmark = pytest.mark.integration


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


def test_a_large_recording_of_joined_streams_is_heard_to_its_end(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As radio stations send it; of one too large to be held, the first stream alone was heard."""
    monkeypatch.setattr(recordings, "DEFAULT_LIMITS", DecodeLimits(max_bytes=1_000))
    stereo = np.stack([voice(48_000)] * 2)
    (tmp_path / "radio.ogg").write_bytes(file("ogg", "libopus") + file("ogg", "libopus", stereo))
    result = CliRunner().invoke(analyze, [str(tmp_path / "radio.ogg"), "--model", str(model), "--json"])
    assert result.exit_code == 0, result.output
    assert len(json.loads(result.stdout)["windows"]) == 2


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
