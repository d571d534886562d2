"""The delivery service with real members (libdave) and no network: everyone reaches one epoch, whatever happens."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from sandbox.voice.group import Group
from sandbox.voice.member import DaveMember, Reply
from sandbox.voice.mls import MlsError
from sandbox.voice.ops import Op
from sandbox.voice.rounds import GroupSettings

pytestmark = pytest.mark.unit

CHANNEL = 7_700_000_000_000_000_077


class Timer:
    def __init__(self, at_s: float, action: Callable[[], None]) -> None:
        self.at_s, self.action, self.cancelled = at_s, action, False

    def cancel(self) -> None:
        self.cancelled = True


class Room:
    """A call without websockets: messages wait in each member's mailbox until `deliver`, in any order of members."""

    def __init__(self, seed: int = 0, **settings: Any) -> None:
        self.now_s = 0.0
        self.timers: list[Timer] = []
        self.members: dict[int, DaveMember] = {}
        self.mail: dict[int, deque[tuple[Op, Any]]] = {}
        self.log: list[tuple[int, Op]] = []
        self.mute: set[int] = set()
        """Members whose answers get lost."""
        self.random = Random(seed)  # noqa: S311
        self.group = Group(CHANNEL, self, self.schedule, GroupSettings(**settings))

    # what a group needs

    def schedule(self, delay_s: float, action: Callable[[], None]) -> Timer:
        timer = Timer(self.now_s + delay_s, action)
        self.timers.append(timer)
        return timer

    def send_json(self, user_id: int, op: Op, data: dict[str, Any]) -> None:
        self._post(user_id, op, data)

    def send_binary(self, user_id: int, op: Op, body: bytes) -> None:
        self._post(user_id, op, body)

    def _post(self, user_id: int, op: Op, content: Any) -> None:
        self.log.append((user_id, op))
        if user_id in self.mail:
            self.mail[user_id].append((op, content))

    # what people do

    def join(self, *user_ids: int) -> None:
        for user_id in user_ids:
            member = DaveMember(user_id, CHANNEL)
            self.members[user_id], self.mail[user_id] = member, deque()
            for other in self.members:
                self._meet(other, user_id)
            self.group.begin(user_id)
            self.group.join(user_id)
            self._answer(user_id, member.described(self.group.version))

    def leave(self, user_id: int) -> None:
        del self.members[user_id], self.mail[user_id]
        for member in self.members.values():
            member.received(Op.CLIENT_DISCONNECT, {"user_id": str(user_id)})
        self.group.leave(user_id)

    def _meet(self, one: int, other: int) -> None:
        for user_id, about in ((one, other), (other, one)):
            self.members[user_id].received(Op.CLIENTS_CONNECT, {"user_ids": [str(about)]})

    def deliver(self, messages: int = 10_000) -> None:
        """Let members read their mail, one message of a random member at a time."""
        while messages and (waiting := [user_id for user_id, mail in self.mail.items() if mail]):
            user_id = self.random.choice(waiting)
            op, content = self.mail[user_id].popleft()
            member = self.members[user_id]
            binary = isinstance(content, bytes)
            self._answer(user_id, member.received_binary(op, content) if binary else member.received(op, content))
            messages -= 1

    def pass_time(self, seconds: float) -> None:
        self.now_s += seconds
        due = [timer for timer in self.timers if timer.at_s <= self.now_s]
        self.timers = [timer for timer in self.timers if timer.at_s > self.now_s]
        for timer in due:
            if not timer.cancelled:
                timer.action()

    def _answer(self, user_id: int, replies: list[Reply]) -> None:
        for reply in replies:
            if user_id in self.mute:
                continue
            if reply.op is Op.KEY_PACKAGE:
                self.group.key_package(user_id, reply.body)
            elif reply.op is Op.COMMIT_WELCOME:
                self.group.commit(user_id, reply.body)
            elif reply.op is Op.TRANSITION_READY and reply.data:
                self.group.ready(user_id, reply.data["transition_id"])
            elif reply.op is Op.INVALID_COMMIT:
                self.group.invalid(user_id)

    # what must hold

    def check(self) -> None:
        assert self.group.settled
        assert sorted(self.group.members) == (sorted(self.members) if len(self.members) > 1 else [])
        if len(self.members) > 1:
            assert len({member.epoch_authenticator for member in self.members.values()}) == 1
            assert None not in {member.epoch_authenticator for member in self.members.values()}
            for member in self.members.values():
                assert sorted(member.members) == sorted(self.members)
            self._check_frames()

    def _check_frames(self) -> None:
        frame = b"an opus frame, say"
        for speaker_id, speaker in self.members.items():
            sealed = speaker.encrypt(speaker_id, frame)
            assert sealed is not None
            assert sealed != frame
            for listener_id, listener in self.members.items():
                if listener_id != speaker_id:
                    assert listener.decrypt(speaker_id, sealed) == frame


