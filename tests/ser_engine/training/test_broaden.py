"""Broadening an engine, from folders to a model directory; and what decides its confidence and its calls."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ser_engine import Recognizer, segment_pcm
from ser_engine.audio import decode
from ser_engine.baseline import BaselineHead, pooled_states
from ser_engine.errors import CorpusError
from ser_engine.features import FeatureSettings
from ser_engine.models import find_model, load_manifest, open_directory, verify
from ser_engine.networks import softmax
from ser_engine.strangeness import Strangeness
from ser_engine.training import broaden, calls, material, strangers, unlabelled
from ser_engine.training.corpus import LABELS, Corpus, read_corpus
from ser_engine.training.episodes import Calls, EpisodeSettings, Spoken, build, head_of
from ser_engine.training.recipes import Silent
from ser_engine.training.refine import RefineSettings
from ser_engine.training.strange import learn_strangeness
from ser_engine.types import Pcm
from tests.fakes.clips import clip_paths
from tests.fakes.material import a_little_of_everything, files
from tests.fakes.media import encode
from tests.fakes.model import make_model

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # Keras, when it saves
]

CLIPS = Path(__file__).parents[3] / "sandbox" / "clips"
QUICK = broaden.BroadenSettings(refine=RefineSettings(epochs=1, batch=8), episodes=EpisodeSettings(epochs=1, units=4))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`fast`, broadened with a handful of clips."""
    root = tmp_path_factory.mktemp("broadened")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(material, "_MADE", 1)
        patched.setattr(broaden, "BRIEF", ("further",))
        patched.setattr(broaden, "VIEWS", {name: numbers[:1] for name, numbers in broaden.VIEWS.items()})
        heard = a_little_of_everything(root)
        broaden.broaden(find_model("fast"), heard, root / "out", settings=QUICK, progress=Silent())
    return root / "out"


@pytest.mark.slow
def test_a_few_recordings_broaden_an_engine(made: Path) -> None:
    manifest = verify(made)
    assert {"baseline.keras", "baseline.npz", "encoder.onnx", "network.keras", "network.onnx"} == set(manifest.files)
    assert manifest.files["encoder.onnx"] == load_manifest(find_model("fast")).files["encoder.onnx"]
    assert manifest.files["network.keras"] != load_manifest(find_model("fast")).files["network.keras"]
    assert manifest.training["broadened"]["corpora"]["further"] == ["further"]
    assert manifest.speeds == (1.0,)
    assert manifest.quick == {}
    assert not (made / ".training").exists()


@pytest.mark.slow
def test_the_arrays_answer_as_the_artifact_of_record(made: Path) -> None:
    import keras

    network = keras.saving.load_model(str(made / "baseline.keras"), compile=False)
    head = BaselineHead.from_bytes((made / "baseline.npz").read_bytes())
    x = np.random.default_rng(1).standard_normal((20, len(head.hidden[0]))).astype(np.float32)
    served = softmax(np.maximum(x @ head.hidden[0] + head.hidden[1], 0) @ head.output[0] + head.output[1])
    np.testing.assert_allclose(served, network.predict(x, verbose=0), atol=1e-5)


@pytest.mark.slow
def test_it_compares_a_window_with_the_earlier_ones(made: Path) -> None:
    recognizer = Recognizer.load(made)
    windows = [
        replace(segment_pcm(decode((CLIPS / name).read_bytes()))[0], speaker="anna", start_s=5.0 * k)
        for k, name in enumerate(files(3))
    ]
    alone, compared = recognizer.predict(windows), recognizer.predict(windows, {})
    assert compared[0].probabilities == alone[0].probabilities
    assert compared[2].probabilities != alone[2].probabilities
    assert [one.earlier_windows for one in compared] == [0, 1, 2]
    reference = Recognizer.load(made, runtime="tensorflow").predict(windows, {})
    for one, other in zip(compared, reference, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-3)


