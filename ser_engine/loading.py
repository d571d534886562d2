"""Importing many modules at once, for programs that are waited for."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Import without the garbage collector, which would look through half a million new objects again and again and
    find nothing: a fifth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def loaded() -> None:
    """What is there now stays to the end: no full collection looks at it, which would take a tenth of a second each."""
    gc.freeze()
