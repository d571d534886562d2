"""One included speaker: packets that are decrypted → in order → samples → on the timeline → to whoever listens."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

import numpy as np

from ser_engine import opus
from ser_engine.types import SAMPLE_RATE_HZ, Pcm, PcmFrame

from .counters import ReceiveCounters
from .faults import survive
from .hold import HOLD_S
from .jitter import JitterBuffer, JitterCounters, Released
from .states import FrameSink, OpusTap
from .timeline import Timeline

FRAME_SAMPLES: Final = SAMPLE_RATE_HZ // 50
"""20 ms, the length of Discord's packets."""
PAUSE_S: Final = 0.2
"""Without a packet for so long, a speaker is pausing: whoever listens is told how far the silence reaches."""
PAUSE_STEP_S: Final = 0.1
PAUSE_END_S: Final = 1.0
"""After this much silence nobody needs to be told again."""
_CONCEALED_BY_OPUS: Final = 5
"""Frames. Opus fades to silence by then; zeros are cheaper and as true."""
_BLOCK_SAMPLES: Final = 2 * opus.MAX_PACKET_MS * SAMPLE_RATE_HZ // 1000
"""Room for twelve packets of 20 ms, or two of the longest."""
_OPUS_STEP: Final = SAMPLE_RATE_HZ // 400
DEAF_S: Final = 2.0
DEAF_PACKETS: Final = 25
"""So many packets of one speaker over so long, and none decrypted: that speaker is not heard."""
_REMEMBERED: Final = 256
_MAX_STREAMS: Final = 4


class Stream:
    """What is kept for one SSRC of a speaker."""

    def __init__(self, counters: JitterCounters) -> None:
        self.jitter: JitterBuffer[AudioPacket] = JitterBuffer(counters)
        self.decoder: opus.Decoder | None = None
        self.silent = False
        """True while the last packet was the one that clients send for silence."""
        self.heard: set[int] = set()
        """Numbers and timestamps of packets that were decrypted lately."""
        self._order: deque[int] = deque()

    def remember(self, key: int) -> None:
        """A packet was decrypted. Only then its number counts: a forged one must not take a real one's place."""
        self.heard.add(key)
        self._order.append(key)
        if len(self._order) > _REMEMBERED:
            self.heard.discard(self._order.popleft())


class AudioPacket:
    """An Opus packet out of its encryption; empty when it carried padding alone."""

    __slots__ = ("arrived_samples", "opus", "timestamp")

    def __init__(self, timestamp: int, opus_packet: bytes, arrived_samples: int) -> None:
        self.timestamp = timestamp
        self.opus = opus_packet
        self.arrived_samples = arrived_samples


