"""The service in a loopback Discord, with a fake model and a fake voice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.world import World, standing


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    async with standing(tmp_path, monkeypatch) as made:
        yield made
