"""A tiny model, and a backend with one worker that serves it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ser_engine.backends.workers import WorkerBackend
from tests.fakes.model import make_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
async def workers(model: Path) -> AsyncIterator[WorkerBackend]:
    backend = WorkerBackend(model, workers=1)
    await backend.start()
    yield backend
    await backend.close()