class HeardSpeaker:
    """Keeps the timeline over changes of SSRC and connection; at most one stream is heard at a time."""

    def __init__(self, user_id: int, sink: FrameSink, counters: ReceiveCounters, tap: OpusTap | None = None) -> None:
        self.user_id = user_id
        self.key = str(user_id)
        self.last_decrypted_s = float("-inf")
        self.last_voice_s = float("-inf")
        """Like `last_decrypted_s`, without the silence that passes DAVE unencrypted."""
        self.refused_since_s = float("-inf")
        self.last_refused_s = float("-inf")
        self.refused_packets = 0
        """Packets that could not be decrypted since the last one that could."""
        self._sink = sink
        self._counters = counters
        self._tap = tap
        self._jitter_counters = JitterCounters()
        self._timeline = Timeline()
        self._streams: dict[int, Stream] = {}
        self._active_ssrc: int | None = None
        self._open = False
        """True from a frame on until the silence after it was told to its end."""
        self._paused = True
        self._told_s = float("-inf")
        self._block = opus.Block(_BLOCK_SAMPLES)
        self._block_t = -1
        """Where the block begins on the timeline; -1 while it is empty."""

    @property
    def end_samples(self) -> int:
        return self._timeline.end_samples

    def stream(self, ssrc: int) -> Stream:
        stream = self._streams.get(ssrc)
        if stream is None:
            if len(self._streams) >= _MAX_STREAMS:
                self._end(next(old for old in self._streams if old != self._active_ssrc))
            stream = self._streams[ssrc] = Stream(self._jitter_counters)
        return stream

    def continues(self, ssrc: int, sequence: int) -> bool:
        """Whether a packet with this number can be the next of what this speaker sends on `ssrc`."""
        stream = self._streams.get(ssrc)
        return stream is not None and stream.jitter.continues(sequence)

    def refused(self, now_s: float) -> None:
        """A packet of this speaker could not be decrypted at its first try."""
        if not self.refused_packets:
            self.refused_since_s = now_s
        self.refused_packets += 1
        self.last_refused_s = now_s

    def cannot_be_decrypted(self, now_s: float) -> bool:
        """Whether this speaker talks now, and nothing of it can be decrypted."""
        return (
            self.refused_packets >= DEAF_PACKETS
            and self.last_refused_s - self.refused_since_s >= DEAF_S
            and now_s - self.last_refused_s < DEAF_S
        )

    def push(self, ssrc: int, packets: Sequence[tuple[int, AudioPacket, float]], now_s: float) -> None:
        """Take decrypted packets (sequence number, packet, when it arrived) and hand on what is in order now."""
        stream = self.stream(ssrc)
        jitter = stream.jitter
        for sequence, packet, arrived_s in packets:
            if packet.opus:
                self.last_decrypted_s = now_s
                if packet.opus != opus.SILENCE:
                    self.last_voice_s = now_s
                    self.refused_packets = 0
            if jitter.passes(sequence):
                self._take(ssrc, stream, packet, 0)
            else:
                for item in jitter.push(sequence, packet, arrived_s):
                    self._take(ssrc, stream, item.packet, item.lost_before)
        self._hand_on_block()
        self._collect()

    def tick(self, now_s: float, *, holding: bool, stalled: bool) -> bool:
        """Hand on what has waited long enough, and say how long nothing came. False when there is nothing left to do.

        `holding`: packets of this speaker wait for keys. `stalled`: this call comes late, so packets may be waiting in
        the socket, and neither a loss nor silence must be concluded.
        """
        waiting = False
        for ssrc, stream in self._streams.items():
            if len(stream.jitter):
                if not stalled:
                    self._emit(ssrc, stream, stream.jitter.due(now_s))
                waiting = waiting or len(stream.jitter) > 0
        if not self._open:
            return waiting
        quiet_s = now_s - self.last_decrypted_s
        still_coming = waiting or stalled or (holding and quiet_s < HOLD_S + PAUSE_S)
        if still_coming or quiet_s < PAUSE_S:
            return True
        self._paused = True
        if now_s - self._told_s >= PAUSE_STEP_S:
            self._told_s = now_s
            self._tell_silence(quiet_s)
            self._open = quiet_s < PAUSE_END_S
        return self._open

    def end_stream(self) -> None:
        """The connection is gone, and with it the meaning of SSRCs, sequence numbers and timestamps."""
        for ssrc in list(self._streams):
            self._end(ssrc)
        self._active_ssrc = None
        self._timeline.restart()
        self.refused_packets = 0

    def _end(self, ssrc: int) -> None:
        stream = self._streams.pop(ssrc)
        self._emit(ssrc, stream, stream.jitter.flush())
        self._counters.dropped_stray += stream.jitter.drop()

    def drop(self) -> int:
        """Forget everything that waits to be heard; returns how many packets that were."""
        return sum(stream.jitter.drop() for stream in self._streams.values())

    def _emit(self, ssrc: int, stream: Stream, released: list[Released[AudioPacket]]) -> None:
        for item in released:
            self._take(ssrc, stream, item.packet, item.lost_before)
        self._hand_on_block()
        self._collect()

    def _collect(self) -> None:
        """Move what the jitter buffers counted to the counters of the link."""
        jitter, counters = self._jitter_counters, self._counters
        if jitter.lost or jitter.late or jitter.duplicate or jitter.stray or jitter.resyncs:
            counters.lost += jitter.lost
            counters.dropped_late += jitter.late
            counters.dropped_duplicate += jitter.duplicate
            counters.dropped_stray += jitter.stray
            counters.resyncs += jitter.resyncs
            jitter.lost = jitter.late = jitter.duplicate = jitter.stray = jitter.resyncs = 0

    def _take(self, ssrc: int, stream: Stream, packet: AudioPacket, lost_before: int) -> None:
        """Take the next packet in order; `lost_before` are missing directly before it."""
        data = packet.opus
        if not data:
            self._counters.dropped_padding += 1
            return
        if self._tap is not None:
            self._tap(self.user_id, data)
        if ssrc != self._active_ssrc:
            if self._active_ssrc is not None:
                self._counters.ssrc_changes += 1
            self._active_ssrc = ssrc
            self._timeline.restart()
        try:
            if stream.decoder is None:
                stream.decoder = opus.Decoder()
            self._decode(stream, stream.decoder, packet, lost_before)
        except opus.OpusError:
            self._counters.dropped_opus += 1
            return
        self._counters.frames += 1

    def _decode(self, stream: Stream, decoder: opus.Decoder, packet: AudioPacket, lost_before: int) -> None:
        data, block, timeline = packet.opus, self._block, self._timeline
        samples = opus.packet_samples(data, SAMPLE_RATE_HZ)
        t_samples, fill_samples = timeline.end_samples, 0
        if lost_before or self._paused or not timeline.goes_on(packet.timestamp, samples, packet.arrived_samples):
            t_samples, fill_samples = timeline.place(
                packet.timestamp,
                samples,
                lost_packets=lost_before,
                arrived_samples=packet.arrived_samples,
                after_pause=self._paused,
            )
        self._open, self._paused = True, False
        if t_samples != self._block_t + block.length or samples > block.room:
            self._hand_on_block()
            if fill_samples:
                self._conceal(decoder, data, t_samples, fill_samples)
            self._block_t = t_samples
        silent = data == opus.SILENCE
        if stream.silent and not silent:
            # Silence packets are no product of the sender's coder: going on from them, the decoder takes the first
            # words for a change of mode and fades up to 18 ms of them away.
            decoder.reset()
        stream.silent = silent
        decoder.append(data, block)

    def _conceal(self, decoder: opus.Decoder, following: bytes, t_samples: int, fill: int) -> None:
        """Make up `fill` samples before `t_samples`: by Opus, then zeros, the last by what `following` knows."""
        position = t_samples - fill
        index = 0
        while position < t_samples:
            size = min(FRAME_SAMPLES, t_samples - position)
            last = position + size >= t_samples
            if size % _OPUS_STEP or not (index < _CONCEALED_BY_OPUS or last):
                pcm: Pcm = np.zeros(size, dtype=np.float32)
            elif last:
                pcm = decoder.recover(following, size)
            else:
                pcm = decoder.conceal(size)
            self._counters.concealed += 1
            self._hand_on(position, pcm, concealed=True)
            position += size
            index += 1

    def _hand_on_block(self) -> None:
        """What was decoded without a gap between goes on as one stretch."""
        if self._block.length:
            self._hand_on(self._block_t, self._block.take(), concealed=False)
        self._block_t = -1

    def _hand_on(self, t_samples: int, pcm: Pcm, *, concealed: bool) -> None:
        frame = PcmFrame(speaker=self.key, t_samples=t_samples, pcm=pcm, concealed=concealed)
        try:
            self._sink.frame(frame)
        except Exception as error:  # noqa: BLE001 - who listens must not make others deaf
            survive(self._counters, "frame_sink_failed", error, user_id=self.user_id)

    def _tell_silence(self, quiet_s: float) -> None:
        try:
            self._sink.silence(self.key, self._timeline.end_samples + int(quiet_s * SAMPLE_RATE_HZ))
        except Exception as error:  # noqa: BLE001 - who listens must not make others deaf
            survive(self._counters, "frame_sink_failed", error, user_id=self.user_id)
