"""The socket on the event loop: closed by anybody, flooded, and without a trace afterwards."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from collections.abc import AsyncIterator

import pytest

from bot.voice.jitter import WAIT_S
from bot.voice.link import VoiceLink
from bot.voice.pace import TICK_S, WORK_TICKS, Pace
from bot.voice.reader import BUFFER_BYTES, SocketReader
from tests.fakes.clock import settle
from tests.fakes.rtp import RtpSender
from tests.fakes.voice import Ears, FakeClock

pytestmark = pytest.mark.integration

SSRC = 77


class Line:
    """A reader with somebody at the other end."""

    def __init__(self) -> None:
        self.ears = Ears()
        self.ears.receiver._clock = asyncio.get_running_loop().time
        self.ears.receiver.speaking(1, SSRC)
        self.reader = SocketReader(self.ears.receiver, asyncio.get_running_loop())
        self.far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.far.bind(("127.0.0.1", 0))
        self.far.setblocking(False)

    def open(self) -> socket.socket:
        near = self.reader.open()
        near.connect(self.far.getsockname())
        self.far.connect(near.getsockname())
        return near

    async def heard(self, count: int) -> None:
        async with asyncio.timeout(30.0):
            while len(self.ears.opus[1]) < count:
                await asyncio.sleep(0.005)


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    line = Line()
    yield line
    line.reader.close()
    line.far.close()


async def test_datagrams_are_heard_and_the_timer_stops_when_nothing_is_left(line: Line, speech: list[bytes]) -> None:
    line.open()
    sender = RtpSender(ssrc=SSRC)
    for packet in speech[:30]:
        line.far.send(sender.packet(packet))
    await line.heard(30)
    assert line.ears.opus[1] == speech[:30]
    async with asyncio.timeout(30.0):
        while line.reader.awake:
            await asyncio.sleep(0.02)
    assert line.reader.slowest_s > 0


async def test_whoever_closes_the_socket_the_loop_forgets_it_and_the_next_one_is_read(
    line: Line, speech: list[bytes]
) -> None:
    loop = asyncio.get_running_loop()
    sender = RtpSender(ssrc=SSRC)
    for index in range(5):
        near = line.open()
        number = near.fileno()
        line.far.send(sender.packet(speech[index]))
        await line.heard(index + 1)
        near.close()  # as discord.py does it
        assert not loop.remove_reader(number)
        line.far.close()
        line.far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        line.far.bind(("127.0.0.1", 0))
    assert line.ears.opus[1] == speech[:5]


async def test_opening_again_closes_what_was_open(line: Line) -> None:
    first = line.open()
    second = line.reader.open()
    assert first.fileno() == -1
    assert second.fileno() >= 0


async def test_the_answer_to_a_discovery_goes_to_who_asked_and_to_nobody_else(line: Line, speech: list[bytes]) -> None:
    line.open()
    asking = asyncio.create_task(line.reader.discover(bytes(74), 30.0), name="ask")
    loop = asyncio.get_running_loop()
    assert await asyncio.wait_for(loop.sock_recv(line.far, 200), 60.0) == bytes(74)
    answer = b"\x00\x02" + bytes(72)
    line.far.send(answer)
    line.far.send(answer)
    assert await asking == answer
    line.far.send(RtpSender(ssrc=SSRC).packet(speech[0]))
    await line.heard(1)
    assert line.ears.counters.dropped_not_audio <= 1  # a second answer is just a datagram


async def test_a_discovery_without_an_answer_ends_in_time(line: Line) -> None:
    line.open()
    with pytest.raises(TimeoutError):
        await line.reader.discover(bytes(74), 0.05)
    line.reader.close()
    with pytest.raises(ConnectionResetError):
        await line.reader.discover(bytes(74), 0.05)


async def test_sending_without_a_socket_or_a_listener_is_no_error(line: Line) -> None:
    line.reader.send(b"keepalive")
    line.open()
    line.far.close()
    for _ in range(3):
        line.reader.send(b"keepalive")
        await settle()  # the refusal comes back as an error of the next read


async def test_a_backlog_is_worked_off_in_slices_that_leave_the_loop_its_turn(line: Line, speech: list[bytes]) -> None:
    """What 3 s of eight people bring at once is not worked off in one go: others have their turn after each slice."""
    line.open()
    for person in range(1, 9):
        line.ears.included.add(person)
        line.ears.receiver.speaking(person, SSRC + person)
        sender = RtpSender(ssrc=SSRC + person)
        for packet in speech:
            line.ears.receiver.datagram(sender.packet(packet))
    line.reader.work()
    turns = 0
    async with asyncio.timeout(30.0):
        while sum(map(len, line.ears.opus.values())) < 8 * len(speech):
            turns += 1
            await asyncio.sleep(0)
    assert turns >= 4  # 1,200 packets are far more than a slice
    assert line.ears.counters.dropped_overflow == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
async def test_what_the_system_had_no_room_for_is_counted_and_told(line: Line, speech: list[bytes]) -> None:
    near = line.open()
    near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    sender = RtpSender(ssrc=SSRC)
    for packet in speech:
        line.far.send(sender.packet(packet))
    async with asyncio.timeout(60):
        while not line.ears.counters.missed_socket:
            await asyncio.sleep(0.01)
    line.reader.close()
    assert line.ears.counters.missed_socket + line.ears.counters.datagrams == len(speech)
    assert line.ears.receiver.trouble.overloaded


async def test_what_came_before_the_keys_change_is_worked_on_with_the_keys_of_then(
    line: Line, speech: list[bytes]
) -> None:
    line.open()
    sender = RtpSender(ssrc=SSRC)
    for packet in speech[:3]:
        line.far.send(sender.packet(packet))
    line.reader.catch_up()
    assert line.ears.counters.decrypted == 3
    line.ears.connection.key = bytes(32)
    await line.heard(3)  # the timer runs, so that what was kept for its order is heard without another packet


async def test_what_has_come_is_read_before_a_packet_counts_as_lost(line: Line, speech: list[bytes]) -> None:
    """Between the timer's reading and the work on it, the loop may have stood still."""
    clock = line.ears.receiver._clock = FakeClock()
    line.open()
    first, late, *others = [RtpSender(ssrc=SSRC, sequence=index).packet(speech[index]) for index in range(4)]
    for datagram in (first, *others):
        line.far.send(datagram)
    line.reader.catch_up()
    line.reader.tick(work=True)
    line.far.send(late)
    clock.advance(3 * WAIT_S)
    line.reader.slice()
    assert line.ears.opus[1] == speech[:4]
    assert line.ears.counters.lost == 0


