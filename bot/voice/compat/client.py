"""A voice client of discord.py that can send in a mode that discord.py does not know."""

from __future__ import annotations

from typing import Any

import discord

from bot.voice.transport import seal_gcm


class EncryptingClient(discord.VoiceClient):
    """What a `VoiceClient` needs to send in a mode that discord.py does not know."""

    _connection: Any
    _incr_nonce: int

    @property
    def connection(self) -> Any:
        return self._connection

    def next_nonce(self) -> int:
        nonce = self._incr_nonce
        self.checked_add("_incr_nonce", 1, 0xFFFFFFFF)
        return nonce

    def _encrypt_aead_aes256_gcm_rtpsize(self, header: bytes, data: bytes) -> bytes:
        return seal_gcm(bytes(header), bytes(data), self.next_nonce(), bytes(self.secret_key))


def client_of(channel: discord.VoiceChannel | discord.StageChannel) -> discord.Client:
    """The client whose cache a channel is from."""
    return channel._state._get_client()
