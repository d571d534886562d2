"""Processor time and memory of this process and of those it began."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lab.processes import Processes


@pytest.mark.integration
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")
def test_a_process_may_be_told_a_name_that_is_no_text() -> None:
    line: list[str | bytes] = [sys.executable, "-c", "input()", b"caf\xdf.wav"]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:  # noqa: S603 - a name only
        used = Processes().used()
        child.kill()
    assert f"helper {child.pid}" in used
