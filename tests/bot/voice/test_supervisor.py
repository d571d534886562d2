"""What is compared with what should be, on a connection and a clock that do what they are told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace

import aiohttp
import pytest
from discord.errors import ConnectionClosed

from bot.voice import LinkState, Reason
from bot.voice.supervisor import (
    FLAPPING,
    KEYS_WITHIN_S,
    MISSING_S,
    PROVEN_WITHIN_S,
    SETTLING_S,
    TRIES_S,
    UNANSWERED_S,
    UNPLACED_QUIET_S,
    UNPLACED_SHOWN_S,
    Supervisor,
)
from bot.voice.trouble import OVERLOAD_SHOWN_S
from tests.fakes.voice import Ears, FakeClock

pytestmark = pytest.mark.unit


class Refused(ConnectionClosed):
    """A voice gateway that closes with a code."""

    def __init__(self, code: int) -> None:
        Exception.__init__(self, f"closed with {code}")
        self.code = code
        self.reason = ""
        self.shard_id = None


class FakeLink:
    """Everything a supervisor looks at, as fields."""

    def __init__(self) -> None:
        self.watching = True
        self.registered = True
        self.connected = True
        self.unanswered = 0.0
        self.place = (True, False)
        self.up = True
        self.registrations = 0
        self.keepalives: list[int] = []
        self.joins: list[float] = []
        self.answers: list[BaseException | None] = []

    def is_connected(self) -> bool:
        return self.connected

    def unanswered_s(self) -> float:
        return self.unanswered

    def voice_state(self) -> tuple[bool, bool]:
        return self.place

    def gateway_up(self) -> bool:
        return self.up

    def register(self) -> None:
        self.registered = True
        self.registrations += 1

    def send_keepalive(self, counter: int) -> None:
        self.keepalives.append(counter)

    async def join(self, timeout_s: float) -> None:
        self.joins.append(timeout_s)
        answer = self.answers.pop(0) if self.answers else None
        if answer is not None:
            raise answer
        self.watching = self.connected = True
        self.unanswered, self.place = 0.0, (True, False)


class Watch:
    """A supervisor at work; its time is made of its own sleeps."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.link = FakeLink()
        self.ears = Ears()
        self.told: list[tuple[LinkState, Reason]] = []
        self.slept: list[float] = []
        self.supervisor = Supervisor(
            self.link, self.ears.receiver, self._tell, clock=self.clock, sleep=self._sleep, look_s=0.0
        )
        self.task = asyncio.create_task(self.supervisor.run(), name="supervisor under test")

    def _tell(self, state: LinkState, reason: Reason) -> None:
        if not self.told or self.told[-1] != (state, reason):
            self.told.append((state, reason))

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.advance(seconds)
        await asyncio.sleep(0)

    async def turns(self, count: int = 20) -> None:
        for _ in range(count):
            await asyncio.sleep(0)

    async def ends(self) -> Reason:
        async with asyncio.timeout(60):
            return await self.task


@pytest.fixture
async def watch() -> AsyncIterator[Watch]:
    watch = Watch()
    await watch.turns()
    yield watch
    watch.task.cancel()
    await asyncio.gather(watch.task, return_exceptions=True)


async def test_while_all_is_well_it_only_keeps_the_line_open(watch: Watch) -> None:
    for _ in range(30):
        watch.clock.advance(1.0)
        await watch.turns(5)
    assert watch.link.joins == []
    assert watch.told == [(LinkState.LISTENING, Reason.JOINED)]
    assert watch.link.keepalives == list(range(len(watch.link.keepalives)))
    assert len(watch.link.keepalives) in (6, 7)


@pytest.mark.parametrize("trouble", ["poller", "heartbeat"])
async def test_a_connection_that_is_dead_and_does_not_know_is_made_anew(watch: Watch, trouble: str) -> None:
    if trouble == "poller":
        watch.link.watching = False
    else:
        watch.link.unanswered = UNANSWERED_S + 1
    await watch.turns()
    assert len(watch.link.joins) == 1
    assert watch.told[-3:-1] == [(LinkState.RECONNECTING, Reason.POLLER_DIED), (LinkState.LISTENING, Reason.REJOINED)]
    assert watch.ears.counters.reconnects == 1


async def test_a_reported_end_is_acted_upon_at_once(watch: Watch) -> None:
    watch.supervisor.lost(Reason.CONNECTION_LOST, 1006)
    await watch.turns()
    assert len(watch.link.joins) == 1
    assert watch.slept == [0.0]


async def test_being_between_two_servers_is_told_and_has_its_time(watch: Watch) -> None:
    watch.link.connected = False
    await watch.turns()
    assert watch.told[-1] == (LinkState.RECONNECTING, Reason.SERVER_MOVED)
    watch.clock.advance(SETTLING_S - 1)
    await watch.turns()
    assert watch.link.joins == []
    watch.clock.advance(2)
    await watch.turns()
    assert len(watch.link.joins) == 1


