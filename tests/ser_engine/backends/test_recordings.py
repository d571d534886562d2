"""The table of recordings through worker processes, whose memory the operating system limits: answers as inside."""

from __future__ import annotations

from pathlib import Path

import pytest

from ser_engine import Recognizer
from ser_engine.analysis import analyse, analysed, summed_up
from ser_engine.audio import windows_of
from ser_engine.backends.workers import WorkerBackend
from ser_engine.errors import AudioError
from tests.fakes.recordings import content
from tests.fakes.recordings_table import REFUSED, TAKEN

pytestmark = pytest.mark.integration
A_TIME = 24


@pytest.mark.parametrize("first", range(0, len(TAKEN), A_TIME))
async def test_what_is_taken_is_answered_by_the_workers_too(model: Path, workers: WorkerBackend, first: int) -> None:
    recognizer = Recognizer.load(model)
    for row in TAKEN[first : first + A_TIME]:
        data = content(row)
        expected = summed_up(analysed(recognizer, windows_of(data, filename=row.name)))
        got = await analyse(workers, data, filename=row.name)
        assert len(got.windows) == row.windows, row.title
        assert dict(got.summary.probabilities) == pytest.approx(dict(expected.summary.probabilities), abs=1e-4)
    assert workers.counters()["restarts"] == 0


async def test_what_is_refused_is_refused_by_the_workers_too(workers: WorkerBackend) -> None:
    for row in REFUSED:
        with pytest.raises(AudioError) as refused:
            await analyse(workers, content(row), filename=row.name)
        assert refused.value.key == row.key, row.what
        assert str(refused.value).endswith("."), row.what
    assert workers.counters()["restarts"] == 0
