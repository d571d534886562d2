"""The UDP socket on the event loop: no thread, and nothing left behind when discord.py closes it.

discord.py reads voice sockets in a thread that can sit in `select()` for 30 s on a socket that is already closed, so
that the next connection's first answer is never read. The event loop's own selector has no such gap. It says when the
first datagram after a quiet time comes. While people talk, a timer (`pace`) reads instead, every 20 ms, so that it is
known when packets came; they are worked on every 100 ms, a stream's five together. A turn of the event loop for each
packet, and another decoder's memory each time, would cost more than all that is done with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
import time
from collections.abc import Callable
from typing import Final

from .faults import survive
from .pace import Pace
from .receiver import Receiver

DATAGRAM_BYTES: Final = 2_048
DATAGRAMS_PER_WAKE: Final = 512
"""Only headers are looked at here, 3 µs each: 2 ms at most. Fewer, and a flood would fill the system's buffer."""
BUFFER_BYTES: Final = 4 << 20
"""What is asked of the system for datagrams that wait while the loop is busy; it may grant less."""
CATCH_UP_S: Final = 0.020
"""So long the packets that are there may take when they have to be worked on at once."""
_TICKS_PER_LOOK: Final = 25
_QUIET_TICKS: Final = 50
"""After 1 s without a datagram the selector watches again."""
_SO_MEMINFO: Final = 55
"""Linux: what a socket's memory is used for. The last of its nine numbers counts datagrams that found no room."""
_MEMINFO: Final = struct.Struct("9I")
DISCOVERY_BYTES: Final = 74
_DISCOVERY_ANSWER: Final = b"\x00\x02"


def granted_bytes() -> int:
    """The room that the system gives a voice socket. Linux counts 1,280 bytes for a voice packet, its own included."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        return sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)


class VoiceSocket(socket.socket):
    """A UDP socket that leaves the event loop before it closes, whoever closes it."""

    on_close: Callable[[VoiceSocket], None] | None = None

    def close(self) -> None:
        if self.on_close is not None:
            self.on_close(self)
            self.on_close = None
        super().close()


class SocketReader:
    """Feeds a receiver from at most one socket at a time, in slices, and keeps its timer."""

    def __init__(self, receiver: Receiver, loop: asyncio.AbstractEventLoop) -> None:
        self._receiver = receiver
        self._loop = loop
        self._socket: VoiceSocket | None = None
        self._pace = Pace.of(loop)
        self._discovery: asyncio.Future[bytes] | None = None
        self._ticks = 0
        self._turn = False
        """Whether the receiver's timer is due, once a slice of what has come is worked on."""
        self._quiet_ticks = 0
        self._watched = False
        """Whether the selector tells of datagrams; otherwise the timer reads them."""
        self._missed = 0
        self.slowest_s = 0.0
        """The longest that the event loop was kept at a stretch, in seconds."""

    @property
    def awake(self) -> bool:
        """Whether the timer runs: packets come, or something waits."""
        return self._pace.keeps(self)

    def open(self) -> VoiceSocket:
        """A new socket, read from its first moment; the last one is closed."""
        if self._socket is not None:
            self._socket.close()
        sock = VoiceSocket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        sock.on_close = self._closed
        self._missed = 0
        self._socket = sock
        self._watch()
        return sock

    def close(self) -> None:
        """Close the socket and stop the timer."""
        if self._socket is not None:
            self._socket.close()
        self._pace.forget(self)

    async def discover(self, request: bytes, timeout_s: float) -> bytes:
        """Send an IP discovery request and return the answer.

        Raises:
            TimeoutError: no answer came.
        """
        if self._socket is None:
            raise ConnectionResetError("the voice socket is closed")
        self._discovery = self._loop.create_future()
        try:
            async with asyncio.timeout(timeout_s):
                await self._loop.sock_sendall(self._socket, request)
                return await self._discovery
        finally:
            self._discovery = None

    def send(self, datagram: bytes) -> None:
        """Send a datagram; lost when the socket cannot take it now, as datagrams are."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.send(datagram)

    def work(self) -> None:
        """See to it that queued packets are worked on and the timer runs; to be called after anything was queued."""
        self._pace.work(self)

    def catch_up(self) -> None:
        """Work now on what has come until now: after this, the keys or the owners may be others."""
        self._read()
        if self._receiver.drain(CATCH_UP_S):
            self.work()
        if not self._quiet_ticks:
            self._wake()

    def _watch(self) -> None:
        if self._socket is not None:
            self._loop.add_reader(self._socket.fileno(), self._readable, self._socket)
            self._watched = True

    def _closed(self, sock: VoiceSocket) -> None:
        if sock is self._socket:
            self._look_for_missed()
            self.catch_up()
            self._socket, self._watched = None, False
        self._loop.remove_reader(sock.fileno())

    def _readable(self, sock: VoiceSocket) -> None:
        """The first datagram after a quiet time."""
        self._loop.remove_reader(sock.fileno())
        self._watched = False
        self._read()
        self._wake()

    def _read(self) -> None:
        """Take what has arrived."""
        sock, receiver = self._socket, self._receiver
        if sock is None:
            return
        began_s = time.perf_counter()
        take = receiver.datagram
        for number in range(DATAGRAMS_PER_WAKE):
            try:
                data = sock.recv(DATAGRAM_BYTES)
            except BlockingIOError:
                break
            except OSError:  # the other side's port is closed: its gateway will say what happened
                break
            self._quiet_ticks = 0
            if len(data) == DISCOVERY_BYTES and data.startswith(_DISCOVERY_ANSWER) and self._discovery is not None:
                if not self._discovery.done():
                    self._discovery.set_result(data)
                continue
            take(data)
            if number == DATAGRAMS_PER_WAKE - 1:
                self._loop.call_soon(self._read)  # a flood: the others have their turn, and then the rest is read
        self._timed(began_s)

    def slice(self) -> bool:
        """Work on packets until a slice of time is over; True when some are left."""
        began_s = time.perf_counter()
        if self._turn:
            self._read()  # the loop may have stood still since the timer read: nothing that is there counts as lost
        left = self._receiver.drain()
        self._wake()
        if self._turn:
            self._turn = False
            busy = self._receiver.tick()
            if not busy and self._quiet_ticks >= _QUIET_TICKS:
                self._pace.leave(self)
                if not self._watched:
                    self._watch()
        self._timed(began_s)
        return left

    def tick(self, *, work: bool) -> None:
        """The timer: read, and when it is this reader's turn, see to it that what was read is worked on."""
        try:
            self._ticks += 1
            if self._ticks % _TICKS_PER_LOOK == 0:
                self._look_for_missed()
            self._quiet_ticks += 1
            if not self._watched:
                self._read()
        except Exception as error:  # noqa: BLE001 - one call's trouble must not take the timer from the others
            survive(self._receiver.counters, "reader_failed", error)
        if work:
            self._turn = True
            self._pace.work(self)

    def _wake(self) -> None:
        if not self._pace.keeps(self):
            self._quiet_ticks = 0
            self._receiver.tick_begins()
            self._pace.join(self)

    def _look_for_missed(self) -> None:
        """Whether the system had no room for datagrams because they were not read in time."""
        if self._socket is None or sys.platform != "linux":
            return
        try:
            missed = _MEMINFO.unpack(self._socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size))[-1]
        except (OSError, struct.error):
            return
        if missed > self._missed:
            self._receiver.note_missed(missed - self._missed)
            self._missed = missed

    def _timed(self, began_s: float) -> None:
        took_s = time.perf_counter() - began_s
        if took_s > self.slowest_s:
            self.slowest_s = took_s
