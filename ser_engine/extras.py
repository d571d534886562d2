"""What the ordinary installation leaves out, and the words for whoever needs it."""

from __future__ import annotations

import importlib.util
import sys
from typing import Final

from ser_engine.errors import MissingExtra

TENSORFLOW_BELOW: Final = (3, 14)
"""TensorFlow has no wheels for this Python and newer ones."""


def need_training(what: str, *packages: str) -> None:
    """Raise MissingExtra when one of `packages`, which the extra ``train`` brings, is absent.

    `what` begins the sentence: "Training an engine".
    """
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if not missing:
        return
    *some, last = missing
    names = f"{', '.join(some)} and {last}" if some else last
    sentence = f"{what} needs {names}, which the ordinary installation leaves out. "
    if sys.version_info >= TENSORFLOW_BELOW and {"tensorflow", "keras"} & {*missing}:
        raise MissingExtra(sentence + "TensorFlow has no release for this Python: use 3.11, 3.12 or 3.13.")
    raise MissingExtra(f"{sentence}Install it in Undertone's folder: {command('train')}")


def need_ray() -> None:
    """Raise MissingExtra when Ray Serve, which the extra ``ray`` brings, is absent."""
    if importlib.util.find_spec("ray") is None:
        raise MissingExtra(
            "UNDERTONE_BACKEND=ray needs Ray Serve, which the ordinary installation leaves out. Install it in "
            f"Undertone's folder: {command('ray')}. One machine does not need it: leave UNDERTONE_BACKEND out."
        )


def command(extra: str) -> str:
    """What adds `extra` to the environment that runs this.

    A plain ``pip`` may be another environment's, and without ``--editable`` it puts a copy of the program in place of
    the checkout, which then no longer changes with it.
    """
    here = sys.executable
    pip = f"{here} -m pip install" if importlib.util.find_spec("pip") else f"uv pip install --python {here}"
    return f"{pip} --editable '.[{extra}]'"
