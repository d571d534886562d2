"""A directory answers for windows: calibrated, in order, the same in every batch, and never for what is no window."""

from __future__ import annotations

import hashlib
import json
import pickle
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from ser_engine import Recognizer, segment_pcm
from ser_engine.analysis import analysed
from ser_engine.audio import change_speed
from ser_engine.baseline import BaselineHead
from ser_engine.errors import InvalidSamples, ModelError
from ser_engine.features import FeatureSettings, extract
from ser_engine.models import open_directory, write_manifest
from ser_engine.networks import load_scaler
from ser_engine.types import SAMPLE_RATE_HZ, WINDOW_SAMPLES, Pcm, Window, nothing
from tests.fakes.clips import clip, clip_paths
from tests.fakes.model import LABELS, make_model

pytestmark = pytest.mark.unit


def windows() -> list[Window]:
    return [w for path in clip_paths()[:6] for w in segment_pcm(clip(path))]


def test_answers_are_distributions_in_order(tmp_path: Path) -> None:
    recognizer = Recognizer.load(make_model(tmp_path / "tiny"))
    assert recognizer.info.labels == LABELS
    assert recognizer.info.name == "tiny"
    assert recognizer.info.runtime == "onnxruntime"
    assert recognizer.info.version == hashlib.sha256((tmp_path / "tiny" / "network.onnx").read_bytes()).hexdigest()[:12]
    heard = windows()
    for window, prediction in zip(heard, recognizer.predict(heard), strict=True):
        assert tuple(prediction.probabilities) == LABELS
        assert sum(prediction.probabilities.values()) == pytest.approx(1)
        assert prediction.confidence == max(prediction.probabilities.values())
        assert prediction.probabilities[prediction.emotion] == prediction.confidence
        (alone,) = recognizer.predict([window])
        assert alone.probabilities == pytest.approx(prediction.probabilities, abs=1e-5)
    assert recognizer.predict([]) == []


@pytest.mark.parametrize("encoder", [False, True])
def test_batches_of_any_size_and_length_agree(tmp_path: Path, encoder: bool) -> None:
    recognizer = Recognizer.load(make_model(tmp_path, encoder=encoder))
    pcm = clip(clip_paths()[0])
    clips: list[Pcm] = [pcm[: 9000 + 311 * i] for i in range(37)]
    together = recognizer.logits(clips[::-1])[::-1]
    alone = np.concatenate([recognizer.logits([c]) for c in clips])
    assert together.shape == (37, 5)
    assert np.abs(together - alone).max() < 1e-4
    assert np.abs(together[0] - together[-1]).max() > 1e-3  # the answers do depend on the window


def test_logits_equal_the_contract_written_out(tmp_path: Path) -> None:
    """features → scaler → mean over true frames → matrix, softmax(logits / temperature)."""
    recognizer = Recognizer.load(make_model(tmp_path, temperature=2.0))
    pcm = clip(clip_paths()[1])
    scaler = load_scaler(open_directory(tmp_path))
    assert scaler is not None
    weights = np.random.default_rng(5).standard_normal((120, 5)) * 3 / np.sqrt(120)
    expected = scaler.apply(extract(pcm, FeatureSettings())).mean(axis=0) @ weights
    assert np.allclose(recognizer.logits([pcm])[0], expected, atol=1e-3)
    softened = np.exp(expected / 2) / np.exp(expected / 2).sum()
    assert np.allclose(recognizer.probabilities([pcm])[0], softened, atol=1e-3)


def test_several_speeds_are_heard_and_what_is_said_of_them_is_averaged(tmp_path: Path) -> None:
    recognizer = Recognizer.load(make_model(tmp_path, speeds=(0.97, 1.03), temperature=2.0))
    clips = [clip(path)[:WINDOW_SAMPLES] for path in clip_paths()[:5]]
    one, other = (
        np.concatenate([recognizer.logits([change_speed(c, speed)[:WINDOW_SAMPLES]], speeds=(1.0,)) for c in clips])
        for speed in (0.97, 1.03)
    )
    assert np.abs(one - other).max() > 0.01
    mean = sum(np.exp(x) / np.exp(x).sum(axis=1, keepdims=True) for x in (one, other)) / 2
    assert np.allclose(recognizer.logits(clips), np.log(mean), atol=1e-4)
    assert np.allclose(recognizer.probabilities(clips).sum(axis=1), 1)
    assert recognizer.logits([]).shape == (0, 5)


