"""`undertone bench`: what a window costs here. Processor time differs from machine to machine, so everything is also a
ratio to the old app's way, measured in the same run, and each model a multiple of its floor."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console

from bot.cli.options import Number
from bot.cli.progress import Bar
from lab.bench_table import machine, put, scaled, written
from lab.soak_report import cost_table
from lab.soak_stage import MOST_SERVERS, measure_packets
from lab.timing import OLD_WAY, SGEMM, Step, measure
from ser_engine.backends.process import keep_to_one_thread
from ser_engine.errors import EngineError
from ser_engine.extras import need_training

_BATCHES = (1, 4, 16)


@click.command()
@click.option("--rounds", default=40, show_default=True, type=click.IntRange(3, 1000), help="How often each is timed.")
@click.option("--model", "models", multiple=True, help="Only this one; may be given several times.")
@click.option("--packets/--no-packets", default=True, help="Measure a voice packet's way, too.")
@click.option("--service", is_flag=True, help="Measure the whole service instead, with people who talk all the time.")
@click.option("--people", default=50, show_default=True, type=click.IntRange(1, 200), help="With --service.")
@click.option("--servers", default=5, show_default=True, type=click.IntRange(1, MOST_SERVERS), help="With --service.")
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


def deviation() -> float:
    """The largest difference between our 120 features and librosa's, for the same three seconds."""
    import numpy as np

    from lab.old_way import by_librosa, voice_like
    from ser_engine.features import FeatureSettings, extract

    pcm = voice_like()
    return float(np.abs(extract(pcm, FeatureSettings()) - by_librosa(pcm).T).max())


def _steps(models: Sequence[str], stack: ExitStack) -> list[Step]:
    import numpy as np

    from lab.floor import COLUMNS, INNER, ROWS, SGEMM_FLOP, network_flop
    from lab.old_way import by_librosa, old_way, voice_like
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
