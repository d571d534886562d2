"""The tables. Each says in ``info["person"]`` what becomes of its rows when a person asks for deletion.

``deleted``: the person's rows go; ``unlinked``: the row stays and no longer points at the person; ``cascade``: goes
with the row it hangs on; ``none``: holds nothing of a person. A test walks this metadata and fails on a table that
does not say.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar, Final

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

REVISION: Final = "0008"
"""The newest migration; what `Base` makes in an empty database is what all of them together make. A test compares."""


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC in Python whatever the database keeps; a naive datetime is refused at the door."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("a datetime without a time zone was about to be stored")
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else (value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC))


class Milliseconds(TypeDecorator[float]):
    """Seconds in Python, whole milliseconds in the database."""

    impl = Integer
    cache_ok = True
    a_unit: ClassVar[int] = 1_000

    def process_bind_param(self, value: float | None, dialect: Dialect) -> int | None:
        return None if value is None else round(value * self.a_unit)

    def process_result_value(self, value: int | None, dialect: Dialect) -> float | None:
        return None if value is None else value / self.a_unit


class TenThousandths(Milliseconds):
    """A share from 0 to 1 in Python, ten-thousandths in the database."""

    impl = SmallInteger
    cache_ok = True
    a_unit: ClassVar[int] = 10_000


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it from the class
        datetime: UtcDateTime(),
        dict[str, Any]: JSON(),
        list[Any]: JSON(),
    }


class Meta(Base):
    """Facts about the database itself, such as which key its sealed ids belong to."""

    __tablename__ = "meta"
    __table_args__ = ({"info": {"person": "none"}},)

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[str] = mapped_column(String(256))


class Server(Base):
    __tablename__ = "servers"
    __table_args__ = ({"info": {"person": "none"}},)

    guild_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    attested_at: Mapped[datetime | None]
    listen_role_ids: Mapped[list[Any]]
    unheard_role_ids: Mapped[list[Any]]
    viewer_role_id: Mapped[int | None] = mapped_column(BigInteger)
    report_channel_id: Mapped[int | None] = mapped_column(BigInteger)
    summary_place: Mapped[str] = mapped_column(String(16))
    live_emotions: Mapped[bool]
    voice_modes: Mapped[dict[str, Any]]
    """Channel id, as text, to mode."""
    auto_listen_ids: Mapped[list[Any]]
    retention_days: Mapped[int | None]
    """None: the operator's."""
    language: Mapped[str | None] = mapped_column(String(8))
    left_at: Mapped[datetime | None]
    """When the bot was removed from it; after `storage.rights.GONE_AFTER` everything of it goes."""


class Consent(Base):
    """A standing answer of a person in a server, for one of the things a person is asked for."""

    __tablename__ = "consents"
    __table_args__ = ({"info": {"person": "deleted"}},)

    guild_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    user_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    purpose: Mapped[str] = mapped_column(String(16), primary_key=True)
    decision: Mapped[str] = mapped_column(String(16))
    decided_at: Mapped[datetime]


class Session(Base):
    __tablename__ = "sessions"
    __table_args__ = (Index(None, "guild_id", "started_at"), {"info": {"person": "unlinked"}})

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    guild_id: Mapped[int] = mapped_column(BigInteger)
    channel_id: Mapped[int] = mapped_column(BigInteger)
    starter_hash: Mapped[str | None] = mapped_column(String(64))
    starter_sealed: Mapped[str | None] = mapped_column(String(200))
    state: Mapped[str] = mapped_column(String(16), index=True)
    started_at: Mapped[datetime] = mapped_column(index=True)
    ended_at: Mapped[datetime | None]
    end_reason: Mapped[str | None] = mapped_column(String(64))
    model: Mapped[str] = mapped_column(String(64))
    model_version: Mapped[str] = mapped_column(String(64))
    labels: Mapped[list[Any]]
    counters: Mapped[dict[str, Any]]
    owner: Mapped[str | None] = mapped_column(String(32))
    """The process that runs it, until it has ended and nothing is left to be put right in Discord."""


