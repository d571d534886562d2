"""Cross-validation: who is measured was never heard, changes of a recipe are checked, and figures add up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from ser_engine.errors import CorpusError
from ser_engine.features import FeatureSettings
from ser_engine.training import crossval, default, seed, tuned, variable, views
from ser_engine.training.corpus import LABELS, Clip, Corpus, read_corpus
from ser_engine.training.recipes import Silent
from tests.fakes.whisper import made_tensors

pytestmark = pytest.mark.integration

CLIPS = Path(__file__).parents[3] / "sandbox" / "clips"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorder:
    """A recipe that trains nothing: it keeps whom it would have trained on, and answers evenly."""

    labels: ClassVar[tuple[str, ...]] = LABELS
    features: ClassVar[FeatureSettings] = tuned.FEATURES
    unheard: ClassVar[tuple[str, ...]] = ()
    trained: ClassVar[list[list[Clip]]] = []

    name: str = "recorder"

    def answer(self, clips: Sequence[Clip], heard: Any, asked: Mapping[str, Sequence[Any]], **_: Any) -> dict[str, Any]:
        self.trained.append(list(clips))
        return {name: np.zeros((len(features), len(LABELS))) for name, features in asked.items()}


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    every = read_corpus(CLIPS)
    return Corpus(name="few", clips=tuple(replace(clip, split="train") for clip in every.clips[:21]))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all runs: the views of a clip are made once."""
    return tmp_path_factory.mktemp("work")


