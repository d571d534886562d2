"""The recipe that makes the default and the fast engine.

Whisper's encoder was trained on 680,000 hours of speech, but not to hear emotions. Its first layers are trained further
here, at a low rate, together with a new head: a BiLSTM with attentive pooling. The training data are the recordings and
augmented views of them, as calls would carry them. `docs/experiments.md` has what was tried, and what it gave on
speakers held out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Final

import keras
import numpy as np

from ser_engine.errors import CorpusError
from ser_engine.features import Features, FeatureSettings
from ser_engine.models import ENCODER_ONNX, NETWORK_KERAS, NETWORK_ONNX
from ser_engine.networks import logarithms
from ser_engine.recognizer import Recognizer
from ser_engine.training import finetune, finish
from ser_engine.training.corpus import LABELS, Clip, Corpus
from ser_engine.training.distill import answers, load_teacher
from ser_engine.training.encoder import LayerMix, SpeechEncoder, export_encoder, layers_of, state_statistics
from ser_engine.training.layers import AttentiveStatistics
from ser_engine.training.metrics import Floats
from ser_engine.training.recipes import Progress, TrainOptions
from ser_engine.training.seed import one_thread_each, targets
from ser_engine.training.split import split_corpus
from ser_engine.training.stem import pruned, whole
from ser_engine.training.views import AS_RECORDED, CLEANED_FROM, ClipViews, ViewsOfClips, no_speech
from ser_engine.training.whisper import MAX_LAYERS, WIDTH, Tensors, WhisperEncoder, read_encoder
from ser_engine.training.work import begin, clear, fingerprint, views_of

FEATURES: Final = FeatureSettings.whisper(level="peak", top_db=55.0)
"""What lies 55 dB below a window's loudest band tells of the room and the codec more than of the voice."""
KERAS_LAYERS: Final = "ser_engine.training.layers"
_STATISTICS_CLIPS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class TunedRecipe:
    """Everything that decides such an engine beside the corpus and the seed."""

    labels: ClassVar[tuple[str, ...]] = LABELS
    features: ClassVar[FeatureSettings] = FEATURES
    unheard: ClassVar[tuple[str, ...]] = (
        "name",
        "teacher",
        "from_teacher",
        "teacher_share",
        "softness",
        "speeds",
        "coverage",
        "caution",
    )

    name: str
    layers: int
    """How many of Whisper's four."""
    units: int
    stages: finetune.FineTuneSettings
    views: int
    """Random views of each clip in each cycle, beside the recording itself."""
    as_recorded: tuple[float, ...]
    """Share of the clips that are heard as recorded, for each cycle; the last holds for all further ones."""
    channels: int = 0
    """Of the first convolution, where both are pruned to a quarter of the rate (`stem.pruned`) and trained along; 0
    leaves them as they are."""
    projection: int = 128
    dropout: float = 0.3
    votes_share: float = 0.3
    """How much of a target the crowd decides; the actor's intention decides the rest."""
    smoothing: float = 0.0
    """How much of a target goes to every label alike, so that the network is never driven to certainty."""
    teacher: str | None = None
    """An engine whose answers are part of the target."""
    from_teacher: bool = False
    """Whether the layers begin as the teacher's were trained, instead of as Whisper's."""
    teacher_share: float = 0.6
    softness: float = 1.5
    speeds: tuple[float, ...] = (1.0,)
    """At which speeds a window is heard when the engine serves; their answers are averaged."""
    coverage: float = 0.65
    """Share of clear answers on held-out speakers, from the risk-coverage curve."""
    caution: float = 1.0
    """See `finish.HeldOut`."""

    def __post_init__(self) -> None:
        if not 1 <= self.layers <= MAX_LAYERS:
            raise CorpusError(f"layers must be 1 to {MAX_LAYERS}, for Whisper tiny.en has no more.")
        if not 0 <= self.channels <= WIDTH:
            raise CorpusError(f"channels must be 0 to {WIDTH}: Whisper's first convolution has no more.")
        counts = (self.views, self.units, self.stages.epochs, self.stages.cycles)
        if min(counts) < 1 or not self.as_recorded:
            raise CorpusError("views, units, epochs and cycles must be 1 at least, and as_recorded not empty.")

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
        """Train on `clips`, and say what the network makes of each of `asked`. See `variable.VariableRecipe`.

        No teacher has a share in it: it may have heard the speakers that are asked about.
        """
        wanted = smoothed_targets(clips, self)
        fitted = fit(self, heard, wanted, seed=seed, key="fold", work=work, progress=progress)
        return {name: logits_of(fitted.encoder, fitted.head, features) for name, features in asked.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedPair:
    """A trained pair."""

    encoder: SpeechEncoder
    head: Any
    losses: list[float]
    """Mean loss of each epoch."""


def train(recipe: TunedRecipe, corpus: Corpus, out: Path, options: TrainOptions, progress: Progress) -> None:
    """Train `recipe` on `corpus` and write a model directory to `out`. See `recipes.Recipe`."""
    one_thread_each(options.threads)
    split = split_corpus(corpus, LABELS, seed=options.seed)
    work = begin(out, own=(NETWORK_KERAS, NETWORK_ONNX, ENCODER_ONNX), restart=options.restart)
    recipe = with_options(recipe, options)
    stated: dict[str, Any] = asdict(recipe)
    heard, judged = (
        views_of(side, FEATURES, seed=options.seed, work=work, progress=progress)
        for side in (split.train, split.validation)
    )
    wanted, layers = smoothed_targets(split.train.clips, recipe), None
    if recipe.teacher is not None:
        teacher = load_teacher(recipe.teacher, LABELS)
        layers = layers_of(teacher.directory.read(ENCODER_ONNX)) if recipe.from_teacher else None
        stated["teacher"] = f"{teacher.info.name} {teacher.info.version}"
        taught = answers(teacher, split.train.clips, softness=recipe.softness, progress=progress)
        wanted = recipe.teacher_share * taught + (1 - recipe.teacher_share) * wanted
    key = fingerprint(split, FEATURES, {**stated, "seed": options.seed})
    fitted = fit(recipe, heard, wanted, layers=layers, seed=options.seed, key=key, work=work, progress=progress)
    export_encoder(fitted.encoder, out / ENCODER_ONNX)
    finish.write(
        out,
        fitted.head,
        labels=LABELS,
        features=FEATURES,
        training={**stated, "seed": options.seed, **finish.describe(split), "losses": fitted.losses},
        keras_layers=KERAS_LAYERS,
        speeds=recipe.speeds,
    )
    calibrate(recipe, out, split.validation.clips, judged)
    clear(work)


def calibrate(recipe: TunedRecipe, out: Path, clips: Sequence[Clip], judged: ClipViews) -> None:
    """Calibrate the engine in `out` as it is served, on held-out `clips` as recorded and as calls would carry them."""
    sounds = [pcm for number in (AS_RECORDED, CLEANED_FROM) for pcm in judged.sounds(number)]
    logits = Recognizer.load(out).logits(sounds).astype(np.float64)
    truth = np.tile([LABELS.index(clip.label) for clip in clips], 2)
    finish.calibrate(out, finish.HeldOut(logits=logits, truth=truth, coverage=recipe.coverage, caution=recipe.caution))


def with_options(recipe: TunedRecipe, options: TrainOptions) -> TunedRecipe:
    """`recipe` as the person at the command line wants it: so many epochs are one cycle."""
    if options.units:
        recipe = replace(recipe, units=options.units)
    if options.epochs:
        recipe = replace(recipe, stages=replace(recipe.stages, epochs=options.epochs, cycles=1))
    return recipe


def fit(
    recipe: TunedRecipe,
    heard: ViewsOfClips,
    wanted: Floats,
    *,
    layers: Tensors | None = None,
    seed: int,
    key: str,
    work: Path,
    progress: Progress,
) -> FittedPair:
    """Train encoder and head on the clips of `heard`, whose targets are `wanted` (clips, labels). The encoder's layers
    begin as `layers`, or else as Whisper's.

    What it leaves in `work` belongs to `key`: called again after an interruption, it goes on from there.
    """
    keras.utils.set_random_seed(seed)
    recorded = heard[AS_RECORDED]
    sample = np.random.default_rng(seed).permutation(len(recorded))[:_STATISTICS_CLIPS]
    tensors = {**read_encoder(), **(layers or {})}
    encoder = build_encoder(tensors, [recorded[int(k)] for k in sample], recipe)
    head = build_head(recipe)
    others = no_speech(FEATURES, seed=seed, progress=progress)

    def draw(epoch: int, rng: np.random.Generator) -> list[Features]:
        cycle, within = recipe.stages.cycle_of(epoch)
        share = recipe.as_recorded[min(cycle, len(recipe.as_recorded) - 1)]
        varied = heard[1 + cycle * recipe.views + within % recipe.views]
        return [(recorded if rng.random() < share else varied)[k] for k in range(len(recorded))]

    steps = finetune.steps_for(len(recorded), recipe.stages)
    tuner = finetune.FineTuner(encoder=encoder, head=head, settings=recipe.stages, steps=steps)
    losses = finetune.fine_tune(tuner, draw, wanted, others, seed=seed, key=key, work=work, progress=progress)
    return FittedPair(encoder=exact(encoder, tensors), head=head, losses=losses)


def build_head(recipe: TunedRecipe) -> Any:
    """States (batch, steps, 384), zero after each row's end → probabilities (batch, 5)."""
    layers = keras.layers
    states = keras.Input((None, WIDTH), name="states")
    x = layers.Masking(name="masking")(states)
    x = layers.Dropout(0.1, name="dropout_in")(x)
    x = layers.Dense(recipe.projection, activation="relu", name="projection")(x)
    x = layers.Dropout(recipe.dropout, name="dropout_1")(x)
    x = layers.Bidirectional(layers.LSTM(recipe.units, return_sequences=True), name="bilstm")(x)
    x = AttentiveStatistics(64, name="pooling")(x)
    x = layers.Dropout(recipe.dropout, name="dropout_2")(x)
    return keras.Model(states, layers.Dense(len(LABELS), activation="softmax", name="emotion")(x), name=recipe.name)


def build_encoder(tensors: Tensors, mels: Sequence[Features], recipe: TunedRecipe) -> SpeechEncoder:
    """Whisper's first layers, their states standardised as those of `mels` are. Whisper's own convolutions stay as they
    were; pruned ones are fitted to what those make of `mels`."""
    stem = pruned(tensors, mels, recipe.channels) if recipe.channels else whole(tensors)
    plain = WhisperEncoder(tensors, recipe.layers, stem=stem)
    mean, scale = state_statistics(plain, list(mels))
    whisper = WhisperEncoder(tensors, recipe.layers, stem=stem, precision="mixed_bfloat16")
    for convolution in whisper.convolutions:
        convolution.trainable = bool(recipe.channels)
    return SpeechEncoder(whisper, LayerMix(mean, scale, step=stem.step))


def exact(encoder: SpeechEncoder, tensors: Tensors) -> SpeechEncoder:
    """`encoder` in full precision, as it is served."""
    whisper = WhisperEncoder(tensors, len(encoder.whisper.stack), stem=encoder.whisper.stem)
    whisper.set_weights(encoder.whisper.get_weights())
    return SpeechEncoder(whisper, encoder.mix)


def smoothed_targets(clips: Sequence[Clip], recipe: TunedRecipe) -> Floats:
    """What the network shall say of each clip: intention, votes, and a little of every label. (clips, 5)."""
    said = targets(clips, LABELS, votes_share=recipe.votes_share)
    return np.asarray((1 - recipe.smoothing) * said + recipe.smoothing / len(LABELS))


def logits_of(encoder: SpeechEncoder, head: Any, clips: Sequence[Features]) -> Floats:
    """Logarithms of the head's probabilities, (clips, 5): logits up to a constant a row, which no softmax sees."""
    out = np.zeros((len(clips), len(LABELS)))
    order = sorted(range(len(clips)), key=lambda k: len(clips[k]))
    for start in range(0, len(order), 32):
        chosen = order[start : start + 32]
        out[chosen] = head(encoder(*finetune.pad([clips[k] for k in chosen])))
    return logarithms(out).astype(np.float64)
