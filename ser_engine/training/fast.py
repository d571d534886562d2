"""The fast engine: log-mel bands, two strided convolutions, a BiLSTM and attentive pooling, taught by the default one.

It answers in a fifth of the default engine's time and a tenth of its size, for small hosts and for hundreds of people
talking. What it cannot learn from four thousand clips it learns from the larger engine's answers to them.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np

from ser_engine.features import Features, FeatureSettings, extract
from ser_engine.models import SCALER_JSON
from ser_engine.training import finish, loop
from ser_engine.training.augment import not_speech
from ser_engine.training.corpus import LABELS, Corpus
from ser_engine.training.distill import answers, load_teacher
from ser_engine.training.hearings import AS_RECORDED, Hearings
from ser_engine.training.layers import AttentiveStatistics, PaddedConv1D
from ser_engine.training.recipes import Progress, TrainOptions
from ser_engine.training.seed import fit_scaler, one_thread_each, targets
from ser_engine.training.split import split_corpus

FEATURES: Final = FeatureSettings.whisper(level="peak")
FILTERS: Final = 128
UNITS: Final = 128
DROPOUT: Final = 0.25
EPOCHS: Final = 32
TEACHER: Final = "default"
TEACHER_SHARE: Final = 0.6
"""How much of a target is the teacher's answer; the rest is the intention and the crowd's votes."""
SOFTNESS: Final = 1.5
VOTES_SHARE: Final = 0.3
HEARINGS: Final = 8
CLEANED_FROM: Final = 5
"""From this hearing on, half of the recordings have their background taken out: see `augment.clean`."""
AVERAGED_EPOCHS: Final = 6
AS_RECORDED_SHARE: Final = 0.3
STRANGERS: Final = 240
"""Windows of noise, hum and made music, whose target is every label alike."""
COVERAGE: Final = 0.7
KERAS_LAYERS: Final = "ser_engine.training.layers"
WORK: Final = ".training"


def build(units: int = UNITS) -> Any:
    """The network, uncompiled: (batch, frames, 80) → probabilities (batch, 5)."""
    layers = keras.layers
    features = keras.Input((None, FEATURES.dims), name="features")
    x = layers.Masking(name="masking")(features)
    x = PaddedConv1D(FILTERS, 5, stride=2, activation="relu", name="conv_1")(x)
    x = layers.Dropout(0.1, name="dropout_1")(x)
    x = PaddedConv1D(FILTERS, 5, stride=2, activation="relu", name="conv_2")(x)
    x = layers.Dropout(0.1, name="dropout_2")(x)
    x = layers.Bidirectional(layers.LSTM(units, return_sequences=True), name="bilstm")(x)
    x = layers.Dropout(DROPOUT, name="dropout_3")(x)
    x = AttentiveStatistics(64, name="pooling")(x)
    x = layers.Dropout(DROPOUT, name="dropout_4")(x)
    return keras.Model(features, layers.Dense(len(LABELS), activation="softmax", name="emotion")(x), name="fast")


def train(corpus: Corpus, out: Path, options: TrainOptions, progress: Progress) -> None:
    """Train on `corpus` and write a model directory to `out`. See `recipes.Recipe`."""
    one_thread_each(options.threads)
    split = split_corpus(corpus, LABELS, seed=options.seed)
    work = out / WORK
    if options.restart:
        finish.clear(work)
    work.mkdir(parents=True, exist_ok=True)
    settings = loop.LoopSettings(epochs=options.epochs or EPOCHS, batch=32, peak_rate=1.5e-3, weight_decay=1e-3)
    units = options.units or UNITS
    recipe = {**asdict(settings), "units": units, "filters": FILTERS, "dropout": DROPOUT, "votes_share": VOTES_SHARE}
    recipe |= {"teacher_share": TEACHER_SHARE, "softness": SOFTNESS, "strangers": STRANGERS}
    recipe |= {"hearings": HEARINGS, "as_recorded_share": AS_RECORDED_SHARE}
    teacher = load_teacher(TEACHER, LABELS)
    recipe |= {"teacher": f"{teacher.info.name} {teacher.info.version}"}
    key = finish.fingerprint(split, FEATURES, {**recipe, "seed": options.seed, "engine": "fast"})
    folders = finish.hearing_folders(work, split, FEATURES, options.seed)
    heard, judged = (
        Hearings(side.clips, FEATURES, seed=options.seed, folder=folder, progress=progress, cleaned_from=CLEANED_FROM)
        for side, folder in zip((split.train, split.validation), folders, strict=True)
    )
    scaler = fit_scaler([heard[AS_RECORDED], heard[1]])
    taught = answers(teacher, split.train.clips, softness=SOFTNESS, progress=progress)
    wanted = TEACHER_SHARE * taught + (1 - TEACHER_SHARE) * targets(split.train.clips, LABELS, VOTES_SHARE)
    unspoken = strangers(options.seed, progress)

    def draw(epoch: int, rng: np.random.Generator) -> list[Features]:
        recorded, varied = heard[AS_RECORDED], heard[1 + epoch % HEARINGS]
        clips = [(recorded if rng.random() < AS_RECORDED_SHARE else varied)[k] for k in range(len(recorded))]
        return clips + unspoken

    # Judged and calibrated on the held-out clips as recorded and as calls would carry them: its use is the latter.
    truth = np.tile([LABELS.index(clip.label) for clip in split.validation.clips], 2)
    twice = [scaler.apply(one) for hearing in (judged[AS_RECORDED], judged[CLEANED_FROM]) for one in hearing]
    keras.utils.set_random_seed(options.seed)
    network, state = loop.train(
        build(units),
        draw,
        scaler.apply,
        np.concatenate([wanted, np.full((len(unspoken), len(LABELS)), 1 / len(LABELS))]),
        loop.Judges(features=twice, truth=truth),
        settings,
        seed=options.seed,
        key=key,
        work=work,
        progress=progress,
        average_last=AVERAGED_EPOCHS,
    )
    made = build(units)  # built, not loaded from a checkpoint, so that its file is the same either way
    made.set_weights(network.get_weights())
    (out / SCALER_JSON).write_text(scaler.to_json(), encoding="utf-8")
    finish.write(
        out,
        made,
        labels=LABELS,
        features=FEATURES,
        held_out=finish.HeldOut(logits=loop.logits_of(made, twice), truth=truth, coverage=COVERAGE),
        training={**recipe, "engine": "fast", "seed": options.seed, **finish.describe(split), **finish.course(state)},
        keras_layers=KERAS_LAYERS,
    )
    finish.clear(work)


def strangers(seed: int, progress: Progress, count: int = STRANGERS) -> list[Features]:
    """Features of windows that nobody spoke."""
    progress.stage("what is no speech", count)
    out = []
    for k in range(count):
        out.append(extract(not_speech(np.random.default_rng([seed, 99, k])), FEATURES))
        progress.advance()
    return out
