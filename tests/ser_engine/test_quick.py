"""A model's products in bytes: cheaper, and no answer over real clips moves by more than 0.02."""

from __future__ import annotations

import json
from collections.abc import Callable
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
from ser_engine import Recognizer, networks, segment_pcm
from ser_engine.graphs import Graph
from ser_engine.models import ModelDirectory, available_models
from ser_engine.quick import Candidate, Plan, Way, places, quickened
from ser_engine.quickening import MOST_MOVED, Search, Tried, answers
from ser_engine.types import Window
from tests.fakes.clips import CLIPS, clip, clip_paths
from tests.fakes.model import make_model

WIDTH, WIDER, UNITS, FRAMES = 256, 512, 64, 30
PLAN: Final[dict[str, Way]] = {"wide": "balanced", "narrow": "unsigned", "even": "balanced", "states": "recurrent"}
OPERATORS: Final = {"recurrent": "DynamicQuantizeLSTM"}


def windows() -> list[Window]:
    """Of the repository's clips, one after another as if one person said them all."""
    found = [window for path in clip_paths() for window in segment_pcm(clip(path))]
    return [replace(window, start_s=5.0 * number) for number, window in enumerate(found)]


def network() -> bytes:
    """A layer normalisation, three products with a bias and an LSTM both ways; some weights are kept as halves."""
    rng = np.random.default_rng(4)
    constants = {
        "gain": rng.uniform(0.1, 4, WIDTH),
        "offset": rng.normal(0, 0.2, WIDTH),
        "w1": rng.normal(0, 0.06, (WIDTH, WIDER)),
        "w2": rng.normal(0, 0.05, (WIDER, WIDTH)),
        "w3": rng.normal(0, 0.06, (WIDTH, WIDER)),
        "b1": rng.normal(0, 0.1, WIDER),
        "b2": rng.normal(0, 0.1, WIDTH),
        "w4": rng.normal(0, 0.06, (2, 4 * UNITS, WIDTH)),
        "r4": rng.normal(0, 0.06, (2, 4 * UNITS, UNITS)),
        "b4": rng.normal(0, 0.1, (2, 8 * UNITS)),
    }
    halves = {"w1"}
    tensors = [
        numpy_helper.from_array(array.astype(np.float16 if name in halves else np.float32), name)
        for name, array in constants.items()
    ]
    nodes = [
        helper.make_node("Transpose", ["x"], ["rows"], perm=[0, 2, 1]),
        helper.make_node("LayerNormalization", ["rows", "gain", "offset"], ["normal"], axis=-1),
        helper.make_node("Cast", ["w1"], ["whole"], to=1),
        helper.make_node("MatMul", ["normal", "whole"], ["wide"]),
        helper.make_node("Add", ["wide", "b1"], ["wide+"]),
        helper.make_node("Relu", ["wide+"], ["positive"]),
        helper.make_node("MatMul", ["positive", "w2"], ["narrow"]),
        helper.make_node("Add", ["b2", "narrow"], ["narrow+"]),
        helper.make_node("MatMul", ["narrow+", "w3"], ["even"]),
        helper.make_node("Add", ["even", "b1"], ["even+"]),
        helper.make_node("Transpose", ["normal"], ["steps"], perm=[1, 0, 2]),
        helper.make_node("LSTM", ["steps", "w4", "r4", "b4"], ["states"], hidden_size=UNITS, direction="bidirectional"),
        helper.make_node("Transpose", ["states"], ["turned"], perm=[2, 0, 1, 3]),
        helper.make_node("Reshape", ["turned", "shape"], ["flat"]),
        helper.make_node("Concat", ["even+", "flat"], ["y"], axis=2),
    ]
    tensors.append(numpy_helper.from_array(np.array([0, 0, -1], np.int64), "shape"))
    taken = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", WIDTH, "frames"])
    given = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", "steps", "all"])
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
def test_places_are_the_large_products_and_recurrences() -> None:
    found = places(network())
    assert [place.name for place in found] == ["wide", "narrow", "even", "states"]
    assert [place.ways for place in found] == [("balanced", "unsigned")] * 3 + [("recurrent",)]
    assert found[0].weights == WIDTH * WIDER
    assert found[3].weights == 2 * 4 * UNITS * (WIDTH + UNITS)


