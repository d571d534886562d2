"""`undertone report`: a stored session as a file that stands alone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from bot import logs
from bot.cli.options import Named, write_whole
from bot.cli.running import check_is_there, fail
from bot.errors import StartError
from bot.secret import key_of
from bot.settings import Settings, load_settings
from storage import SessionReport, Storage
from storage.errors import StorageError
from storage.looking import look_at


@click.command()
@click.argument("session_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON, as /api/v1 gives it.")
@click.option("--html", type=Named(dir_okay=False), help="Write one HTML file that needs no other.")
def report(session_id: str, as_json: bool, html: Path | None) -> None:
    """Write the report of a stored session, under its pseudonyms, for archives and mail.

    ID is the last part of the report's address. The service may run meanwhile.
    """
    if as_json == (html is not None):
        raise click.UsageError("Say what to write: --json, or --html FILE.")
    try:
        settings = load_settings()
        logs.configure("warning")
        # What a shell passes on may be no text, and a database takes text only.
        found = asyncio.run(_read(settings, session_id)) if session_id.isprintable() else None
    except (StartError, StorageError) as error:
        fail(str(error))
    if found is None:
        fail(f"There is no session {session_id}. It may be deleted: sessions are kept for some days.")
    from bot.web import export

    if html is None:
        click.echo(export.as_json(found), nl=False)
        return
    try:
        write_whole(html, export.as_html(found))
    except OSError as error:
        fail(f"{html} cannot be written: {error.strerror}.")


async def _read(settings: Settings, session_id: str) -> SessionReport | None:
    """Raises StartError, StorageError. What has no tables, or older ones, stays so: to read is not to change."""
    key = key_of(settings, make=False)
    check_is_there(settings)
    look = await look_at(settings.database_url)
    if look.revision is None:
        raise StartError(
            "The database is empty: Undertone has not written to it. Run this with the service's DATABASE_URL and "
            "UNDERTONE_DATA_DIR."
        )
    if look.is_older:
        raise StartError(
            "The database is of an older version. A start brings it up to date for good: make a copy first (undertone "
            "backup FOLDER)."
        )
    storage = await Storage.open(settings.database_url, key=key, retention_days=settings.retention_days)
    try:
        return await storage.report(session_id)
    finally:
        await storage.close()