async def test_not_being_in_the_channel_any_more_is_noticed(watch: Watch) -> None:
    watch.link.place = (False, False)
    await watch.turns()
    watch.clock.advance(MISSING_S + 0.1)
    await watch.turns()
    assert len(watch.link.joins) == 1


async def test_events_that_no_longer_reach_the_connection_are_sent_to_it_again(watch: Watch) -> None:
    watch.link.registered = False
    await watch.turns()
    assert watch.link.registrations == 1


async def test_being_deafened_is_said(watch: Watch) -> None:
    watch.link.place = (True, True)
    await watch.turns()
    assert watch.told[-1] == (LinkState.LISTENING, Reason.DEAFENED)


async def test_three_tries_that_fail_are_the_end(watch: Watch) -> None:
    watch.link.answers = [Refused(4006), TimeoutError(), Refused(4009)]
    watch.supervisor.lost(Reason.CONNECTION_LOST, 1006)
    assert await watch.ends() is Reason.GAVE_UP
    assert watch.slept == list(TRIES_S)
    assert watch.ears.counters.reconnects_failed == 3


@pytest.mark.parametrize(
    ("code", "reason"),
    [(4014, Reason.CALL_ENDED), (4017, Reason.DAVE_REFUSED), (4021, Reason.RATE_LIMITED)],
)
async def test_a_refusal_that_forbids_coming_back_is_obeyed(watch: Watch, code: int, reason: Reason) -> None:
    watch.link.answers = [Refused(code)]
    watch.supervisor.lost(Reason.CONNECTION_LOST, 1006)
    assert await watch.ends() is reason
    assert len(watch.link.joins) == 1


@pytest.mark.parametrize("reason", [Reason.REMOVED, Reason.CHANNEL_GONE, Reason.CALL_ENDED])
async def test_taken_out_of_a_call_it_does_not_press_itself_on_it(watch: Watch, reason: Reason) -> None:
    watch.supervisor.lost(reason, None)
    assert await watch.ends() is reason
    assert watch.link.joins == []


async def test_the_first_final_word_is_the_one_that_is_said(watch: Watch) -> None:
    watch.supervisor.lost(Reason.CONNECTION_LOST, 1006)
    watch.supervisor.lost(Reason.REMOVED, None)
    watch.supervisor.lost(Reason.CALL_ENDED, 4014)
    assert await watch.ends() is Reason.REMOVED


async def test_being_taken_out_in_the_middle_of_coming_back_ends_it(watch: Watch) -> None:
    watch.link.answers = [ConnectionResetError()] * 50

    async def removed() -> None:
        await watch.turns(6)
        watch.supervisor.lost(Reason.REMOVED, None)

    watch.supervisor.lost(Reason.CONNECTION_LOST, 1006)
    await removed()
    assert await watch.ends() is Reason.REMOVED


async def test_being_taken_out_between_two_tries_is_not_answered_by_another_try(watch: Watch) -> None:
    async def sleep(seconds: float) -> None:
        watch.slept.append(seconds)
        if seconds == TRIES_S[1]:
            watch.supervisor.lost(Reason.REMOVED, None)

    watch.supervisor._sleep = sleep
    watch.link.answers = [Refused(4006)]
    watch.supervisor.lost(Reason.CONNECTION_LOST, 1006)
    assert await watch.ends() is Reason.REMOVED
    assert len(watch.link.joins) == 1


async def test_a_network_that_is_away_for_a_while_does_not_use_up_the_tries_at_once(watch: Watch) -> None:
    watch.link.answers = [ConnectionResetError(), aiohttp.ClientError(), OSError(), RuntimeError()] * 4
    watch.supervisor.lost(Reason.CONNECTION_LOST, 1006)
    await watch.turns(100)
    assert watch.told[-2:] == [(LinkState.LISTENING, Reason.REJOINED), (LinkState.LISTENING, Reason.JOINED)]
    assert watch.ears.counters.reconnects_failed == 0
    assert len(watch.link.joins) == 17


async def test_it_waits_for_the_main_gateway(watch: Watch) -> None:
    watch.link.up = False
    watch.supervisor.lost(Reason.CONNECTION_LOST, None)
    await watch.turns(10)
    assert watch.link.joins == []
    watch.link.up = True
    await watch.turns()
    assert len(watch.link.joins) == 1


async def test_a_connection_that_comes_and_goes_without_end_is_given_up(watch: Watch) -> None:
    for _ in range(FLAPPING[0]):
        watch.supervisor.lost(Reason.CONNECTION_LOST, 1006)
        await watch.turns()
    assert not watch.task.done()
    watch.supervisor.lost(Reason.CONNECTION_LOST, 1006)
    assert await watch.ends() is Reason.GAVE_UP


