"""The seed engine: the old app's network on the old app's features, by the best recipe found for them.

Network and features are kept to the letter (Masking, BiLSTM 128, Dropout, BiLSTM 64, Dropout, Dense 64, Dense 4; 40
MFCC with deltas). What is new is everything around them: speakers are held out, padding is really masked, the level is
brought to one peak (a call's automatic gain takes that cue away), the targets listen to the crowd, and half of what it
hears went through rooms, noise and the codec. `docs/training.md` has what was tried.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Final

import keras
import numpy as np
import tensorflow as tf
from sklearn.preprocessing import StandardScaler

from ser_engine.errors import CorpusError
from ser_engine.features import Features, FeatureSettings
from ser_engine.models import NETWORK_KERAS, NETWORK_ONNX, SCALER_JSON
from ser_engine.scaler import Scaler
from ser_engine.training import finish, loop
from ser_engine.training.corpus import Clip, Corpus
from ser_engine.training.loop import LoopSettings
from ser_engine.training.metrics import Floats
from ser_engine.training.recipes import Progress, TrainOptions
from ser_engine.training.split import split_corpus
from ser_engine.training.views import AS_RECORDED, View, ViewsOfClips, no_speech
from ser_engine.training.work import begin, clear, fingerprint, views_of

LABELS: Final = ("Angry", "Happy", "Sad", "Disgust")
FEATURES: Final = FeatureSettings(level="peak")
_LOOP: Final = LoopSettings(cycles=(16, 7), batch=32)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedRecipe:
    """Everything that decides such an engine beside the corpus and the seed."""

    labels: ClassVar[tuple[str, ...]] = LABELS
    features: ClassVar[FeatureSettings] = FEATURES
    unheard: ClassVar[tuple[str, ...]] = ("name", "coverage")

    name: str = "seed"
    loop: LoopSettings = _LOOP
    units: int = 128
    dropout: float = 0.3
    votes_share: float = 0.3
    """How much of a target the crowd decides; the actor's intention decides the rest."""
    views: int = 4
    """Random views of each clip, beside the recording itself."""
    as_recorded_share: float = 0.35
    no_speech_share: float = 1 / 16
    """So much of an epoch is sound that nobody made with their voice; its target is every label alike."""
    coverage: float = 0.7
    """Share of clear answers on held-out speakers, from the risk-coverage curve."""

    def __post_init__(self) -> None:
        if min(self.units, self.views) < 1:
            raise CorpusError("units and views must be 1 at least.")

    def answer(
        self,
        clips: Sequence[Clip],
        heard: ViewsOfClips,
        asked: Mapping[str, Sequence[Features]],
        *,
        seed: int,
        work: Path,
        progress: Progress,
    ) -> dict[str, Floats]:
        """Train on `clips`, and say what the network makes of each of `asked`. See `variable.VariableRecipe`."""
        fitted = fit(self, clips, heard, seed=seed, key="fold", work=work, progress=progress)
        scaled = {name: [fitted.scaler.apply(one) for one in features] for name, features in asked.items()}
        return {name: loop.logits_of(fitted.network, features) for name, features in scaled.items()}


RECIPE: Final = SeedRecipe()


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedNetwork:
    """A trained network, the scaler before it, and how the training went."""

    network: Any
    scaler: Scaler
    state: loop.State


def train(corpus: Corpus, out: Path, options: TrainOptions, progress: Progress) -> None:
    """Train on `corpus` and write a model directory to `out`. See `recipes.Recipe`."""
    one_thread_each(options.threads)
    split = split_corpus(corpus, LABELS, seed=options.seed)
    work = begin(out, own=(NETWORK_KERAS, NETWORK_ONNX, SCALER_JSON), restart=options.restart)
    recipe = with_options(RECIPE, options)
    stated = {**asdict(recipe), "seed": options.seed}
    heard, judged = (
        views_of(side, FEATURES, seed=options.seed, work=work, progress=progress)
        for side in (split.train, split.validation)
    )
    truth = np.array([LABELS.index(clip.label) for clip in split.validation.clips])
    fitted = fit(
        recipe,
        split.train.clips,
        heard,
        judged=loop.Judges(features=[*judged[AS_RECORDED], *judged[1]], truth=np.tile(truth, 2)),
        seed=options.seed,
        key=fingerprint(split, FEATURES, stated),
        work=work,
        progress=progress,
    )
    (out / SCALER_JSON).write_text(fitted.scaler.to_json(), encoding="utf-8")
    finish.write(
        out,
        fitted.network,
        labels=LABELS,
        features=FEATURES,
        training={**stated, **finish.describe(split), "history": fitted.state.history},
    )
    logits = loop.logits_of(fitted.network, [fitted.scaler.apply(one) for one in judged[AS_RECORDED]])
    finish.calibrate(out, finish.HeldOut(logits=logits, truth=truth, coverage=recipe.coverage))
    clear(work)


