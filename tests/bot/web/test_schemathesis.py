"""The OpenAPI document against the service, asked by schemathesis: no answer that the document does not describe."""

from __future__ import annotations

import asyncio
import importlib
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.web.limits import RateLimiter
from storage import SessionRecord, Storage
from tests.bot.web.conftest import MakeClient

pytestmark = pytest.mark.integration

ENTRY_KEY = "the key that the address has"
HEADERS = {"Authorization": f"Bearer {ENTRY_KEY}"}
EXAMPLES = 8
"""For each of the addresses."""


async def test_schemathesis_finds_nothing(make_client: MakeClient, storage: Storage, session: SessionRecord) -> None:
    schemathesis = importlib.import_module("schemathesis")
    checks = importlib.import_module("schemathesis.specs.openapi.checks")
    client = await make_client(rate=RateLimiter(burst=1_000_000), access={"open_to_all": False, "entry_key": ENTRY_KEY})
    _, token = await storage.create_share(session.id, lifetime=timedelta(hours=1))
    real = {
        "session_id": session.id,
        "token": token,
        "speaker": str((await storage.participants(session.id))[0].id),
    }
    async with client.get("/api/openapi.json", headers=HEADERS) as response:
        schema = schemathesis.openapi.from_dict(await response.json())
    base = str(client.make_url("/"))[:-1]

    def ask(operation: Any) -> None:
        @given(case=operation.as_strategy(), known=st.booleans())
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        def agree(case: Any, known: bool) -> None:
            if known:  # otherwise there is nothing at the address
                case.path_parameters.update({name: real[name] for name in case.path_parameters})
            # No schema can say that the bytes must be a recording.
            beyond = [checks.positive_data_acceptance] if operation.method == "post" else []
            case.call_and_validate(base_url=base, headers=HEADERS, excluded_checks=beyond)

        agree()

    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) >= 15
    for operation in operations:
        await asyncio.to_thread(ask, operation)
