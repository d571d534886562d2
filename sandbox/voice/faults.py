"""What can go wrong between the server and one client, on demand and by a seed, so that a test can say what to expect.

`WirePlan` is about datagrams: chances per packet, all drawn from one seeded generator, so that the same packets meet
the same fate again. `Faults` holds a client's plan and what is to go wrong on its websocket; it outlasts reconnects.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from random import Random
from typing import Final

from sandbox.voice.transport import Rtp

LOST_KEPT: Final = 100_000
"""How many losses are remembered one by one; all are counted."""
_VIDEO_PAYLOAD_TYPE: Final = 101
_HELD_AT_MOST_S: Final = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class WirePlan:
    """Chances are per packet, 0 to 1."""

    seed: int = 0
    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    reorder_packets: int = 2
    """How many later packets of the speaker overtake a reordered one."""
    jitter_s: float = 0.0
    """Each packet waits for a uniform time up to this; by itself it can reorder, too."""
    extension: float = 0.0
    """A header extension of 4 to 12 bytes."""
    sources: float = 0.0
    """One to three contributing sources (CSRC) in the header."""
    padding: float = 0.0
    """RTP padding of 1 to 255 bytes behind the frame."""
    padding_burst: float = 0.0
    """Packets of padding alone after this one; they take sequence numbers."""
    padding_burst_packets: int = 5
    foreign: float = 0.0
    """A packet of another payload type (video), which takes its own SSRC."""
    garbage: float = 0.0
    """A datagram of noise, up to 1,400 bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LostPacket:
    """A packet that the plan let vanish, by what the speaker had written on it."""

    ssrc: int
    sequence: int
    timestamp: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Something to send to the client after `delay_s`: a packet to encrypt, or bytes as they are."""

    content: Rtp | bytes
    delay_s: float = 0.0


class Wire:
    """The way of the datagrams to one client, with its plan's faults. Clock-free: packets in, deliveries out."""

    def __init__(self, plan: WirePlan | None = None) -> None:
        self.counters: Counter[str] = Counter()
        self.lost: deque[LostPacket] = deque(maxlen=LOST_KEPT)
        self._shift: dict[int, int] = {}
        """By SSRC: how many sequence numbers padding bursts have taken."""
        self._held: dict[int, list[tuple[int, Rtp]]] = {}
        self.use(plan or WirePlan())

    def use(self, plan: WirePlan) -> None:
        """Follow another plan from the next packet on."""
        self.plan = plan
        self._clean = plan == WirePlan(seed=plan.seed)
        self._random = Random(plan.seed)  # noqa: S311  (the same faults again is what is wanted)

    def carry(self, packet: Rtp) -> Iterator[Delivery]:
        """What becomes of `packet`; also what was held back for it to overtake."""
        self.counters["packets"] += 1
        if self._clean and not self._shift and not self._held:
            yield Delivery(content=packet)
            return
        plan, chance = self.plan, self._random.random
        shifted = self._shifted(packet)
        if chance() < plan.loss:
            self.counters["lost"] += 1
            self.lost.append(LostPacket(ssrc=packet.ssrc, sequence=packet.sequence, timestamp=packet.timestamp))
        elif chance() < plan.reorder:
            self.counters["reordered"] += 1
            self._held.setdefault(packet.ssrc, []).append((plan.reorder_packets + 1, self._dressed(shifted)))
        else:
            yield from self._deliveries(self._dressed(shifted))
        yield from self._released(packet.ssrc)
        yield from self._extras(packet)

    def flush(self) -> Iterator[Delivery]:
        """What is still held back when nothing more comes to overtake it."""
        held, self._held = self._held, {}
        for entries in held.values():
            for _, packet in entries:
                yield Delivery(content=packet)

    @property
    def holds_back(self) -> float | None:
        """Seconds after which `flush` is due, when something is held back."""
        return _HELD_AT_MOST_S if self._held else None

    def _deliveries(self, packet: Rtp) -> Iterator[Delivery]:
        plan, draw = self.plan, self._random
        copies = 1
        if draw.random() < plan.duplicate:
            self.counters["duplicated"] += 1
            copies = 2
        for _ in range(copies):
            yield Delivery(content=packet, delay_s=draw.uniform(0, plan.jitter_s) if plan.jitter_s else 0.0)

    def _released(self, ssrc: int) -> Iterator[Delivery]:
        waiting = [(left - 1, packet) for left, packet in self._held.pop(ssrc, [])]
        for left, packet in waiting:
            if left <= 0:
                yield Delivery(content=packet)
            else:
                self._held.setdefault(ssrc, []).append((left, packet))

    def _extras(self, packet: Rtp) -> Iterator[Delivery]:
        plan, draw = self.plan, self._random
        if draw.random() < plan.padding_burst:
            self.counters["padding_only"] += plan.padding_burst_packets
            for _ in range(plan.padding_burst_packets):
                self._shift[packet.ssrc] = self._shift.get(packet.ssrc, 0) + 1
                bare = replace(self._shifted(packet), payload=b"", extension=b"", padding=draw.randint(1, 255))
                yield Delivery(content=bare)
        if draw.random() < plan.foreign:
            self.counters["foreign"] += 1
            yield Delivery(content=replace(packet, payload_type=_VIDEO_PAYLOAD_TYPE, ssrc=packet.ssrc ^ 1))
        if draw.random() < plan.garbage:
            self.counters["garbage"] += 1
            yield Delivery(content=draw.randbytes(draw.randint(0, 1400)))

    def _dressed(self, packet: Rtp) -> Rtp:
        plan, draw = self.plan, self._random
        if draw.random() < plan.extension:
            self.counters["extended"] += 1
            packet = replace(packet, extension=draw.randbytes(4 * draw.randint(1, 3)))
        if draw.random() < plan.sources:
            self.counters["with_sources"] += 1
            packet = replace(packet, sources=tuple(draw.randrange(1 << 32) for _ in range(draw.randint(1, 3))))
        if draw.random() < plan.padding:
            self.counters["padded"] += 1
            packet = replace(packet, padding=draw.randint(1, 255))
        return packet

    def _shifted(self, packet: Rtp) -> Rtp:
        shift = self._shift.get(packet.ssrc, 0)
        return replace(packet, sequence=(packet.sequence + shift) & 0xFFFF) if shift else packet


@dataclass(slots=True, kw_only=True)
class Faults:
    """What goes wrong for one client; set the fields before or while it is connected."""

    wire: Wire = field(default_factory=Wire)
    speaking_delay_s: float = 0.0
    """Op 5 reaches it this much late."""
    speaking_withheld: bool = False
    """Op 5 never reaches it."""
    sender_first: bool = False
    """Op 25 comes before op 4."""
    commit_delay_s: float = 0.0
    """Ops 29 and 30, and all after them, reach it this much late; the others do not wait for it."""
    bad_proposals: int = 0
    """So many next ops 27 carry a broken signature."""
    bad_commits: int = 0
    """So many next ops 29 and 30 are broken; a client answers op 31."""
    refuse_connections: int = 0
    """So many next connections of this user end with `refuse_code` on identify."""
    refuse_code: int = 4006
    refuse_resumes: int = 0
    """So many next resumes (op 7) end with 4006."""
