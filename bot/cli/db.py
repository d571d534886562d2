"""`undertone db`: bring the database up to date, or delete what is older than its retention."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import click

from bot import logs
from bot.cli.running import check_is_there, fail
from bot.errors import StartError
from bot.log_names import log_names
from bot.secret import key_of
from bot.settings import Settings, load_settings
from storage import Storage
from storage.errors import StorageError


@click.group()
def db() -> None:
    """Look after the database."""


@db.command()
def upgrade() -> None:
    """Bring the schema up to date (the service does it by itself when it starts)."""
    _with_storage("upgrade")
    click.echo("The database is up to date.")


@db.command()
def purge() -> None:
    """Delete sessions that are older than their server's retention (the service does it every hour)."""
    click.echo(f"Deleted sessions: {_with_storage('purge')}")


def _with_storage(action: str) -> int:
    try:
        settings = load_settings()
        logs.configure("warning")
        return asyncio.run(_work(settings, action))
    except (StartError, StorageError) as error:
        fail(str(error))


async def _work(settings: Settings, action: str) -> int:
    key = key_of(settings, make=action == "upgrade")
    if action == "purge":  # in a folder that is not the service's it would say that all is deleted
        check_is_there(settings)
    log_names.use(key)
    storage = await Storage.open(settings.database_url, key=key, retention_days=settings.retention_days)
    try:
        return await storage.purge_expired(datetime.now(UTC)) if action == "purge" else 0
    finally:
        await storage.close()
