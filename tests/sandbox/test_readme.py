"""The example at the head of the package's README is run as it stands there."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import sandbox

pytestmark = pytest.mark.integration

README = Path(sandbox.__file__).parent / "README.md"


async def test_the_example_runs() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(example, str(README), "exec"), names)  # noqa: S102 - our own document
    run: Callable[[], Awaitable[None]] = names["test_ping_is_answered"]
    await run()
