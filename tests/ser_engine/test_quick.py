"""A model's LSTMs in bytes: cheaper, and no answer over real clips moves by more than 0.02."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from bot.cli.model import model
from ser_engine import Recognizer, networks, quickening, segment_pcm
from ser_engine.graphs import Graph
from ser_engine.models import ModelDirectory, available_models, find_model, load_manifest
from ser_engine.quick import FINER, ONCE, WAYS, Plan, places, quickened
from ser_engine.quickening import MOST_MOVED, Tried, answers, quicken
from ser_engine.types import Window
from tests.fakes.clips import CLIPS, clip, clip_paths
from tests.fakes.model import make_model

WIDTH, UNITS, FRAMES = 256, 64, 30
PLAN: Final = {"states": FINER}


def windows() -> list[Window]:
    """Of the repository's clips, one after another as if one person said them all."""
    found = [window for path in clip_paths() for window in segment_pcm(clip(path))]
    return [replace(window, start_s=5.0 * number) for number, window in enumerate(found)]


def network(*, halves: bool = False, others: float = 1.0) -> bytes:
    """A large LSTM both ways and a small one; the large one's weights are perhaps kept as halves, and those of all but
    the last quarter of its input perhaps smaller."""
    rng = np.random.default_rng(4)
    constants = {
        "w": rng.normal(0, 0.06, (2, 4 * UNITS, WIDTH)),
        "r": rng.normal(0, 0.06, (2, 4 * UNITS, UNITS)),
        "b": rng.normal(0, 0.1, (2, 8 * UNITS)),
        "w2": rng.normal(0, 0.2, (1, 4 * 8, 2 * UNITS)),
        "r2": rng.normal(0, 0.2, (1, 4 * 8, 8)),
    }
    constants["w"][:, :, : -WIDTH // 4] *= others
    kept = {"w", "r"} if halves else set()
    tensors = [
        numpy_helper.from_array(array.astype(np.float16 if name in kept else np.float32), name)
        for name, array in constants.items()
    ]
    tensors.append(numpy_helper.from_array(np.array([0, 0, -1], np.int64), "shape"))
    whole = [helper.make_node("Cast", [name], [f"{name}+"], to=1) for name in sorted(kept)]
    weights = [f"{name}+" if name in kept else name for name in ("w", "r")]
    nodes = [
        *whole,
        helper.make_node("Transpose", ["x"], ["steps"], perm=[2, 0, 1]),
        helper.make_node("LSTM", ["steps", *weights, "b"], ["states"], hidden_size=UNITS, direction="bidirectional"),
        helper.make_node("Transpose", ["states"], ["turned"], perm=[0, 2, 1, 3]),
        helper.make_node("Reshape", ["turned", "shape"], ["flat"]),
        helper.make_node("LSTM", ["flat", "w2", "r2"], ["small"], hidden_size=8),
        helper.make_node("Reshape", ["small", "shape"], ["last"]),
        helper.make_node("Concat", ["flat", "last"], ["y"], axis=2),
    ]
    taken = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", WIDTH, "frames"])
    given = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["steps", "batch", "all"])
    made = helper.make_model(
        helper.make_graph(nodes, "small", [taken], [given], tensors), opset_imports=[helper.make_opsetid("", 17)]
    )
    made.ir_version = 8
    return bytes(made.SerializeToString())


def run(data: bytes, frames: int = FRAMES) -> NDArray[np.float32]:
    return run_on(data, np.random.default_rng(1).standard_normal((1, WIDTH, frames)).astype(np.float32))


def run_on(data: bytes, x: NDArray[np.float32]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x})[0])


@pytest.mark.unit
def test_a_graph_that_is_read_and_written_is_the_same() -> None:
    data = network()
    written = Graph.from_bytes(data).to_bytes()
    assert Graph.from_bytes(written).to_bytes() == written
    assert np.array_equal(run(written), run(data))