async def test_somebody_alone_has_no_group_and_is_told_of_nobody() -> None:
    room = Room()
    room.join(1)
    room.deliver()
    room.check()
    assert room.group.epoch == 0
    assert [op for _, op in room.log] == [Op.EXTERNAL_SENDER]


async def test_two_found_a_group_at_once_with_transition_zero() -> None:
    room = Room()
    room.join(1, 2)
    room.deliver()
    room.check()
    assert room.group.epoch == 1
    assert Op.EXECUTE_TRANSITION not in {op for _, op in room.log}
    assert [user for user, op in room.log if op is Op.WELCOME] != [
        user for user, op in room.log if op is Op.ANNOUNCE_COMMIT
    ]


async def test_a_third_is_added_by_the_others_and_everyone_executes_together() -> None:
    room = Room()
    room.join(1, 2)
    room.deliver()
    room.log.clear()
    room.join(3)
    room.deliver()
    room.check()
    assert room.group.epoch == 2
    assert sorted(user for user, op in room.log if op is Op.PROPOSALS) == [1, 2], "nobody is sent their own Add"
    assert sorted(user for user, op in room.log if op is Op.ANNOUNCE_COMMIT) == [1, 2]
    assert [user for user, op in room.log if op is Op.WELCOME] == [3]
    assert sorted(user for user, op in room.log if op is Op.EXECUTE_TRANSITION) == [1, 2, 3]


async def test_who_joins_while_a_commit_is_in_flight_waits_for_the_next_round() -> None:
    room = Room()
    room.join(1, 2)
    room.deliver()
    room.join(3)
    room.log.clear()
    room.join(4)
    assert Op.PROPOSALS not in {op for _, op in room.log}
    room.deliver()
    room.check()
    assert room.group.epoch == 3


async def test_a_leaver_is_removed_and_the_leaf_used_again() -> None:
    room = Room()
    room.join(1, 2, 3)
    room.deliver()
    before = room.group.members
    room.leave(before[1])
    room.deliver()
    room.check()
    room.join(9)
    room.deliver()
    room.check()
    assert room.group.members == (before[0], 9, before[2])


async def test_the_last_one_starts_a_new_group_with_the_next_to_come() -> None:
    room = Room()
    room.join(1, 2)
    room.deliver()
    room.leave(2)
    room.deliver()
    room.check()
    assert (1, Op.PREPARE_EPOCH) in room.log
    assert room.group.epoch == 0
    assert room.members[1].encrypt(1, b"nobody could decrypt this") is None
    room.join(2)
    room.deliver()
    room.check()
    assert room.group.epoch == 1


async def test_a_second_identify_is_a_remove_and_then_an_add() -> None:
    room = Room()
    room.join(1, 2, 3)
    room.deliver()
    epoch, rounds = room.group.epoch, room.group.counters["rounds"]
    room.join(2)
    room.deliver()
    room.check()
    assert room.group.epoch == epoch + 2
    assert room.group.counters["rounds"] == rounds + 2


async def test_who_comes_back_in_the_middle_of_a_round_is_not_sent_its_commit() -> None:
    room = Room()
    room.join(1, 2, 3)
    room.deliver()
    room.join(4)
    room.join(3)
    room.log.clear()
    room.deliver()
    room.check()
    assert (3, Op.ANNOUNCE_COMMIT) not in room.log[: room.log.index((3, Op.WELCOME))]
    assert room.members[3].counters == {}
    assert room.now_s == 0.0, "and nobody waits for it"


