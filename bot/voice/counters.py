"""A counter for everything that can happen to a packet: a drop without one would be deafness in silence."""

from __future__ import annotations

from dataclasses import dataclass, fields

from .dave import Refusal


@dataclass(slots=True)
class ReceiveCounters:
    """Counted since the link was made. Packets and frames unless the name says otherwise; none ever goes down."""

    # What came.
    datagrams: int = 0
    """Everything read from the socket."""
    decrypted: int = 0
    """Opus packets that came through both layers of encryption (or through DAVE's passthrough)."""
    frames: int = 0
    """Opus packets decoded and handed on."""
    concealed: int = 0
    """Stretches of 20 ms made up in place of lost packets."""

    missed_socket: int = 0
    """Dropped by the system before they were read: this machine was too busy (told by Linux alone)."""

    # Dropped on the header, before any decryption.
    dropped_malformed: int = 0
    """Not RTP: too short, wrong version, a header longer than the datagram."""
    dropped_not_audio: int = 0
    """Another payload type than Discord's Opus (120): video, retransmission, RTCP."""
    dropped_excluded: int = 0
    """The speaker is not included: never decrypted."""
    dropped_unknown: int = 0
    """Nobody said within the hold time whose SSRC it is: never decrypted."""
    dropped_overflow: int = 0
    """More of one stream waited than its bound."""
    dropped_no_key: int = 0
    """The connection had no transport key within the hold time."""

    # Dropped in transport.
    dropped_transport: int = 0
    """The transport's seal is broken: garbage, or another connection's packet."""
    dropped_padding: int = 0
    """Padding and nothing else: the server probing the bandwidth."""
    dropped_bad_payload: int = 0
    """An extension or a padding longer than the packet."""
    dropped_duplicate: int = 0
    """A packet with this sequence number was decrypted before."""
    dropped_late: int = 0
    """After its place on the timeline was filled."""
    dropped_stray: int = 0
    """A lone sequence number far from its stream."""
    dropped_withdrawn: int = 0
    """Waiting to be heard when its speaker withdrew."""
    dropped_stale: int = 0
    """Waiting to be heard when its connection ended."""

    # Dropped by DAVE, after the hold.
    dropped_dave_unencrypted: int = 0
    """In the clear where only encrypted media is allowed."""
    dropped_dave_no_key: int = 0
    """No key of any epoch fits, or a replay."""
    dropped_dave_not_in_group: int = 0
    """The speaker is not in the encryption group."""
    dropped_dave_other: int = 0
    """DAVE refused it for another reason, or failed in itself, until the hold was over."""
    dave_panics: int = 0
    """Times the DAVE library failed in itself; the packet is held like any other failure."""
    held_unknown: int = 0
    """Packets that had to wait for whose they are."""
    held_dave: int = 0
    """Packets that had to wait for a new epoch's keys."""

    # Dropped by Opus.
    dropped_opus: int = 0
    """Decrypted, and not a packet of Opus."""

    # What happened to streams and the connection.
    lost: int = 0
    """Sequence numbers that never came."""
    resyncs: int = 0
    """Streams that jumped in sequence and were begun anew."""
    ssrc_changes: int = 0
    """Times that a speaker went on under another SSRC."""
    gateway_errors: int = 0
    """Voice gateway messages that could not be handled, and were survived."""
    resumes: int = 0
    """Cuts of the voice websocket after which the same session went on."""
    resumes_failed: int = 0
    """Tries to resume that failed; after them comes another try, or a new connection."""
    reconnects: int = 0
    """Connections that were lost and made anew."""
    reconnects_failed: int = 0
    """Tries to make one anew that failed; three in a row end the link."""
    keepalives: int = 0
    """Packets sent to keep the UDP path open."""
    internal_errors: int = 0
    """A defect of this layer or of what listens to it; each is logged."""

    def given_up(self, refusal: Refusal | None, *, unknown: bool) -> None:
        """A packet waited in vain: for its owner, for the transport's key, or for what DAVE refused it for."""
        match refusal:
            case None if unknown:
                self.dropped_unknown += 1
            case None:
                self.dropped_no_key += 1
            case Refusal.UNENCRYPTED:
                self.dropped_dave_unencrypted += 1
            case Refusal.NO_KEY:
                self.dropped_dave_no_key += 1
            case Refusal.NOT_IN_GROUP:
                self.dropped_dave_not_in_group += 1
            case _:
                self.dropped_dave_other += 1

    def as_dict(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in _NAMES}

    @property
    def dropped(self) -> int:
        """All packets that were dropped, for whatever reason."""
        return sum(getattr(self, name) for name in _NAMES if name.startswith("dropped_"))


_NAMES = tuple(field.name for field in fields(ReceiveCounters))