def with_options(recipe: SeedRecipe, options: TrainOptions) -> SeedRecipe:
    """`recipe` as the person at the command line wants it: so many epochs are one cycle."""
    if options.units:
        recipe = replace(recipe, units=options.units)
    if options.epochs:
        recipe = replace(recipe, loop=replace(recipe.loop, cycles=(options.epochs,)))
    return recipe


def fit(
    recipe: SeedRecipe,
    clips: Sequence[Clip],
    heard: ViewsOfClips,
    *,
    judged: loop.Judges | None = None,
    seed: int,
    key: str,
    work: Path,
    progress: Progress,
) -> FittedNetwork:
    """Train the network on `clips` as `heard`; `judged` (not scaled) is only watched.

    What it leaves in `work` belongs to `key`: called again after an interruption, it goes on from there.
    """
    scaler = fit_scaler([heard[AS_RECORDED], heard[1]])
    others = no_speech(FEATURES, seed=seed, progress=progress)
    beside = round(recipe.no_speech_share * len(clips))
    wanted = np.concatenate(
        [targets(clips, votes_share=recipe.votes_share), np.full((beside, len(LABELS)), 1 / len(LABELS))]
    )

    def draw(epoch: int, rng: np.random.Generator) -> list[Features]:
        recorded, varied = heard[AS_RECORDED], heard[1 + epoch % recipe.views]
        rows = [(recorded if rng.random() < recipe.as_recorded_share else varied)[k] for k in range(len(recorded))]
        return rows + [others[int(k)] for k in rng.integers(0, len(others), beside)]

    if judged is not None:
        judged = replace(judged, features=[scaler.apply(one) for one in judged.features])
    keras.utils.set_random_seed(seed)
    trained, state = loop.train(
        build(recipe),
        draw,
        scaler.apply,
        wanted,
        recipe.loop,
        judges=judged,
        seed=seed,
        key=key,
        work=work,
        progress=progress,
    )
    weights = trained.get_weights()
    keras.utils.clear_session()  # Keras numbers what has no name; begun anew, the file is the same after a resumption
    made = build(recipe)
    made.set_weights(weights)
    return FittedNetwork(network=keras.Model(made.inputs, made.outputs[0], name="seed"), scaler=scaler, state=state)


def build(recipe: SeedRecipe = RECIPE) -> Any:
    """The network to train, uncompiled: (batch, frames, 120) → probabilities (batch, 4), twice.

    The first output is the old app's network. The second judges from the mean over time of its first recurrent layer:
    the last step of the second layer alone is a narrow way for the error to come back. It is cut off afterwards.
    """
    layers = keras.layers
    units, dropout = recipe.units, recipe.dropout
    features = keras.Input((None, FEATURES.dims), name="features")
    x = layers.Masking(name="masking")(features)
    x = layers.Bidirectional(layers.LSTM(units, return_sequences=True, name="lstm_1"), name="bilstm_1")(x)
    steps = layers.Dropout(dropout, name="dropout_1")(x)
    x = layers.Bidirectional(layers.LSTM(units // 2, name="lstm_2"), name="bilstm_2")(steps)
    x = layers.Dropout(dropout, name="dropout_2")(x)
    x = layers.Dense(64, activation="relu", name="dense")(x)
    emotion = layers.Dense(len(LABELS), activation="softmax", name="emotion")(x)
    early = layers.Dense(64, activation="relu", name="early_dense")(layers.GlobalAveragePooling1D(name="mean")(steps))
    early = layers.Dense(len(LABELS), activation="softmax", name="early_emotion")(early)
    return keras.Model(features, [emotion, early], name="seed_in_training")


def one_thread_each(threads: int) -> None:
    """Hold TensorFlow to `threads` threads; in a process where it already runs, it keeps what it has."""
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    except RuntimeError:
        return


def fit_scaler(views: Sequence[View]) -> Scaler:
    """scikit-learn's StandardScaler over every frame of the training speakers, kept as plain numbers."""
    fitted = StandardScaler()
    for view in views:
        for k in range(len(view)):
            fitted.partial_fit(view[k])
    return Scaler.checked(fitted.mean_.tolist(), fitted.scale_.tolist())


def targets(clips: Sequence[Clip], labels: Sequence[str] = LABELS, *, votes_share: float) -> Floats:
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
