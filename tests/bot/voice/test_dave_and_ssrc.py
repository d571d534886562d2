from __future__ import annotations

import davey
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.voice import dave
from bot.voice.dave import Refusal, decrypt
from bot.voice.ssrc import SsrcMap
from ser_engine.opus import SILENCE
from tests.fakes.voice import FakeDave

pytestmark = pytest.mark.unit

PanicException = type("PanicException", (BaseException,), {"__module__": "pyo3_runtime"})


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("Failed to decrypt: DecryptionFailed(UnencryptedWhenPassthroughDisabled)", Refusal.UNENCRYPTED),
        ("Failed to decrypt: DecryptionFailed(NoValidCryptorFound)", Refusal.NO_KEY),
        ("Failed to decrypt: NoDecryptorForUser", Refusal.NOT_IN_GROUP),
        ("something davey has not said before", Refusal.OTHER),
    ],
)
def test_the_kinds_of_refusal_are_told_apart(text: str, refusal: Refusal) -> None:
    session = FakeDave()
    session.failure = ValueError(text)
    assert decrypt(session, 1, 7, b"x" * 30) is refusal


def test_what_davey_itself_says_is_understood() -> None:
    session = davey.DaveSession(1, 10, 20)
    assert decrypt(session, 1, 7, b"x" * 30) is Refusal.NOT_IN_GROUP


def test_a_panic_of_the_library_is_a_refusal_and_nothing_broader_is() -> None:
    session = FakeDave()
    session.failure = PanicException("index out of bounds")
    assert decrypt(session, 1, 7, b"x" * 30) is Refusal.PANIC
    session.failure = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        decrypt(session, 1, 7, b"x" * 30)


def test_silence_passes_without_asking_the_session() -> None:
    session = FakeDave()
    assert decrypt(session, 1, 7, SILENCE) == SILENCE
    assert session.asked == []


def test_at_version_0_the_plain_passes_and_what_is_still_encrypted_is_decrypted() -> None:
    session = FakeDave()
    plain = b"\x78plain opus"
    trailer = b"\x00" * 12 + b"\x0c\xfa\xfa"
    assert decrypt(session, 0, 7, plain) == plain
    assert decrypt(None, 0, 7, plain) == plain
    assert decrypt(session, 0, 7, b"\x01" + plain + trailer) == plain + trailer[:-2]
    assert decrypt(session, 0, 7, b"\x09" + plain + trailer) is Refusal.NO_KEY


def test_an_opus_packet_that_happens_to_end_like_the_marker_is_still_plain() -> None:
    for packet in (b"\x78\x01\xfa\xfa", b"\x78" + b"\xff" * 9 + b"\xfa\xfa", b"\xfa\xfa"):
        assert not dave.looks_encrypted(packet)


def test_before_there_is_a_session_nobody_is_in_the_group() -> None:
    assert decrypt(None, 1, 7, b"x" * 30) is Refusal.NOT_IN_GROUP


@given(payload=st.binary(max_size=120), user_id=st.integers(0, (1 << 64) - 1), version=st.integers(0, 1))
def test_no_payload_makes_davey_raise_out_of_the_layer(payload: bytes, user_id: int, version: int) -> None:
    session = davey.DaveSession(1, 10, 20)
    result = decrypt(session, version, user_id, payload)
    assert isinstance(result, bytes | Refusal)


def test_an_ssrc_belongs_to_whom_the_gateway_last_said() -> None:
    ssrcs = SsrcMap()
    assert ssrcs.user(5) is None
    assert ssrcs.assign(5, 100)
    assert not ssrcs.assign(5, 100)
    assert ssrcs.assign(5, 200)
    assert ssrcs.user(5) == 200
    assert ssrcs.ssrcs(100) == ()


def test_a_new_ssrc_keeps_the_old_one_for_what_is_on_its_way_and_leaving_frees_both() -> None:
    ssrcs = SsrcMap()
    ssrcs.assign(5, 100)
    ssrcs.assign(6, 100)
    assert ssrcs.user(5) == ssrcs.user(6) == 100
    assert ssrcs.forget_user(100) == (5, 6)
    assert ssrcs.user(5) is None


@given(st.lists(st.tuples(st.integers(0, 3_000), st.integers(0, 50)), max_size=400))
def test_the_map_is_bounded_and_consistent(assignments: list[tuple[int, int]]) -> None:
    ssrcs = SsrcMap()
    for ssrc, user_id in assignments:
        ssrcs.assign(ssrc, user_id)
        assert ssrcs.user(ssrc) == user_id
    for user_id in range(51):
        own = ssrcs.ssrcs(user_id)
        assert len(own) <= 4
        assert all(ssrcs.user(ssrc) == user_id for ssrc in own)


def test_more_ssrcs_than_any_call_has_push_out_the_oldest() -> None:
    ssrcs = SsrcMap()
    for ssrc in range(2_000):
        ssrcs.assign(ssrc, ssrc)
    assert sum(ssrcs.user(ssrc) is not None for ssrc in range(2_000)) == 1_024
    assert ssrcs.user(1_999) == 1_999
