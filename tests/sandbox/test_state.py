"""The state, its arithmetic and its limits, without a network."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.ids import DISCORD_EPOCH_MS, SnowflakeFactory
from sandbox.models import Attachment, ChannelType, Guild, Message, Overwrite, User
from sandbox.ogg import describe
from sandbox.permissions import ALL, Permission, in_channel, in_guild
from sandbox.ratelimits import RateLimits
from sandbox.recordings import FOLDER, INTENTIONS, recordings
from sandbox.state import MESSAGES_PER_CHANNEL, Change, State

pytestmark = pytest.mark.unit


@pytest.fixture
def world() -> tuple[State, Guild, User, User]:
    state = State()
    owner, guest = state.add_user("Owner"), state.add_user("Guest")
    guild = state.add_guild("House", owner)
    state.add_member(guild, guest)
    return state, guild, owner, guest


def test_ids_rise_and_tell_the_time() -> None:
    factory = SnowflakeFactory()
    ids = [factory.next() for _ in range(10_000)]
    assert ids == sorted(set(ids))
    assert 1_577_836_800_000 < (ids[0] >> 22) + DISCORD_EPOCH_MS < 4_102_444_800_000


def test_owners_may_everything_and_strangers_nothing(world: tuple[State, Guild, User, User]) -> None:
    state, guild, owner, guest = world
    channel = state.add_channel(guild, "general")
    assert in_channel(guild, channel, owner.id) == ALL
    assert in_channel(guild, channel, state.add_user("Stranger").id) == 0
    role = state.add_role(guild, "Admin", permissions=int(Permission.ADMINISTRATOR))
    assert in_guild(guild, guest.id) == guild.everyone.permissions
    guild.members[guest.id].role_ids.append(role.id)
    assert in_guild(guild, guest.id) == ALL


def test_overwrites_apply_from_everyone_to_the_member(world: tuple[State, Guild, User, User]) -> None:
    state, guild, _, guest = world
    channel = state.add_channel(guild, "general")
    role = state.add_role(guild, "Readers")
    guild.members[guest.id].role_ids.append(role.id)
    send = Permission.SEND_MESSAGES
    channel.overwrites = [Overwrite(id=guild.id, kind=0, deny=int(send))]
    assert not in_channel(guild, channel, guest.id) & send
    channel.overwrites.append(Overwrite(id=role.id, kind=0, allow=int(send)))
    assert in_channel(guild, channel, guest.id) & send
    channel.overwrites.append(Overwrite(id=guest.id, kind=1, deny=int(Permission.VIEW_CHANNEL)))
    assert in_channel(guild, channel, guest.id) == 0  # what one cannot see one cannot write in either


def test_voice_states_are_told_and_server_mutes_outlast_a_visit(world: tuple[State, Guild, User, User]) -> None:
    state, guild, _, guest = world
    channel = state.add_channel(guild, "Voice", ChannelType.VOICE)
    told: list[tuple[object, object]] = []
    stop = state.listen(lambda c: told.append((c.subject.channel_id, c.extra)))
    seat = state.join_voice(guest.id, channel)
    state.update_voice(seat, mute=True)
    state.leave_voice(guild.id, guest.id)
    stop()
    assert told == [(channel.id, None), (channel.id, channel.id), (None, channel.id)]
    assert state.join_voice(guest.id, channel).mute
    with pytest.raises(ValueError, match="no voice channel"):
        state.join_voice(guest.id, state.add_channel(guild, "text"))


def test_a_channel_forgets_its_oldest_messages(world: tuple[State, Guild, User, User]) -> None:
    state, guild, owner, _ = world
    channel = state.add_channel(guild, "general")
    sent = [
        state.add_message(Message(id=state.ids.next(), channel_id=channel.id, author=owner, guild_id=guild.id))
        for _ in range(MESSAGES_PER_CHANNEL + 3)
    ]
    kept = state.messages(channel.id)
    assert (len(kept), kept[0]) == (MESSAGES_PER_CHANNEL, sent[3])


def test_a_listener_that_stopped_hears_no_more() -> None:
    state = State()
    heard: list[Change] = []
    stop = state.listen(heard.append)
    state.tell("A", None, None)
    stop()
    stop()
    state.tell("B", None, None)
    assert [change.kind for change in heard] == ["A"]


def test_a_bucket_fills_again_after_its_time() -> None:
    now = [0.0]
    limits = RateLimits(clock=lambda: now[0])
    taken = [limits.take("reaction", "1").allowed for _ in range(2)]
    assert taken == [True, False]
    assert limits.take("reaction", "2").allowed  # another channel has a bucket of its own
    now[0] += 0.25
    assert limits.take("reaction", "1").allowed


def test_a_recording_is_measured_without_decoding(ogg_opus: bytes) -> None:
    duration_s, waveform = describe(ogg_opus)
    assert duration_s == pytest.approx(1.0, abs=0.03)
    assert waveform


@given(st.binary(max_size=200) | st.binary(max_size=80).map(lambda tail: b"OggS" + tail))
def test_anything_else_is_refused_or_empty(data: bytes) -> None:
    try:
        duration_s, _ = describe(data)
    except ValueError:
        return
    assert duration_s >= 0


def test_every_recording_is_there_and_carries_its_intention() -> None:
    listed = recordings()
    assert {r.path for r in listed} == set(FOLDER.glob("*.flac"))
    assert {r.intended for r in listed} == set(INTENTIONS.values())
    assert len({r.actor for r in listed}) >= 8


def test_files_beyond_the_limit_are_no_longer_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.state.FILES_LIMIT_BYTES", 100)
    state = State()
    files = [
        Attachment(id=n, channel_id=1, filename="f", content_type="audio/wav", content=bytes(40)) for n in range(1, 4)
    ]
    for file in files:
        state.keep_file(file)
        state.keep_file(file)
    assert [state.attachment(n) for n in range(1, 4)] == [None, *files[1:]]