class Participant(Base):
    __tablename__ = "participants"
    __table_args__ = (
        UniqueConstraint("session_id", "user_hash"),
        UniqueConstraint("session_id", "number"),
        # The id of a deleted person is never given to the next one: their last windows may be on their way.
        {"info": {"person": "deleted"}, "sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    session_id: Mapped[str] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"))
    number: Mapped[int]
    """1 for the first who was included; shown as ``Speaker 1``."""
    user_hash: Mapped[str] = mapped_column(String(64))
    user_sealed: Mapped[str] = mapped_column(String(200))
    included_at: Mapped[datetime]
    withdrawn_at: Mapped[datetime | None]


class StoredWindow(Base):
    """A window takes 72 bytes with its index: whole numbers, and the session is its participant's."""

    __tablename__ = "windows"
    __table_args__ = ({"info": {"person": "cascade"}},)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    participant_id: Mapped[int] = mapped_column(ForeignKey("participants.id", ondelete="CASCADE"), index=True)
    start_s: Mapped[float] = mapped_column("start_ms", Milliseconds())
    end_s: Mapped[float] = mapped_column("end_ms", Milliseconds())
    speech_ratio: Mapped[float] = mapped_column(TenThousandths())
    gap_ratio: Mapped[float] = mapped_column(TenThousandths())
    emotion: Mapped[str] = mapped_column(String(32))
    confidence: Mapped[float] = mapped_column(TenThousandths())
    unclear: Mapped[bool]
    reason: Mapped[str | None] = mapped_column(String(32))
    probabilities: Mapped[bytes] = mapped_column(LargeBinary)
    """Those of the session's labels, in their order; see `storage.windows.packed`."""
    engine: Mapped[str | None] = mapped_column(String(32))


class Moment(Base):
    __tablename__ = "moments"
    __table_args__ = ({"info": {"person": "deleted"}},)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    session_id: Mapped[str] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"), index=True)
    participant_id: Mapped[int | None] = mapped_column(ForeignKey("participants.id", ondelete="CASCADE"), index=True)
    at_s: Mapped[float] = mapped_column(Float)
    kind: Mapped[str] = mapped_column(String(32))
    text: Mapped[str] = mapped_column(String(200))
    author_hash: Mapped[str | None] = mapped_column(String(64), index=True)
    """Who wrote a mark; None for what the session noticed."""


class BotMessage(Base):
    """A message of the bot in Discord that is about a session or a person, so that deletion reaches it there.

    A row with neither is what a deleted session leaves: the message is still to be deleted in Discord.
    """

    __tablename__ = "bot_messages"
    __table_args__ = ({"info": {"person": "unlinked"}},)

    message_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    channel_id: Mapped[int] = mapped_column(BigInteger)
    guild_id: Mapped[int | None] = mapped_column(BigInteger)
    """None in a private conversation."""
    session_id: Mapped[str | None] = mapped_column(ForeignKey("sessions.id", ondelete="SET NULL"), index=True)
    user_hash: Mapped[str | None] = mapped_column(String(64), index=True)
    """Whom it is about alone."""
    kind: Mapped[str] = mapped_column(String(16))
    posted_at: Mapped[datetime]
    stale: Mapped[bool] = mapped_column(default=False)
    """It speaks of somebody whose data is deleted: to be written anew or deleted in Discord."""


class Share(Base):
    __tablename__ = "shares"
    __table_args__ = ({"info": {"person": "deleted"}},)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    session_id: Mapped[str] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"), index=True)
    participant_id: Mapped[int | None] = mapped_column(ForeignKey("participants.id", ondelete="CASCADE"))
    """Whose row alone it opens."""
    maker_hash: Mapped[str | None] = mapped_column(String(64))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
