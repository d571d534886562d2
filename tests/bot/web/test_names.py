"""Names as people choose them: some turn the text around them, some show nothing at all."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from bot.web.names import MAX_NAME_CHARS, readable
from storage import SessionRecord
from tests.bot.web.conftest import ALICE, BOB
from tests.fakes.names import FakeNames


@pytest.mark.unit
@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Mara", "Mara"),
        ("  Mara  ", "Mara"),
        ("العربية שלום", "العربية שלום"),
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"),
        ("👩\u200d👧", "👩\u200d👧"),
        ("\u202egnp.exe\u202c", "gnp.exe"),
        ("Mara\u2069\u202e", "Mara"),
        ("x" * 200, "x" * MAX_NAME_CHARS),
        ("Z" + "\u0351" * 20 + "alg\u0307\u0307o", "Z" + "\u0351" * 4 + "alg\u0307\u0307o"),
        ("", None),
        (None, None),
        ("\u200b\u200b", None),
        ("\u3164", None),
        ("\u2800 \u202e", None),
    ],
)
def test_a_name_turns_nothing_around_it_and_is_none_where_there_is_nothing_to_see(
    name: str | None, shown: str | None
) -> None:
    assert readable(name) == shown


@pytest.mark.integration
async def test_who_is_called_nothing_keeps_the_pseudonym(
    client: TestClient[Any, Any], session: SessionRecord, names: FakeNames
) -> None:
    names.people[ALICE], names.people[BOB] = "\u3164", "\u202eboB"
    async with client.get(f"/api/v1/sessions/{session.id}") as response:
        people = (await response.json())["participants"]
    assert [person["name"] for person in people] == ["Speaker 1", "boB"]
