"""The fast engine: Whisper's convolutions and first layer at half the rate, a small BiLSTM, taught by the default one.

It answers in a third of the default engine's time and size, for small hosts and for hundreds of people talking. What it
cannot learn from four thousand clips it learns from the larger engine's answers to them. A network of its own shape
from scratch (strided convolutions before the BiLSTM) was tried first and stayed far behind: `docs/experiments.md`.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Final

import keras
import numpy as np

from ser_engine.features import Features
from ser_engine.models import ENCODER_ONNX
from ser_engine.training import default, finetune, finish
from ser_engine.training.corpus import LABELS, Corpus
from ser_engine.training.default import FEATURES, KERAS_LAYERS, STATISTICS_CLIPS, VOTES_SHARE, WORK
from ser_engine.training.distill import answers, load_teacher
from ser_engine.training.encoder import export_encoder
from ser_engine.training.hearings import AS_RECORDED, Hearings
from ser_engine.training.recipes import Progress, TrainOptions
from ser_engine.training.seed import one_thread_each, targets
from ser_engine.training.split import split_corpus
from ser_engine.training.whisper import read_encoder

LAYERS: Final = 1
UNITS: Final = 64
EPOCHS: Final = 16
TEACHER: Final = "default"
TEACHER_SHARE: Final = 0.6
"""How much of a target is the teacher's answer; the rest is the intention and the crowd's votes."""
SOFTNESS: Final = 1.5
HEARINGS: Final = 8
CLEANED_FROM: Final = 5
"""From this hearing on, half of the recordings have their background taken out: see `augment.clean`."""
AS_RECORDED_SHARE: Final = 0.25
COVERAGE: Final = 0.7
"""Share of clear answers on held-out speakers, from the risk-coverage curve."""


def train(corpus: Corpus, out: Path, options: TrainOptions, progress: Progress) -> None:
    """Train on `corpus` and write a model directory to `out`. See `recipes.Recipe`."""
    one_thread_each(options.threads)
    split = split_corpus(corpus, LABELS, seed=options.seed)
    work = out / WORK
    if options.restart:
        finish.clear(work)
    work.mkdir(parents=True, exist_ok=True)
    settings = finetune.FineTuneSettings(epochs=options.epochs or EPOCHS, encoder_rate=1e-4)
    units = options.units or UNITS
    teacher = load_teacher(TEACHER, LABELS)
    recipe = {**asdict(settings), "units": units, "layers": LAYERS, "votes_share": VOTES_SHARE}
    recipe |= {"teacher": f"{teacher.info.name} {teacher.info.version}"}
    recipe |= {"teacher_share": TEACHER_SHARE, "softness": SOFTNESS}
    recipe |= {"hearings": HEARINGS, "as_recorded_share": AS_RECORDED_SHARE}
    key = finish.fingerprint(split, FEATURES, {**recipe, "seed": options.seed, "engine": "fast"})
    folders = finish.hearing_folders(work, split, FEATURES, options.seed)
    heard, judged = (
        Hearings(side.clips, FEATURES, seed=options.seed, folder=folder, progress=progress, cleaned_from=CLEANED_FROM)
        for side, folder in zip((split.train, split.validation), folders, strict=True)
    )
    recorded = heard[AS_RECORDED]

    def draw(epoch: int, rng: np.random.Generator) -> list[Features]:
        varied = heard[1 + epoch % HEARINGS]
        return [(recorded if rng.random() < AS_RECORDED_SHARE else varied)[k] for k in range(len(recorded))]

    taught = answers(teacher, split.train.clips, softness=SOFTNESS, progress=progress)
    keras.utils.set_random_seed(options.seed)
    sample = np.random.default_rng(options.seed).permutation(len(recorded))[:STATISTICS_CLIPS]
    tensors = read_encoder()
    encoder = default.build_encoder(tensors, [recorded[int(k)] for k in sample], LAYERS, halved=True)
    head = default.build_head(units, "fast")
    steps = finetune.steps_for(len(recorded), settings)
    losses = finetune.fine_tune(
        finetune.FineTuner(encoder=encoder, head=head, settings=settings, steps=steps),
        draw,
        TEACHER_SHARE * taught + (1 - TEACHER_SHARE) * targets(split.train.clips, LABELS, VOTES_SHARE),
        default.strangers(options.seed, progress),
        seed=options.seed,
        key=key,
        work=work,
        progress=progress,
    )
    served = default.exact(encoder, tensors)
    export_encoder(served, out / ENCODER_ONNX)
    # Calibrated on the held-out clips as recorded and as calls would carry them: its use is the latter.
    logits = default.logits_of(served, head, [*judged[AS_RECORDED], *judged[CLEANED_FROM]])
    truth = np.tile([LABELS.index(clip.label) for clip in split.validation.clips], 2)
    finish.write(
        out,
        head,
        labels=LABELS,
        features=FEATURES,
        held_out=finish.HeldOut(logits=logits, truth=truth, coverage=COVERAGE),
        training={**recipe, "engine": "fast", "seed": options.seed, **finish.describe(split), "losses": losses},
        keras_layers=KERAS_LAYERS,
    )
    finish.clear(work)