@pytest.mark.parametrize("samples", [1, 2, 160])
def test_the_shortest_window_has_every_speed(tmp_path: Path, samples: int) -> None:
    recognizer = Recognizer.load(make_model(tmp_path, speeds=(0.8, 1.25)))
    assert np.isfinite(recognizer.probabilities([np.full(samples, 0.1, np.float32)])).all()


@pytest.mark.parametrize("engine", ["seed", "fast", "default"])
def test_every_shipped_engine_takes_windows_of_any_length(engine: str) -> None:
    recognizer = Recognizer.load(engine)
    clips = [np.full(samples, 0.1, np.float32) for samples in (1, 160, 319, 320, 479, 480, 481, 640)]
    assert np.isfinite(recognizer.probabilities(clips)).all()


def test_unsure_is_unclear(tmp_path: Path) -> None:
    heard = windows()[:1]
    (sure,) = Recognizer.load(make_model(tmp_path / "a")).predict(heard)
    (unsure,) = Recognizer.load(make_model(tmp_path / "b", unclear_below=1.0)).predict(heard)
    assert (sure.unclear, sure.reason) == (False, None)
    assert (unsure.unclear, unsure.reason) == (True, "unsure")
    assert unsure.probabilities == sure.probabilities


@pytest.mark.parametrize(
    "bad",
    [
        np.full(48_000, np.nan, np.float32),
        np.full(48_000, np.inf, np.float32),
        np.zeros(0, np.float32),
        np.zeros((2, 16_000), np.float32),
        np.full(48_000, 300, np.int16),
        np.full(48_000, 300, np.float32),  # 16 bits that nobody divided
        np.full(48_000, 1e30, np.float32),
        np.full(48_000, 0.1, np.complex64),
        np.array(["a", "b"]),
        [0.1] * 48_000,
        None,
    ],
)
def test_what_is_no_window_is_refused(tmp_path: Path, bad: Any) -> None:
    recognizer = Recognizer.load(make_model(tmp_path))
    window = Window(speaker="a", start_s=0, pcm=bad, speech_ratio=1, gap_ratio=0)
    with pytest.raises(InvalidSamples, match="full scale of ±1"):
        recognizer.predict([window])
    with pytest.raises(InvalidSamples, match="full scale of ±1"):
        recognizer.logits([bad])


def test_a_window_of_more_than_three_seconds_is_refused(tmp_path: Path) -> None:
    """The networks hear no more than their first frames, and would answer for all of it."""
    recognizer = Recognizer.load(make_model(tmp_path))
    long = [0.1] * (WINDOW_SAMPLES + 1)
    window = Window(speaker="a", start_s=0, pcm=np.asarray(long, np.float32), speech_ratio=1, gap_ratio=0)
    with pytest.raises(InvalidSamples, match="from one to 3 s"):
        recognizer.predict([window])
    assert len(recognizer.predict([replace(window, pcm=window.pcm[1:])])) == 1


@pytest.mark.parametrize("engine", ["seed", "fast", "default"])
def test_what_was_before_is_heard_with_a_window(engine: str) -> None:
    recognizer, sentence = Recognizer.load(engine), clip(clip_paths()[0])[:WINDOW_SAMPLES]
    both = Window(speaker="a", start_s=1, pcm=sentence, speech_ratio=1, gap_ratio=0)
    rest = replace(both, pcm=sentence[16_000:], before=sentence[:16_000])
    said, of_rest, alone = recognizer.predict([both, rest, replace(rest, before=nothing())])
    assert of_rest == said
    assert of_rest.probabilities != alone.probabilities


def test_what_was_analysed_is_let_go_of(tmp_path: Path) -> None:
    heard = segment_pcm(np.concatenate([window.pcm for window in windows()]))
    assert any(len(window.before) for window in heard)
    for window, _ in analysed(Recognizer.load(make_model(tmp_path)), heard):
        assert window.pcm.strides == (0,)
        assert not window.pcm.any()
        assert len(window.before) == 0


@pytest.mark.parametrize("bad", [np.zeros(8_001, np.float32), np.full(100, np.nan, np.float32), [0.1] * 100, None])
def test_what_cannot_be_before_a_window_is_refused(tmp_path: Path, bad: Any) -> None:
    window = Window(speaker="a", start_s=0, pcm=np.full(40_000, 0.1, np.float32), speech_ratio=1, gap_ratio=0)
    with pytest.raises(InvalidSamples):
        Recognizer.load(make_model(tmp_path)).predict([replace(window, before=bad)])