async def test_a_commit_that_a_member_cannot_follow_has_it_removed_and_added() -> None:
    room = Room()
    room.join(1, 2, 3)
    room.deliver()
    room.join(4)
    victim = 3
    room.deliver(messages=0)
    spoiled = False
    while any(room.mail.values()):
        for op, content in list(room.mail[victim]):
            if op is Op.ANNOUNCE_COMMIT and not spoiled:
                at = room.mail[victim].index((op, content))
                room.mail[victim][at] = (op, content[:-1] + bytes([content[-1] ^ 1]))
                spoiled = True
        room.deliver(messages=1)
    assert spoiled
    assert room.group.counters["commits_invalid"] == 1
    room.check()


async def test_the_slowest_has_its_time_and_no_more() -> None:
    room = Room(ready_timeout_s=2.0)
    room.join(1, 2)
    room.deliver()
    room.join(3)
    room.mute.add(2)
    room.deliver()
    if not room.group.settled and room.group.epoch == 1:  # the one who is mute was not to have committed
        room.pass_time(0)
    assert not room.group.settled
    room.pass_time(2.1)
    room.deliver()
    assert room.group.epoch == 2
    assert room.group.settled


async def test_a_transition_does_not_wait_for_those_it_is_told_not_to() -> None:
    room = Room(waits_for=lambda user_id: user_id != 2)
    room.join(1, 2)
    room.deliver()
    room.join(3)
    room.mute.add(2)
    room.deliver()
    assert room.group.settled
    assert room.group.epoch == 2


async def test_a_round_that_nobody_answers_is_taken_back_and_tried_again() -> None:
    room = Room(commit_timeout_s=2.0)
    room.join(1, 2)
    room.deliver()
    room.mute.update((1, 2))
    room.join(3)
    room.deliver()
    assert room.group.epoch == 1
    room.mute.clear()
    room.pass_time(2.1)
    room.deliver()
    room.check()
    assert room.group.counters["rounds_failed"] == 1


async def test_after_three_rounds_without_an_answer_everybody_begins_anew() -> None:
    room = Room(commit_timeout_s=2.0)
    room.join(1, 2)
    room.deliver()
    room.mute.update((1, 2))
    room.join(3)
    for _ in range(2):
        room.deliver()
        room.pass_time(2.1)
    room.deliver()
    room.mute.clear()
    room.pass_time(2.1)
    room.deliver()
    room.check()
    assert {user for user, op in room.log if op is Op.PREPARE_EPOCH} == {1, 2, 3}


async def test_to_version_zero_and_back() -> None:
    room = Room()
    room.join(1, 2, 3)
    room.deliver()
    room.group.downgrade()
    room.deliver()
    assert room.group.settled
    assert room.group.version == 0
    assert {member.version for member in room.members.values()} == {0}
    assert room.members[1].encrypt(1, b"in the clear") == b"in the clear"
    room.join(4)
    room.deliver()
    assert room.members[4].version == 0
    room.log.clear()
    room.group.upgrade()
    room.deliver()
    room.check()
    assert {member.version for member in room.members.values()} == {1}
    assert {user for user, op in room.log if op is Op.EXECUTE_TRANSITION} == {1, 2, 3, 4}


async def test_somebody_elses_key_package_is_refused() -> None:
    room = Room()
    room.join(1, 2)
    package = DaveMember(1, CHANNEL).described(1)[0].body
    with pytest.raises(MlsError, match="another user"):
        room.group.key_package(2, package)
    with pytest.raises(MlsError):
        room.group.commit(1, b"\0\1\0\2")


async def test_a_late_commit_is_no_error() -> None:
    room = Room()
    room.join(1, 2)
    room.deliver()
    room.check()
    assert room.group.counters["commits_late"] == 1


@pytest.mark.parametrize("seed", range(8))
async def test_any_coming_and_going_ends_in_one_epoch(seed: int) -> None:
    random = Random(seed)  # noqa: S311
    room = Room(seed)
    room.join(1, 2)
    for step in range(25):
        what = random.random()
        if what < 0.4 or len(room.members) < 2:
            room.join(100 + step)
        elif what < 0.65:
            room.leave(random.choice(list(room.members)))
        elif what < 0.8:
            room.join(random.choice(list(room.members)))
        room.deliver(messages=random.choice((0, 1, 3, 10, 10_000)))
    room.deliver()
    room.pass_time(2.1)
    room.deliver()
    room.check()
    assert room.group.counters["rounds_failed"] <= 1
