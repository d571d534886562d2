"""`undertone bench` measures in ratios to one yardstick, in one run."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from click import ClickException
from click.testing import CliRunner

from lab.bench import bench
from lab.bench_table import BEGIN, END, machine, put, scaled
from lab.floor import network_flop
from lab.timing import OLD_WAY, SGEMM, Result, Step, measure
from ser_engine.features import extract
from ser_engine.models import find_model, open_directory
from tests.fakes.clips import clip, clip_paths
from tests.fakes.model import make_model

pytestmark = pytest.mark.integration


def spend(seconds: float) -> None:
    """Processor time, not a wait."""
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


def test_ratios_are_to_the_first_step() -> None:
    steps = [
        Step(name="yardstick", call=lambda: 0.02, elsewhere=True),
        Step(name=SGEMM, call=lambda: spend(0.01), flop=1_000),
        Step(name="four at once", call=lambda: spend(0.02), windows=4, flop=500),
    ]
    rounds = []
    yardstick, product, four = measure(steps, 5, lambda: rounds.append(1))
    assert len(rounds) == 5
    assert yardstick.times_old == 1
    assert yardstick.over_floor is None
    assert product.times_old == pytest.approx(2, rel=0.2)
    assert product.over_floor == pytest.approx(1)
    assert four.times_old == pytest.approx(4, rel=0.2)
    assert four.over_floor == pytest.approx(1, rel=0.2)
    assert four.windows_a_second == pytest.approx(200, rel=0.2)


def test_cores_are_counted_whole_and_enough_of_them() -> None:
    """5.3 cores are six: five would fall behind."""
    of_four = Result(name="`fast`, batch 4", ms=6.4, best_ms=6.4, windows_a_second=157.0, times_old=35.0)
    assert "| cores that recognise 830 windows a second | 6 |" in scaled([of_four])


def test_a_floor_counts_the_networks_products() -> None:
    """Two bidirectional LSTMs of 128 and 64 units over 120 features, and a dense layer: by hand, for each frame."""
    directory = open_directory(find_model("seed"))
    features = extract(clip(clip_paths()[0]), directory.manifest.features)
    frame = 2 * (2 * 512 * (120 + 128) + 2 * 256 * (256 + 64))
    assert network_flop(directory, features) == pytest.approx(len(features) * frame, rel=0.001)


@pytest.mark.slow
def test_every_step_of_the_engine_is_measured_and_written_down(tmp_path: Path) -> None:
    made = make_model(tmp_path / "tiny", encoder=True)
    page = tmp_path / "page.md"
    page.write_text(f"Before\n{BEGIN}\nold\n{END}\nAfter\n")
    arguments = ["--rounds", "3", "--model", str(made), "--no-packets", "--json", "--write", str(page)]
    further = tmp_path / "further.md"
    further.write_text(f"{BEGIN}\n{END}\n")
    arguments += ["--scale", str(further)]
    result = CliRunner().invoke(bench, arguments)
    assert result.exit_code == 0, result.output
    body = json.loads(result.stdout)
    assert 0 < body["deviation"] < 2e-3
    rows = {row["name"]: row for row in body["results"]}
    assert list(rows)[:2] == [OLD_WAY, SGEMM]
    assert rows["`tiny`, batch 16"]["times_old"] > rows[OLD_WAY]["times_old"] == 1
    assert rows["`tiny`, batch 1"]["floor_ms"] > 0
    text = page.read_text()
    assert text.startswith("Before\n")
    assert text.endswith(f"{END}\nAfter\n")
    assert "old\n" not in text
    assert "| `tiny`, batch 4 |" in text
    assert "| people who talk all the time, a core (a window each 3 s) |" in further.read_text()


def test_a_page_without_a_place_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing")
    with pytest.raises(ClickException, match="no place"):
        put(page, "table")
    assert page.read_text() == "nothing"


@pytest.mark.unit
@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ("flags\t\t: fpu avx avx2 fma\n", "Some Processor (AVX2, no VNNI); "),
        ("flags\t\t: avx2 avx_vnni\n", "Some Processor (AVX2, VNNI); "),
        ("flags\t\t: avx2 avx512f avx512_vnni\n", "Some Processor (AVX-512, VNNI); "),
        ("flags\t\t: fpu sse2\n", "Some Processor (no AVX2, no VNNI); "),
        ("", "Some Processor; "),
    ],
)
def test_a_machine_is_named_with_what_decides_its_speed(tmp_path: Path, flags: str, told: str) -> None:
    described = tmp_path / "cpuinfo"
    described.write_text(f"model name\t: Some Processor\n{flags}")
    assert machine(described).startswith(told)
