"""`undertone broaden`: a finished engine taught with further corpora, ordinary speech and sounds. See `refine`.

The speakers whom the first corpus calls ``validation`` take part in no training. Temperatures and threshold are chosen
on them, and on whole corpora that a network of their own left out (`_strangers`).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np

from ser_engine.baseline import BaselineHead, pooled_states
from ser_engine.errors import CorpusError
from ser_engine.models import (
    BASELINE_KERAS,
    BASELINE_NPZ,
    ENCODER_ONNX,
    NETWORK_KERAS,
    NETWORK_ONNX,
    ModelDirectory,
    open_directory,
    write_manifest,
)
from ser_engine.networks import EncoderNetwork, OnnxNetwork, softmax
from ser_engine.scaler import Scaler, collate
from ser_engine.strangeness import Strangeness
from ser_engine.training import layers  # noqa: F401  registers what the network is made of
from ser_engine.training.corpus import LABELS
from ser_engine.training.episodes import EpisodeSettings, Lesson, Spoken, learn_to_compare
from ser_engine.training.export import export_network
from ser_engine.training.finish import renamed, save_network, versions
from ser_engine.training.material import (
    AS_RECORDED,
    CALLED_EVERY,
    OVER_A_CALL,
    SHORT,
    EncodedViews,
    LeftOut,
    Material,
    Piece,
    States,
    digest_of,
    leave_out,
)
from ser_engine.training.metrics import Floats
from ser_engine.training.recipes import Progress
from ser_engine.training.refine import Pairs, Part, RefineSettings, answering, head_logits, ordinary_targets, refine
from ser_engine.training.seed import one_thread_each, targets
from ser_engine.training.strange import learn_strangeness
from ser_engine.training.strangers import CLEAR_ORDINARY, Answered, calibrate
from ser_engine.training.work import begun, clear

VIEWS: Final = {
    "labelled": (AS_RECORDED, 2, 3),
    "further": (AS_RECORDED, 1, 2, 3),
    "ordinary": (AS_RECORDED, 1, 2),
    "sounds": (AS_RECORDED, 1, 2, 3),
    "called": (OVER_A_CALL,),
}
"""The views that are heard of each group, of the others `AS_RECORDED` alone; every number is another draw."""
BRIEF: Final = ("labelled", "further", "ordinary")
"""Groups of which the comparing head hears short windows as well."""
STRANGE: Final = ("further", "ordinary", "sounds")
"""Groups that are unlike the first corpus, beside made sounds."""
_TIMES: Final = {"labelled": 1.0, "further": 2.0, "ordinary": 1.0, "sounds": 2.0}
_MADE_TIMES: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class BroadenSettings:
    """Everything that decides beside the material and the seed."""

    refine: RefineSettings = field(default_factory=RefineSettings)
    episodes: EpisodeSettings = field(default_factory=EpisodeSettings)
    teacher_share: float = 0.6
    teacher_softness: float = 1.5
    clear_ordinary: float = CLEAR_ORDINARY
    inside: float | None = None


@dataclass(frozen=True, slots=True)
class _Trained:
    head: Any
    answer: Any
    """`head` as a function; see `refine.answering`."""
    losses: list[float]
    comparing: Any
    baseline: BaselineHead
    strangeness: Strangeness


class Broadening:
    """One engine on its way. All groups are heard once, and then trained on several times."""

    def __init__(
        self, model: ModelDirectory, teacher: ModelDirectory | None, work: Path, *, seed: int, progress: Progress
    ) -> None:
        self._model, self._teacher, self._work = model, teacher, work
        self._seed, self._progress = seed, progress
        self.pieces: dict[str, list[Piece]] = {}
        self.states: dict[str, list[States]] = {}
        self.short: dict[str, list[States]] = {}
        self.wanted: dict[str, Floats] = {}
        self._keys: dict[str, str] = {}

    def hear(self, groups: Mapping[str, list[Piece]]) -> None:
        """Let the encoder hear every view of every group."""
        self.pieces = dict(groups)
        self._keys = {name: digest_of(pieces, seed=self._seed) for name, pieces in groups.items()}
        encoder = EncoderNetwork(self._model)
        for name in groups:
            numbers = VIEWS.get(name, (AS_RECORDED,))
            self.states[name] = [self._view(self._model, encoder, name, number) for number in numbers]
            if name in BRIEF:
                self.short[name] = [self._view(self._model, encoder, name, SHORT)]

    def _view(self, engine: ModelDirectory, encoder: EncoderNetwork, name: str, number: int) -> States:
        """What the encoder of `engine` makes of a view of a group."""
        features = engine.manifest.features
        folder = self._work / name / self._keys[name]
        views = EncodedViews(self.pieces[name], features, seed=self._seed, folder=folder, progress=self._progress)
        return views.states(number, encoder, f"{engine.manifest.files[ENCODER_ONNX][:12]}-{features.hash}")

    def aim(self, settings: BroadenSettings) -> None:
        """Decide the targets of every group."""
        even = 1 / len(LABELS)
        for name, pieces in self.pieces.items():
            said = targets(
                [piece.clip for piece in pieces if piece.clip], LABELS, votes_share=settings.refine.votes_share
            )
            share = settings.refine.smoothing
            if name in ("labelled", "further", "judges", "called"):
                self.wanted[name] = (1 - share) * said + share * even
            else:
                self.wanted[name] = np.full((len(pieces), len(LABELS)), even)
        told = self._teacher or self._model
        self.wanted["ordinary"] = ordinary_targets(self._answers(told, "ordinary"), settings.refine)
        if self._teacher is not None:
            for name in ("labelled", "further"):
                taught = softmax(self._answers(self._teacher, name) / settings.teacher_softness)
                self.wanted[name] = settings.teacher_share * taught + (1 - settings.teacher_share) * self.wanted[name]

    def _answers(self, engine: ModelDirectory, name: str) -> Floats:
        """Logits of a finished engine about the recordings of a group."""
        states = self._view(engine, EncoderNetwork(engine), name, AS_RECORDED)
        network, out = OnnxNetwork(engine), []
        for start in range(0, len(states), 16):
            rows = [states[k] for k in range(start, min(start + 16, len(states)))]
            out.append(network.logits(*collate(rows, Scaler.identity(rows[0].shape[1]), engine.manifest.features)))
        return np.concatenate(out).astype(np.float64)

    def train(self, settings: BroadenSettings, left_out: LeftOut | None = None) -> _Trained:
        """Both heads, of everything but what is left out."""
        head = keras.saving.load_model(str(self._model.path / NETWORK_KERAS), compile=False)
        without, made = (left_out.corpora, left_out.made) if left_out else ((), "made")
        parts, rows = [], {}
        for name, times in {**_TIMES, made: _MADE_TIMES}.items():
            rows[name] = tuple(k for k, piece in enumerate(self.pieces[name]) if piece.corpus not in without)
            views = tuple(self.states[name])
            if rows[name]:
                parts.append(Part(views=views, rows=rows[name], targets=self.wanted[name], times=times))
        pairs = Pairs(
            before=self.states["labelled"][AS_RECORDED],
            after=self.states["called"][0],
            rows=tuple((k * CALLED_EVERY, k) for k in range(len(self.pieces["called"]))),
        )
        losses = []
        if settings.refine.epochs:
            losses = refine(head, parts, pairs, settings.refine, seed=self._seed, progress=self._progress)
        answer = answering(head)
        lessons = self._lessons(answer, rows, settings.episodes.speech_weight)
        compared = learn_to_compare(lessons, settings.episodes, seed=self._seed, progress=self._progress)
        own = [states for name in ("labelled", "called") for states in (*self.states[name], *self.short.get(name, ()))]
        strange = [(states, rows[name]) for name in (*STRANGE, made) for states in self.states[name]]
        measure = learn_strangeness(own, strange)
        return _Trained(head, answer, losses, *compared, measure)

    def _lessons(self, answer: Any, rows: Mapping[str, tuple[int, ...]], speech_weight: float) -> list[Lesson]:
        """Every view, and short windows beside longer ones that the speaker said earlier."""
        lessons = []
        for name in ("labelled", "further", "ordinary"):
            chosen = rows[name]
            if not chosen:
                continue
            wanted, weight = self.wanted[name][list(chosen)], speech_weight if name == "ordinary" else 1.0
            views = [self.spoken(answer, name, view, chosen) for view in range(len(self.states[name]))]
            lessons += [Lesson(spoken=one, targets=wanted, weight=weight) for one in views]
            for states in self.short.get(name, ()):
                one = self._spoken(answer, name, states, chosen)
                lessons.append(Lesson(spoken=one, targets=wanted, weight=weight, earlier=views[AS_RECORDED]))
        return lessons

    def spoken(self, answer: Any, name: str, view: int = AS_RECORDED, rows: Sequence[int] | None = None) -> Spoken:
        """What a head makes of one view of a group, or of some `rows` of it."""
        states = self.states[name][view]
        return self._spoken(answer, name, states, range(len(states)) if rows is None else rows)

    def _spoken(self, answer: Any, name: str, states: States, rows: Sequence[int]) -> Spoken:
        chosen = list(rows)
        pieces = [self.pieces[name][k] for k in chosen]
        said = np.log(softmax(head_logits(answer, states)[chosen])).astype(np.float32)
        return Spoken(
            pooled=np.stack([pooled_states(states[k]) for k in chosen]),
            log_probabilities=said,
            speakers=tuple(f"{piece.corpus}/{piece.speaker}" for piece in pieces),
            labels=np.array([LABELS.index(piece.clip.label) if piece.clip else -1 for piece in pieces]),
        )

    def answered(self, trained: _Trained, name: str, without: Sequence[str] = ()) -> Answered:
        """What `trained` says of a group, or of the corpora `without` in it: those it never heard."""
        rows = [k for k, piece in enumerate(self.pieces[name]) if not without or piece.corpus in without]
        spoken = self.spoken(trained.answer, name, rows=rows)
        strange = trained.strangeness.of(spoken.pooled)
        return Answered(name=name, spoken=spoken, baseline=trained.baseline, strangeness=strange)


def broaden(
    model: Path,
    material: Material,
    out: Path,
    *,
    teacher: Path | None = None,
    settings: BroadenSettings | None = None,
    seed: int = 1,
    restart: bool = False,
    progress: Progress,
) -> None:
    """Teach the engine in `model` with `material`, and write it to `out`. Raises CorpusError, ModelError."""
    settings = settings or BroadenSettings()
    one_thread_each(1)
    known = (NETWORK_KERAS, NETWORK_ONNX, ENCODER_ONNX, BASELINE_KERAS, BASELINE_NPZ)
    opened = open_directory(model)
    taught_by = open_directory(teacher) if teacher is not None else None
    for one in filter(None, (opened, taught_by)):
        if not one.has(ENCODER_ONNX) or one.manifest.labels != LABELS:
            raise CorpusError(f"{one.path} has no encoder with a head of the {len(LABELS)} labels, as default has.")
    with begun(out, own=known, restart=restart) as work:
        way = Broadening(opened, taught_by, work, seed=seed, progress=progress)
        groups = material.groups(seed=seed, strangers=True)
        left_out = leave_out(groups, seed=seed)
        way.hear(groups)
    way.aim(settings)
    strangers = [one for some in left_out for one in _strangers(way, settings, some, progress)]
    progress.note("everything is in")
    trained = way.train(settings)
    strangers.append(way.answered(trained, "judges"))
    if opened.path != out.resolve():
        shutil.copyfile(model / ENCODER_ONNX, out / ENCODER_ONNX)
    save_network(trained.head, out / NETWORK_KERAS)
    export_network(trained.head, out / NETWORK_ONNX)
    save_network(trained.comparing, out / BASELINE_KERAS)
    (out / BASELINE_NPZ).write_bytes(trained.baseline.to_bytes(trained.strangeness.arrays()))
    heard = {name: pieces for name, pieces in way.pieces.items() if name not in {one.made for one in left_out}}
    about = {
        "broadened": {
            **asdict(settings),
            "from": opened.manifest.version,
            "teacher": taught_by.manifest.version if taught_by else None,
            "seed": seed,
            "corpora": {name: sorted({piece.corpus for piece in pieces}) for name, pieces in heard.items()},
            "windows": {name: len(pieces) for name, pieces in heard.items()},
            "losses": trained.losses,
        }
    }
    manifest = opened.manifest.model_copy(
        update={
            "training": {**renamed(opened.manifest.training), **about},
            "speeds": (1.0,),
            "evaluation": {},
            "quick": {},  # found out with other weights, as the evaluation was
            "versions": versions(),
        }
    )
    write_manifest(out, calibrate(manifest, strangers, settings.clear_ordinary, settings.inside))
    clear(work)


def _strangers(way: Broadening, settings: BroadenSettings, left_out: LeftOut, progress: Progress) -> Iterator[Answered]:
    """What a network says of whole corpora that it never heard: ordinary speech, and acted ones."""
    progress.note(f"without {', '.join(left_out.corpora)}")
    trained = way.train(settings, left_out)
    for name in ("ordinary", "further"):
        if any(piece.corpus in left_out.corpora for piece in way.pieces[name]):
            yield way.answered(trained, name, left_out.corpora)
