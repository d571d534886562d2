"""The seed engine: the old app's network on the old app's features, by the best recipe found for them.

Network and features are kept to the letter (Masking, BiLSTM 128, Dropout, BiLSTM 64, Dropout, Dense 64, Dense 4; 40
MFCC with deltas). What is new is everything around them: speakers are held out, padding is really masked, the level is
brought to one peak (a call's automatic gain takes that cue away), the targets listen to the crowd, and half of what it
hears went through rooms, noise and the codec. `docs/training.md` has what was tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf
from sklearn.preprocessing import StandardScaler

from ser_engine.features import Features, FeatureSettings
from ser_engine.models import SCALER_JSON
from ser_engine.scaler import Scaler
from ser_engine.training import finish, loop
from ser_engine.training.corpus import Clip, Corpus
from ser_engine.training.hearings import AS_RECORDED, Hearing, Hearings, strangers
from ser_engine.training.metrics import Floats
from ser_engine.training.recipes import Progress, TrainOptions
from ser_engine.training.split import split_corpus

LABELS: Final = ("Angry", "Happy", "Sad", "Disgust")
FEATURES: Final = FeatureSettings(level="peak")
CYCLES: Final = (16, 7)
"""Epochs under one cosine of learning rates, then under another that begins at half its peak."""
AVERAGED_EPOCHS: Final = 5
"""The weights of the last so many epochs are averaged."""
UNITS: Final = 128
DROPOUT: Final = 0.3
VOTES_SHARE: Final = 0.3
"""How much of a target the crowd decides; the actor's intention decides the rest."""
HEARINGS: Final = 4
"""Random hearings of each clip, beside the recording itself."""
AS_RECORDED_SHARE: Final = 0.35
STRANGERS_SHARE: Final = 1 / 16
"""So much of an epoch is sound that nobody made with their voice; its target is every label alike."""
COVERAGE: Final = 0.7
"""Share of clear answers on held-out speakers, from the risk-coverage curve."""
WORK: Final = ".training"


