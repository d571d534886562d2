"""The voice gateway's opcodes (version 8) and the codes it closes with."""

from __future__ import annotations

from enum import IntEnum


class Op(IntEnum):
    """From 25 on, except 31, messages are binary; those from the server start with a sequence number of two bytes."""

    IDENTIFY = 0
    SELECT_PROTOCOL = 1
    READY = 2
    HEARTBEAT = 3
    SESSION_DESCRIPTION = 4
    SPEAKING = 5
    HEARTBEAT_ACK = 6
    RESUME = 7
    HELLO = 8
    RESUMED = 9
    CLIENTS_CONNECT = 11
    CLIENT_CONNECT = 12
    CLIENT_DISCONNECT = 13
    CLIENT_FLAGS = 18
    CLIENT_PLATFORM = 20
    PREPARE_TRANSITION = 21
    EXECUTE_TRANSITION = 22
    TRANSITION_READY = 23
    PREPARE_EPOCH = 24
    EXTERNAL_SENDER = 25
    KEY_PACKAGE = 26
    PROPOSALS = 27
    COMMIT_WELCOME = 28
    ANNOUNCE_COMMIT = 29
    WELCOME = 30
    INVALID_COMMIT = 31


class Close(IntEnum):
    NORMAL = 1000
    ABNORMAL = 1006
    """Not sent: the connection just ends."""
    UNKNOWN_OPCODE = 4001
    BAD_PAYLOAD = 4002
    NOT_AUTHENTICATED = 4003
    AUTHENTICATION_FAILED = 4004
    ALREADY_AUTHENTICATED = 4005
    SESSION_NO_LONGER_VALID = 4006
    SESSION_TIMEOUT = 4009
    SERVER_NOT_FOUND = 4011
    UNKNOWN_PROTOCOL = 4012
    DISCONNECTED = 4014
    VOICE_SERVER_CRASHED = 4015
    UNKNOWN_ENCRYPTION_MODE = 4016
    DAVE_REQUIRED = 4017
    BAD_REQUEST = 4020
    RATE_LIMITED = 4021
    CALL_TERMINATED = 4022

    @property
    def resumable(self) -> bool:
        """Whether the client may come back with op 7."""
        return self in (Close.ABNORMAL, Close.VOICE_SERVER_CRASHED)