async def test_what_lies_in_the_socket_when_somebody_agrees_was_said_before(line: Line, speech: list[bytes]) -> None:
    line.open()
    link = VoiceLink.__new__(VoiceLink)
    link._reader, link.receiver = line.reader, line.ears.receiver
    line.ears.included.clear()
    sender = RtpSender(ssrc=SSRC)
    for packet in speech[:3]:
        line.far.send(sender.packet(packet))
    link.discard(1)
    line.ears.included.add(1)
    await asyncio.sleep(0.001)
    for packet in speech[3:6]:
        line.far.send(sender.packet(packet))
    await line.heard(3)
    assert line.ears.opus[1] == speech[3:6]


async def test_what_came_before_somebody_closes_the_socket_is_heard(line: Line, speech: list[bytes]) -> None:
    near = line.open()
    sender = RtpSender(ssrc=SSRC)
    for packet in speech[:3]:
        line.far.send(sender.packet(packet))
    near.close()
    assert line.ears.counters.decrypted == 3


class Beaten:
    """A reader that notes at which ticks it works, and has three slices to work on each time."""

    def __init__(self, log: list[tuple[str, Beaten]], pace: Pace) -> None:
        self.log = log
        self.pace = pace
        self.left = 0
        self.ticks: list[float] = []

    def tick(self, *, work: bool) -> None:
        self.ticks.append(asyncio.get_running_loop().time())
        if work:
            self.log.append(("turn", self))
            self.left = 3
            self.pace.work(self)

    def slice(self) -> bool:
        self.log.append(("slice", self))
        self.left -= 1
        return self.left > 0


async def test_readers_of_several_calls_do_not_work_in_the_same_tick() -> None:
    log: list[tuple[str, Beaten]] = []
    pace = Pace()
    readers = [Beaten(log, pace) for _ in range(WORK_TICKS)]
    for reader in readers:
        pace.join(reader)
    for _ in range(3 * WORK_TICKS):
        assert pace._timer is not None
        pace._timer.cancel()  # the ticks are the test's
        pace._tick()
        await settle()
    for reader in readers:
        pace.forget(reader)
    for turn in range(2 * WORK_TICKS):
        whose = {reader for _, reader in log[4 * turn : 4 * turn + 4]}
        assert len(whose) == 1  # its turn and its three slices, and nobody else's in between
    assert not any(pace.keeps(reader) for reader in readers)


async def test_a_turn_of_the_loop_works_on_one_slice_whoever_has_packets() -> None:
    log: list[tuple[str, Beaten]] = []
    pace = Pace()
    readers = [Beaten(log, pace) for _ in range(4)]
    for reader in readers:
        reader.left = 3
        pace.work(reader)
        pace.work(reader)  # asked twice, it has one turn
    for turn in range(12):
        assert len(log) == turn
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [reader for _, reader in log] == readers * 3


async def test_ticks_that_were_missed_are_not_made_up_for() -> None:
    log: list[tuple[str, Beaten]] = []
    pace = Pace()
    reader = Beaten(log, pace)
    pace.join(reader)
    time.sleep(0.3)  # noqa: ASYNC251 - the loop has to stand still
    async with asyncio.timeout(60):
        while len(reader.ticks) < 6:
            await asyncio.sleep(0.005)
    pace.leave(reader)
    assert reader.ticks[5] - reader.ticks[0] > 4 * TICK_S - 0.005


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
async def test_a_loop_that_stands_still_loses_nothing_that_the_system_has_room_for(
    line: Line, speech: list[bytes]
) -> None:
    """1.5 s of twenty-five people, while the event loop gets no turn: heard, or counted and told."""
    near = line.open()
    senders = []
    for person in range(1, 26):
        line.ears.included.add(person)
        line.ears.receiver.speaking(person, SSRC + person)
        senders.append(RtpSender(ssrc=SSRC + person))
    for packet in speech[:75]:
        for sender in senders:
            line.far.send(sender.packet(packet))
    counters = line.ears.counters
    async with asyncio.timeout(30.0):
        while (
            counters.frames + counters.missed_socket < 25 * 75 or counters.datagrams + counters.missed_socket < 25 * 75
        ):
            await asyncio.sleep(0.005)
    granted = near.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    if granted >= BUFFER_BYTES:
        assert counters.missed_socket == 0
        assert all(line.ears.opus[person] == speech[:75] for person in range(1, 26))
    assert counters.dropped_overflow == 0
    assert line.ears.receiver.trouble.overloaded == (counters.missed_socket > 0)
