"""A directory of the old app is adopted by stating its hashes, and its padding order is a setting."""

from __future__ import annotations

import errno
import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from click.testing import CliRunner

from bot.cli.model import model
from ser_engine import Recognizer
from ser_engine.errors import ModelError
from ser_engine.features import FeatureSettings, extract
from ser_engine.networks import softmax
from tests.fakes.clips import clip, clip_paths
from tests.fakes.model import make_model

OLD_NETWORK = Path(__file__).parent / "old_network"

pytestmark = [
    pytest.mark.integration,
    # Keras reading TensorFlow's variables with numpy 2.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the old app's notebook leaves behind, with small random weights."""
    import keras
    from sklearn.preprocessing import StandardScaler

    directory = tmp_path_factory.mktemp("old")
    keras.utils.set_random_seed(3)
    network = keras.Sequential(
        [
            keras.layers.Input((400, 120)),
            keras.layers.Masking(0.0),
            keras.layers.Bidirectional(keras.layers.LSTM(4, return_sequences=True)),
            keras.layers.Bidirectional(keras.layers.LSTM(3)),
            keras.layers.Dense(4, activation="softmax"),
        ]
    )
    network.save(directory / "final_ser_model.keras")
    frames = extract(clip(clip_paths()[0]), FeatureSettings())
    (directory / "scaler.pkl").write_bytes(pickle.dumps(StandardScaler().fit(frames)))
    return directory


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(model, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def test_another_models_network_beside_the_old_ones_is_not_adopted_along(old: Path, tmp_path: Path) -> None:
    both = shutil.copytree(old, tmp_path / "both")
    (both / "network.onnx").write_bytes(b"trained the other way round")
    (both / "model.json").write_text("{}")

    status, _, wrong = run("adopt", str(both), "--force")

    assert status == 1
    assert "also holds network.onnx" in " ".join(wrong.split())
    assert (both / "model.json").read_text() == "{}"


def test_adopted_directory_is_served_as_it_was_trained(old: Path) -> None:
    with pytest.raises(ModelError, match="undertone model adopt"):
        Recognizer.load(old)
    status, said, wrong = run("adopt", str(old))
    assert status == 0, wrong
    assert "pad then standardise" in said
    status, _, wrong = run("adopt", str(old))
    assert status == 1
    assert "--force" in wrong

    recognizer = Recognizer.load(old)
    assert recognizer.info.runtime == "onnxruntime"  # neither TensorFlow nor the pickle is needed to serve it
    assert (old / "scaler.json").is_file()
    pcm = clip(clip_paths()[1])
    answers = recognizer.probabilities([pcm, pcm[:20_000]])
    assert np.allclose(answers[0], _by_the_notebook(old, pcm)[0], atol=1e-4)

    status, said, _ = run("adopt", str(old), "--force", "--no-check", "--padding", "standardise_then_pad")
    assert status == 0
    assert "standardise then pad" in said
    other = Recognizer.load(old).probabilities([pcm])
    assert np.abs(other[0] - answers[0]).max() > 1e-4  # the order matters, so it is stated


def test_a_network_that_never_saw_its_padding_gets_a_twin_that_stops_there_too(old: Path, tmp_path: Path) -> None:
    """Standardised before it is padded, the padding is zeros, and Keras' masking leaves zeros out."""
    for name in ("final_ser_model.keras", "scaler.pkl"):
        (tmp_path / name).write_bytes((old / name).read_bytes())
    status, said, wrong = run("adopt", str(tmp_path), "--padding", "standardise_then_pad")
    assert status == 0, wrong
    assert "standardise then pad" in said
    recognizer = Recognizer.load(tmp_path)
    assert recognizer.info.runtime == "onnxruntime"
    clips = [clip(path)[:length] for path, length in zip(clip_paths(), (20_000, 36_000, 48_000), strict=False)]
    together = recognizer.probabilities(clips)  # of different lengths in one batch
    assert np.allclose(together, _by_the_notebook(old, *clips, standardised_first=True), atol=1e-4)


def test_a_network_of_another_length_is_served_with_its_own_padding(old: Path, tmp_path: Path) -> None:
    import keras

    keras.utils.set_random_seed(4)
    layers = [keras.layers.Input((200, 120)), keras.layers.Bidirectional(keras.layers.LSTM(3))]
    network = keras.Sequential([*layers, keras.layers.Dense(4, activation="softmax")])
    network.save(tmp_path / "final_ser_model.keras")
    shutil.copy(old / "scaler.pkl", tmp_path)
    status, said, wrong = run("adopt", str(tmp_path))
    assert status == 0, wrong
    assert "at most 200 frames" in said
    pcm = clip(clip_paths()[1])[:24_000]
    answers = Recognizer.load(tmp_path).probabilities([pcm])
    assert np.allclose(answers, _by_the_notebook(tmp_path, pcm, frames=200), atol=1e-4)


@pytest.mark.parametrize("frames", [200, 500])
def test_a_network_of_another_length_that_nobody_looked_at_is_refused_when_it_is_loaded(
    old: Path, tmp_path: Path, frames: int
) -> None:
    import keras

    layers = [keras.layers.Input((frames, 120)), keras.layers.Bidirectional(keras.layers.LSTM(3))]
    network = keras.Sequential([*layers, keras.layers.Dense(4, activation="softmax")])
    network.save(tmp_path / "final_ser_model.keras")
    shutil.copy(old / "scaler.pkl", tmp_path)
    assert run("adopt", str(tmp_path), "--no-check")[0] == 0
    with pytest.raises(ModelError, match=rf"takes {frames} frames, but model\.json states 400 .*adopt --force"):
        Recognizer.load(tmp_path)
    assert run("adopt", str(tmp_path), "--force")[0] == 0
    assert Recognizer.load(tmp_path).manifest.features.max_frames == frames


def _by_the_notebook(
    directory: Path, *clips: np.ndarray, standardised_first: bool = False, frames: int = 400
) -> np.ndarray:
    import keras

    fitted = pickle.loads((directory / "scaler.pkl").read_bytes())  # noqa: S301  made above
    batch = np.zeros((len(clips), frames, 120), np.float32)
    for padded, pcm in zip(batch, clips, strict=True):
        features = extract(pcm, FeatureSettings())
        padded[: len(features)] = fitted.transform(features) if standardised_first else features
        if not standardised_first:
            padded[:] = fitted.transform(padded)
    network = keras.saving.load_model(str(directory / "final_ser_model.keras"), compile=False)
    return np.asarray(network.predict_on_batch(batch))


@pytest.mark.parametrize("saved", ["tensorflow-2.15.keras", "tensorflow-2.15.h5"])
def test_what_an_old_tensorflow_saved_is_adopted_and_answers_as_it_did_there(
    old: Path, tmp_path: Path, saved: str
) -> None:
    shutil.copy(OLD_NETWORK / saved, tmp_path / "final_ser_model.keras")
    shutil.copy(old / "scaler.pkl", tmp_path)
    status, _, wrong = run("adopt", str(tmp_path))
    assert status == 0, wrong
    (tmp_path / "scaler.pkl").unlink()
    (tmp_path / "final_ser_model.keras").unlink()
    session = onnxruntime.InferenceSession(str(tmp_path / "network.onnx"), providers=["CPUExecutionProvider"])
    batch = np.random.default_rng(1).standard_normal((2, 400, 120)).astype(np.float32)
    logits = session.run(None, {"features": batch, "lengths": np.full(2, 400, np.int32)})[0]
    assert np.abs(softmax(np.asarray(logits)) - np.load(OLD_NETWORK / "answers.npy")).max() < 1e-5


def test_wrong_labels_are_refused_and_nothing_is_left(old: Path, tmp_path: Path) -> None:
    for name in ("final_ser_model.keras", "scaler.pkl"):
        (tmp_path / name).write_bytes((old / name).read_bytes())
    status, _, wrong = run("adopt", str(tmp_path), "--labels", "Angry,Happy")
    assert status == 1
    assert "gives 4 answers, but its model.json states 2 labels" in wrong
    assert not (tmp_path / "model.json").exists()
    status, _, wrong = run("adopt", str(tmp_path), "--labels", "Angry,Angry", "--no-check")
    assert status == 1
    assert "labels must differ" in wrong


@pytest.mark.parametrize(
    ("trouble", "said"),
    [(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "cannot be written: No space left"), (KeyboardInterrupt(), "")],
)
def test_a_full_disk_and_ctrl_c_leave_nothing_of_an_adoption(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: BaseException, said: str
) -> None:
    for name in ("final_ser_model.keras", "scaler.pkl"):
        (tmp_path / name).write_bytes((old / name).read_bytes())

    def full(directory: Path) -> None:
        (directory / "network.onnx").write_bytes(b"half of")
        raise trouble

    monkeypatch.setattr("ser_engine.training.adopt.write_twins", full)
    status, _, wrong = run("adopt", str(tmp_path))
    assert status == 1
    assert said in wrong
    assert {path.name for path in tmp_path.iterdir()} == {"final_ser_model.keras", "scaler.pkl"}


@pytest.mark.parametrize("damage", ["words", "half", "middle"])
def test_a_damaged_network_is_refused_in_words(old: Path, tmp_path: Path, damage: str) -> None:
    (tmp_path / "scaler.pkl").write_bytes((old / "scaler.pkl").read_bytes())
    whole = (old / "final_ser_model.keras").read_bytes()
    middle = len(whole) // 2
    damaged = {
        "words": b"only words",
        "half": whole[:middle],
        "middle": whole[: middle - 2000] + bytes(4000) + whole[middle + 2000 :],
    }
    (tmp_path / "final_ser_model.keras").write_bytes(damaged[damage])
    status, _, wrong = run("adopt", str(tmp_path))
    assert status == 1
    assert "is not a Keras model that can be loaded" in wrong
    assert not (tmp_path / "model.json").exists()


def test_a_directory_of_something_else_is_refused(tmp_path: Path) -> None:
    status, _, wrong = run("adopt", str(tmp_path), "--no-check")
    assert status == 1
    assert "not a directory of the old app" in wrong


def test_show_verifies(tmp_path: Path) -> None:
    make_model(tmp_path / "tiny")
    status, said, _ = run("show", str(tmp_path / "tiny"))
    assert status == 0
    assert "Angry, Happy, Sad, Disgust, Neutral" in said
    assert "network.onnx" in said
    status, said, _ = run("show", str(tmp_path / "tiny"), "--json")
    assert json.loads(said)["labels"][0] == "Angry"
    (tmp_path / "tiny" / "scaler.json").write_text("{}")
    status, _, wrong = run("show", str(tmp_path / "tiny"))
    assert status == 1
    assert "is not the file that model.json states" in wrong


def test_what_strange_voices_need_is_never_less_than_what_others_need(tmp_path: Path) -> None:
    made = make_model(tmp_path / "tiny", unclear_below=0.83)
    manifest = json.loads((made / "model.json").read_text()) | {"strange_unclear_below": {"Angry": 0.9, "Neutral": 0.5}}
    (made / "model.json").write_text(json.dumps(manifest))
    _, said, _ = run("show", str(made))
    assert "unclear below 83% (of strange voices Angry 90%, Neutral 83%)" in said


def test_a_folder_without_speech_quickens_nothing(tmp_path: Path) -> None:
    made = make_model(tmp_path / "made")
    before = (made / "model.json").read_bytes()
    (tmp_path / "clips").mkdir()
    status, _, said = run("quicken", str(made), "--clips", str(tmp_path / "clips"))
    assert status == 1
    assert "There is no speech in the recordings" in said
    assert (made / "model.json").read_bytes() == before


@pytest.mark.parametrize("kind", ["folder", "words"])
def test_a_recording_that_cannot_be_used_is_named_and_quickens_nothing(tmp_path: Path, kind: str) -> None:
    made = make_model(tmp_path / "made")
    before = (made / "model.json").read_bytes()
    odd = tmp_path / "clips" / "odd.flac"
    odd.parent.mkdir()
    if kind == "folder":
        odd.mkdir()
    else:
        odd.write_text("no sound")
    status, _, said = run("quicken", str(made), "--clips", str(tmp_path / "clips"))
    assert (status, f"{odd} cannot be used: " in said) == (1, True), said
    assert (made / "model.json").read_bytes() == before


def test_a_folder_that_may_not_be_looked_into_is_not_adopted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by its mode: tests may run as root, which may look into everything."""

    def closed(path: Path) -> bool:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "exists", closed)
    status, _, said = run("adopt", str(tmp_path))
    assert (status, "model.json cannot be read or written: Permission denied." in said) == (1, True), said
