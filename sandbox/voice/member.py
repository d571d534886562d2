"""The encryption side of a simulated person's client: Discord's own libdave, driven as Discord's clients drive it.

Nothing of DAVE is done here by us, so what a bot can decrypt from these members it can decrypt from Discord's.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Final, Protocol

import dave

from sandbox.voice.ops import Op

_AT_ONCE: Final = 0
"""The transition id of a group's beginning: it takes effect without waiting for anybody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the client is to answer: JSON when `data` is there, binary otherwise."""

    op: Op
    body: bytes = b""
    data: dict[str, Any] | None = None


class Member(Protocol):
    """A client's end-to-end encryption: messages in, answers out; frames in, frames out."""

    counters: Counter[str]

    @property
    def ready(self) -> bool:
        """Frames can be sent: encrypted, or in the clear because the call is downgraded."""
        ...

    @property
    def others(self) -> int:
        """How many other people the server has named."""
        ...

    @property
    def epoch_authenticator(self) -> bytes | None:
        """Equal at all members of the same epoch of the same group."""
        ...

    def described(self, version: int) -> list[Reply]:
        """Op 4 told the call's protocol version."""
        ...

    def received(self, op: int, data: dict[str, Any]) -> list[Reply]:
        """A JSON message; those that are not about the group are ignored."""
        ...

    def received_binary(self, op: int, body: bytes) -> list[Reply]: ...

    def encrypt(self, ssrc: int, frame: bytes) -> bytes | None:
        """The frame for the wire; None while there is no key."""
        ...

    def decrypt(self, user_id: int, payload: bytes) -> bytes | None:
        """The frame that was spoken; None when it cannot be told (yet)."""
        ...


class DaveMember:
    """One client's encryption in one voice session."""

    def __init__(self, user_id: int, channel_id: int) -> None:
        self.counters: Counter[str] = Counter()
        self.version = 0
        self._user_id = user_id
        self._channel_id = channel_id
        self._recognised = {str(user_id)}
        """Everyone whom the server has named: a welcome may list somebody who left while it was made."""
        self._here: set[str] = set()
        self._session = dave.Session(self._failed)
        self._encryptor = dave.Encryptor()
        self._decryptors: dict[int, dave.Decryptor] = {}
        self._members: list[int] = []
        self._pending: dict[int, int] = {}
        """Transitions not yet executed, and the protocol version each leads to."""

    # what is known of the call

    @property
    def ready(self) -> bool:
        return bool(self._encryptor.has_key_ratchet() or self._encryptor.is_passthrough_mode())

    @property
    def others(self) -> int:
        return len(self._here)

    @property
    def members(self) -> tuple[int, ...]:
        """Who is in the group, as this member sees it."""
        return tuple(self._members)

    @property
    def epoch_authenticator(self) -> bytes | None:
        return self._session.get_last_epoch_authenticator() if self._session.has_established_group() else None

    # messages

    def described(self, version: int) -> list[Reply]:
        self.version = version
        if version == 0:
            self._encryptor.set_passthrough_mode(True)
            return []
        return self._begin(version)

    def received(self, op: int, data: dict[str, Any]) -> list[Reply]:
        if op == Op.CLIENTS_CONNECT:
            self._recognised.update(data["user_ids"])
            self._here.update(data["user_ids"])
            self._here.discard(str(self._user_id))
        elif op == Op.CLIENT_DISCONNECT:
            self._here.discard(data["user_id"])
        elif op == Op.PREPARE_TRANSITION:
            return self._prepare(int(data["transition_id"]), int(data["protocol_version"]))
        elif op == Op.EXECUTE_TRANSITION:
            self._execute(int(data["transition_id"]))
        elif op == Op.PREPARE_EPOCH and data["epoch"] == 1:
            if self.version:
                self._encryptor.set_key_ratchet(None)  # the old group is gone; nobody could decrypt
            self.version = int(data["protocol_version"])
            return self._begin(self.version)
        return []

    def received_binary(self, op: int, body: bytes) -> list[Reply]:
        if op == Op.EXTERNAL_SENDER:
            self._session.set_external_sender(body)
        elif op == Op.PROPOSALS:
            commit = self._session.process_proposals(body, self._recognised)
            if commit is not None:
                return [Reply(op=Op.COMMIT_WELCOME, body=commit)]
        elif op == Op.ANNOUNCE_COMMIT:
            return self._follow(int.from_bytes(body[:2], "big"), self._session.process_commit(body[2:]))
        elif op == Op.WELCOME:
            roster = self._session.process_welcome(body[2:], self._recognised)
            return self._follow(int.from_bytes(body[:2], "big"), roster)
        return []

    # frames

    def encrypt(self, ssrc: int, frame: bytes) -> bytes | None:
        if not self.ready:
            return None
        self._encryptor.assign_ssrc_to_codec(ssrc, dave.Codec.opus)
        sealed: bytes | None = self._encryptor.encrypt(dave.MediaType.audio, ssrc, frame)
        return sealed

    def decrypt(self, user_id: int, payload: bytes) -> bytes | None:
        decryptor = self._decryptors.get(user_id)
        frame: bytes | None = decryptor.decrypt(dave.MediaType.audio, payload) if decryptor else None
        return frame

    # inside

    def _begin(self, version: int) -> list[Reply]:
        self._session.init(version, self._channel_id, str(self._user_id), None)
        package = self._session.get_marshalled_key_package()
        return [Reply(op=Op.KEY_PACKAGE, body=package)] if package else []

    def _follow(self, transition_id: int, outcome: object) -> list[Reply]:
        """A commit or a welcome was processed: learn the new keys, or ask to be added anew."""
        if outcome is dave.RejectType.ignored:
            return []
        if not isinstance(outcome, dict):
            self.counters["invalid_commits"] += 1
            self._encryptor.set_key_ratchet(None)  # the others have moved on; nobody could decrypt
            invalid = Reply(op=Op.INVALID_COMMIT, data={"transition_id": transition_id})
            return [invalid, *self._begin(self.version)]
        gone = {user_id for user_id, key in outcome.items() if not key}
        kept = [user_id for user_id in self._members if user_id not in gone and user_id not in outcome]
        self._members = [*kept, *(user_id for user_id in outcome if user_id not in gone)]
        for user_id in self._members:
            ratchet = self._session.get_key_ratchet(str(user_id))
            if user_id != self._user_id and ratchet is not None:
                self._decryptors.setdefault(user_id, dave.Decryptor()).transition_to_key_ratchet(ratchet)
        return self._prepare(transition_id, self.version)

    def _prepare(self, transition_id: int, version: int) -> list[Reply]:
        self._pending[transition_id] = version
        if transition_id == _AT_ONCE:
            self._execute(_AT_ONCE)
            return []
        return [Reply(op=Op.TRANSITION_READY, data={"transition_id": transition_id})]

    def _execute(self, transition_id: int) -> None:
        version = self._pending.pop(transition_id, None)
        if version is None:
            self.counters["unknown_transitions"] += 1
            return
        self.version = version
        clear = version == 0
        self._encryptor.set_passthrough_mode(clear)
        for decryptor in self._decryptors.values():
            decryptor.transition_to_passthrough_mode(clear)
        if not clear:
            self._encryptor.set_key_ratchet(self._session.get_key_ratchet(str(self._user_id)))

    def _failed(self, source: str, reason: str) -> None:
        self.counters["mls_failures"] += 1
