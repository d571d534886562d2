"""A turn at a database that breaks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from storage.database import Database
from storage.errors import StorageUnavailable
from storage.turns import turn

pytestmark = pytest.mark.unit


class Broken:
    """A PostgreSQL that takes a connection and then says nothing, or breaks it."""

    dialect = "postgresql"

    def __init__(self, error: Exception) -> None:
        self._error = error

    @asynccontextmanager
    async def line(self) -> AsyncIterator[Any]:
        yield self

    async def execute(self, *_: object, **__: object) -> object:
        raise self._error

    async def fetchval(self, *_: object, **__: object) -> object:
        raise self._error


@pytest.mark.parametrize("error", [TimeoutError(), ConnectionResetError(), RuntimeError("the driver's own")])
async def test_a_database_that_does_not_answer_is_said_in_storages_words(error: Exception) -> None:
    with pytest.raises(StorageUnavailable, match="does not answer"):
        async with turn(cast("Database", Broken(error)), "retention"):
            pass
