"""How a person appears in the database: a hash to find their rows, a sealed id to look their name up, nothing else.

Both need the key, which lies beside the database and not in it: a copied database names nobody. The hash is scoped (to
a session, or to a server for a standing consent), so two sessions' rows of one person cannot be joined without the key.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable
from typing import Final

from cryptography.fernet import Fernet, InvalidToken

from storage import schema
from storage.database import Database
from storage.errors import StorageConflict, WrongKey

KEY_BYTES: Final = 32


class Identity:
    """Hashes and seals Discord user ids with one 32-byte key.

    The hash is HMAC-SHA256 (RFC 2104), the seal Fernet (AES-128-CBC with HMAC-SHA256); each has a key of its own,
    derived from the given one by HMAC with a fixed label.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise WrongKey(f"The storage key must be {KEY_BYTES} bytes long, not {len(key)}.")
        self._hash_key = hmac.digest(key, b"undertone hash", "sha256")
        block = self._hash_key.ljust(64, b"\0")
        self._inner, self._outer = (bytes(byte ^ pad for byte in block) for pad in (0x36, 0x5C))  # RFC 2104
        self._fernet = Fernet(base64.urlsafe_b64encode(hmac.digest(key, b"undertone seal", "sha256")))
        self.fingerprint: Final = hmac.digest(key, b"undertone fingerprint", "sha256").hex()[:16]
        """Says which key a database belongs to, and nothing about the key."""

    def in_session(self, session_id: str, user_id: int) -> str:
        """The person's hash within one session, 64 hex digits."""
        return self._hash("session", session_id, user_id)

    def in_sessions(self, session_ids: Iterable[str], user_id: int) -> dict[str, str]:
        """The person's hash within each of many sessions.

        It is the HMAC of `_hash`, written out: for ten thousand sessions the library's takes twice as long.
        """
        inner, outer, sha256 = self._inner, self._outer, hashlib.sha256
        return {
            session_id: sha256(outer + sha256(inner + f"session:{session_id}:{user_id}".encode()).digest()).hexdigest()
            for session_id in session_ids
        }

    def in_server(self, guild_id: int, user_id: int) -> str:
        """The person's hash within one server, 64 hex digits."""
        return self._hash("server", str(guild_id), user_id)

    def seal(self, user_id: int) -> str:
        """The user id, encrypted; two seals of one id differ."""
        return self._fernet.encrypt(str(user_id).encode()).decode()

    def unseal(self, sealed: str) -> int:
        """The user id again. Raises WrongKey when it was sealed with another key."""
        try:
            return int(self._fernet.decrypt(sealed.encode()))
        except InvalidToken as error:
            raise WrongKey("A sealed user id does not belong to this storage key.") from error

    def _hash(self, scope: str, scope_id: str, user_id: int) -> str:
        return hmac.digest(self._hash_key, f"{scope}:{scope_id}:{user_id}".encode(), "sha256").hex()


def token_hash(token: str) -> str:
    """What is stored of a share link's token: its SHA-256 (the token is 256 random bits, so no salt is needed)."""
    return hashlib.sha256(token.encode()).hexdigest()


async def check_key(database: Database, identity: Identity) -> None:
    """Note in a new database whose key it is. Raises WrongKey where an old one is another's."""
    try:
        async with database.writing() as db:
            if await db.get(schema.Meta, "key") is None:
                db.add(schema.Meta(name="key", value=identity.fingerprint))
    except StorageConflict:  # another process that opens it, too, was first
        pass
    async with database.transaction() as db:
        stored = await db.get_one(schema.Meta, "key")
        if stored.value != identity.fingerprint:
            raise WrongKey(
                "The key file does not belong to this database. Put back the key that lay beside it, "
                "or start with a new database."
            )
