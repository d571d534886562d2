"""The UDP port: what was sent has arrived once it is drained, and no error of the network is an exception."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest

from sandbox.voice.port import Port

pytestmark = pytest.mark.integration


@pytest.fixture
def sender() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        yield sock


async def test_everything_that_was_sent_is_there_in_order(sender: socket.socket) -> None:
    got: list[bytes] = []
    port = Port.bound("127.0.0.1", lambda data, _address: got.append(data))
    for number in range(300):
        sender.sendto(number.to_bytes(2, "big"), port.address)
    assert got == []
    port.drain()
    assert [int.from_bytes(data, "big") for data in got] == list(range(300))
    port.close()


async def test_the_loop_reads_by_itself_and_the_sender_can_be_answered() -> None:
    heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    server = Port.bound("127.0.0.1", lambda data, address: server.send(data[::-1], address))
    client = Port.connected(server.address, lambda data, _address: heard.set_result(data))
    client.send(b"abc")
    assert await asyncio.wait_for(heard, 60.0) == b"cba"
    client.close()
    server.close()


async def test_a_receiver_that_is_gone_is_counted_and_no_error() -> None:
    server = Port.bound("127.0.0.1", lambda _data, _address: None)
    client = Port.connected(server.address, lambda _data, _address: None)
    server.close()
    for _ in range(3):
        client.send(b"anybody?")
        await asyncio.sleep(0.01)
    assert client.unsent <= 3
    client.send(bytes(70_000))
    assert client.unsent >= 1
    client.close()


async def test_a_closed_port_neither_sends_nor_reads(sender: socket.socket) -> None:
    got: list[bytes] = []
    port = Port.bound("127.0.0.1", lambda data, _address: got.append(data))
    address = port.address
    sender.sendto(b"late", address)
    port.close()
    port.close()
    port.drain()
    port.send(b"x", address)
    assert got == []
    assert port.unsent == 0


async def test_a_port_that_is_closed_while_it_is_read_stops(sender: socket.socket) -> None:
    got: list[bytes] = []

    def first(data: bytes, _address: object) -> None:
        got.append(data)
        port.close()

    port = Port.bound("127.0.0.1", first)
    for data in (b"1", b"2"):
        sender.sendto(data, port.address)
    port.drain()
    assert got == [b"1"]
