"""`Storage`: all repositories behind one door, with the database and the key checked when it opens."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from storage.claim import Claim, file_of
from storage.database import Database
from storage.identity import Identity, check_key
from storage.listing import Listed, ListRepository, Wanted
from storage.messages import MessageRepository
from storage.owners import OwnerRepository
from storage.records import (
    Decision,
    Edition,
    MessageRecord,
    MomentRecord,
    NewSession,
    ParticipantRecord,
    Purpose,
    ServerSettings,
    SessionRecord,
    SessionReport,
    SessionState,
    ShareRecord,
    Traces,
    WindowRecord,
)
from storage.rights import RightsRepository
from storage.servers import ConsentRepository, ServerRepository
from storage.sessions import SessionRepository
from storage.shares import ShareRepository
from storage.turns import Holds, turn
from storage.wire import Wire, living


class Storage:
    """The service's database, for many tasks at once. All methods raise StorageUnavailable when it does not answer."""

    def __init__(
        self, database: Database, identity: Identity, *, retention_days: int, file: Path | None = None
    ) -> None:
        self._database = database
        self._file = file
        self._claim: Claim | None = None
        self._identity = identity
        self.retention_days: Final = retention_days
        self._servers = ServerRepository(database, operator_days=retention_days)
        self._consents = ConsentRepository(database, identity)
        self._sessions = SessionRepository(database, identity)
        self.owners = OwnerRepository(database, self._sessions)
        self._listing = ListRepository(database, identity, self._sessions)
        self._shares = ShareRepository(database, identity)
        self._messages = MessageRepository(database, identity, default_retention_days=retention_days)
        self._rights = RightsRepository(database, identity, default_retention_days=retention_days)

    @classmethod
    async def open(cls, url: str, *, key: bytes, retention_days: int = 7) -> Storage:
        """Connect, migrate to the newest schema and check that `key` (32 bytes) is this database's.

        `retention_days` holds for servers that chose nothing. Raises WrongKey, NewerSchema, StorageUnavailable,
        StorageError.
        """
        identity = Identity(key)
        database = await Database.open(url)
        try:
            await check_key(database, identity)
        except BaseException:
            await database.close()
            raise
        return cls(database, identity, retention_days=retention_days, file=file_of(url))

    async def close(self, *, within_s: float | None = None) -> None:
        """Whoever still waits after `within_s` (None: 5 s) is told that it is closed."""
        await self._database.close(within_s)
        if self._claim is not None:
            self._claim.release()

    def claim(self) -> None:
        """Serve this SQLite file alone until it is closed; PostgreSQL is for many. Raises AlreadyServed."""
        if self._file is not None and self._claim is None:
            self._claim = Claim(self._file)

    # --- other processes on the same database

    def sealed(self, user_id: int) -> str:
        """A person's id for another process; only who has the key can read it."""
        return self._identity.seal(user_id)

    def unsealed(self, sealed: str) -> int:
        return self._identity.unseal(sealed)

    @property
    def shared(self) -> bool:
        """Whether several processes may share this database."""
        return self._database.dialect == "postgresql"

    def wire(self, me: str, *, heard: Callable[[str, str], None], connected: Callable[[], Awaitable[None]]) -> Wire:
        """This process' end of the line between them; `shared` must hold."""
        return Wire(self._database, me, heard=heard, connected=connected)

    async def living(self) -> frozenset[str]:
        """The names of those that hold a wire now."""
        return await living(self._database) if self.shared else frozenset()

    def turn(self, work: str) -> AbstractAsyncContextManager[Holds | None]:
        return turn(self._database, work)

    async def ping(self) -> None:
        await self._database.ping()

    # --- servers and standing consent

    async def server(self, guild_id: int) -> ServerSettings:
        return await self._servers.get(guild_id)

    async def change_server(self, guild_id: int, changed: Callable[[ServerSettings], ServerSettings]) -> ServerSettings:
        """Save what `changed` makes of a server's settings, with nothing of anybody else's choice lost between."""
        return await self._servers.change(guild_id, changed)

    async def viewer_roles(self, guild_id: int | None = None) -> dict[int, int]:
        return await self._servers.viewer_roles(guild_id)

    async def servers_present(
        self, guild_ids: Collection[int], now: datetime, of: Callable[[int], bool] | None = None
    ) -> None:
        await self._servers.present(guild_ids, now, of)

    async def server_left(self, guild_id: int, now: datetime) -> None:
        await self._servers.left(guild_id, now)

    async def server_back(self, guild_id: int) -> None:
        await self._servers.back(guild_id)

    async def standing_consent(self, guild_id: int, user_id: int, purpose: Purpose = Purpose.LIVE) -> Decision | None:
        return await self._consents.get(guild_id, user_id, purpose)

    async def set_standing_consent(
        self,
        guild_id: int,
        user_id: int,
        decision: Decision | None,
        purpose: Purpose = Purpose.LIVE,
        *,
        at: datetime | None = None,
    ) -> None:
        await self._consents.set(guild_id, user_id, decision, purpose, at)

    async def end_consents_before(self, guild_id: int, user_id: int, joined_at: datetime) -> frozenset[Purpose]:
        return await self._consents.end_before(guild_id, user_id, joined_at)

    # --- sessions

    async def start_session(self, new: NewSession) -> SessionRecord:
        return await self._sessions.start(new)

    async def include_participant(self, session_id: str, user_id: int) -> ParticipantRecord:
        return await self._sessions.include(session_id, user_id)

    async def withdraw_participant(self, session_id: str, user_id: int) -> None:
        await self._sessions.withdraw(session_id, user_id)

    async def add_windows(self, session_id: str, windows: Sequence[WindowRecord]) -> int:
        return await self._sessions.add_results([(session_id, window) for window in windows])

    async def add_results(self, results: Sequence[tuple[str, WindowRecord | MomentRecord]]) -> int:
        """Windows, and moments that were noticed, with the id of their session; returns how many were stored."""
        return await self._sessions.add_results(results)

    async def add_moment(self, session_id: str, moment: MomentRecord, *, author_id: int | None = None) -> None:
        await self._sessions.add_moment(session_id, moment, author_id=author_id)

    async def end_session(
        self,
        session_id: str,
        *,
        state: SessionState,
        reason: str,
        counters: Mapping[str, int],
        at: datetime | None = None,
    ) -> SessionRecord:
        return await self._sessions.end(session_id, state=state, reason=reason, counters=counters, at=at)

    async def interrupt_live_sessions(self, of: Callable[[int], bool] | None = None) -> list[SessionRecord]:
        """Close what a killed process left open; `of` says of which servers, and None stands for all."""
        return await self.owners.interrupt(of=of, living=await self.living())

    async def settled(self, session_id: str) -> None:
        await self.owners.settled(session_id)

    async def session(self, session_id: str) -> SessionRecord | None:
        return await self._sessions.get(session_id)

    async def sessions(self, *, guild_id: int | None = None, limit: int = 50) -> list[SessionRecord]:
        """The newest first; whoever pages on asks for `listed`."""
        return await self._sessions.list(guild_id=guild_id, limit=limit)

    async def listed(
        self, wanted: Wanted, *, limit: int, user_id: int | None = None, readable: Collection[int] = ()
    ) -> list[Listed]:
        """A page of the list with its people; of one person and the servers whose reports they may all read, or all."""
        return await self._listing.page(wanted, limit=limit, user_id=user_id, readable=readable)

    async def places(self, *, user_id: int | None = None, readable: Collection[int] = ()) -> list[tuple[int, int]]:
        """Server and channel of all sessions, or of those that somebody may open; see `ListRepository.places`."""
        return await self._listing.places(user_id=user_id, readable=readable)

    async def participants(self, session_id: str) -> Sequence[ParticipantRecord]:
        return await self._sessions.participants(session_id)

    async def report(self, session_id: str) -> SessionReport | None:
        return await self._sessions.report(session_id)

    # --- the bot's own messages in Discord

    async def note_message(self, message: MessageRecord, *, about: int | None = None, stale: bool = False) -> None:
        await self._messages.note(message, about=about, stale=stale)

    async def forget_messages(self, message_ids: Collection[int]) -> None:
        await self._messages.forget(message_ids)

    async def messages_of_session(self, session_id: str) -> Sequence[MessageRecord]:
        return await self._messages.of_session(session_id)

    async def messages_about(self, user_id: int, guild_id: int | None) -> Sequence[MessageRecord]:
        return await self._messages.about(user_id, guild_id)

    async def doomed_messages(self, now: datetime) -> Sequence[MessageRecord]:
        return await self._messages.doomed(now)

    async def stale_messages(self, session_ids: Collection[str] | None = None) -> Sequence[MessageRecord]:
        return await self._messages.stale(session_ids)

    async def renewed(self, message_id: int) -> None:
        await self._messages.renewed(message_id)

    async def edition(self, session_id: str) -> Edition | None:
        return await self._sessions.edition(session_id)

    # --- share links

    async def create_share(
        self,
        session_id: str,
        *,
        lifetime: timedelta,
        maker_id: int | None = None,
        participant_id: int | None = None,
    ) -> tuple[ShareRecord, str]:
        return await self._shares.create(
            session_id, lifetime=lifetime, maker_id=maker_id, participant_id=participant_id
        )

    async def share(self, token: str) -> ShareRecord | None:
        return await self._shares.get(token)

    async def revoke_shares(self, session_id: str, *, maker_id: int | None = None) -> int:
        return await self._shares.revoke(session_id, maker_id=maker_id)

    # --- people's rights and retention

    async def may_open(self, session_id: str, user_id: int) -> bool:
        return await self._rights.may_open(session_id, user_id)

    async def traces_of(self, user_id: int, guild_id: int | None) -> Traces:
        return await self._rights.traces_of(user_id, guild_id)

    async def count_person(self, user_id: int, guild_id: int | None) -> dict[str, int]:
        return await self._rights.count_person(user_id, guild_id)

    async def export_person(self, user_id: int, guild_id: int | None) -> dict[str, Any]:
        return await self._rights.export_person(user_id, guild_id)

    async def purge_left(self, now: datetime) -> list[int]:
        return await self._rights.purge_left(now)

    async def delete_person(self, user_id: int, guild_id: int | None) -> dict[str, int]:
        return await self._rights.delete_person(user_id, guild_id)

    async def delete_session(self, session_id: str) -> bool:
        return await self._rights.delete_session(session_id)

    async def purge_expired(self, now: datetime) -> int:
        return await self._rights.purge_expired(now)