@pytest.mark.unit
@pytest.mark.parametrize("data", [b"", b"\x00", b"not a network", b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"])
def test_what_is_no_network_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        quickened(data, PLAN)


@pytest.mark.unit
@pytest.mark.parametrize("halves", [False, True])
def test_places_are_the_large_recurrences(halves: bool) -> None:
    assert places(network(halves=halves)) == {"states": 2 * 4 * UNITS * (WIDTH + UNITS)}


@pytest.mark.unit
@pytest.mark.parametrize("halves", [False, True])
@pytest.mark.parametrize("frames", [FRAMES, 7, 1])
@pytest.mark.parametrize("way", WAYS)
def test_an_lstm_in_bytes_gives_nearly_the_same(way: str, frames: int, halves: bool) -> None:
    data = network(halves=halves)
    quick = quickened(data, {"states": way})
    operators = [node.operator for node in Graph.from_bytes(quick).nodes]
    assert (operators.count("DynamicQuantizeLSTM"), operators.count("LSTM"), operators.count("Cast")) == (1, 1, 0)
    exact, given = run(data, frames), run(quick, frames)
    assert given.shape == exact.shape
    off = float(np.sqrt(np.mean((given - exact) ** 2)) / exact.std())
    assert 0 < off < 0.03


@pytest.mark.unit
@pytest.mark.parametrize("plan", [{"elsewhere": ONCE}, {"small": FINER}, {"states": "recurrent"}])
def test_what_the_file_lacks_or_nobody_knows_is_left_out(plan: dict[str, str]) -> None:
    assert np.array_equal(run(quickened(network(), plan)), run(network()))


@pytest.mark.unit
def test_a_few_large_values_do_not_take_the_bits_from_what_weighs_most() -> None:
    """An LSTM whose input has a value twenty times as large as the others beside it."""
    steps = np.random.default_rng(2).standard_normal((1, WIDTH, FRAMES)).astype(np.float32)
    steps[0, 3, 5] = 20
    data = network(others=0.05)
    exact, once, finer = (run_on(quickened(data, plan), steps) for plan in ({}, {"states": ONCE}, PLAN))
    off = [float(np.sqrt(np.mean((given - exact) ** 2)) / exact.std()) for given in (once, finer)]
    assert off[1] < 0.02 < 0.028 < off[0]


@pytest.fixture
def to_the_letter(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From then on networks are computed operator by operator, as their files say: nothing is fused or made cheaper."""

    def session(directory: ModelDirectory, name: str, plan: Plan) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        return onnxruntime.InferenceSession(directory.read(name), options, providers=["CPUExecutionProvider"])

    return lambda: monkeypatch.setattr(networks, "_session", session)


@pytest.mark.integration
@pytest.mark.parametrize("name", available_models())
def test_no_answer_of_a_shipped_model_moves_far(name: str, to_the_letter: Callable[[], None]) -> None:
    """Each window alone, and each after all the ones before it."""
    served = answers(name, windows())
    to_the_letter()
    moved = np.abs(served - answers(name, windows(), {})).max(axis=1)
    assert moved.max() <= MOST_MOVED
    assert moved.mean() < MOST_MOVED / 4


@pytest.mark.integration
@pytest.mark.parametrize(("moves", "taken"), [([0.01], ONCE), ([0.019, 0.01], FINER), ([0.019, 0.019], None)])
def test_an_lstm_is_taken_in_the_cheapest_way_that_the_answers_allow(
    moves: list[float], taken: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a margin: 0.019 is too much, though no answer may move by more than 0.02."""
    shutil.copytree(find_model("fast"), tmp_path / "fast")
    (name,) = places((tmp_path / "fast" / "network.onnx").read_bytes())

    def said(_model: Path, some: Sequence[Window], plan: Plan) -> NDArray[np.float64]:
        return np.full((len(some), 5), moves[WAYS.index(plan[name])] if plan else 0.0)

    monkeypatch.setattr(quickening, "answers", said)
    tried: list[Tried] = []
    found = quicken(tmp_path / "fast", windows()[:1], tried.append)
    assert [one.plan for one in tried] == [{name: way} for way in WAYS[: len(moves)]]
    assert found.plan == load_manifest(tmp_path / "fast").quick == ({name: taken} if taken else {})
    assert (tmp_path / "fast" / "network.onnx").read_bytes() == (find_model("fast") / "network.onnx").read_bytes()


@pytest.mark.integration
def test_what_is_tried_moves_real_answers(tmp_path: Path) -> None:
    shutil.copytree(find_model("fast"), tmp_path / "fast")
    tried: list[Tried] = []
    assert quicken(tmp_path / "fast", windows()[:4], tried.append) == tried[-1]
    assert 0 < tried[-1].mean_moved <= tried[-1].moved <= MOST_MOVED


@pytest.mark.integration
def test_a_model_without_large_weights_stays_as_it_is(tmp_path: Path) -> None:
    made = make_model(tmp_path / "tiny")
    before = Recognizer.load(made).manifest
    result = CliRunner().invoke(model, ["quicken", str(made), "--clips", str(CLIPS)])
    assert result.exit_code == 0, result.output
    assert "in bytes nothing; answers move by 0.0000" in result.stdout
    assert Recognizer.load(made).manifest == before
    assert json.loads((made / "model.json").read_bytes())["quick"] == {}