def build(units: int = UNITS) -> Any:
    """The network to train, uncompiled: (batch, frames, 120) → probabilities (batch, 4), twice.

    The first output is the old app's network. The second judges from the mean over time of its first recurrent layer:
    the last step of the second layer alone is a narrow way for the error to come back. It is cut off afterwards.
    """
    layers = keras.layers
    features = keras.Input((None, FEATURES.dims), name="features")
    x = layers.Masking(name="masking")(features)
    x = layers.Bidirectional(layers.LSTM(units, return_sequences=True, name="lstm_1"), name="bilstm_1")(x)
    steps = layers.Dropout(DROPOUT, name="dropout_1")(x)
    x = layers.Bidirectional(layers.LSTM(units // 2, name="lstm_2"), name="bilstm_2")(steps)
    x = layers.Dropout(DROPOUT, name="dropout_2")(x)
    x = layers.Dense(64, activation="relu", name="dense")(x)
    emotion = layers.Dense(len(LABELS), activation="softmax", name="emotion")(x)
    early = layers.Dense(64, activation="relu", name="early_dense")(layers.GlobalAveragePooling1D(name="mean")(steps))
    early = layers.Dense(len(LABELS), activation="softmax", name="early_emotion")(early)
    return keras.Model(features, [emotion, early], name="seed_in_training")


def train(corpus: Corpus, out: Path, options: TrainOptions, progress: Progress) -> None:
    """Train on `corpus` and write a model directory to `out`. See `recipes.Recipe`."""
    one_thread_each(options.threads)
    split = split_corpus(corpus, LABELS, seed=options.seed)
    work = out / WORK
    if options.restart:
        finish.clear(work)
    work.mkdir(parents=True, exist_ok=True)
    settings = loop.LoopSettings(epochs=options.epochs or sum(CYCLES), batch=32)
    units = options.units or UNITS
    recipe = {**asdict(settings), "units": units, "dropout": DROPOUT, "votes_share": VOTES_SHARE}
    recipe |= {"hearings": HEARINGS, "as_recorded_share": AS_RECORDED_SHARE, "cycles": CYCLES}
    recipe |= {"strangers_share": STRANGERS_SHARE}
    recipe |= {"averaged_epochs": AVERAGED_EPOCHS}
    key = finish.fingerprint(split, FEATURES, {**recipe, "seed": options.seed, "engine": "seed"})
    folders = finish.hearing_folders(work, split, FEATURES, options.seed)
    heard = Hearings(split.train.clips, FEATURES, seed=options.seed, folder=folders[0], progress=progress)
    judged = Hearings(split.validation.clips, FEATURES, seed=options.seed, folder=folders[1], progress=progress)
    scaler = fit_scaler([heard[AS_RECORDED], heard[1]])
    others = strangers(FEATURES, seed=options.seed, progress=progress)
    beside = round(STRANGERS_SHARE * len(split.train.clips))
    wanted = np.concatenate([targets(split.train.clips), np.full((beside, len(LABELS)), 1 / len(LABELS))])

    def draw(epoch: int, rng: np.random.Generator) -> list[Features]:
        recorded, varied = heard[AS_RECORDED], heard[1 + epoch % HEARINGS]
        clips = [(recorded if rng.random() < AS_RECORDED_SHARE else varied)[k] for k in range(len(recorded))]
        return clips + [others[int(k)] for k in rng.integers(0, len(others), beside)]

    truth = np.array([LABELS.index(clip.label) for clip in split.validation.clips])
    twice = [scaler.apply(one) for hearing in (judged[AS_RECORDED], judged[1]) for one in hearing]
    judges = loop.Judges(features=twice, truth=np.concatenate([truth, truth]))
    keras.utils.set_random_seed(options.seed)
    trained, state = loop.train(
        build(units),
        draw,
        scaler.apply,
        wanted,
        judges,
        settings,
        seed=options.seed,
        key=key,
        work=work,
        progress=progress,
        schedule=lambda done: rate(done, settings.peak_rate),
        average_last=min(AVERAGED_EPOCHS, settings.epochs),
    )
    weights = trained.get_weights()
    keras.utils.clear_session()  # Keras numbers what has no name; begun anew, the file is the same after a resumption
    made = build(units)
    made.set_weights(weights)
    network = keras.Model(made.inputs, made.outputs[0], name="seed")
    (out / SCALER_JSON).write_text(scaler.to_json(), encoding="utf-8")
    logits = loop.logits_of(network, [scaler.apply(one) for one in judged[AS_RECORDED]])
    finish.write(
        out,
        network,
        labels=LABELS,
        features=FEATURES,
        training={**recipe, "engine": "seed", "seed": options.seed, **finish.describe(split), **finish.course(state)},
    )
    finish.calibrate(out, finish.HeldOut(logits=logits, truth=truth, coverage=COVERAGE))
    finish.clear(out / WORK)


def rate(done: float, peak: float) -> float:
    """Learning rate after `done` epochs."""
    first, second = CYCLES
    if done < first:
        return loop.cosine(done / first, peak)
    return loop.cosine(min(1.0, (done - first) / second), peak / 2)


def one_thread_each(threads: int) -> None:
    """Hold TensorFlow to `threads` threads; in a process where it already runs, it keeps what it has."""
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    except RuntimeError:
        return


def fit_scaler(hearings: Sequence[Hearing]) -> Scaler:
    """scikit-learn's StandardScaler over every frame of the training speakers, kept as plain numbers."""
    fitted = StandardScaler()
    for hearing in hearings:
        for k in range(len(hearing)):
            fitted.partial_fit(hearing[k])
    return Scaler.checked(fitted.mean_.tolist(), fitted.scale_.tolist())


def targets(clips: Sequence[Clip], labels: Sequence[str] = LABELS, votes_share: float = VOTES_SHARE) -> Floats:
    """What the network shall say of each clip: the intended label, and in part what the crowd heard among `labels`.

    Shape (clips, labels), rows sum to 1. A clip without votes for any of `labels` has the intended label alone.
    """
    out = np.zeros((len(clips), len(labels)), np.float32)
    for row, clip in zip(out, clips, strict=True):
        heard = np.array([clip.votes.get(label, 0) for label in labels], np.float32)
        share = votes_share if heard.sum() > 0 else 0.0
        row += share * heard / max(float(heard.sum()), 1.0)
        row[labels.index(clip.label)] += 1 - share
    return out
