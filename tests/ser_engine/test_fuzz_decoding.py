"""Cut, flipped and spliced files of every container end in windows or in a refusal, in a worker of limited memory.

The gate runs 2,000 of them, always the same. More, and others each time: `FUZZ_EXAMPLES=50000 make test
ARGS=tests/ser_engine/test_fuzz_decoding.py`.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ser_engine import errors
from ser_engine.backends import process
from ser_engine.limits import DecodeLimits
from tests.fakes.recordings import file, voice

pytestmark = [pytest.mark.integration, pytest.mark.timeout(0)]

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "2000"))
ANSWER_S = 60.0
LIMITS = DecodeLimits(max_decode_s=20.0)
SHORT = voice(48_000)[24_000:36_000]
STEREO = np.stack([SHORT, SHORT])
SEEDS = {
    "wav": file("wav", "pcm_s16le", SHORT),
    "float": file("wav", "pcm_f32le", STEREO),
    "aiff": file("aiff", "pcm_s16be", SHORT),
    "caf": file("caf", "alac", SHORT),
    "mp3": file("mp3", "libmp3lame", SHORT),
    "flac": file("flac", "flac", STEREO),
    "adts": file("adts", "aac", SHORT),
    "m4a": file("ipod", "aac", SHORT),
    "fragments": file("mp4", "aac", SHORT, options={"movflags": "frag_keyframe+empty_moov"}),
    "mov": file("mov", "pcm_s16le", SHORT, video=True),
    "ogg": file("ogg", "libopus", SHORT),
    "chain": file("ogg", "libopus", SHORT) + file("ogg", "libopus", STEREO),
    "vorbis": file("ogg", "vorbis", STEREO),
    "webm": file("webm", "libopus", SHORT),
    "mkv": file("matroska", "flac", SHORT, SHORT),
    "wma": file("asf", "wmav2", SHORT, bit_rate=128_000),
    "avi": file("avi", "libmp3lame", SHORT),
    "flv": file("flv", "aac", SHORT),
    "ts": file("mpegts", "mp2", SHORT),
    "wv": file("wv", "wavpack", SHORT),
    "ac3": file("ac3", "ac3", SHORT),
}


NUMBERS = (b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff", b"\x00\x00\x00\x01", b"\x01\x00\x00\x00")


@pytest.fixture(scope="module")
def worker() -> Iterator[Connection]:
    """The decoder's own process, as the service starts it."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    child = spawn.Process(target=process.main, args=(theirs, "decode", "", None), daemon=True)
    child.start()
    theirs.close()
    assert ours.poll(ANSWER_S)
    assert ours.recv()[0] == "done"
    yield ours
    child.kill()
    child.join()
    ours.close()


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A real file with something done to it, up to three times."""
    data = bytearray(SEEDS[draw(st.sampled_from(sorted(SEEDS)))])
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(0, min(len(data) - 1, 4_000))) | st.integers(0, max(0, len(data) - 1)))
        match draw(st.sampled_from(("cut", "flip", "splice", "number", "drop", "repeat"))):
            case "cut":
                del data[at:]
            case "flip":
                data[at : at + 1] = bytes([data[at] ^ 1 << draw(st.integers(0, 7))]) if data else b""
            case "splice":
                other = SEEDS[draw(st.sampled_from(sorted(SEEDS)))]
                data[at:] = other[draw(st.integers(0, len(other))) :]
            case "number":
                data[at : at + 4] = draw(st.sampled_from(NUMBERS))
            case "drop":
                del data[at : at + draw(st.integers(1, 2_000))]
            case "repeat":
                data[at:at] = data[at : at + draw(st.integers(1, 500))] * draw(st.integers(1, 20))
        if not data:
            break
    return bytes(data)


@given(data=damaged())
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="FUZZ_EXAMPLES" not in os.environ,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@pytest.mark.slow
def test_whatever_is_done_to_a_file_ends_in_an_answer_or_a_refusal(worker: Connection, data: bytes) -> None:
    kind, *rest = asked(worker, data)
    if kind == "error":
        error = getattr(errors, rest[0])
        assert issubclass(error, errors.AudioError), rest
        assert rest[1].endswith(".")
        assert rest[2] is not None, "a refusal stands in the catalogue"


def asked(worker: Connection, data: bytes) -> tuple[Any, ...]:
    """The last message of the answer; fails when the worker dies or takes too long."""
    worker.send((data, "file", LIMITS))
    while True:
        assert worker.poll(ANSWER_S), "no answer in time"
        message: tuple[Any, ...] = worker.recv()
        if message[0] != "part":
            return message


def test_a_file_that_asks_for_more_memory_than_there_is_is_refused(worker: Connection) -> None:
    """A header may announce anything; the worker goes on."""
    huge = bytearray(SEEDS["flac"])
    huge[4:8] = b"\x84\xff\xff\xff"  # a block of comments of 16 MB that is not there
    assert asked(worker, bytes(huge))[0] in ("error", "done")
    assert asked(worker, SEEDS["wav"])[0] == "done"