async def test_a_call_that_cannot_be_decrypted_is_tried_three_times_and_then_ended_in_words(watch: Watch) -> None:
    watch.ears.receiver.deaf_to = lambda: [1]
    for _ in range(30):
        watch.clock.advance(1.0)
        await watch.turns(5)
        if watch.task.done():
            break
    assert await watch.ends() is Reason.UNDECRYPTABLE
    assert len(watch.link.joins) == len(TRIES_S)
    assert (LinkState.CANNOT_DECRYPT, Reason.UNDECRYPTABLE) in watch.told


async def test_a_new_connection_that_has_decrypted_nothing_yet_does_not_count_as_listening(watch: Watch) -> None:
    watch.ears.receiver.deaf_to = lambda: [1]
    await watch.turns()
    watch.ears.receiver.deaf_to = list
    await watch.turns()
    cannot = (LinkState.CANNOT_DECRYPT, Reason.UNDECRYPTABLE)
    assert watch.told[-3:] == [cannot, (LinkState.RECONNECTING, Reason.UNDECRYPTABLE), cannot]
    watch.ears.receiver.hears_since = lambda since_s: True
    await watch.turns()
    assert watch.told[-1] == (LinkState.LISTENING, Reason.JOINED)


async def test_a_new_connection_on_which_nobody_talks_counts_after_its_time(watch: Watch) -> None:
    watch.ears.receiver.deaf_to = lambda: [1]
    await watch.turns()
    watch.ears.receiver.deaf_to = list
    watch.clock.advance(TRIES_S[-1] + PROVEN_WITHIN_S + 0.1)
    await watch.turns()
    assert watch.told[-1] == (LinkState.LISTENING, Reason.JOINED)


async def test_the_first_keys_of_a_new_connection_may_take_their_time(watch: Watch) -> None:
    """Another connection would only begin the wait anew, and with it everybody's change of keys."""
    watch.ears.receiver.deaf_to = lambda: [1]
    watch.ears.receiver.hears_since = lambda since_s: False
    watch.supervisor.lost(Reason.CONNECTION_LOST, 4006)
    await watch.turns()
    assert len(watch.link.joins) == 1
    watch.clock.advance(KEYS_WITHIN_S - 0.5)
    await watch.turns()
    assert len(watch.link.joins) == 1
    assert watch.told[-1] == (LinkState.CANNOT_DECRYPT, Reason.UNDECRYPTABLE)
    watch.clock.advance(1.0)
    await watch.turns()
    assert len(watch.link.joins) == 2


async def test_when_only_some_cannot_be_decrypted_the_others_are_not_left(watch: Watch) -> None:
    watch.ears.receiver.deaf_to = lambda: [1]
    watch.ears.receiver.hears_since = lambda since_s: True
    for _ in range(60):
        watch.clock.advance(1.0)
        await watch.turns(5)
    assert not watch.task.done()
    assert len(watch.link.joins) == len(TRIES_S)
    assert watch.told[-1] == (LinkState.CANNOT_DECRYPT, Reason.UNDECRYPTABLE)
    assert len(watch.told) <= 2 + 3 * len(TRIES_S)  # said at each change and not at each look


async def test_somebody_who_cannot_be_placed_is_worth_one_quiet_reconnect_and_then_is_said(watch: Watch) -> None:
    unplaced = SimpleNamespace(someone_unplaced=True, overloaded=False)
    watch.ears.receiver.trouble = unplaced  # type: ignore[assignment]
    for _ in range(40):
        watch.clock.advance(0.25)
        await watch.turns(5)
    assert len(watch.link.joins) == 1
    assert watch.told[-1] == (LinkState.LISTENING, Reason.UNPLACED)
    unplaced.someone_unplaced = False
    watch.clock.advance(UNPLACED_SHOWN_S)
    await watch.turns()
    assert watch.told[-1] == (LinkState.LISTENING, Reason.JOINED)
    watch.clock.advance(UNPLACED_QUIET_S)
    unplaced.someone_unplaced = True
    await watch.turns()
    assert len(watch.link.joins) == 2


async def test_a_machine_that_is_too_busy_is_said_for_a_while(watch: Watch) -> None:
    watch.ears.receiver.note_missed(3)
    await watch.turns()
    assert watch.told[-1] == (LinkState.LISTENING, Reason.OVERLOADED)
    watch.clock.advance(OVERLOAD_SHOWN_S)
    watch.ears.clock.advance(OVERLOAD_SHOWN_S)
    await watch.turns()
    assert watch.told[-1] == (LinkState.LISTENING, Reason.JOINED)
    assert watch.ears.counters.missed_socket == 3
