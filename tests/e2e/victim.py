"""A service with a session under way, to be killed: ``python -m tests.e2e.victim DATA_DIR``.

Prints the session's id once its first window is in the database, and talks on.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from bot import logs
from bot.commands.panel_view import INCLUDE_ID
from tests.e2e.stage import stage
from tests.fakes.clips import clip_paths


async def main(data_dir: Path) -> None:
    async with stage(data_dir) as play:
        voice = await play.seat(play.host)
        panel = await play.listen()
        await play.discord.press(play.host, panel, INCLUDE_ID)
        await play.discord.voice.settled(play.discord.voice_channel.id)
        said = False
        for path in clip_paths():
            await voice.say(path)
            await asyncio.sleep(1.0)
            if not said and play.service.writer.written:
                print(play.session_id, flush=True)  # noqa: T201
                said = True


if __name__ == "__main__":
    logs.configure("warning", json=False)
    asyncio.run(main(Path(sys.argv[1])))
