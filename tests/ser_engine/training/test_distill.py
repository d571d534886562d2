"""What a finished engine teaches a smaller one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ser_engine.errors import CorpusError
from ser_engine.training import distill
from ser_engine.training.corpus import read_corpus
from ser_engine.training.recipes import Silent

pytestmark = pytest.mark.integration

CLIPS = Path(__file__).parents[3] / "sandbox" / "clips"


def test_a_teacher_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="learns from"):
        distill.load_teacher(tmp_path / "nobody", ("Angry", "Happy"))


def test_a_teacher_of_other_labels_is_refused() -> None:
    with pytest.raises(CorpusError, match="which tells Angry, Happy, Sad, Disgust"):
        distill.load_teacher("seed", ("Angry", "Happy", "Sad", "Disgust", "Neutral"))


def test_softer_answers_keep_their_order_and_give_the_others_more() -> None:
    teacher = distill.load_teacher("seed", ("Angry", "Happy", "Sad", "Disgust"))
    clips = read_corpus(CLIPS).clips[:5]

    sharp, soft = (distill.answers(teacher, clips, softness=s, progress=Silent()) for s in (1.0, 3.0))

    assert sharp.shape == soft.shape == (5, 4)
    assert np.allclose(soft.sum(axis=1), 1)
    assert (sharp.argmax(axis=1) == soft.argmax(axis=1)).all()
    assert (soft.max(axis=1) < sharp.max(axis=1)).all()
