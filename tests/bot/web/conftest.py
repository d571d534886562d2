"""The web application over a real SQLite storage and a backend without a model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from bot.listening.live import LiveBus
from bot.web import access
from bot.web.access import Access
from bot.web.app import create_app
from storage import NewSession, SessionRecord, SessionState, Storage
from tests.fakes.backend import LABELS, FakeBackend
from tests.fakes.databases import lay_tables
from tests.fakes.names import FakeNames
from tests.fakes.records import window

KEY = bytes(range(32))
_ACCESS = Access.configure(host="127.0.0.1", key=KEY)
SESSION_COOKIE = _ACCESS.cookie(access.SESSION_COOKIE)  # as the applications with this key call them
KEY_COOKIE = _ACCESS.cookie(access.KEY_COOKIE)
STATE_COOKIE = _ACCESS.cookie(access.STATE_COOKIE)
ALICE, BOB, STARTER, STRANGER = 100, 200, 1, 999
Client = TestClient[Any, Any]
MakeClient = Callable[..., Awaitable[Client]]


async def status_of(client: Client, path: str, **headers: str) -> int:
    async with client.get(path, headers=headers, allow_redirects=False) as response:
        await response.read()
        return response.status


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[Storage]:
    lay_tables(tmp_path / "undertone.db")
    opened = await Storage.open(f"sqlite:///{tmp_path / 'undertone.db'}", key=KEY)
    yield opened
    await opened.close()


@pytest.fixture
async def backend() -> FakeBackend:
    fake = FakeBackend()
    await fake.start()
    return fake


@pytest.fixture
def bus() -> LiveBus:
    return LiveBus()


@pytest.fixture
def names() -> FakeNames:
    return FakeNames(
        people={ALICE: "Alice", BOB: "Bob"}, channels={20: "Story night"}, guilds={10: "The Speaking Room"}
    )


@pytest.fixture
async def make_client(
    storage: Storage, backend: FakeBackend, bus: LiveBus, names: FakeNames
) -> AsyncIterator[MakeClient]:
    """Make a client of an application; keywords go to `create_app`, `access` ones to `Access.configure`."""
    async with AsyncExitStack() as stack:

        async def make(*, access: dict[str, Any] | None = None, **changes: Any) -> TestClient[Any, Any]:
            rules = Access.configure(**{"host": "127.0.0.1", "key": KEY, "open_to_all": True, **(access or {})})
            app = create_app(
                **{"storage": storage, "backend": backend, "bus": bus, "names": names, "access": rules, **changes}
            )
            return await stack.enter_async_context(TestClient(TestServer(app)))

        yield make


@pytest.fixture
async def client(make_client: MakeClient) -> TestClient[Any, Any]:
    """Everything is open, as in the demo."""
    return await make_client()


@pytest.fixture
async def live_session(storage: Storage) -> SessionRecord:
    """A running session of Alice and Bob with four windows, one of them unclear."""
    session = await storage.start_session(
        NewSession(guild_id=10, channel_id=20, started_by=STARTER, model="seed", model_version="abc123", labels=LABELS)
    )
    alice = await storage.include_participant(session.id, ALICE)
    bob = await storage.include_participant(session.id, BOB)
    even = dict.fromkeys(LABELS, 0.05)
    await storage.add_windows(
        session.id,
        [
            window(alice.id, 0.0, emotion="Angry", confidence=0.8, probabilities={**even, "Angry": 0.8}),
            window(alice.id, 3.0, emotion="Happy", confidence=0.8, probabilities={**even, "Happy": 0.8}),
            window(bob.id, 4.0, emotion="Sad", confidence=0.8, probabilities={**even, "Sad": 0.8}),
            window(
                bob.id,
                10.0,
                emotion="Sad",
                confidence=0.3,
                probabilities=dict.fromkeys(LABELS, 0.2) | {"Sad": 0.2},
                unclear=True,
                reason="unsure",
            ),
        ],
    )
    return session


@pytest.fixture
async def session(storage: Storage, live_session: SessionRecord) -> SessionRecord:
    """The same, ended."""
    return await storage.end_session(live_session.id, state=SessionState.ENDED, reason="stopped", counters={"lost": 3})
