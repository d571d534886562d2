"""What Discord's ids are called in the log: the same word for the same id, and no way back without the key.

An id tells who somebody is: Discord shows the account to anybody who has it. A plain hash of one hides nothing, because
ids are times and can be counted through, so the hash has the installation's key. Until that is known, and in programs
that have none, the key is a random one of this process. `undertone log-name ID` says what an id is called.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Mapping
from typing import Any, Final

_ID: Final = re.compile(r"(?<![\w.])\d{17,20}(?!\w)")
"""An id in running text. Those of today have 17 to 19 digits."""
_SMALLEST: Final = 10**16
_FIELDS: Final = frozenset({"user", "guild", "channel", "message", "role"})
"""Fields, with or without ``_id`` behind them, that hold an id whatever its size."""


class LogNames:
    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def use(self, key: bytes) -> None:
        """From now on with the installation's key, so that an id keeps its name over a restart."""
        self._key = hmac.digest(key, b"undertone log", "sha256")

    def of(self, discord_id: int | str) -> str:
        """``id-3f9c2a71b04e``"""
        return f"id-{hmac.digest(self._key, str(discord_id).encode(), 'sha256').hex()[:12]}"

    def in_text(self, text: str) -> str:
        """The text with every id in it renamed."""
        return _ID.sub(lambda found: self.of(found[0]), text)

    def in_field(self, name: str, value: Any) -> Any:
        """A field's value, likewise, however deep it lies."""
        if isinstance(value, bool):
            return value
        if isinstance(value, int):
            is_id = name.removesuffix("_id") in _FIELDS or value >= _SMALLEST
            return self.of(value) if is_id else value
        if isinstance(value, str):
            return self.in_text(value)
        if isinstance(value, Mapping):
            return {self.in_field("", key): self.in_field(str(key), inner) for key, inner in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.in_field(name, inner) for inner in value]
        return value


log_names: Final = LogNames()
"""Those of this process's log."""
