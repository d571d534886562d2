"""The default engine: Whisper tiny.en's first layers, trained along, and a BiLSTM with attentive pooling behind them.

Whisper's encoder knows speech from 680,000 hours; what it lacks is to be asked for the tone. Its first three layers are
trained further, slowly, together with the head, on every clip as it was recorded and as calls would carry it. What was
tried, and what it gave on speakers held out, is in `docs/experiments.md`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np

from ser_engine.features import Features, FeatureSettings, extract
from ser_engine.models import ENCODER_ONNX
from ser_engine.training import finetune, finish
from ser_engine.training.augment import not_speech
from ser_engine.training.corpus import LABELS, Clip, Corpus
from ser_engine.training.encoder import LayerMix, SpeechEncoder, export_encoder, state_statistics
from ser_engine.training.hearings import AS_RECORDED, Hearings
from ser_engine.training.layers import AttentiveStatistics
from ser_engine.training.metrics import Floats
from ser_engine.training.recipes import Progress, TrainOptions
from ser_engine.training.seed import one_thread_each, targets
from ser_engine.training.split import split_corpus
from ser_engine.training.whisper import WIDTH, Tensors, WhisperEncoder, read_encoder

FEATURES: Final = FeatureSettings.whisper(level="peak")
LAYERS: Final = 3
UNITS: Final = 96
PROJECTION: Final = 128
DROPOUT: Final = 0.3
EPOCHS: Final = 8
CYCLES: Final = 3
LATER_EPOCHS: Final = 6
"""Epochs of each gentler cycle after the first, in which half of the recordings have no background: `augment.clean`."""
VOTES_SHARE: Final = 0.3
"""How much of a target the crowd decides; the actor's intention decides the rest."""
SMOOTHING: Final = 0.05
"""How much of a target goes to every label alike, so that the network is never driven to certainty."""
HEARINGS: Final = 4
"""Random hearings of each clip in each cycle, beside the recording itself."""
AS_RECORDED_SHARE: Final = 0.33
LATER_AS_RECORDED_SHARE: Final = 0.2
STRANGERS: Final = 600
"""Windows of noise, hum and made music, whose target is every label alike."""
STATISTICS_CLIPS: Final = 200
COVERAGE: Final = 0.7
"""Share of clear answers on held-out speakers, from the risk-coverage curve."""
KERAS_LAYERS: Final = "ser_engine.training.layers"
WORK: Final = ".training"


def build_head(units: int = UNITS, name: str = "default") -> Any:
    """States (batch, steps, 384), zero after each row's end → probabilities (batch, 5)."""
    layers = keras.layers
    states = keras.Input((None, WIDTH), name="states")
    x = layers.Masking(name="masking")(states)
    x = layers.Dropout(0.1, name="dropout_in")(x)
    x = layers.Dense(PROJECTION, activation="relu", name="projection")(x)
    x = layers.Dropout(DROPOUT, name="dropout_1")(x)
    x = layers.Bidirectional(layers.LSTM(units, return_sequences=True), name="bilstm")(x)
    x = AttentiveStatistics(64, name="pooling")(x)
    x = layers.Dropout(DROPOUT, name="dropout_2")(x)
    return keras.Model(states, layers.Dense(len(LABELS), activation="softmax", name="emotion")(x), name=name)


def build_encoder(tensors: Tensors, mels: Sequence[Features], layers: int, *, halved: bool = False) -> SpeechEncoder:
    """Whisper's first layers, their states standardised as those of `mels` are; the convolutions stay as they were."""
    plain = WhisperEncoder(tensors, layers, halved=halved)
    mean, scale = state_statistics(plain, list(mels))
    whisper = WhisperEncoder(tensors, layers, halved=halved, precision="mixed_bfloat16")
    whisper.conv_1.trainable = whisper.conv_2.trainable = False
    return SpeechEncoder(whisper, LayerMix(mean, scale, halved=halved))


def exact(encoder: SpeechEncoder, tensors: Tensors) -> SpeechEncoder:
    """`encoder` in full precision, as it is served."""
    whisper = WhisperEncoder(tensors, len(encoder.whisper.stack), halved=encoder.whisper.halved)
    whisper.set_weights(encoder.whisper.get_weights())
    return SpeechEncoder(whisper, encoder.mix)


