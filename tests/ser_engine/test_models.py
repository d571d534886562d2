"""A model directory is refused in words when anything about it is not as stated."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ser_engine import models
from ser_engine.errors import ModelError
from ser_engine.features import FeatureSettings
from ser_engine.models import Manifest, find_model, load_manifest, open_directory, verify, write_manifest

pytestmark = pytest.mark.unit

LABELS = ("Angry", "Happy", "Sad", "Disgust")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "mine"
    made.mkdir()
    (made / "network.onnx").write_bytes(b"a network")
    (made / "scaler.json").write_bytes(b"{}")
    write_manifest(made, Manifest(labels=LABELS, features=FeatureSettings(), temperature=1.3, unclear_below=0.4))
    return made


def edit(directory: Path, **changes: Any) -> None:
    path = directory / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_round_trip(directory: Path) -> None:
    manifest = verify(directory)
    assert manifest.labels == LABELS
    assert manifest.temperature == 1.3
    assert set(manifest.files) == {"network.onnx", "scaler.json"}
    assert manifest.features_hash == FeatureSettings().hash
    assert manifest.version == manifest.files["network.onnx"][:12]
    assert open_directory(directory).read("network.onnx") == b"a network"


def test_a_version_changes_with_whatever_decides_answers(directory: Path) -> None:
    versions = [load_manifest(directory).version]
    for name in ("encoder.onnx", "baseline.npz", "network.onnx", "encoder.onnx"):
        (directory / name).write_bytes(f"another {name} than the {len(versions)} before".encode())
        versions.append(write_manifest(directory, load_manifest(directory)).version)
    assert len(set(versions)) == len(versions)


def test_a_manifest_that_cannot_be_written_leaves_the_one_before(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (directory / "model.json").read_bytes()

    def full(path: Path, text: str, **options: Any) -> int:
        path.write_bytes(text.encode()[:100])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(ModelError, match=r"model\.json cannot be written: No space left"):
        write_manifest(directory, load_manifest(directory))
    assert {path.name for path in directory.iterdir()} == {"model.json", "network.onnx", "scaler.json"}
    assert (directory / "model.json").read_bytes() == before


@pytest.mark.parametrize("changes", [{"format": 2}, {"loudness": 3}, {"features": {"kind": "mfcc", "warp": 1}}])
def test_a_newer_undertones_manifest_is_told_as_such(directory: Path, changes: dict[str, Any]) -> None:
    edit(directory, **changes)
    with pytest.raises(ModelError, match=r"\. A newer Undertone may have written it\.$"):
        load_manifest(directory)


def test_same_content_gives_the_same_bytes(directory: Path) -> None:
    before = (directory / "model.json").read_bytes()
    write_manifest(directory, load_manifest(directory))
    assert (directory / "model.json").read_bytes() == before


def test_changed_file_is_refused(directory: Path) -> None:
    (directory / "network.onnx").write_bytes(b"another network")
    with pytest.raises(ModelError, match=r"is not the file that model\.json states"):
        verify(directory)


def test_missing_file_is_refused(directory: Path) -> None:
    (directory / "scaler.json").unlink()
    with pytest.raises(ModelError, match=r"scaler\.json is stated .* cannot be read"):
        verify(directory)


@pytest.mark.parametrize("read", [find_model, load_manifest])
def test_a_folder_that_this_user_may_not_open_is_said_in_words(
    directory: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[[Path], object]
) -> None:
    def closed(path: Path, **_: object) -> os.stat_result:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", closed)  # for root, who may run the tests, no folder is closed
    with pytest.raises(ModelError, match="cannot be read: Permission denied"):
        read(directory)


def test_unstated_pickle_is_refused_in_words(directory: Path) -> None:
    (directory / "scaler.pkl").write_bytes(b"anything")
    with pytest.raises(ModelError, match=r"A pickle runs code.*undertone model adopt"):
        open_directory(directory).read("scaler.pkl")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": ["Angry"]}, "labels"),
        ({"labels": ["Angry", "Angry"]}, "must differ"),
        ({"labels": ["Angry", "x" * 33]}, "at most 32 letters"),
        ({"labels": ["Angry", "Sad\0"]}, "at most 32 letters"),
        ({"temperature": 0}, "temperature"),
        ({"unclear_below": 2}, "unclear_below"),
        ({"speeds": []}, "speeds"),
        ({"speeds": [2.0]}, "speeds"),
        ({"format": 2}, "format"),
        ({"surprise": 1}, "surprise"),
        ({"files": {"../../etc/passwd": "0" * 64}}, "is not a file of a model directory"),
        ({"files": {"network.onnx": "abc"}}, "files.network.onnx"),
        ({"files": {}}, "no network file"),
        ({"keras_layers": "os"}, "keras_layers"),
        ({"features_hash": ""}, "features_hash"),
        ({"features": FeatureSettings(hop=200).model_dump()}, "settings were edited"),
    ],
)
def test_bad_manifest_is_refused_in_words(directory: Path, changes: dict[str, Any], words: str) -> None:
    edit(directory, **changes)
    with pytest.raises(ModelError, match=words):
        load_manifest(directory)


@pytest.mark.parametrize(
    ("folder", "name"), [("x" * 65, "x" * 64), ("a\nmodel", "a?model"), (os.fsdecode(b"m\xf6del"), "m?del")]
)
def test_a_models_name_is_one_that_a_session_can_state(folder: str, name: str, directory: Path) -> None:
    assert open_directory(directory.rename(directory.with_name(folder))).name == name


@pytest.mark.parametrize("content", [b"", b"not json", b"[]", b"\xff\xfe", b" " * 2_000_001])
def test_garbage_manifest_is_refused(directory: Path, content: bytes) -> None:
    (directory / "model.json").write_bytes(content)
    with pytest.raises(ModelError):
        load_manifest(directory)


def test_old_directory_is_pointed_to_its_command(tmp_path: Path) -> None:
    (tmp_path / "final_ser_model.keras").write_bytes(b"")
    with pytest.raises(ModelError, match="undertone model adopt"):
        load_manifest(tmp_path)


def test_find_model(directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "model_roots", lambda: (tmp_path / "first", tmp_path))
    assert find_model("mine") == directory
    assert find_model(directory) == directory
    with pytest.raises(ModelError, match="Known: mine"):
        find_model("default")
    directory.rename(tmp_path / "seed")
    assert find_model("default") == tmp_path / "seed"
    (tmp_path / "default").mkdir()  # present, but without a manifest
    assert find_model("default") == tmp_path / "seed"
    (tmp_path / "default" / "model.json").write_text("{}")
    assert find_model("default") == tmp_path / "default"
    with pytest.raises(ModelError, match="There is no model"):
        find_model(tmp_path / "nowhere" / "at_all")
    with pytest.raises(ModelError, match="File name too long"):
        find_model("a" * 300)
