"""The voice server's UDP side: IP discovery, keepalives, and everyone's audio decrypted once and encrypted for each."""

from __future__ import annotations

import asyncio
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from sandbox.voice.connection import VoiceConnection
from sandbox.voice.faults import Delivery
from sandbox.voice.port import Address, Port
from sandbox.voice.transport import OPUS_PAYLOAD_TYPE, BadPacket, Rtp, ssrc_of

DISCOVERY: Final = struct.Struct(">HHI64sH")
DISCOVERY_REQUEST: Final = 1
DISCOVERY_RESPONSE: Final = 2
DISCOVERY_BODY_BYTES: Final = 70
KEEPALIVE_BYTES: Final = 8


class UdpServer:
    """One socket for all calls; clients are told apart by the address they were discovered at."""

    def __init__(self, host: str, on_audio: Callable[[VoiceConnection, Rtp], None], idle_s: float) -> None:
        self.counters: Counter[str] = Counter()
        self._on_audio = on_audio
        self._idle_s = idle_s
        self._by_ssrc: dict[int, VoiceConnection] = {}
        self._by_address: dict[Address, VoiceConnection] = {}
        self._loop = asyncio.get_running_loop()
        self._port = Port.bound(host, self._received)

    @property
    def address(self) -> Address:
        return self._port.address

    def add(self, connection: VoiceConnection) -> None:
        self._by_ssrc[connection.ssrc] = connection

    def drain(self) -> None:
        """Relay what was sent until now."""
        self._port.drain()

    def remove(self, connection: VoiceConnection) -> None:
        """Know a client no more; what it sent until now is still relayed."""
        self.drain()
        self._by_ssrc.pop(connection.ssrc, None)
        if connection.address is not None and self._by_address.get(connection.address) is connection:
            del self._by_address[connection.address]
        connection.address = None

    def send(self, connection: VoiceConnection, delivery: Delivery) -> None:
        """Encrypt a packet for a client and send it; a client that is gone, or silent for too long, gets nothing."""
        if connection.address is None or connection.transport is None:
            return
        if self._loop.time() - connection.heard_at_s > self._idle_s:
            self.counters["withheld_without_keepalive"] += 1
            return
        content = delivery.content
        datagram = content if isinstance(content, bytes) else connection.transport.seal(content)
        self.counters["sent"] += 1
        self._port.send(datagram, connection.address)

    def send_raw(self, connection: VoiceConnection, datagram: bytes) -> None:
        """Any bytes to a client, as from the server's own address: for tests that flood it."""
        if connection.address is not None:
            self._port.send(datagram, connection.address)

    def close(self) -> None:
        self._port.close()

    # receiving

    def _received(self, data: bytes, address: Address) -> None:
        if len(data) == DISCOVERY.size and data[:2] == DISCOVERY_REQUEST.to_bytes(2, "big"):
            self._discover(data, address)
            return
        connection = self._by_address.get(address)
        if connection is None:
            self.counters["from_strangers"] += 1
            return
        connection.heard_at_s = self._loop.time()
        if len(data) == KEEPALIVE_BYTES:
            self.counters["keepalives"] += 1
            self._port.send(data, address)
        elif ssrc_of(data) != connection.ssrc or connection.transport is None or data[1] & 0x7F != OPUS_PAYLOAD_TYPE:
            self.counters["not_audio"] += 1
        else:
            self._audio(connection, data)

    def _audio(self, connection: VoiceConnection, data: bytes) -> None:
        assert connection.transport is not None  # noqa: S101  (the caller looked)
        try:
            packet = connection.transport.open(data)
        except BadPacket:
            self.counters["undecryptable"] += 1
            return
        self.counters["audio"] += 1
        self._on_audio(connection, replace(packet, extension=b"", padding=0, sources=()))

    def _discover(self, data: bytes, address: Address) -> None:
        _, length, ssrc, _, _ = DISCOVERY.unpack(data)
        connection = self._by_ssrc.get(ssrc)
        if connection is None or length != DISCOVERY_BODY_BYTES:
            self.counters["discovery_refused"] += 1
            return
        if connection.address is not None:
            self._by_address.pop(connection.address, None)
        connection.address = address
        connection.heard_at_s = self._loop.time()
        self._by_address[address] = connection
        reply = DISCOVERY.pack(DISCOVERY_RESPONSE, DISCOVERY_BODY_BYTES, ssrc, address[0].encode("ascii"), address[1])
        self._port.send(reply, address)
