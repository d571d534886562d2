"""Fill a database with conversations that were never held, to look at the pages and to measure them.

``python -m lab.seed FOLDER`` makes FOLDER/undertone.db with sessions of one minute, twenty minutes and two hours;
``--many 10000`` adds that many short ones for the list. The folder's key is made too, so that
``UNDERTONE_DATA_DIR=FOLDER undertone run`` opens it.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import update

from bot.secret import load_key
from lab.talk import talk
from ser_engine.models import find_model, load_manifest
from storage import MomentRecord, NewSession, SessionState, Storage, schema
from storage.database import Database

LABELS: Final = ("Angry", "Happy", "Sad", "Disgust", "Neutral")
GUILD_ID: Final = 10
CHANNEL_IDS: Final = (20, 21, 22)
STARTER_ID: Final = 100
MODEL: Final = "default"
DATABASE: Final = "undertone.db"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One conversation to make."""

    minutes: float
    people: int
    days_ago: float = 0.0
    crowded: bool = False
    live: bool = False
    silent: int = 0
    """People who took part and never spoke."""
    seed: int = 15
    """Decides what is said, and in which channel."""
    notes: tuple[tuple[float, str], ...] = ()
    """Marks by hand: minute and note."""


MINUTE: Final = Plan(minutes=1, people=2, seed=8)
TWENTY: Final = Plan(minutes=20, people=4, silent=1, seed=6, days_ago=0.2, notes=((7.4, "the dragon is named"),))
TWO_HOURS: Final = Plan(minutes=120, people=6, seed=4, days_ago=1.1, notes=((31, "break"), (92.5, "vote")))
CROWD: Final = Plan(minutes=120, people=8, crowded=True, days_ago=1.2)
"""About 12,000 windows."""


async def add(storage: Storage, url: str, plan: Plan) -> str:
    """Store one conversation; returns its session's id. `url` is the address that `storage` has open."""
    session = await storage.start_session(
        NewSession(
            guild_id=GUILD_ID,
            channel_id=CHANNEL_IDS[plan.seed % len(CHANNEL_IDS)],
            started_by=STARTER_ID,
            model=MODEL,
            model_version=load_manifest(find_model(MODEL)).version,
            labels=LABELS,
        )
    )
    users = range(STARTER_ID, STARTER_ID + plan.people + plan.silent)
    people = [await storage.include_participant(session.id, user) for user in users]
    speaking = [person.id for person in people[: plan.people]]
    seconds = 60 * plan.minutes
    await storage.add_windows(session.id, talk(speaking, LABELS, seconds=seconds, seed=plan.seed, crowded=plan.crowded))
    for minute, note in plan.notes:
        await storage.add_moment(
            session.id, MomentRecord(at_s=60 * minute, kind="mark", participant_id=None, text=note)
        )
    if not plan.live:
        await storage.end_session(session.id, state=SessionState.ENDED, reason="stopped", counters={})
    ended_at = session.started_at - timedelta(days=plan.days_ago)
    began_at = ended_at - timedelta(seconds=seconds)
    times = {"started_at": began_at} if plan.live else {"started_at": began_at, "ended_at": ended_at}
    database = await Database.open(url)
    async with database.writing() as db:  # the storage itself has no door to the past
        await db.execute(update(schema.Session).filter_by(id=session.id).values(**times))
        for person in people:
            joined_at = began_at + timedelta(seconds=min(seconds / 4, 2 * person.id % 60))
            await db.execute(update(schema.Participant).filter_by(id=person.id).values(included_at=joined_at))
    await database.close()
    return session.id


async def seed(folder: Path, *, many: int) -> list[str]:
    """Make the three conversations, and `many` of half a minute over the last weeks."""
    url = f"sqlite:///{folder / DATABASE}"
    storage = await Storage.open(url, key=load_key(folder))
    try:
        ids = [await add(storage, url, plan) for plan in (MINUTE, TWENTY, TWO_HOURS, CROWD)]
        for number in range(many):
            await add(storage, url, Plan(minutes=0.5, people=2, days_ago=number / 200, seed=number))
        return ids
    finally:
        await storage.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="Fill a database with conversations that were never held.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--many", type=int, default=0, help="short conversations beside the four")
    options = parser.parse_args()
    for session_id in asyncio.run(seed(options.folder, many=options.many)):
        sys.stdout.write(f"/sessions/{session_id}\n")


if __name__ == "__main__":
    main()