@pytest.mark.unit
@pytest.mark.parametrize("name", [*PLAN, "all"])
@pytest.mark.parametrize("frames", [FRAMES, 7, 1])
def test_products_in_bytes_give_nearly_the_same(name: str, frames: int) -> None:
    plan = PLAN if name == "all" else {name: PLAN[name]}
    quick = quickened(network(), plan)
    operators = [node.operator for node in Graph.from_bytes(quick).nodes]
    for way in plan.values():
        wanted = sum(OPERATORS.get(other) == OPERATORS.get(way) for other in plan.values())
        assert operators.count(OPERATORS.get(way, "DynamicQuantizeMatMul")) == wanted
    assert len(quick) < len(network())
    exact, given = run(network(), frames), run(quick, frames)
    assert given.shape == exact.shape
    off = float(np.sqrt(np.mean((given - exact) ** 2)) / exact.std())
    assert 0 < off < 0.03


@pytest.mark.unit
@pytest.mark.parametrize(
    "plan", [{"elsewhere": "balanced"}, {"wide": "by_row"}, {"even": "blocks"}, {"wide": "recurrent"}, {"states": "x"}]
)
def test_what_the_file_lacks_or_nobody_knows_is_left_out(plan: dict[str, str]) -> None:
    assert np.array_equal(run(quickened(network(), plan)), run(network()))


@pytest.mark.unit
def test_a_few_large_values_do_not_take_the_bits_from_all_others() -> None:
    """An LSTM whose input has a value a hundred times as large as the others."""
    steps = np.random.default_rng(2).standard_normal((1, WIDTH, FRAMES)).astype(np.float32)
    steps[0, 3, 5] = 100
    exact, given = (run_on(data, steps) for data in (network(), quickened(network(), {"states": "recurrent"})))
    assert np.sqrt(np.mean((given - exact) ** 2)) / exact.std() < 0.03


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


class Apart:
    """What each place in bytes adds to how far the answers move, in squares."""

    def __init__(self, moved: dict[str, float]) -> None:
        self._moved = moved

    def once(self, plan: Plan) -> NDArray[np.float64]:
        return np.array([np.sqrt(sum(self._moved[f"{name} {way}"] ** 2 for name, way in plan.items()))])

    __call__ = once


@pytest.mark.unit
def test_the_plan_is_the_one_that_gains_most_and_holds() -> None:
    """By its worth alone the small product would come first, and leave no room for the large one."""
    found = [
        Candidate(name="small", weights=100, ways=("balanced",)),
        Candidate(name="large", weights=300, ways=("balanced", "unsigned")),
        Candidate(name="free", weights=200, ways=("recurrent",)),
    ]
    trial = Apart({"small balanced": 0.007, "large balanced": 0.0175, "large unsigned": 0.03, "free recurrent": 0.0})
    said: list[Tried] = []
    taken = Search(found, trial, said.append).best()
    assert taken.plan == {"large": "balanced", "free": "recurrent"}
    assert taken.share == pytest.approx(500 / 600)
    assert taken.moved <= MOST_MOVED * 0.9
    assert taken in said
    assert len({frozenset(one.plan.items()) for one in said[4:]}) == len(said) - 4


@pytest.mark.integration
def test_a_model_without_large_weights_stays_as_it_is(tmp_path: Path) -> None:
    made = make_model(tmp_path / "tiny")
    before = Recognizer.load(made).manifest
    result = CliRunner().invoke(model, ["quicken", str(made), "--clips", str(CLIPS)])
    assert result.exit_code == 0, result.output
    assert "0% of the large weights" in result.stdout
    assert Recognizer.load(made).manifest == before
    assert json.loads((made / "model.json").read_bytes())["quick"] == {}
