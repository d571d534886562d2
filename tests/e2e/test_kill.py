"""After ``kill -9`` in the middle of a session, the next start closes it as interrupted and its report works."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from tests.e2e.stage import stage

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]


async def test_a_killed_session_is_interrupted_and_its_report_works(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    victim = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.e2e.victim",
        str(data_dir),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert victim.stdout is not None
    try:
        async with asyncio.timeout(180):
            session_id = (await victim.stdout.readline()).decode().split()[-1]
    finally:
        victim.kill()
        await victim.wait()

    async with stage(data_dir) as play:
        report = await play.report(session_id)
        assert report["state"] == "interrupted"
        assert report["windows"]
        assert report["duration_s"] == pytest.approx(max(w["end_s"] for w in report["windows"]))
        async with play.http.get(f"/sessions/{session_id}") as response:
            assert response.status == 200
            assert "interrupted" in await response.text()
