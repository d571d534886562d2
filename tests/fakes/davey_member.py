"""A member of the call whose encryption is davey, driven as discord.py drives it: the other library, for comparison."""

from __future__ import annotations

from collections import Counter
from typing import Any

import davey

from sandbox.voice import Op
from sandbox.voice.member import Reply


class DaveyMember:
    """Stands in for `DaveMember` in a `ClientVoice`."""

    def __init__(self, user_id: int, channel_id: int) -> None:
        self._ids = (user_id, channel_id)
        self._session: davey.DaveSession | None = None
        self._early_sender: bytes | None = None
        self._people = {str(user_id)}
        self._version = 0
        self._pending: dict[int, int] = {}
        self.counters: Counter[str] = Counter()

    @property
    def session(self) -> davey.DaveSession:
        assert self._session is not None
        return self._session

    @property
    def ready(self) -> bool:
        return self._version == 0 or (self._session is not None and self._session.ready)

    @property
    def others(self) -> int:
        return len(self._people) - 1

    @property
    def epoch_authenticator(self) -> bytes | None:
        return self._session.get_epoch_authenticator() if self._session is not None else None

    def described(self, version: int) -> list[Reply]:
        self._version = version
        return self._begin() if version else []

    def received(self, op: int, data: dict[str, Any]) -> list[Reply]:
        if op == Op.CLIENTS_CONNECT:
            self._people.update(data["user_ids"])
        elif op == Op.CLIENT_DISCONNECT:
            self._people.discard(data["user_id"])
        elif op == Op.PREPARE_EPOCH and data["epoch"] == 1:
            self._version = data["protocol_version"]
            return self._begin()
        elif op == Op.PREPARE_TRANSITION:
            if data["protocol_version"] == 0:
                self.session.set_passthrough_mode(True, 120)
            return self._prepared(data["transition_id"], data["protocol_version"])
        elif op == Op.EXECUTE_TRANSITION:
            version = self._pending.pop(data["transition_id"], self._version)
            if version and not self._version:
                self.session.set_passthrough_mode(True, 10)
            self._version = version
        return []

    def received_binary(self, op: int, body: bytes) -> list[Reply]:
        if op == Op.EXTERNAL_SENDER:
            if self._session is None:
                self._early_sender = body
            else:
                self._session.set_external_sender(body)
        elif op == Op.PROPOSALS:
            kind = davey.ProposalsOperationType.append if body[0] == 0 else davey.ProposalsOperationType.revoke
            answer = self.session.process_proposals(kind, body[1:], [int(user_id) for user_id in self._people])
            if answer is not None:
                return [Reply(op=Op.COMMIT_WELCOME, body=answer.commit + (answer.welcome or b""))]
        elif op in (Op.ANNOUNCE_COMMIT, Op.WELCOME):
            transition_id = int.from_bytes(body[:2], "big")
            process = self.session.process_commit if op == Op.ANNOUNCE_COMMIT else self.session.process_welcome
            try:
                process(body[2:])
            except ValueError:
                self.counters["invalid_commits"] += 1
                return [Reply(op=Op.INVALID_COMMIT, data={"transition_id": transition_id}), *self._begin()]
            return self._prepared(transition_id, self._version)
        return []

    def encrypt(self, ssrc: int, frame: bytes) -> bytes | None:
        return self.session.encrypt_opus(frame) if self._version else frame

    def decrypt(self, user_id: int, payload: bytes) -> bytes | None:
        if not self._version and self._session is None:
            return payload
        try:
            return self.session.decrypt(user_id, davey.MediaType.audio, payload)
        except ValueError:
            return None

    def _begin(self) -> list[Reply]:
        if self._session is None:
            self._session = davey.DaveSession(self._version, *self._ids)
        else:
            self._session.reinit(self._version, *self._ids)
        if self._early_sender is not None:
            self._session.set_external_sender(self._early_sender)
            self._early_sender = None
        return [Reply(op=Op.KEY_PACKAGE, body=self._session.get_serialized_key_package())]

    def _prepared(self, transition_id: int, version: int) -> list[Reply]:
        if transition_id == 0:
            self._version = version
            return []
        self._pending[transition_id] = version
        return [Reply(op=Op.TRANSITION_READY, data={"transition_id": transition_id})]
