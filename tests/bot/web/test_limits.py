"""Token buckets and upload slots: fair, bounded, and never lost."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp.test_utils import make_mocked_request

from bot.web.limits import (
    SIGN_INS_PER_CLIENT,
    SIGN_INS_PER_MINUTE,
    GateFull,
    RateLimiter,
    SignIns,
    UploadGate,
    client_at,
)
from bot.web.predict import client_of

pytestmark = pytest.mark.unit


class _Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_then_a_steady_rate() -> None:
    clock = _Clock()
    limiter = RateLimiter(per_minute=60, burst=3, monotonic=clock)
    assert [limiter.take("a") for _ in range(3)] == [0.0, 0.0, 0.0]
    assert limiter.take("a") == pytest.approx(1.0)
    assert limiter.take("b") == 0.0
    clock.now = 1.01
    assert limiter.take("a") == 0.0
    assert limiter.take("a") > 0
    assert limiter.refused == 2


def test_waiting_does_not_save_up_more_than_a_burst() -> None:
    clock = _Clock()
    limiter = RateLimiter(per_minute=60, burst=2, monotonic=clock)
    limiter.take("a")
    clock.now = 10_000.0
    assert [limiter.take("a") > 0 for _ in range(3)] == [False, False, True]


def test_the_table_is_bounded() -> None:
    limiter = RateLimiter(max_clients=10)
    for number in range(1000):
        limiter.take(f"client {number}")
    assert len(limiter) == 10


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::1", "2001:db8:1:2::"),
        ("2001:db8:1:3::1", "2001:db8:1:3::"),
        ("fe80::1%3", "fe80::"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("::1", "::1"),
        ("127.0.0.1", "127.0.0.1"),
        ("unknown", "unknown"),
        ("", ""),
    ],
)
def test_a_network_of_ipv6_is_one_client(address: str, client: str) -> None:
    """Whoever has one chooses 64 bits of the address freely, and would have as many shares of everything."""
    assert client_at(address) == client


def _client(remote: str, **headers: str) -> str:
    return client_of(make_mocked_request("GET", "/", headers=headers).clone(remote=remote))


def test_whom_a_proxy_names_is_held_to_the_limits_by_the_network() -> None:
    proxied = _client("127.0.0.1", **{"X-Forwarded-For": "10.0.0.1, 2001:db8:1:2::9"})
    assert proxied == _client("2001:db8:1:2::a") == "2001:db8:1:2::"


@pytest.mark.parametrize("proxy", ["172.18.0.3", "::ffff:172.18.0.3", "::ffff:127.0.0.1", "10.1.2.3", "fd00:1::3"])
def test_a_proxy_in_a_container_beside_it_is_not_everybody(proxy: str) -> None:
    """As `compose.yaml` has it: one stranger would use up everybody's sign-ins."""
    assert _client(proxy, **{"X-Forwarded-For": "8.8.8.8"}) == "8.8.8.8"
    assert _client(proxy, **{"X-Forwarded-For": "9.9.9.9"}) == "9.9.9.9"


def test_a_stranger_speaks_for_nobody_else() -> None:
    for remote, client in {"8.8.8.8": "8.8.8.8", "2600:1:2:3::4": "2600:1:2:3::"}.items():
        assert _client(remote, **{"X-Forwarded-For": "9.9.9.9"}) == client


def test_one_stranger_does_not_keep_the_others_from_signing_in() -> None:
    limits = SignIns(monotonic=_Clock())
    assert sum(limits.take("a stranger") == 0.0 for _ in range(500)) == SIGN_INS_PER_CLIENT
    assert limits.take("somebody else") == 0.0
    others = sum(limits.take(f"client {number}") == 0.0 for number in range(500))
    assert SIGN_INS_PER_CLIENT + 1 + others == SIGN_INS_PER_MINUTE
    assert limits.refused == 1001 - SIGN_INS_PER_MINUTE


async def test_slots_are_held_one_at_a_time() -> None:
    gate = UploadGate(max_active=1, max_waiting=4)
    order: list[str] = []

    async def upload(name: str) -> None:
        async with gate.slot(name):
            order.append(f"{name} in")
            await asyncio.sleep(0)
            order.append(f"{name} out")

    await asyncio.gather(upload("a"), upload("b"))
    assert order == ["a in", "a out", "b in", "b out"]
    assert (gate.active, gate.waiting) == (0, 0)


async def test_a_full_gate_refuses_at_once() -> None:
    gate = UploadGate(max_active=1, max_waiting=1)
    async with gate.slot("a"):
        waiting = asyncio.create_task(_hold(gate, "b"), name="waits")
        await asyncio.sleep(0)
        with pytest.raises(GateFull):
            await _hold(gate, "c")
    await waiting
    assert gate.refused == 1


async def test_one_client_leaves_room_for_others() -> None:
    gate = UploadGate(max_active=2, max_waiting=10, max_active_per_client=1)
    mine = [asyncio.create_task(_hold(gate, "greedy", 0.01), name=f"greedy {n}") for n in range(9)]
    await asyncio.sleep(0)
    await _hold(gate, "other")
    answers = await asyncio.gather(*mine, return_exceptions=True)
    assert sum(isinstance(answer, GateFull) for answer in answers) == 3


async def test_slow_uploads_of_one_client_leave_slots_for_others() -> None:
    gate = UploadGate()
    release = asyncio.Event()

    async def slow() -> None:
        async with gate.slot("greedy"):
            await release.wait()

    mine = [asyncio.create_task(slow(), name=f"slow {n}") for n in range(6)]
    await asyncio.sleep(0)
    async with asyncio.timeout(60):
        await asyncio.gather(_hold(gate, "other"), _hold(gate, "another"))
    assert gate.active == 4
    release.set()
    await asyncio.gather(*mine)
    assert (gate.active, gate.waiting) == (0, 0)


async def test_a_refused_client_is_not_remembered() -> None:
    gate = UploadGate(max_active=1, max_waiting=0)
    for number in range(100):
        with pytest.raises(GateFull):
            await _hold(gate, f"client {number}")
    assert gate.refused == 100
    assert not gate._clients


async def test_who_gives_up_waiting_leaves_no_trace() -> None:
    gate = UploadGate(max_active=1, max_waiting=1)
    async with gate.slot("a"):
        waiting = asyncio.create_task(_hold(gate, "b"), name="gives up")
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
    assert (gate.active, gate.waiting) == (0, 0)
    await _hold(gate, "c")


async def _hold(gate: UploadGate, client: str, seconds: float = 0.0) -> None:
    async with gate.slot(client):
        await asyncio.sleep(seconds)
