"""A voice channel with somebody in it: who hears whom, who is told what, and the group that encrypts it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from sandbox.voice.connection import VoiceConnection
from sandbox.voice.faults import Delivery
from sandbox.voice.group import Group
from sandbox.voice.ops import Op
from sandbox.voice.rounds import GroupSettings
from sandbox.voice.transport import Rtp

SendDatagram = Callable[[VoiceConnection, Delivery], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeakingChange:
    """Somebody started or stopped to send audio, by op 5."""

    guild_id: int
    channel_id: int
    user_id: int
    speaking: bool


class Call:
    """The clients of one channel. It is the group's outbox, and the place where a client's faults are applied."""

    def __init__(
        self,
        guild_id: int,
        channel_id: int,
        send: SendDatagram,
        settings: GroupSettings,
        on_speaking: Callable[[SpeakingChange], None],
    ) -> None:
        self.guild_id = guild_id
        self.channel_id = channel_id
        self.members: dict[int, VoiceConnection] = {}
        self.counters: Counter[str] = Counter()
        self._send = send
        self._on_speaking = on_speaking
        self._loop = asyncio.get_running_loop()
        self._later: set[asyncio.TimerHandle] = set()
        self.group = Group(channel_id, self, self._loop.call_later, settings)

    # coming and going

    def enter(self, connection: VoiceConnection) -> None:
        """A client identified itself; the others learn of it, and it of them."""
        user_id = connection.user_id
        others = [other for other in self.members.values() if other.user_id != user_id]
        self.members[user_id] = connection
        self.group.begin(user_id)
        if others:
            connection.send_json(Op.CLIENTS_CONNECT, {"user_ids": [str(other.user_id) for other in others]})
        for other in others:
            other.send_json(Op.CLIENTS_CONNECT, {"user_ids": [str(user_id)]})
            for one, about in ((other, user_id), (connection, other.user_id)):
                one.send_json(Op.CLIENT_FLAGS, {"user_id": str(about), "flags": 2})
                one.send_json(Op.CLIENT_PLATFORM, {"user_id": str(about), "platform": 0})

    def keyed(self, connection: VoiceConnection) -> None:
        """A client has its transport key: it learns who speaks, and joins the encryption."""
        for other in self.members.values():
            if other is not connection and other.has_spoken:
                self._tell_speaking(connection, other)
        self.group.join(connection.user_id)

    def exit(self, connection: VoiceConnection) -> None:
        """A client is gone for good; nothing happens when a newer connection has taken its place."""
        if self.members.get(connection.user_id) is not connection:
            return
        del self.members[connection.user_id]
        self.group.leave(connection.user_id)
        self._show(connection, 0)
        for other in self.members.values():
            other.send_json(Op.CLIENT_DISCONNECT, {"user_id": str(connection.user_id)})

    def close(self) -> None:
        self.group.close()
        for handle in self._later:
            handle.cancel()
        self._later.clear()

    # speaking

    def speaking(self, connection: VoiceConnection, flags: int) -> None:
        """Op 5 from a client: the others are told whose SSRC it is when it starts."""
        self._show(connection, flags)
        if not flags:
            return
        connection.has_spoken = True
        for other in self._others(connection):
            self._tell_speaking(other, connection)

    def announce_streams(self, connection: VoiceConnection, data: dict[str, Any]) -> None:
        """Op 12 from a client, which some send before they speak: its SSRC, in another message."""
        for other in self._others(connection):
            if not other.faults.speaking_withheld:
                body = {**data, "user_id": str(connection.user_id), "audio_ssrc": connection.ssrc}
                other.send_json(Op.CLIENT_CONNECT, body)

    def _show(self, connection: VoiceConnection, flags: int) -> None:
        changed = bool(flags) != bool(connection.speaking)
        connection.speaking = flags
        if changed:
            change = SpeakingChange(
                guild_id=self.guild_id,
                channel_id=self.channel_id,
                user_id=connection.user_id,
                speaking=bool(flags),
            )
            self._on_speaking(change)

    def _tell_speaking(self, listener: VoiceConnection, speaker: VoiceConnection) -> None:
        if listener.faults.speaking_withheld:
            return
        data = {"user_id": str(speaker.user_id), "ssrc": speaker.ssrc, "speaking": speaker.speaking or 1}
        if listener.faults.speaking_delay_s > 0:
            self._after(listener.faults.speaking_delay_s, lambda: listener.send_json(Op.SPEAKING, data))
        else:
            listener.send_json(Op.SPEAKING, data)

    # audio

    def relay(self, speaker: VoiceConnection, packet: Rtp) -> None:
        """Hand a speaker's packet to everyone who hears."""
        if speaker.mute:
            self.counters["muted"] += 1
            return
        self.counters["relayed"] += 1
        for listener in self._others(speaker):
            if listener.deaf or not listener.listens or listener.transport is None or listener.address is None:
                continue
            wire = listener.faults.wire
            for delivery in wire.carry(packet):
                self._deliver(listener, delivery)
            if wire.holds_back is not None:
                self._after(wire.holds_back, partial(self._flush, listener, wire.counters["packets"]))

    def _flush(self, listener: VoiceConnection, packets: int) -> None:
        """Release what is held back, unless there was another packet since: then a later call is due."""
        wire = listener.faults.wire
        if wire.counters["packets"] == packets:
            for delivery in wire.flush():
                self._deliver(listener, delivery)

    def _deliver(self, listener: VoiceConnection, delivery: Delivery) -> None:
        if delivery.delay_s > 0:
            self._after(delivery.delay_s, lambda: self._send(listener, delivery))
        else:
            self._send(listener, delivery)

    def _others(self, connection: VoiceConnection) -> Iterator[VoiceConnection]:
        return (other for other in self.members.values() if other is not connection)

    def _after(self, delay_s: float, action: Callable[[], None]) -> None:
        def run() -> None:
            self._later.discard(handle)
            action()

        handle = self._loop.call_later(delay_s, run)
        self._later.add(handle)

    # the group's outbox

    def send_json(self, user_id: int, op: Op, data: dict[str, Any]) -> None:
        connection = self.members.get(user_id)
        if connection is not None:
            connection.send_json(op, data)

    def send_binary(self, user_id: int, op: Op, body: bytes) -> None:
        connection = self.members.get(user_id)
        if connection is None:
            return
        faults, delay_s = connection.faults, 0.0
        if op is Op.PROPOSALS and faults.bad_proposals > 0:
            faults.bad_proposals -= 1
            body = _spoil(body)
        elif op in (Op.ANNOUNCE_COMMIT, Op.WELCOME):
            delay_s = faults.commit_delay_s
            if faults.bad_commits > 0:
                faults.bad_commits -= 1
                body = _spoil(body)
        connection.send_binary(op, body, delay_s=delay_s)


def _spoil(body: bytes) -> bytes:
    """The same message with its last byte changed: a signature, a tag or a ciphertext that does not hold."""
    return body[:-1] + bytes([body[-1] ^ 0x55])
