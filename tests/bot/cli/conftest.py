"""A model for the commands, made in milliseconds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.model import make_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("model") / "tiny", unclear_below=0.4)