def train(corpus: Corpus, out: Path, options: TrainOptions, progress: Progress) -> None:
    """Train on `corpus` and write a model directory to `out`. See `recipes.Recipe`."""
    one_thread_each(options.threads)
    split = split_corpus(corpus, LABELS, seed=options.seed)
    work = out / WORK
    if options.restart:
        finish.clear(work)
    work.mkdir(parents=True, exist_ok=True)
    settings = finetune.FineTuneSettings(
        epochs=options.epochs or EPOCHS, cycles=1 if options.epochs else CYCLES, later_epochs=LATER_EPOCHS
    )
    units = options.units or UNITS
    recipe = {**asdict(settings), "units": units, "layers": LAYERS, "dropout": DROPOUT, "votes_share": VOTES_SHARE}
    recipe |= {"smoothing": SMOOTHING, "hearings": HEARINGS, "as_recorded_share": AS_RECORDED_SHARE}
    recipe |= {"later_as_recorded_share": LATER_AS_RECORDED_SHARE}
    key = finish.fingerprint(split, FEATURES, {**recipe, "seed": options.seed, "engine": "default"})
    folders = finish.hearing_folders(work, split, FEATURES, options.seed)
    heard, judged = (
        Hearings(side.clips, FEATURES, seed=options.seed, folder=folder, progress=progress, cleaned_from=1 + HEARINGS)
        for side, folder in zip((split.train, split.validation), folders, strict=True)
    )

    def draw(epoch: int, rng: np.random.Generator) -> list[Features]:
        cycle, within = 0, epoch
        if epoch >= settings.epochs:
            later, within = divmod(epoch - settings.epochs, settings.later_epochs)
            cycle = 1 + later
        share = LATER_AS_RECORDED_SHARE if cycle else AS_RECORDED_SHARE
        recorded, varied = heard[AS_RECORDED], heard[1 + cycle * HEARINGS + within % HEARINGS]
        return [(recorded if rng.random() < share else varied)[k] for k in range(len(recorded))]

    keras.utils.set_random_seed(options.seed)
    recorded = heard[AS_RECORDED]
    sample = np.random.default_rng(options.seed).permutation(len(recorded))[:STATISTICS_CLIPS]
    tensors = read_encoder()
    encoder = build_encoder(tensors, [recorded[int(k)] for k in sample], LAYERS)
    head = build_head(units)
    steps = finetune.steps_for(len(recorded), settings)
    losses = finetune.fine_tune(
        finetune.FineTuner(encoder=encoder, head=head, settings=settings, steps=steps),
        draw,
        smoothed_targets(split.train.clips),
        strangers(options.seed, progress),
        seed=options.seed,
        key=key,
        work=work,
        progress=progress,
    )
    served = exact(encoder, tensors)
    export_encoder(served, out / ENCODER_ONNX)
    # Calibrated on the held-out clips as recorded and as calls would carry them: its use is the latter.
    logits = logits_of(served, head, [*judged[AS_RECORDED], *judged[1 + HEARINGS]])
    truth = np.tile([LABELS.index(clip.label) for clip in split.validation.clips], 2)
    finish.write(
        out,
        head,
        labels=LABELS,
        features=FEATURES,
        held_out=finish.HeldOut(logits=logits, truth=truth, coverage=COVERAGE),
        training={**recipe, "engine": "default", "seed": options.seed, **finish.describe(split), "losses": losses},
        keras_layers=KERAS_LAYERS,
    )
    finish.clear(work)


def smoothed_targets(clips: Sequence[Clip]) -> Floats:
    """What the network shall say of each clip: intention, votes, and a little of every label. (clips, 5)."""
    return np.asarray((1 - SMOOTHING) * targets(clips, LABELS, VOTES_SHARE) + SMOOTHING / len(LABELS))


def strangers(seed: int, progress: Progress, count: int = STRANGERS) -> list[Features]:
    """Features of windows that nobody spoke."""
    progress.stage("what is no speech", count)
    out = []
    for k in range(count):
        out.append(extract(not_speech(np.random.default_rng([seed, 99, k])), FEATURES))
        progress.advance()
    return out


def logits_of(encoder: SpeechEncoder, head: Any, clips: Sequence[Features]) -> Floats:
    """Logarithms of the head's probabilities, (clips, 5): logits up to a constant a row, which no softmax sees."""
    out = np.zeros((len(clips), len(LABELS)))
    order = sorted(range(len(clips)), key=lambda k: len(clips[k]))
    for start in range(0, len(order), 32):
        chosen = order[start : start + 32]
        out[chosen] = head(encoder(*finetune.pad([clips[k] for k in chosen])))
    return np.asarray(np.log(np.maximum(out, 1e-9)))