def test_a_window_may_hold_floats_of_any_kind(tmp_path: Path) -> None:
    recognizer = Recognizer.load(make_model(tmp_path))
    (heard, *_) = windows()
    still = heard.pcm.copy()
    still.setflags(write=False)
    kinds = [heard.pcm.astype(np.float64), heard.pcm.astype(">f4"), np.repeat(heard.pcm, 2)[::2], still]
    (expected,) = recognizer.predict([heard])
    for pcm in kinds:
        assert recognizer.predict([replace(heard, pcm=pcm)]) == [expected]


def test_wrong_label_count_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"gives 4 answers, but .* states 5 labels"):
        Recognizer.load(make_model(tmp_path, answers=4))


def test_wrong_features_are_refused(tmp_path: Path) -> None:
    make_model(tmp_path)
    manifest = json.loads((tmp_path / "model.json").read_text())
    other = FeatureSettings(deltas=False)
    manifest |= {"features": other.model_dump(), "features_hash": other.hash}
    (tmp_path / "model.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match="scaler"):
        Recognizer.load(tmp_path)


@pytest.mark.parametrize("encoder", [True, False])
def test_a_baselines_head_for_another_encoder_is_refused(tmp_path: Path, encoder: bool) -> None:
    """When the model is opened, not with the second window of a speaker."""
    make_model(tmp_path, encoder=encoder)
    inputs = 2 * 20 + len(LABELS) + 1  # the encoder here is 24 wide; without one there is nothing to pool
    head = BaselineHead(
        hidden=(np.zeros((inputs, 3), np.float32), np.zeros(3, np.float32)),
        output=(np.zeros((3, len(LABELS)), np.float32), np.zeros(len(LABELS), np.float32)),
    )
    (tmp_path / "baseline.npz").write_bytes(head.to_bytes())
    write_manifest(tmp_path, open_directory(tmp_path).manifest)
    with pytest.raises(ModelError, match=f"compares 40 numbers of a window, but .* gives {48 if encoder else 0}"):
        Recognizer.load(tmp_path)


def test_broken_network_is_refused(tmp_path: Path) -> None:
    make_model(tmp_path)
    (tmp_path / "network.onnx").write_bytes(b"not a graph")
    with pytest.raises(ModelError, match="not the file that"):
        Recognizer.load(tmp_path)
    manifest = json.loads((tmp_path / "model.json").read_text())
    manifest["files"]["network.onnx"] = hashlib.sha256(b"not a graph").hexdigest()
    (tmp_path / "model.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match="not a network that ONNX Runtime can load"):
        Recognizer.load(tmp_path)


@pytest.mark.parametrize(
    ("name", "axes", "said"),
    [
        ("network.onnx", ["batch", 150], "network.onnx takes windows of 150 frames and of no other length"),
        ("network.onnx", [1, "frames"], "network.onnx takes 1 windows at a time"),
        ("encoder.onnx", [2, "frames"], "encoder.onnx takes 2 windows at a time"),
        ("encoder.onnx", ["batch", 300], "encoder.onnx takes windows of 300 frames and of no other length"),
    ],
)
def test_a_network_for_windows_of_one_length_alone_is_refused(
    tmp_path: Path, name: str, axes: list[str | int], said: str
) -> None:
    """A window of 3 s would pass, and every shorter one end in an error while people talk."""
    make_model(tmp_path, encoder=True)
    graph = onnx.load(tmp_path / name)
    for dim, value in zip(graph.graph.input[0].type.tensor_type.shape.dim, axes, strict=False):
        setattr(dim, "dim_value" if isinstance(value, int) else "dim_param", value)
    onnx.save(graph, tmp_path / name)
    write_manifest(tmp_path, open_directory(tmp_path).manifest)
    with pytest.raises(ModelError, match=said):
        Recognizer.load(tmp_path)


def test_a_network_of_one_length_is_served_where_all_windows_are_padded_to_it(tmp_path: Path) -> None:
    make_model(tmp_path, features=FeatureSettings(padding="pad_then_standardise"))
    graph = onnx.load(tmp_path / "network.onnx")
    graph.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 400
    onnx.save(graph, tmp_path / "network.onnx")
    write_manifest(tmp_path, open_directory(tmp_path).manifest)
    assert Recognizer.load(tmp_path).logits([np.ones(SAMPLE_RATE_HZ, np.float32)]).shape == (1, 5)


def test_an_encoder_of_one_window_at_a_time_is_served(tmp_path: Path) -> None:
    """It is never given more."""
    make_model(tmp_path, encoder=True)
    graph = onnx.load(tmp_path / "encoder.onnx")
    graph.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(graph, tmp_path / "encoder.onnx")
    write_manifest(tmp_path, open_directory(tmp_path).manifest)
    assert Recognizer.load(tmp_path).logits([np.ones(SAMPLE_RATE_HZ, np.float32)] * 2).shape == (2, 5)


def test_a_network_that_says_nothing_of_its_one_length_is_refused(tmp_path: Path) -> None:
    make_model(tmp_path, encoder=True)
    graph = onnx.load(tmp_path / "encoder.onnx")
    shape = onnx.numpy_helper.from_array(np.asarray([-1, 150, 24], np.int64), "one_length")
    graph.graph.initializer.append(shape)
    graph.graph.node[-1].output[0] = "whole"
    graph.graph.node.append(onnx.helper.make_node("Reshape", ["whole", "one_length"], ["encoded"]))
    onnx.save(graph, tmp_path / "encoder.onnx")
    write_manifest(tmp_path, open_directory(tmp_path).manifest)
    with pytest.raises(ModelError, match="does not take the features"):
        Recognizer.load(tmp_path)


def test_pickle_is_read_only_when_stated(tmp_path: Path) -> None:
    from sklearn.preprocessing import StandardScaler

    make_model(tmp_path)
    (tmp_path / "scaler.json").unlink()
    fitted = StandardScaler().fit(np.random.default_rng(0).standard_normal((50, 120)))
    (tmp_path / "scaler.pkl").write_bytes(pickle.dumps(fitted))
    manifest = json.loads((tmp_path / "model.json").read_text())
    del manifest["files"]["scaler.json"]
    (tmp_path / "model.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match="A pickle runs code"):
        Recognizer.load(tmp_path)
    manifest["files"]["scaler.pkl"] = hashlib.sha256((tmp_path / "scaler.pkl").read_bytes()).hexdigest()
    (tmp_path / "model.json").write_text(json.dumps(manifest))
    scaler = load_scaler(open_directory(tmp_path))
    assert scaler is not None
    assert np.allclose(scaler.mean, fitted.mean_, atol=1e-6)
    assert Recognizer.load(tmp_path).logits([np.ones(SAMPLE_RATE_HZ, np.float32)]).shape == (1, 5)


def test_stated_pickle_that_is_no_scaler_is_refused(tmp_path: Path) -> None:
    make_model(tmp_path)
    (tmp_path / "scaler.json").unlink()
    (tmp_path / "scaler.pkl").write_bytes(pickle.dumps({"a": 1}))
    manifest = json.loads((tmp_path / "model.json").read_text())
    del manifest["files"]["scaler.json"]
    manifest["files"]["scaler.pkl"] = hashlib.sha256((tmp_path / "scaler.pkl").read_bytes()).hexdigest()
    (tmp_path / "model.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match="not a fitted StandardScaler"):
        Recognizer.load(tmp_path)


@pytest.mark.parametrize("runtime", ["torch", "", "ONNXRuntime"])
def test_a_runtime_that_there_is_not_is_refused_with_those_that_there_are(tmp_path: Path, runtime: Any) -> None:
    with pytest.raises(ModelError, match=f"no runtime '{runtime}'. Known: onnxruntime, tensorflow"):
        Recognizer.load(make_model(tmp_path), runtime=runtime)


def test_runtime_that_cannot_serve_it_is_refused(tmp_path: Path) -> None:
    make_model(tmp_path)
    (tmp_path / "network.onnx").rename(tmp_path / "network.keras")
    manifest = json.loads((tmp_path / "model.json").read_text())
    manifest["files"] = {"network.keras": manifest["files"]["network.onnx"]}
    (tmp_path / "model.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match=r"has no network\.onnx"):
        Recognizer.load(tmp_path, runtime="onnxruntime")


@pytest.mark.parametrize(
    ("body", "kind", "said"),
    [
        ("raise ImportError('DLL load failed')", ModelError, "which cannot be loaded: DLL load failed"),
        ("raise ModuleNotFoundError('no module')", ModelError, "which is not installed"),
        (
            "try:\n    raise KeyboardInterrupt\nexcept KeyboardInterrupt as pressed:\n"
            "    raise ImportError('initialization failed') from pressed",
            KeyboardInterrupt,
            None,
        ),
    ],
)
def test_why_the_runtime_is_not_there_is_said_and_ctrl_c_is_none(
    body: str, kind: type[BaseException], said: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its binary part turns Ctrl-C into an ImportError."""
    made = make_model(tmp_path / "tiny")
    (tmp_path / "onnxruntime.py").write_text(body)
    monkeypatch.delitem(sys.modules, "onnxruntime", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(kind, match=said):
        Recognizer.load(made)