@pytest.mark.slow
def test_what_is_strange_is_learned_and_kept(made: Path) -> None:
    manifest = load_manifest(made)
    measure = Strangeness.from_bytes((made / "baseline.npz").read_bytes())
    assert measure is not None
    assert len(measure.weights) == len(BaselineHead.from_bytes((made / "baseline.npz").read_bytes()).hidden[0]) - 6
    assert set(manifest.strange_unclear_below) == set(LABELS)
    shown = manifest.training["strangers"]
    assert {name.split()[0] for name in shown} == {"judges", "further", "ordinary"}
    assert all(0 <= figures["strangeness"] <= 1 for figures in shown.values())


def test_strangeness_tells_other_rooms_apart() -> None:
    rng = np.random.default_rng(3)

    def view(offset: float, pieces: int) -> material.States:
        steps = (rng.standard_normal((pieces * 10, 4)) + offset).astype(np.float16)
        return material.States(steps=steps, starts=np.arange(0, pieces * 10 + 1, 10))

    measure = learn_strangeness([view(0, 60)], [(view(3, 60), range(30))])
    own, other = view(0, 20), view(3, 20)
    of = [float(measure.of(pooled_states(states[k])).mean()) for states in (own, other) for k in range(20)]
    assert max(of[:20]) < min(of[20:])
    again = Strangeness.from_bytes(head_of(build(14, EpisodeSettings(units=2))).to_bytes(measure.arrays()))
    assert again is not None
    np.testing.assert_array_equal(again.weights, measure.weights)
    assert Strangeness.from_bytes(head_of(build(14, EpisodeSettings(units=2))).to_bytes()) is None


@pytest.mark.slow
def test_figures_in_calls_and_without_labels(made: Path) -> None:
    recognizer = Recognizer.load(made)
    clips = read_corpus(CLIPS).of_speakers(read_corpus(CLIPS).speakers[:1]).clips
    found = calls.measure_calls(recognizer, clips, shares=(0.6,), rounds=5, progress=Silent())
    assert [entry["earlier"] for entry in found.values()][:2] == [0, 4]
    assert all(entry["clips"] == len(clips) for entry in found.values())
    assert "0.6 neutral, after 4" in calls.to_markdown(found)
    recordings = unlabelled.read_unlabelled(made.parent / "ordinary")
    without = unlabelled.measure_unlabelled(recognizer, recordings, Silent())
    assert without["all"]["files"] == 4
    assert set(without) == {"all", "corpus-0", "corpus-1"}
    assert not unlabelled.has_labels(made.parent / "ordinary")
    assert unlabelled.has_labels(CLIPS)


def test_a_corpus_without_held_out_speakers_is_refused(tmp_path: Path) -> None:
    every = read_corpus(CLIPS)
    nobody = Corpus(name="own", clips=tuple(replace(clip, split="train") for clip in every.clips))
    heard = material.Material(corpora=[nobody], ordinary=tmp_path, sounds=tmp_path)
    with pytest.raises(CorpusError, match="held out"):
        heard.groups(seed=1)
    with pytest.raises(CorpusError, match=r"no table\. Put a CSV file with the columns file, corpus and speaker"):
        material.ordinary_pieces(tmp_path)


def test_what_broadening_cannot_do_without_is_said(tmp_path: Path) -> None:
    every = read_corpus(CLIPS)
    alone = material.Material(corpora=[every], ordinary=tmp_path, sounds=tmp_path)
    with pytest.raises(CorpusError, match="a second corpus"):
        broaden.broaden(find_model("fast"), alone, tmp_path / "out", progress=Silent())
    judging = Corpus(name="own", clips=tuple(replace(clip, split="validation") for clip in every.clips))
    with pytest.raises(CorpusError, match="who trains"):
        material.Material(corpora=[judging], ordinary=tmp_path, sounds=tmp_path).groups(seed=1)
    (tmp_path / "still.wav").write_bytes(encode(np.zeros(16_000, np.float32), 16_000, "wav"))
    (tmp_path / "manifest.csv").write_text("file,corpus,speaker\nstill.wav,mine,anna\n")
    both = Corpus(name="own", clips=(*judging.clips[:1], *every.clips[1:2]))
    with pytest.raises(CorpusError, match="holds a window of speech"):
        material.Material(corpora=[both], ordinary=tmp_path, sounds=tmp_path).groups(seed=1)


