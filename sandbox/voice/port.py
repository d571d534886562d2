"""A UDP port on the event loop that is read until it is empty.

asyncio's own datagram transport takes one datagram a turn of the loop; a busy loop then lets them wait in the kernel,
and a packet that was sent before its sender hung up is found after it. Here a turn takes all there are, and `drain`
takes them at once: on the loopback what was sent has arrived.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final

Address = tuple[str, int]

BUFFER_BYTES: Final = 4 << 20
_LARGEST: Final = 65_535
_BATCH: Final = 500
"""Datagrams a turn; a flood must not keep the loop from everything else."""


class Port:
    """One bound or connected socket; `on_datagram` is called for each datagram, on the loop."""

    def __init__(self, sock: socket.socket, on_datagram: Callable[[bytes, Address], None]) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        self.unsent = 0
        """Datagrams the kernel had no room for, or no receiver."""
        self._socket = sock
        self._on_datagram = on_datagram
        self._open = True
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock, self.drain)

    @classmethod
    def bound(cls, host: str, on_datagram: Callable[[bytes, Address], None]) -> Port:
        """Listen on a free port of `host`."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((host, 0))
        return cls(sock, on_datagram)

    @classmethod
    def connected(cls, address: Address, on_datagram: Callable[[bytes, Address], None]) -> Port:
        """Talk to one address only."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.connect(address)
        return cls(sock, on_datagram)

    @property
    def address(self) -> Address:
        host, port = self._socket.getsockname()
        return host, port

    def send(self, datagram: bytes, address: Address | None = None) -> None:
        """Send at once or not at all, as a network does."""
        if not self._open:
            return
        try:
            if address is None:
                self._socket.send(datagram)
            else:
                self._socket.sendto(datagram, address)
        except OSError:
            self.unsent += 1

    def drain(self) -> None:
        """Take what has arrived."""
        for _ in range(_BATCH):
            if not self._open:
                return
            try:
                data, address = self._socket.recvfrom(_LARGEST)
            except BlockingIOError:
                return
            except OSError:  # a datagram of ours reached nobody
                continue
            self._on_datagram(data, address)

    def close(self) -> None:
        if self._open:
            self._open = False
            self._loop.remove_reader(self._socket)
            self._socket.close()
