from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ser_engine.errors import CorpusError
from ser_engine.training.corpus import LABELS, Corpus, read_corpus
from ser_engine.training.split import Split, choose, folds, split_corpus

pytestmark = pytest.mark.unit

CLIPS = Path(__file__).parents[3] / "sandbox" / "clips"

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A folder with a table of the given lines, and an empty file for each recording that a line names."""

    def make(*lines: str, name: str = "labels.csv", files: bool = True) -> Path:
        (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
        for line in lines[1:]:
            if files and line.partition(",")[0]:
                (tmp_path / line.replace(";", ",").partition(",")[0]).touch()
        return tmp_path

    return make


def test_ones_own_recordings_need_three_columns(write: Write) -> None:
    corpus = read_corpus(write("file,label,speaker", "a.wav,angry,me", "b.wav,SAD,you", "c.wav,Happiness,you"))
    assert [(clip.path.name, clip.label, clip.speaker) for clip in corpus.clips] == [
        ("a.wav", "Angry", "me"),
        ("b.wav", "Sad", "you"),
        ("c.wav", "Happy", "you"),
    ]
    assert corpus.speakers == ("me", "you")


def test_cremads_own_names_its_audio_folder_votes_and_flags(tmp_path: Path) -> None:
    (tmp_path / "audio").mkdir()
    for name in ("a.flac", "b.flac"):
        (tmp_path / "audio" / name).touch()
    (tmp_path / "manifest.csv").write_text(
        "file,split,actor,sex,age,sentence,intended,level,votes_anger,votes_fear,flag\n"
        "a.flac,train,1001,male,51,DFA,ANG,XX,6,2,\n"
        "b.flac,train,1001,male,51,DFA,SAD,XX,1,0,silent\n",
        encoding="utf-8",
    )
    corpus = read_corpus(tmp_path)
    (clip,) = corpus.clips
    assert (clip.label, clip.speaker, clip.age, clip.votes) == ("Angry", "1001", 51, {"Angry": 6, "Fear": 2})
    assert corpus.left_out == 1


def test_a_spreadsheet_may_separate_with_semicolons_and_begin_with_a_mark(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    (tmp_path / "mine.csv").write_text("file;label;speaker\na.wav;neutral;me\n", encoding="utf-8-sig")
    assert read_corpus(tmp_path).clips[0].label == "Neutral"


@pytest.mark.parametrize(("said", "between"), [("sep=;", ";"), ('"sep=,"', ","), ("SEP=\t", "\t"), ("sep=|", "|")])
def test_a_line_for_excel_says_what_separates_and_counts_as_a_line(said: str, between: str, tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    rows = ["file", "label", "speaker"], ["a.wav", "sad", "me, too" if between != "," else "me"]
    lines = [said, *map(between.join, rows)]
    (tmp_path / "mine.csv").write_text("\r\n".join(lines), encoding="utf-8-sig", newline="")
    assert read_corpus(tmp_path).clips[0].label == "Sad"

    (tmp_path / "mine.csv").write_text("\n".join([*lines, between.join(["a.wav", "bored", "me"])]), encoding="utf-8")
    with pytest.raises(CorpusError, match=r"mine\.csv, line 4: 'bored' is not a label"):
        read_corpus(tmp_path)


def test_what_a_mac_notes_beside_a_table_is_no_second_one_and_its_name_may_end_in_capitals(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    (tmp_path / "MINE.CSV").write_text("file,label,speaker\na.wav,neutral,me\n", encoding="utf-8")
    (tmp_path / "._MINE.CSV").write_bytes(b"\x00\x05\x16\x07")
    assert len(read_corpus(tmp_path).clips) == 1


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["file,label", "a.wav,sad"], "no column 'speaker'"),
        (["file,label,speaker", "a.wav,bored,me"], "line 2: 'bored' is not a label; known are Angry"),
        (["file,label,speaker", "a.wav,sad,me", "", "b.wav,bored,me"], "line 4: 'bored' is not a label"),
        (["file,label,speaker", "a.wav,sad,"], "file and speaker must not be empty"),
        (["file,label,speaker", "a.wav,sad,me", "a.wav,happy,me"], "names a.wav more than once"),
        (["file,label,speaker,split", "a.wav,sad,me,train", "b.wav,sad,me,validation"], "speaker me into two splits"),
        (["file,label,speaker,split", "a.wav,sad,me,train", "b.wav,sad,you,"], "state it for all or for none"),
        (["file,label,speaker,split", "a.wav,sad,me,dev"], "'dev' is not a split"),
        (["file,label,speaker,age", "a.wav,sad,me,old"], "age must be a whole number"),
        (["file,label,speaker,age", f"a.wav,sad,me,{'9' * 5000}"], "age must be a whole number"),
        (["file,label,speaker,age", "a.wav,sad,me,-1"], "age must be a whole number, 0 to 130, or empty, not '-1'"),
        (["file,label,speaker,Votes_Anger", "a.wav,sad,me,-1"], "votes_anger must be a whole number"),
        (["file,label,speaker"], "names no recording"),
    ],
)
def test_a_wrong_table_is_refused_in_words(write: Write, lines: list[str], message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        read_corpus(write(*lines))


def test_missing_folder_table_and_recording_are_refused(write: Write, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no corpus folder"):
        read_corpus(tmp_path / "nowhere")
    with pytest.raises(CorpusError, match="has no table"):
        read_corpus(tmp_path)
    with pytest.raises(CorpusError, match=r"line 2: there is no recording gone\.wav"):
        read_corpus(write("file,label,speaker", "gone.wav,sad,me", files=False))
    with pytest.raises(CorpusError, match=r"line 2: there is no recording aaa"):  # too long for any file
        read_corpus(write("file,label,speaker", f"{300 * 'a'},sad,me", files=False))
    with pytest.raises(CorpusError, match="cannot be read"):
        read_corpus(tmp_path / (300 * "a"))
    (tmp_path / "other.csv").touch()
    (tmp_path / "labels.csv").rename(tmp_path / "mine.csv")
    with pytest.raises(CorpusError, match="2 CSV files"):
        read_corpus(tmp_path)


def test_a_recording_that_is_none_names_itself(write: Write) -> None:
    folder = write("file,label,speaker", "a.wav,sad,me")
    (folder / "a.wav").write_text("not a sound")
    with pytest.raises(CorpusError, match=r"a\.wav cannot be used"):
        read_corpus(folder).clips[0].read()


def test_the_clips_of_the_demo_are_a_corpus() -> None:
    corpus = read_corpus(CLIPS)
    assert len(corpus.clips) == 40
    assert {clip.label for clip in corpus.clips} == set(LABELS)
    pcm = corpus.clips[0].read()
    assert pcm.dtype == np.float32
    assert 1 < len(pcm) / 16_000 < 5


def test_a_split_by_speaker_shares_nobody_and_is_drawn_by_the_seed() -> None:
    corpus = read_corpus(CLIPS)
    split = split_corpus(corpus, LABELS[:4], seed=1)
    assert not set(split.train.speakers) & set(split.validation.speakers)
    assert set(split.train.speakers) | set(split.validation.speakers) == set(corpus.speakers)
    assert {clip.label for clip in split.train.clips} == set(LABELS[:4])
    again = split_corpus(corpus, LABELS[:4], seed=1)
    assert again == split
    assert any(split_corpus(corpus, LABELS[:4], seed=k).validation != split.validation for k in range(2, 9))


def test_the_tables_split_is_kept_and_its_test_speakers_are_left_alone(write: Write) -> None:
    rows = [f"{who}-{label}.wav,{label},{who},{split}" for who, split in _STATED.items() for label in ("sad", "happy")]
    split = split_corpus(read_corpus(write("file,label,speaker,split", *rows)), ("Sad", "Happy"), seed=1)
    assert split.train.speakers == ("a", "b")
    assert split.validation.speakers == ("c",)


_STATED = {"a": "train", "b": "train", "c": "validation", "d": "test"}


def test_a_speaker_on_both_sides_is_refused() -> None:
    corpus = read_corpus(CLIPS)
    with pytest.raises(CorpusError, match="both sides"):
        Split(train=corpus, validation=corpus.of_speakers(corpus.speakers[:1]))


def test_what_cannot_be_split_is_refused(write: Write) -> None:
    corpus = read_corpus(write("file,label,speaker", "a.wav,sad,me", "b.wav,happy,me"))
    with pytest.raises(CorpusError, match="at least two speakers"):
        split_corpus(corpus, ("Sad", "Happy"), seed=1)
    demo = read_corpus(CLIPS)
    no_sad = Corpus(name="x", clips=tuple(clip for clip in demo.clips if clip.label != "Sad"))
    with pytest.raises(CorpusError, match="labelled Sad"):
        split_corpus(no_sad, LABELS[:4], seed=1)


def test_folds_hold_out_everybody_once() -> None:
    speakers = [str(k) for k in range(63)]
    groups = folds(speakers, 5, seed=3)
    assert sorted(name for group in groups for name in group) == sorted(speakers)
    assert {len(group) for group in groups} == {12, 13}
    with pytest.raises(CorpusError, match="cannot be held out"):
        folds(["a", "b"], 3, seed=1)


def test_speakers_are_chosen_by_split_or_name(write: Write) -> None:
    rows = [f"{who}.wav,sad,{who},{split}" for who, split in _STATED.items()]
    corpus = read_corpus(write("file,label,speaker,split", *rows))
    assert choose(corpus, "validation").speakers == ("c",)
    assert choose(corpus, "all") == corpus
    assert choose(corpus, "a, d").speakers == ("a", "d")
    with pytest.raises(CorpusError, match="no speaker z"):
        choose(corpus, "a,z")
    with pytest.raises(CorpusError, match="split test; its table has train, validation"):
        choose(corpus.of_speakers("abc"), "test")
    assert choose(read_corpus(CLIPS), "validation").speakers == read_corpus(CLIPS).speakers


def test_a_table_in_another_encoding_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes("file,label,speaker\na.wav,sad,J\u00f6rg\n".encode("latin-1"))
    with pytest.raises(CorpusError, match="save it again as CSV UTF-8"):
        read_corpus(tmp_path)