def test_a_corpus_is_not_taken_twice(tmp_path: Path) -> None:
    """Those who judge would be among those who train."""
    every = read_corpus(CLIPS)
    judging = Corpus(name="own", clips=tuple(replace(clip, split="validation") for clip in every.clips))
    heard = material.Material(corpora=[judging, every, judging], ordinary=tmp_path, sounds=tmp_path)
    with pytest.raises(CorpusError, match="folders named own"):
        heard.groups(seed=1)


@pytest.mark.parametrize("taught", [False, True])
def test_an_engine_without_an_encoder_neither_learns_nor_teaches(tmp_path: Path, taught: bool) -> None:
    seed, fast = find_model("seed"), find_model("fast")
    heard = material.Material(corpora=[], ordinary=tmp_path, sounds=tmp_path)
    with pytest.raises(CorpusError, match="seed has no encoder with a head of the 5 labels"):
        broaden.broaden(
            *(fast if taught else seed, heard, tmp_path / "out"), teacher=seed if taught else None, progress=Silent()
        )


def test_what_was_heard_is_not_taken_for_other_recordings(tmp_path: Path) -> None:
    """An interrupted broadening goes on with what it heard of the same recordings, and hears others anew."""
    made = make_model(tmp_path / "model", encoder=True)
    opened = open_directory(made)
    first, second, third = (
        material.Piece(
            kind="ordinary", corpus="mine", speaker="anna", name=str(k), pcm=np.full(16_000, 100 * k, np.int16)
        )
        for k in range(3)
    )
    heard: list[tuple[str, int]] = []

    class Counting(Silent):
        def stage(self, text: str, total: int) -> None:
            heard.append((text, total))

    def hear(*pieces: material.Piece, seed: int = 1) -> material.States:
        way = broaden.Broadening(opened, None, tmp_path / "work", seed=seed, progress=Counting())
        way.hear({"judges": list(pieces)})
        return way.states["judges"][0]

    before = hear(first, second)
    np.testing.assert_array_equal(hear(first, second)[1], before[1])
    assert heard == [("view 0 of judges", 2)]
    np.testing.assert_array_equal(hear(first, third)[0], before[0])
    assert not np.array_equal(hear(second, first)[0], before[0])
    hear(first, second, seed=2)
    assert len(heard) == 4


def of_corpora(*names: str, kind: material.Kind = "ordinary") -> list[material.Piece]:
    """A piece of each, whose samples are the number of its place."""
    return [
        material.Piece(kind=kind, corpus=name, speaker=name, name=name, pcm=np.full(40_000, k + 1, np.int16))
        for k, name in enumerate(names)
    ]


