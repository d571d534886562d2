"""How long PostgreSQL is waited for. A machine that hangs, and a network that swallows packets, close no connection: a
question to it would wait for ever, and with it every page and every result.

A connection is asked whether it answers before it is used, and is cut when a transaction takes too long; what waits on
it then fails, as when the database closes it. PostgreSQL in turn is told for how long to wait for this machine.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.util import await_only

CONNECT_S: Final = 10.0
PING_S: Final = 5.0
LONGEST_S: Final = 60.0
"""For a whole transaction. What may take longer says so: `take_time`."""
_GONE: Final = {
    "tcp_keepalives_idle": "20",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "30000",  # while something sent is not acknowledged, no keepalive goes out
}
_LATE: Final = "undertone late"
_NEW: Final = "undertone new"


class Connecting:
    """Makes the driver's connections to PostgreSQL, until they are given up."""

    def __init__(self) -> None:
        self._under_way: set[asyncio.Task[Any]] = set()
        self._given_up = False

    async def __call__(self, *arguments: Any, **named: Any) -> Any:
        import asyncpg  # type: ignore[import-untyped]  # it ships no types

        task = asyncio.create_task(asyncpg.connect(*arguments, **named), name="connecting")
        self._under_way.add(task)
        try:
            return await task
        except asyncio.CancelledError:
            if not self._given_up:
                task.cancel()
                raise
            raise ConnectionError("it was given up") from None
        finally:
            self._under_way.discard(task)

    def give_up(self) -> None:
        """Nobody needs a connection any more; whoever waits for one gets a ConnectionError."""
        self._given_up = True
        for task in self._under_way:
            task.cancel()


def watch(engine: AsyncEngine) -> None:
    """From now on, of this engine's connections to PostgreSQL."""
    event.listen(engine.sync_engine, "connect", _connected)
    event.listen(engine.sync_engine, "checkout", _taken)
    event.listen(engine.sync_engine, "checkin", _given_back)


async def take_time(connection: AsyncConnection) -> None:
    """What is done on this connection until it goes back may take as long as it takes."""
    _disarm((await connection.get_raw_connection()).info)


async def be_missed(driver: Any) -> None:
    """Have PostgreSQL close this connection half a minute after this machine is gone: one that lost its power, or its
    network, says no goodbye. What is not known there, or not for this connection, is left as it is."""
    wanted = "unnest($1::text[], $2::text[]) AS wanted (name, value)"
    query = f"SELECT set_config(name, value, false) FROM pg_settings JOIN {wanted} USING (name)"  # noqa: S608
    await driver.execute(query, list(_GONE), list(_GONE.values()), timeout=PING_S)


def _connected(_connection: Any, record: Any) -> None:
    record.info[_NEW] = True


def _taken(connection: Any, record: Any, _proxy: Any) -> None:
    driver = connection.driver_connection
    _disarm(record.info)
    record.info[_LATE] = asyncio.get_running_loop().call_later(LONGEST_S, driver.terminate)
    try:
        await_only(be_missed(driver) if record.info.get(_NEW) else driver.execute("SELECT 1", timeout=PING_S))
        record.info.pop(_NEW, None)
    except Exception as error:  # whatever it is, another connection may do
        driver.terminate()
        raise DisconnectionError("it does not answer") from error


def _given_back(_connection: Any, record: Any) -> None:
    _disarm(record.info)


def _disarm(info: dict[Any, Any]) -> None:
    if (late := info.pop(_LATE, None)) is not None:
        late.cancel()