@pytest.fixture(autouse=True)
def little_to_make(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was trained yet, and three windows of no speech are enough."""
    Recorder.trained.clear()
    defaults = views.no_speech.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "count", 3)


def run(corpus: Corpus, work: Path, recipe: Any = None, *, hold_out_sentences: bool = False) -> dict[str, Any]:
    options = {"count": 2, "hold_out_sentences": hold_out_sentences, "seed": 1, "work": work, "progress": Silent()}
    return crossval.cross_validate(recipe or Recorder(), corpus, **options)  # type: ignore[arg-type]


def test_no_training_hears_who_is_measured(corpus: Corpus, shared: Path) -> None:
    found = run(corpus, shared, Recorder(name="sentences"), hold_out_sentences=True)

    assert len(Recorder.trained) == 2
    for fold, clips in zip(found["divided"], Recorder.trained, strict=True):
        assert all((clips, fold["speakers"], fold["sentences"]))
        assert not {clip.speaker for clip in clips} & set(fold["speakers"])
        assert not {clip.sentence for clip in clips} & set(fold["sentences"])
    measured = [speaker for fold in found["divided"] for speaker in fold["speakers"]]
    assert sorted(measured) == list(corpus.speakers)


def test_figures_are_of_all_folds_together_and_a_second_run_trains_nothing(corpus: Corpus, shared: Path) -> None:
    found = run(corpus, shared, Recorder(name="twice"))

    by_name = {(one["view"], one["recordings"]): one for one in found["figures"]}
    assert by_name["as recorded", "all"]["clips"] == len(corpus.clips)
    assert 0 < by_name["over a call", "own sentences"]["clips"] < len(corpus.clips)
    assert all(0 <= one["five"] <= 1 and one["five_interval"][0] <= one["five_interval"][1] for one in by_name.values())
    assert len(Recorder.trained) == 2
    assert run(corpus, shared, Recorder(name="twice")) == found
    assert len(Recorder.trained) == 2


def test_every_folds_network_answers_the_validation_speakers(corpus: Corpus, shared: Path) -> None:
    speakers = corpus.speakers
    split = {speaker: "validation" if speaker in speakers[:2] else "train" for speaker in speakers}
    stated = Corpus(name="few", clips=tuple(replace(clip, split=split[clip.speaker]) for clip in corpus.clips))

    found = run(stated, shared)

    beside = sum(clip.speaker in speakers[:2] for clip in corpus.clips)
    clips = {(one["view"], one["recordings"]): one["clips"] for one in found["figures"]}
    assert clips["as recorded", "validation speakers"] == clips["over a call", "validation speakers"] == 2 * beside
    assert clips["as recorded", "all"] == len(corpus.clips) - beside
    assert clips["as recorded", "all speakers"] == len(corpus.clips)
    assert found["speakers"] == len(speakers) - 2


def test_answers_without_the_validation_speakers_are_not_taken_for_those_with_them(
    corpus: Corpus, shared: Path
) -> None:
    beside = [replace(clip, split="validation") for clip in read_corpus(CLIPS).clips[30:33]]
    assert not {clip.speaker for clip in beside} & set(corpus.speakers)
    run(corpus, shared)

    found = run(Corpus(name="few", clips=(*corpus.clips, *beside)), shared)

    clips = {(one["view"], one["recordings"]): one["clips"] for one in found["figures"]}
    assert clips["as recorded", "validation speakers"] == 2 * len(beside)


@pytest.mark.slow
def test_a_recipe_is_trained_for_each_fold(corpus: Corpus, shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuned, "read_encoder", lambda: made_tensors(1))
    short = ("layers=1", "units=4", "views=1", "stages.epochs=1", "stages.cycles=1")

    found = run(corpus, shared, variable.vary(default.RECIPE, short))

    assert found["figures"][0]["clips"] == len(corpus.clips)
    assert not list(shared.rglob("training"))  # what the trainings left is cleared away


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # TensorFlow's tensors, numpy 2
def test_the_old_network_is_measured_over_its_four_labels(corpus: Corpus, shared: Path) -> None:
    recipe = variable.vary(seed.RECIPE, ["loop.cycles=[1]", "units=4", "views=1"])

    found = run(corpus, shared, recipe)

    figure = found["figures"][0]
    assert figure["clips"] == sum(clip.label in seed.LABELS for clip in corpus.clips)
    assert 0 <= figure["four_interval"][0] <= figure["four"] <= figure["four_interval"][1] <= 1
    assert figure["five"] is figure["five_interval"] is None
    assert not list(shared.rglob("*.keras"))  # what the trainings left is cleared away


def test_the_figures_are_right() -> None:
    clips = [
        Clip(path=Path(f"{k}.wav"), speaker="ab"[k % 2], label=label, sentence="xy"[k // 5])
        for k, label in enumerate([*LABELS, *LABELS])
    ]
    corpus = Corpus(name="made", clips=tuple(clips))
    folds = [crossval.Fold(speakers=("a",), sentences=("x",)), crossval.Fold(speakers=("b",), sentences=("y",))]
    logits = np.log(np.eye(5)[[*range(5), *range(5)]] + 0.01)
    logits[1] = logits[0]  # one Happy of two is called Angry; said by b, whose own sentence is y

    answers = crossval._Answers(view="as recorded", recordings="all", logits=logits, clips=corpus.clips)
    own_sentences = answers.of("own sentences", crossval._own_sentences(corpus.clips, folds))
    every, own = (crossval._figure(one) for one in (answers, own_sentences))

    assert (every.clips, own.clips) == (10, 6)
    assert every.five == pytest.approx(0.9)
    assert every.four == pytest.approx(0.875)
    assert own.five == 1.0
    assert own.temperature < every.temperature


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("votes=0.5", "there is no 'votes'. There are: name, layers"),
        ("stages.pace=1", "there is no 'pace'"),
        ("layers=many", "written as in JSON"),
        ("layers=1.5", "of another kind, now 3"),
        ("layers.more=1", "of another kind"),
        ("channels=true", "of another kind, now 0"),
        ("channels=385", "channels must be 0 to 384"),
        ("speeds=[1.0]", "no part in these trainings"),
        ("layers=5", "Whisper tiny.en has no more"),
        ("views=0", "must be 1 at least"),
        ("dropout=7", "dropout is a share, 0 to 1"),
        ("votes_share=-0.1", "votes_share is a share"),
        ("stages.later_share=NaN", "later_share is a share"),
        ("stages.batch=2", "less than batch"),
        ("stages.no_speech=-1", "0 at least"),
        ("stages.masked_bands=1", "masked_bands must be 0, or 2 to 80"),
        ("stages.masked_bands=81", "masked_bands must be 0, or 2 to 80"),
        ("stages.masked_frames=1", "masked_frames 0, or 2 to"),
        ("stages.later_epochs=0", "later_epochs must be 1"),
    ],
)
def test_a_change_that_fits_nothing_is_refused(change: str, words: str) -> None:
    with pytest.raises(CorpusError, match=words.replace("(", r"\(")):
        variable.vary(default.RECIPE, [change])


def test_a_change_that_fits_no_loop_is_refused() -> None:
    with pytest.raises(CorpusError, match="masked_frames"):
        variable.vary(seed.RECIPE, ["loop.masked_frames=-1"])


def test_changes_reach_the_recipe_and_its_stages() -> None:
    varied = variable.vary(default.RECIPE, ["votes_share=0", "as_recorded=[1.0]", "stages.epochs=3"])

    assert (varied.votes_share, varied.as_recorded, varied.stages.epochs) == (0, (1.0,), 3)


def test_sentences_cannot_be_held_out_where_none_are_stated(corpus: Corpus, tmp_path: Path) -> None:
    silent = Corpus(name="own", clips=tuple(replace(clip, sentence=None) for clip in corpus.clips))

    with pytest.raises(CorpusError, match="own has not enough sentences"):
        run(silent, tmp_path, hold_out_sentences=True)