def test_no_network_hears_what_it_is_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in what was made of it either: babble is made of the voices of ordinary speech."""
    monkeypatch.setattr(material, "_MADE", 20)
    lent: dict[str, set[int]] = {}

    def babble(voices: list[Pcm], rng: np.random.Generator) -> Pcm:
        lent.setdefault("now", set()).update(round(float(voice[0]) * 32768) for voice in voices)
        return voices[0]

    monkeypatch.setitem(material._MAKERS, "babble", babble)
    groups = {"ordinary": of_corpora("a", "b", "c"), "further": of_corpora("acted", kind="labelled")}
    found = []
    for one in material.leave_out(groups, seed=1):
        lent.clear()
        voices = [piece for piece in groups["ordinary"] if piece.corpus not in one.corpora]
        assert [piece.pcm.tolist() for piece in material.made_pieces(voices, seed=1)] == [
            piece.pcm.tolist() for piece in groups[one.made]
        ]
        found.append((one.corpora, lent["now"]))
    assert found == [(("acted", "a", "c"), {2}), (("b",), {1, 3})]


def test_one_corpus_of_ordinary_speech_is_left_out_once_and_not_asked_about_when_it_was_heard() -> None:
    groups = {"ordinary": of_corpora("only"), "further": of_corpora("acted", kind="labelled")}
    (one,) = material.leave_out(groups, seed=1)
    assert one.corpora == ("acted", "only")
    assert {piece.corpus for piece in groups[one.made]} == {"not speech"}


def test_a_teacher_hears_as_it_learned_to(tmp_path: Path) -> None:
    """Whatever the settings of the engine are that it teaches."""
    other = FeatureSettings.whisper(top_db=40.0)
    engines = [
        open_directory(make_model(tmp_path / name, encoder=True, features=features, labels=LABELS))
        for name, features in (("pupil", None), ("teacher", other))
    ]
    (tmp_path / "teacher" / "scaler.json").unlink()
    rng = np.random.default_rng(1)
    pcm = (rng.uniform(-9_000, 9_000, 16_000) * np.geomspace(1e-3, 1, 16_000)).astype(np.int16)  # 60 dB of range
    pieces = [material.Piece(kind="ordinary", corpus="mine", speaker="anna", name="a", pcm=pcm)]
    answers = []
    for pupil in engines:
        way = broaden.Broadening(pupil, engines[1], tmp_path / pupil.name / "work", seed=1, progress=Silent())
        way.hear({"ordinary": pieces})
        answers.append(way._answers(engines[1], "ordinary"))
    np.testing.assert_array_equal(answers[0], answers[1])


def test_tables_without_labels_are_read_as_those_with_labels(tmp_path: Path) -> None:
    """Semicolons, upper case, other names of the columns, and recordings in a folder of their own."""
    (tmp_path / "audio").mkdir()
    shutil.copyfile(clip_paths()[0], tmp_path / "audio" / "a.flac")
    (tmp_path / "labels.csv").write_text("\ufeffPath;Corpus ;Person\na.flac;mine;anna\n", encoding="utf-8")
    (piece,) = material.ordinary_pieces(tmp_path)
    assert (piece.corpus, piece.speaker, piece.name) == ("mine", "anna", "a.flac#0")
    assert not unlabelled.has_labels(tmp_path)
    (one,) = unlabelled.read_unlabelled(tmp_path / "labels.csv")
    assert (one.path.name, one.group) == ("a.flac", "mine")
    (tmp_path / "labels.csv").write_text("file\na.flac\n", encoding="utf-8")
    for named in (tmp_path, tmp_path / "labels.csv"):
        assert [one.group for one in unlabelled.read_unlabelled(named)] == [tmp_path.name]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("", "names no recording"),
        ("a.flac,,anna", "line 2: corpus must not be empty"),
        (",mine,anna", "line 2: file must not be empty"),
        ("b.flac,mine,anna", r"line 2: there is no recording b\.flac"),
    ],
)
def test_what_is_wrong_in_a_table_without_labels_is_said(tmp_path: Path, row: str, words: str) -> None:
    (tmp_path / "manifest.csv").write_text(f"file,corpus,speaker\n{row}\n")
    with pytest.raises(CorpusError, match=words):
        material.ordinary_pieces(tmp_path)


def spoken(labels: list[int], speaker: str = "anna") -> Spoken:
    rng = np.random.default_rng(1)
    return Spoken(
        pooled=rng.standard_normal((len(labels), 4)),
        log_probabilities=np.log(rng.dirichlet(np.ones(5), len(labels))),
        speakers=(speaker,) * len(labels),
        labels=np.array(labels),
    )


def test_earlier_windows_are_other_ones_of_the_same_speaker_none_twice() -> None:
    both = [spoken([0, 1, 2, 4, 4, 4]), spoken([0, 1, 2], "ben")]
    everybody = Spoken(
        pooled=np.concatenate([one.pooled for one in both]),
        log_probabilities=np.concatenate([one.log_probabilities for one in both]),
        speakers=both[0].speakers + both[1].speakers,
        labels=np.concatenate([one.labels for one in both]),
    )
    drawn, rng = Calls(everybody), np.random.default_rng(2)
    for row in range(9):
        chosen = drawn.earlier(row, 16, 0.5, rng)
        assert sorted([*chosen, row]) == (list(range(6)) if row < 6 else [6, 7, 8])
    assert all(everybody.labels[drawn.earlier(0, 3, 1.0, rng)] == LABELS.index("Neutral"))


def answered(name: str, labels: list[int], sure: float, right: float, strangeness: float = 0.0) -> strangers.Answered:
    """Windows of which a share `right` is decided as labelled, each with the confidence `sure`."""
    said = np.full((len(labels), 5), (1 - sure) / 4)
    for row, label in enumerate(labels):
        said[row, label if row < right * len(labels) else (label + 1) % 5] = sure
    network = build(4 + 5 + 1, EpisodeSettings(units=2))
    heard = replace(spoken(labels), log_probabilities=np.log(said), labels=np.array(labels))
    if name == "ordinary":
        heard = replace(heard, labels=np.full(len(labels), -1))
    strange = np.full(len(labels), strangeness)
    return strangers.Answered(name=name, spoken=heard, baseline=head_of(network), strangeness=strange)


def alone(*asked: strangers.Answered) -> list[strangers.Group]:
    """What is known of them without a call: as if after so many earlier windows the same was said."""
    return [(one, earlier, one.logits()) for one in asked for earlier in (0, *strangers.CONTEXTS)]


def test_the_temperature_is_as_cautious_as_the_own_corpus_allows() -> None:
    held_out = answered("judges", [0, 1, 2, 3, 4] * 40, sure=0.8, right=0.8)
    found = strangers._temperatures(alone(held_out))
    confidence = softmax(held_out.logits() / found.alone).max(axis=1).mean()
    assert confidence == pytest.approx(0.8 - strangers.OWN_ECE, abs=0.01)
    assert strangers.mixed(found.alone, found.inside, 16) == pytest.approx(found.alone, abs=0.02)


def test_strangers_are_believed_less_as_far_as_it_is_true_of_them() -> None:
    held_out = answered("judges", [0, 1, 2, 3, 4] * 40, sure=0.8, right=0.8)
    foreign = answered("further", [0, 1, 2, 4] * 40, sure=0.8, right=0.8, strangeness=1.0)
    found = strangers._temperatures(alone(held_out, foreign))
    assert found.strange > 1
    said = found.said(foreign.logits(), foreign.strangeness, 0).max(axis=1).mean()
    assert said == pytest.approx(0.8 - strangers.STRANGE_ECE, abs=0.02)
    easy = answered("further", [0, 1, 2, 4] * 40, sure=0.8, right=0.95, strangeness=1.0)
    assert strangers._temperatures(alone(held_out, easy)).strange == 1


def test_the_thresholds_keep_ordinary_speech_and_the_wrong_out() -> None:
    plain = strangers.Confidence(alone=1.0, inside=1.0)
    own = answered("judges", [0, 1, 2, 3, 4] * 40, sure=0.95, right=0.95)
    found = strangers._thresholds(plain, alone(own), 0.03)
    assert (found.below, found.strange_emotion, found.strange_neutral) == (0.5, 0.5, 0.5)
    lively = answered("ordinary", [1] * 100, sure=0.7, right=1.0, strangeness=1.0)
    found = strangers._thresholds(plain, alone(own, lively), 0.03)
    assert (found.below, found.strange_neutral) == (0.5, 0.5)  # nobody minds ordinary speech that is called neutral
    assert found.strange_emotion == pytest.approx(0.71, abs=0.011)
    foreign = answered("further", [0, 1, 2, 4] * 20, sure=0.9, right=0.5, strangeness=1.0)
    found = strangers._thresholds(plain, alone(own, lively, foreign), 0.03)
    assert found.below == 0.5
    assert found.strange_emotion == pytest.approx(0.91, abs=0.011)


def test_thresholds_chosen_without_a_group_owe_it_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    own = answered("judges", [0, 1, 2, 3, 4] * 40, sure=0.9, right=0.85, strangeness=0.5)
    calm, lively = (answered("ordinary", [1] * 100, sure=sure, right=1.0, strangeness=1.0) for sure in (0.6, 0.98))
    begun: list[strangers.Confidence] = []
    chosen = strangers._thresholds

    def noted(found: strangers.Confidence, *rest: Any) -> strangers.Confidence:
        begun.append(found)
        return chosen(found, *rest)

    monkeypatch.setattr(strangers, "_thresholds", noted)
    strangers.calibrate(load_manifest(find_model("fast")), [own, calm, lively])
    plain = strangers.Confidence(alone=0, inside=0)
    assert [one.strange_emotion for one in begun] == [plain.strange_emotion] * 3
