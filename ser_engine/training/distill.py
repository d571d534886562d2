"""What a finished engine says of the training clips, as targets for a smaller one.

A teacher's answer tells more than a label does: which of the others came near. It is asked about the recording as it
is, and its answer stands for every view of it, so the smaller engine also learns to say the same through noise and
codec.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ser_engine.errors import CorpusError, ModelError
from ser_engine.models import find_model
from ser_engine.networks import softmax
from ser_engine.recognizer import Recognizer
from ser_engine.training.corpus import Clip
from ser_engine.training.metrics import Floats
from ser_engine.training.recipes import Progress
from ser_engine.types import WINDOW_SAMPLES

_AT_ONCE = 16


def load_teacher(teacher: str | Path, labels: Sequence[str]) -> Recognizer:
    """The engine that teaches. Raises CorpusError when there is none of that name or it does not tell these labels."""
    try:
        recognizer = Recognizer.load(find_model(teacher))
    except ModelError as error:
        raise CorpusError(f"This engine learns from {str(teacher)!r}, which cannot be used: {error}") from error
    if recognizer.info.labels != tuple(labels):
        told = ", ".join(recognizer.info.labels)
        raise CorpusError(f"This engine learns from {str(teacher)!r}, which tells {told} only.")
    return recognizer


def answers(teacher: Recognizer, clips: Sequence[Clip], *, softness: float, progress: Progress) -> Floats:
    """The teacher's probabilities for the first 3 s of each clip, (clips, labels), rows sum to 1.

    It hears them at their own speed. Its logits are divided by `softness` instead of by its own temperature: above 1,
    its second thoughts weigh more.
    """
    progress.stage(f"asking {teacher.info.name}", len(clips))
    out = np.zeros((len(clips), len(teacher.info.labels)))
    for start in range(0, len(clips), _AT_ONCE):
        chosen = clips[start : start + _AT_ONCE]
        out[start : start + len(chosen)] = teacher.logits(
            [clip.read()[:WINDOW_SAMPLES] for clip in chosen], speeds=(1.0,)
        )
        progress.advance(len(chosen))
    return softmax(out / softness)
