"""DAVE's delivery service for one call: who is in the encrypted group, and how everyone reaches the same epoch.

One thing happens at a time. A *round* hands out proposals and ends with the first commit that takes all of them up; the
*transition* that follows ends when every member said it is ready, or when the slowest has had its time. Only then does
the next round begin, so that no proposal ever crosses a commit in flight: davey merges the last commit it made, not the
one that won, and would part from the group.

The order of needs is: members who left, or whose state broke, are removed; then those who wait are added. Somebody who
is alone starts a new group (op 24, epoch 1). Nobody is handed the Add of themselves.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Iterable
from typing import Final

from sandbox.voice.leaves import Leaves
from sandbox.voice.mls import (
    Commit,
    ExternalSender,
    KeyPackage,
    MlsError,
    Proposal,
    append_message,
    parse_commit,
    parse_key_package,
    revoke_message,
    u16,
)
from sandbox.voice.ops import Op
from sandbox.voice.rounds import GroupSettings, Outbox, Round, Schedule, Transition

PROTOCOL_VERSION: Final = 1
_TRIES: Final = 3


class Group:
    """The encrypted group of one voice channel, as far as a server can see it."""

    def __init__(self, channel_id: int, outbox: Outbox, schedule: Schedule, settings: GroupSettings) -> None:
        self.channel_id = channel_id
        self.version = PROTOCOL_VERSION
        self.epoch = 0
        self.counters: Counter[str] = Counter()
        self._outbox = outbox
        self._schedule = schedule
        self._settings = settings
        self._sender = ExternalSender(channel_id)
        self._leaves = Leaves()
        self._present: dict[int, KeyPackage | None] = {}
        self._broken: set[int] = set()
        self._told_sender: set[int] = set()
        self._round: Round | None = None
        self._transition: Transition | None = None
        self._last_transition = 0
        self._upgrading = False
        self._failed_rounds = 0
        self._changed = asyncio.Event()

    # what the call tells

    def begin(self, user_id: int) -> None:
        """A new connection of this user is there: what its connections before were told counts no more."""
        self._told_sender.discard(user_id)

    def join(self, user_id: int) -> None:
        """A client is connected and keyed; when it was a member before, that membership is void."""
        if user_id in self._leaves:
            self._broken.add(user_id)
        self._drop(user_id)
        self._present[user_id] = None
        if self.version:
            self.tell_sender(user_id)
        self._advance()

    def tell_sender(self, user_id: int) -> None:
        """Op 25, once a connection; the call may send it ahead of time."""
        if user_id not in self._told_sender:
            self._told_sender.add(user_id)
            self._outbox.send_binary(user_id, Op.EXTERNAL_SENDER, self._sender.package())

    def leave(self, user_id: int) -> None:
        self._told_sender.discard(user_id)
        if user_id in self._present:
            self._drop(user_id)
            self._advance()

    def close(self) -> None:
        for pending in (self._round, self._transition):
            if pending is not None:
                pending.timer.cancel()
        self._round = self._transition = None
        self._present.clear()

    # what members say

    def key_package(self, user_id: int, data: bytes) -> None:
        """Op 26.

        Raises:
            MlsError: not a key package, or somebody else's.
        """
        package = parse_key_package(data)
        if package.user_id != user_id:
            raise MlsError("the key package of another user")
        if user_id not in self._present:
            return
        self._present[user_id] = package
        if user_id in self._leaves:
            self._broken.add(user_id)  # it began anew by itself
        self._advance()

    def commit(self, user_id: int, data: bytes) -> None:
        """Op 28: the first that fits wins the round; the others' are late, which is no error.

        Raises:
            MlsError: not a commit.
        """
        commit = parse_commit(data)
        asked = self._round.proposals.get(user_id) if self._round else None
        if asked is None or not self._fits(commit, user_id, asked):
            self.counters["commits_late"] += 1
            return
        assert self._round is not None  # noqa: S101  (asked was found in it)
        self._round.timer.cancel()
        self._round = None
        self._failed_rounds = 0
        self._accept(user_id, commit, {proposal.ref: proposal for proposal in asked})

    def ready(self, user_id: int, transition_id: int) -> None:
        """Op 23."""
        if self._transition is not None and self._transition.id == transition_id:
            self._transition.waiting.discard(user_id)
            self._maybe_execute()

    def invalid(self, user_id: int) -> None:
        """Op 31: the member could not follow; it is removed, and added again with its next key package."""
        self.counters["commits_invalid"] += 1
        if user_id not in self._present:
            return
        if user_id in self._leaves:
            self._broken.add(user_id)
        self._present[user_id] = None
        if self._transition is not None:
            self._transition.waiting.discard(user_id)
            self._maybe_execute()
        self._advance()

    # what the sandbox does on demand

    def downgrade(self) -> None:
        """Everyone to protocol version 0: no end-to-end encryption until `upgrade`."""
        self._abandon()
        self.version = 0
        self._forget_group()
        self._begin_transition(set(self._present), 0)

    def upgrade(self) -> None:
        """Back to encryption: everyone is to start a new group."""
        if self.version:
            return
        self._abandon()
        self.version = PROTOCOL_VERSION
        self._upgrading = True
        self._restart(self._present)
        self._advance()

    # what others may know

    @property
    def members(self) -> tuple[int, ...]:
        """Who is in the group, by leaf."""
        return self._leaves.members

    @property
    def settled(self) -> bool:
        """Nothing is under way and nothing is needed."""
        if self._round is not None or self._transition is not None:
            return False
        if not self.version:
            return True
        if not self._leaves:
            return len(self._present) < 2 and None not in self._present.values()
        return not self._broken and set(self.members) == set(self._present)

    async def wait_settled(self) -> None:
        while not self.settled:
            self._changed.clear()
            await self._changed.wait()

    # rounds

    def _advance(self) -> None:
        if self._round is None and self._transition is None and self.version:
            if self._leaves:
                self._change_group()
            else:
                self._found_group()
        self._changed.set()

    def _found_group(self) -> None:
        offered = {user_id: package for user_id, package in self._present.items() if package is not None}
        if len(offered) < 2:
            return
        adds = [self._sender.propose_add(0, package) for package in offered.values()]
        self._begin_round({user_id: [add for add in adds if add.user_id != user_id] for user_id in offered})

    def _change_group(self) -> None:
        gone = [user_id for user_id in self.members if user_id in self._broken or user_id not in self._present]
        staying = [user_id for user_id in self.members if user_id not in gone]
        if not staying or (len(self._present) == 1 and gone):
            self._forget_group()
            self._restart(staying)
            self._found_group()
            return
        if gone:
            proposals = [self._sender.propose_remove(self.epoch, user, self._leaves.of(user)) for user in gone]
        else:
            waiting = (p for u, p in self._present.items() if p is not None and u not in self._leaves)
            proposals = [self._sender.propose_add(self.epoch, package) for package in waiting]
        if proposals:
            self._begin_round(dict.fromkeys(staying, proposals))

    def _begin_round(self, proposals: dict[int, list[Proposal]]) -> None:
        timer = self._schedule(self._settings.commit_timeout_s, self._round_failed)
        self._round = Round(proposals=proposals, timer=timer)
        self.counters["rounds"] += 1
        for user_id, asked in proposals.items():
            self._outbox.send_binary(user_id, Op.PROPOSALS, append_message(asked))

    def _round_failed(self) -> None:
        """Nobody committed in time: take the proposals back and try again, at last with a new group."""
        self.counters["rounds_failed"] += 1
        self._failed_rounds += 1
        self._abandon()
        if self._failed_rounds >= _TRIES:
            self._failed_rounds = 0
            self._forget_group()
            self._restart(self._present)
        self._advance()

    def _abandon(self) -> None:
        if self._round is not None:
            self._round.timer.cancel()
            for user_id, asked in self._round.proposals.items():
                refs = revoke_message(proposal.ref for proposal in asked)
                self._outbox.send_binary(user_id, Op.PROPOSALS, refs)
            self._round = None
        if self._transition is not None:
            self._transition.timer.cancel()
            self._transition = None

    def _fits(self, commit: Commit, user_id: int, asked: list[Proposal]) -> bool:
        leaf = self._leaves.of(user_id) if self._leaves else 0
        added = {proposal.package_ref for proposal in asked if proposal.package_ref is not None}
        welcomed = {ref for ref, _ in commit.welcome.secrets} if commit.welcome else set()
        return (
            commit.group_id == self.channel_id
            and commit.epoch == self.epoch
            and commit.leaf == leaf
            and sorted(commit.refs) == sorted(proposal.ref for proposal in asked)
            and welcomed == added
        )

    def _accept(self, winner: int, commit: Commit, asked: dict[bytes, Proposal]) -> None:
        founded = not self._leaves
        proposals = [asked[ref] for ref in commit.refs]
        if founded:
            self._leaves.seat(winner)
        for proposal in proposals:
            if proposal.leaf is not None:
                self._leaves.blank(proposal.leaf)
                self._broken.discard(proposal.user_id)
        followers = [user_id for user_id in self.members if user_id not in self._broken]
        joiners = {p.user_id: p.package_ref for p in proposals if p.package_ref is not None}
        for user_id in joiners:
            self._leaves.seat(user_id)
        self.epoch += 1
        self.counters["epochs"] += 1
        transition_id = 0 if founded and not self._upgrading else self._next_transition()
        self._upgrading = False
        announce = u16(transition_id)
        for user_id in followers:
            self._outbox.send_binary(user_id, Op.ANNOUNCE_COMMIT, announce + commit.data)
        for user_id, ref in joiners.items():
            package = self._present.get(user_id)
            if commit.welcome is None or package is None or package.ref != ref:
                self._broken.add(user_id)  # it left, or began anew, while it was being added
            else:
                self._outbox.send_binary(user_id, Op.WELCOME, announce + commit.welcome.for_member(ref))
        if transition_id:
            self._await_ready(transition_id, {*followers, *joiners})
        self._advance()

    # transitions

    def _begin_transition(self, members: set[int], version: int) -> None:
        transition_id = self._next_transition()
        for user_id in members:
            self._outbox.send_json(
                user_id, Op.PREPARE_TRANSITION, {"transition_id": transition_id, "protocol_version": version}
            )
        self._await_ready(transition_id, members)

    def _await_ready(self, transition_id: int, members: Collection[int]) -> None:
        waiting = {user_id for user_id in members if user_id in self._present and self._settings.waits_for(user_id)}
        timer = self._schedule(self._settings.ready_timeout_s, self._execute)
        self._transition = Transition(id=transition_id, told=set(members), waiting=waiting, timer=timer)
        self._maybe_execute()

    def _maybe_execute(self) -> None:
        if self._transition is not None and not self._transition.waiting:
            self._execute()

    def _execute(self) -> None:
        transition, self._transition = self._transition, None
        if transition is None:
            return
        transition.timer.cancel()
        for user_id in transition.told:
            self._outbox.send_json(user_id, Op.EXECUTE_TRANSITION, {"transition_id": transition.id})
        self._advance()

    def _next_transition(self) -> int:
        self._last_transition = self._last_transition % 0xFFFF + 1
        return self._last_transition

    # housekeeping

    def _drop(self, user_id: int) -> None:
        self._present.pop(user_id, None)
        if self._round is not None:
            self._round.proposals.pop(user_id, None)
            if not self._round.proposals:
                self._round.timer.cancel()
                self._round = None
        if self._transition is not None:
            self._transition.told.discard(user_id)
            self._transition.waiting.discard(user_id)
            self._maybe_execute()

    def _forget_group(self) -> None:
        self._leaves.clear()
        self._broken.clear()
        self.epoch = 0

    def _restart(self, members: Iterable[int]) -> None:
        """Op 24: these are to begin a new group, with a new key package."""
        for user_id in tuple(members):
            self.counters["resets"] += 1
            self._present[user_id] = None
            self._outbox.send_json(
                user_id,
                Op.PREPARE_EPOCH,
                {"transition_id": 0, "protocol_version": self.version, "epoch": 1},
            )
            self.tell_sender(user_id)
