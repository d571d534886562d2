"""PostgreSQL's addresses as hosts hand them out, made into what the driver and PostgreSQL's own programs take."""

from __future__ import annotations

from typing import Final

from sqlalchemy.engine import URL

from storage.errors import StorageError

_TAKEN: Final = frozenset(
    {"gsslib", "host", "krbsrvname", "passfile", "port", "prepared_statement_cache_size", "service", "servicefile"}
    | {"ssl", "target_session_attrs"}
)
"""What may stand behind the question mark, and is text: asyncpg's own names, and SQLAlchemy's."""


def for_asyncpg(address: URL) -> URL:
    """`address` with libpq's ``sslmode``, which hosts write, under asyncpg's name for it.

    Raises StorageError for what the driver does not know. To leave it out would be wrong: with ``channel_binding``, a
    host asks for a safety that the driver cannot give.
    """
    asked = dict(address.query)
    if "sslmode" in asked:
        asked["ssl"] = asked.pop("sslmode")
    if unknown := sorted(asked.keys() - _TAKEN):
        raise StorageError(
            f"DATABASE_URL asks for {', '.join(unknown)}, which the driver does not know. Take it out of what stands "
            "behind the question mark."
        )
    return address.set(query=asked)


def for_libpq(address: URL) -> URL:
    """`address` for pg_dump and its like, which know nothing of the driver's own names."""
    asked = {name: value for name, value in address.query.items() if name != "prepared_statement_cache_size"}
    if "ssl" in asked:
        asked["sslmode"] = asked.pop("ssl")
    return address.set(drivername="postgresql", query=asked)
