"""`undertone bench`: what a window costs here. Processor time differs from machine to machine, so everything is also a
ratio to the old app's way, measured in the same run, and each model a multiple of its floor."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from bot.cli.options import Number
from bot.cli.progress import Bar
from lab.bench_table import machine, put, scaled, written
from lab.soak_report import cost_table
from lab.soak_stage import measure_packets
from ser_engine.backends.process import keep_to_one_thread
from ser_engine.errors import EngineError
from ser_engine.extras import need_training

if TYPE_CHECKING:
    from ser_engine.types import Pcm

_WINDOW_S = 3.0
_BATCHES = (1, 4, 16)
OLD_WAY = "the old app's way"
SGEMM = "a large product of matrices"
SETTLE_S = 0.2
"""Threads of another process go on turning for a while after an answer, which is not the next answer's cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Something to be timed; `call` does it once for `windows` windows. What runs in another process says itself how
    many seconds of processor time it took; of the rest this process's is taken."""

    name: str
    call: Callable[[], object]
    windows: int = 1
    elsewhere: bool = False
    flop: int = 0
    """Operations of the network's products, for a window; 0 where there is no floor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Of one step, for one window of 3 s."""

    name: str
    ms: float
    """Median of the processor time over the rounds."""
    best_ms: float
    windows_a_second: float
    """Of one core's processor time."""
    times_old: float
    """How many windows go into the processor time of one in the first step, the yardstick."""
    floor_ms: float | None = None
    """The network's products alone, at the rate of the step `SGEMM` in the same run."""

    @property
    def over_floor(self) -> float | None:
        return self.ms / self.floor_ms if self.floor_ms else None


@click.command()
@click.option("--rounds", default=40, show_default=True, type=click.IntRange(3, 1000), help="How often each is timed.")
@click.option("--model", "models", multiple=True, help="Only this one; may be given several times.")
@click.option("--packets/--no-packets", default=True, help="Measure a voice packet's way, too.")
@click.option("--service", is_flag=True, help="Measure the whole service instead, with people who talk all the time.")
@click.option("--people", default=50, show_default=True, type=click.IntRange(1, 200), help="With --service.")
@click.option("--servers", default=5, show_default=True, type=click.IntRange(1, 50), help="With --service.")
@click.option("--seconds", default=60.0, show_default=True, type=Number(1, 3600), help="With --service.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--write",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Also write the table of costs into this document.",
)
@click.option(
    "--scale",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Also write into this document how many people a core carries.",
)
def bench(
    rounds: int,
    models: Sequence[str],
    packets: bool,
    service: bool,
    people: int,
    servers: int,
    seconds: float,
    as_json: bool,
    write: Path | None,
    scale: Path | None,
) -> None:
    """Measure what a window of speech and a voice packet cost on this machine.

    A window: the old app's way, the way of each model, the least that the model's arithmetic takes (the floor), and the
    steps before the network, with how far the features are from librosa's. With --service: what a packet costs in the
    whole service, while --people talk in --servers for --seconds.
    """
    if service:
        from lab.service_cost import told

        click.echo(told(people, servers, seconds, models[0] if models else None, as_json=as_json))
        return
    keep_to_one_thread()  # read when numpy is loaded, which is now
    console = Console(stderr=True)
    with ExitStack() as stack:
        try:
            need_training("Measuring beside the old way", "librosa", "keras", "tensorflow")
            console.print("The old app's way starts …")
            steps = _steps(models, stack)
        except EngineError as error:
            raise click.ClickException(str(error)) from error
        bar = stack.enter_context(Bar(console))
        bar.stage("rounds", rounds)
        results = measure(steps, rounds, bar.advance)
    differs = deviation()
    cost = measure_packets() if packets else None
    if as_json:
        body = {"rounds": rounds, "deviation": differs, "results": [asdict(result) for result in results]}
        click.echo(json.dumps(body | {"machine": machine()} | ({"packet": asdict(cost)} if cost else {})))
    else:
        click.echo(written(results, rounds, differs))
        if cost:
            Console().print(cost_table(cost))
    if write is not None:
        put(write, written(results, rounds, differs))
    if scale is not None:
        put(scale, scaled(results))


