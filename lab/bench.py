"""`undertone bench`: what a window costs here. Seconds differ from machine to machine, so everything is also a ratio to
one yardstick measured in the same run: librosa's front end for the same three seconds."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from bot.cli.progress import Bar
from lab.soak_report import cost_table
from lab.soak_stage import measure_packets
from ser_engine.backends.process import keep_to_one_thread
from ser_engine.errors import EngineError
from ser_engine.extras import need_training

if TYPE_CHECKING:
    from ser_engine.types import Pcm

_WINDOW_S = 3.0
_BATCH = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Something to be timed; `call` does it once for `windows` windows."""

    name: str
    call: Callable[[], object]
    windows: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Of one step, for one window of 3 s."""

    name: str
    ms: float
    """Median over the rounds."""
    best_ms: float
    of_yardstick: float
    """Median time as a share of librosa's front end."""
    people_a_core: float
    """How many people who talk all the time one core could do this step for."""


@click.command()
@click.option("--rounds", default=40, show_default=True, type=click.IntRange(3, 1000), help="How often each is timed.")
@click.option("--model", "models", multiple=True, help="Only these models; all that are present otherwise.")
@click.option("--packets/--no-packets", default=True, help="Measure a voice packet's way, too.")
@click.option("--service", is_flag=True, help="Measure the whole service instead, with people who talk all the time.")
@click.option("--people", default=50, show_default=True, type=click.IntRange(1, 200), help="For --service.")
@click.option("--servers", default=5, show_default=True, type=click.IntRange(1, 50), help="For --service.")
@click.option("--seconds", default=60.0, show_default=True, type=click.FloatRange(1, 3600), help="For --service.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def bench(
    rounds: int,
    models: Sequence[str],
    packets: bool,
    service: bool,
    people: int,
    servers: int,
    seconds: float,
    as_json: bool,
) -> None:
    """Measure this machine: the front end against librosa's (how fast, and how equal its numbers are), the whole way of
    each present model, a voice packet's. With --service: what a packet costs in the whole service."""
    if service:
        from lab.service_cost import told

        click.echo(told(people, servers, seconds, models[0] if models else None, as_json=as_json))
        return
    keep_to_one_thread()  # read when numpy is loaded, which is now
    console = Console(stderr=True)
    try:
        need_training("Measuring beside the old way", "librosa")
        steps = _steps(models)
    except EngineError as error:
        raise click.ClickException(str(error)) from error
    with Bar(console) as bar:
        bar.stage("rounds", rounds)
        results = measure(steps, rounds, bar.advance)
    differs = deviation()
    cost = measure_packets() if packets else None
    if as_json:
        body = {"rounds": rounds, "deviation": differs, "results": [asdict(result) for result in results]}
        click.echo(json.dumps(body | ({"packet": asdict(cost)} if cost else {})))
        return
    Console().print(_table(results))
    Console().print(
        f"The 120 features differ from librosa's by {differs:.1e} at most (0.002 is allowed).", highlight=False
    )
    if cost:
        Console().print(cost_table(cost))


def measure(steps: Sequence[Step], rounds: int, done: Callable[[], object] = lambda: None) -> list[Result]:
    """Time every step once a round, in turn, so that a busy moment falls on all of them alike. The first is the
    yardstick."""
    for step in steps:
        step.call()
    times: dict[str, list[float]] = {step.name: [] for step in steps}
    for _ in range(rounds):
        for step in steps:
            begun = time.perf_counter()
            step.call()
            times[step.name].append((time.perf_counter() - begun) * 1000 / step.windows)
        done()
    yardstick = statistics.median(times[steps[0].name])
    return [
        Result(
            name=name,
            ms=statistics.median(taken),
            best_ms=min(taken),
            of_yardstick=statistics.median(taken) / yardstick,
            people_a_core=_WINDOW_S * 1000 / statistics.median(taken),
        )
        for name, taken in times.items()
    ]


def deviation() -> float:
    """The largest difference between our 120 features and librosa's, for the same three seconds."""
    import numpy as np

    from ser_engine.features import FeatureSettings, extract

    pcm = _voice_like()
    return float(np.abs(extract(pcm, FeatureSettings()) - _by_librosa(pcm).T).max())


def _by_librosa(pcm: Pcm) -> Pcm:
    """The old app's front end: shape ``(120, frames)``."""
    import librosa
    import numpy as np

    trimmed, _ = librosa.effects.trim(pcm)
    mfcc = librosa.feature.mfcc(y=trimmed, sr=16_000, n_mfcc=40, n_fft=400, hop_length=160)
    return np.vstack([mfcc, librosa.feature.delta(mfcc), librosa.feature.delta(mfcc, order=2)])


def _steps(models: Sequence[str]) -> list[Step]:
    import numpy as np

    from ser_engine.audio import resample
    from ser_engine.features import FeatureSettings, extract
    from ser_engine.gates import gate
    from ser_engine.models import available_models
    from ser_engine.recognizer import Recognizer
    from ser_engine.segmenter import segment_pcm

    pcm = _voice_like()
    at_48k = np.repeat(pcm, 3)
    (window,) = segment_pcm(pcm)
    settings, whisper = FeatureSettings(), FeatureSettings.whisper()

    steps = [
        Step(name="librosa's front end (the yardstick)", call=lambda: _by_librosa(pcm)),
        Step(name="front end: 120 features", call=lambda: extract(pcm, settings)),
        Step(name="front end: Whisper's log-mel", call=lambda: extract(pcm, whisper)),
        Step(name="resampling 48 to 16 kHz", call=lambda: resample(at_48k, 48_000)),
        Step(name="segmenter with voice activity", call=lambda: segment_pcm(pcm)),
        Step(name="gates", call=lambda: gate(window)),
    ]
    for name in models or available_models():
        recognizer = Recognizer.load(name)
        for batch in (1, _BATCH):
            windows = [window] * batch
            steps.append(
                Step(
                    name=f"model {recognizer.info.name}, whole way, batch {batch}",
                    call=lambda recognizer=recognizer, windows=windows: recognizer.predict(windows),  # type: ignore[misc]
                    windows=batch,
                )
            )
    return steps


def _voice_like() -> Pcm:
    """Three seconds with a moving pitch and syllables; the time of every step depends on the length alone."""
    import numpy as np

    t = np.arange(round(_WINDOW_S * 16_000)) / 16_000
    phase = 2 * np.pi * np.cumsum(130 + 40 * np.sin(2 * np.pi * 0.9 * t)) / 16_000
    voice = sum(np.sin(h * phase) / h for h in range(1, 30)) * (0.55 + 0.45 * np.sin(2 * np.pi * 3.7 * t))
    breath = np.random.default_rng(1).standard_normal(len(t))
    return np.asarray(0.1 * voice + 0.004 * breath, dtype=np.float32)


def _table(results: Sequence[Result]) -> Table:
    table = Table(title="One window of 3 s, one thread")
    table.add_column("step")
    for heading in ("ms (median)", "ms (best)", "of the yardstick", "people a core"):
        table.add_column(heading, justify="right")
    for result in results:
        table.add_row(
            result.name,
            f"{result.ms:.2f}",
            f"{result.best_ms:.2f}",
            f"{result.of_yardstick:.2f}",
            f"{result.people_a_core:,.0f}",
        )
    return table
