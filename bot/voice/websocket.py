"""The voice websocket. Whatever comes over it, the task that reads it lives on, and receiving learns what it needs."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import Awaitable
from typing import Any, Final

from discord.errors import ConnectionClosed

from .compat import WebSocketSeam
from .dave import is_panic
from .faults import survive
from .receiver import Receiver

CLOSE_WAIT_S: Final = 1.0
DISCOVERY_WAIT_S: Final = 0.5
DISCOVERY_TRIES: Final = 6


class HearingWebSocket(WebSocketSeam):
    """The voice websocket; whatever comes over it, the task that reads it lives on."""

    _GROUP_CHANGES = (
        WebSocketSeam.DAVE_PREPARE_TRANSITION,
        WebSocketSeam.DAVE_EXECUTE_TRANSITION,
        WebSocketSeam.DAVE_PREPARE_EPOCH,
    )
    _early_sender: bytes | None = None
    _described = False

    async def received_message(self, msg: dict[str, Any]) -> None:
        op = msg.get("op") if isinstance(msg, dict) else None
        if op in (self.CLIENT_DISCONNECT, *self._GROUP_CHANGES):
            self.connection.reader.catch_up()
        essential = op in (self.READY, self.SESSION_DESCRIPTION, self.HELLO) and not self._described
        try:
            await self._guarded(super().received_message(msg), op, essential=essential)
        except (TimeoutError, OSError):
            await self.check_open()  # it says why; that our address was not found out says nothing
            raise
        try:
            self._note(op, msg.get("d"))
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            self._survived(error, op)

    async def received_binary_message(self, msg: bytes) -> None:
        op = msg[2] if len(msg) > 2 else None
        if op == self.MLS_EXTERNAL_SENDER and not self._described:
            self._early_sender = bytes(msg[3:])
        self.connection.reader.catch_up()
        panicked = await self._guarded(super().received_binary_message(msg), op)
        if panicked and op in (self.MLS_ANNOUNCE_COMMIT_TRANSITION, self.MLS_WELCOME) and len(msg) >= 5:
            await self._guarded(self.connection.recover_from_bad_commit(struct.unpack_from(">H", msg, 3)[0]), op)
        self.connection.receiver.keys_changed()
        self.connection.reader.work()
        if op in (self.MLS_ANNOUNCE_COMMIT_TRANSITION, self.MLS_WELCOME):
            self._note_epoch(op)

    def go_on_from(self, last: Any) -> None:
        super().go_on_from(last)
        self._described = True

    def _note_epoch(self, op: Any) -> None:
        """Which epoch of the group's keys there is after an op, for the journal."""
        epoch = getattr(self.connection.dave_session, "epoch", None)
        figures = {"epoch": epoch} if isinstance(epoch, int) else {}
        version = self.connection.dave_protocol_version
        self.connection.receiver.journal.note("dave", op=int(op), dave_version=version, **figures)

    def _note(self, op: object, data: Any) -> None:
        """Take from a message what receiving needs."""
        receiver: Receiver = self.connection.receiver
        if op == self.SPEAKING or (op == self.CLIENT_CONNECT and data.get("audio_ssrc")):
            ssrc = int(data["ssrc" if op == self.SPEAKING else "audio_ssrc"])
            user_id = int(data["user_id"])
            if not (0 <= ssrc < 1 << 32 and 0 < user_id < 1 << 64):
                raise ValueError("no SSRC, or no user")
            if receiver.ssrcs.user(ssrc) not in (None, user_id):
                self.connection.reader.catch_up()  # what waits is the one's who had the SSRC until now
            receiver.speaking(user_id, ssrc)
        elif op == self.CLIENT_DISCONNECT:
            receiver.left(int(data["user_id"]))
        elif op == self.SESSION_DESCRIPTION:
            self._described = True
            self._use_early_sender()
            receiver.keys_changed()
            receiver.journal.note("session_described", dave_version=int(data["dave_protocol_version"]))
        elif op == self.RESUMED:
            self.resumed = True
        elif op in self._GROUP_CHANGES:
            receiver.keys_changed()
            self._note_epoch(op)
        else:
            return
        self.connection.reader.work()

    def _use_early_sender(self) -> None:
        """Op 25 may come before op 4, when there is no session yet to take it."""
        sender, self._early_sender = self._early_sender, None
        session = self.connection.dave_session
        if sender is not None and session is not None:
            try:
                session.set_external_sender(sender)
            except BaseException as error:
                if not (isinstance(error, ValueError) or is_panic(error)):
                    raise
                self._survived(error, self.MLS_EXTERNAL_SENDER)

    async def _guarded(self, handling: Awaitable[None], op: object, *, essential: bool = False) -> bool:
        """Await discord.py's handling of a message; True when a library panicked over it."""
        try:
            await handling
        except ConnectionClosed:
            raise
        except Exception as error:
            if essential:
                raise
            self._survived(error, op)
        except BaseException as error:
            if not is_panic(error):
                raise
            self._survived(error, op)
            return True
        return False

    def _survived(self, error: BaseException, op: object) -> None:
        counters = self.connection.receiver.counters
        counters.gateway_errors += 1
        survive(counters, "voice_gateway_message_failed", error, op=op if isinstance(op, int) else -1)

    async def discover_ip(self) -> tuple[str, int]:
        """Ask the voice server for our address; a request that is lost on the way is repeated."""
        connection = self.connection
        request = struct.pack(">HHI66x", 1, 70, connection.ssrc)
        for attempt in range(DISCOVERY_TRIES):
            try:
                answer = await connection.reader.discover(request, DISCOVERY_WAIT_S)
            except TimeoutError:
                if attempt == DISCOVERY_TRIES - 1:
                    raise
                continue
            address, _, _ = answer[8:72].partition(b"\0")
            return address.decode("ascii", "replace"), int.from_bytes(answer[72:74], "big")
        raise TimeoutError

    async def close(self, code: int = 1000) -> None:
        """Close without waiting for a server that no longer answers."""
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(CLOSE_WAIT_S):
                await super().close(code)