def measure(steps: Sequence[Step], rounds: int, done: Callable[[], object] = lambda: None) -> list[Result]:
    """Time every step once a round, in turn, so that a busy moment falls on all of them alike. The first is the
    yardstick. Each is called once before it is timed: a service does one thing all the time, and what another step
    leaves in the processor's caches is not its concern."""
    times: dict[str, list[float]] = {step.name: [] for step in steps}
    for _ in range(rounds):
        for step in steps:
            step.call()
            if step.elsewhere:
                time.sleep(SETTLE_S)
            begun_s = time.process_time()
            said = step.call()
            took_s = float(str(said)) if step.elsewhere else time.process_time() - begun_s
            times[step.name].append(took_s * 1000 / step.windows)
        done()
    median = {name: statistics.median(taken) for name, taken in times.items()}
    rate = next((step.flop / median[step.name] for step in steps if step.name == SGEMM), None)
    return [
        Result(
            name=step.name,
            ms=median[step.name],
            best_ms=min(times[step.name]),
            windows_a_second=1000 / median[step.name],
            times_old=median[steps[0].name] / median[step.name],
            floor_ms=step.flop / rate if rate and step.flop else None,
        )
        for step in steps
    ]


def deviation() -> float:
    """The largest difference between our 120 features and librosa's, for the same three seconds."""
    import numpy as np

    from ser_engine.features import FeatureSettings, extract

    pcm = voice_like()
    return float(np.abs(extract(pcm, FeatureSettings()) - by_librosa(pcm).T).max())


def by_librosa(pcm: Pcm) -> Pcm:
    """The old app's front end: shape ``(120, frames)``."""
    import librosa
    import numpy as np

    trimmed, _ = librosa.effects.trim(pcm)
    mfcc = librosa.feature.mfcc(y=trimmed, sr=16_000, n_mfcc=40, n_fft=400, hop_length=160)
    return np.vstack([mfcc, librosa.feature.delta(mfcc), librosa.feature.delta(mfcc, order=2)])


def _steps(models: Sequence[str], stack: ExitStack) -> list[Step]:
    import numpy as np

    from lab.floor import COLUMNS, INNER, ROWS, SGEMM_FLOP, network_flop
    from lab.old_way import old_way
    from ser_engine.audio import resample
    from ser_engine.features import FeatureSettings, extract
    from ser_engine.gates import gate
    from ser_engine.models import available_models, find_model, open_directory
    from ser_engine.recognizer import Recognizer
    from ser_engine.segmenter import segment_pcm

    pcm = voice_like()
    at_48k = np.repeat(pcm, 3)
    (window,) = segment_pcm(pcm)
    settings, whisper = FeatureSettings(), FeatureSettings.whisper()
    left, right = (np.ones(shape, np.float32) for shape in ((ROWS, INNER), (INNER, COLUMNS)))
    steps = [
        Step(name=OLD_WAY, call=stack.enter_context(old_way()), elsewhere=True),
        Step(name=SGEMM, call=lambda: left @ right, flop=SGEMM_FLOP),
        Step(name="front end: librosa's", call=lambda: by_librosa(pcm)),
        Step(name="front end: the same 120 features", call=lambda: extract(pcm, settings)),
        Step(name="front end: Whisper's log-mel", call=lambda: extract(pcm, whisper)),
        Step(name="resampling 48 to 16 kHz", call=lambda: resample(at_48k, 48_000)),
        Step(name="segmenter with voice activity", call=lambda: segment_pcm(pcm)),
        Step(name="gates", call=lambda: gate(window)),
    ]
    for name in models or available_models():
        recognizer = Recognizer.load(name)
        flop = network_flop(open_directory(find_model(name)), extract(pcm, recognizer.manifest.features))
        for batch in _BATCHES:
            windows = [window] * batch
            steps.append(
                Step(
                    name=f"`{recognizer.info.name}`, batch {batch}",
                    call=lambda recognizer=recognizer, windows=windows: recognizer.predict(windows),  # type: ignore[misc]
                    windows=batch,
                    flop=flop,
                )
            )
    return steps


def voice_like() -> Pcm:
    """Three seconds with a moving pitch and syllables; the time of every step depends on the length alone."""
    import numpy as np

    t = np.arange(round(_WINDOW_S * 16_000)) / 16_000
    phase = 2 * np.pi * np.cumsum(130 + 40 * np.sin(2 * np.pi * 0.9 * t)) / 16_000
    voice = sum(np.sin(h * phase) / h for h in range(1, 30)) * (0.55 + 0.45 * np.sin(2 * np.pi * 3.7 * t))
    breath = np.random.default_rng(1).standard_normal(len(t))
    return np.asarray(0.1 * voice + 0.004 * breath, dtype=np.float32)
