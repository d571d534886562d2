"""The child's side of a worker: it loads, says it is ready, and answers one request at a time until its parent is gone.

Ctrl-C, systemd and containers signal a whole process group. A worker that obeyed would die under the summary that the
parent still wants recognised, and be replaced in the middle of the shutdown; so only the parent ends a worker, by
killing it. A parent that is killed itself takes its workers with it, whatever they are busy with.

Imported first in a spawned process, so nothing numeric may be imported above `main`: the libraries read the number of
threads once, when they are loaded, and more than one makes the front end many times slower under load.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ser_engine.loading import loaded, loading

if TYPE_CHECKING:
    from ser_engine.limits import DecodeLimits
    from ser_engine.types import Window

Answer = Callable[..., list[Any]]
"""A request's arguments to the parts of its answer."""

THREAD_VARIABLES: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")
WINDOWS_A_MESSAGE: Final = 16
DECODER_BYTES: Final = 768 * 1024 * 1024
"""What decoding one file may take: 25 MB a few times over, ten minutes of samples, and what FFmpeg holds."""
NICE: Final = 5
"""Steps that a worker stands behind its parent when both want a core (Unix): an answer may come a moment later, a voice
packet that is not read in time is lost."""
ASKED_TO_END: Final = (signal.SIGINT, signal.SIGTERM, *(() if sys.platform == "win32" else (signal.SIGHUP,)))
"""Signals of Ctrl-C, a service manager and a terminal that is closed. In a worker they are the parent's to obey."""


def keep_to_one_thread() -> None:
    """Numeric libraries that this process loads from now on use one thread, unless its environment says otherwise."""
    for name in THREAD_VARIABLES:
        os.environ.setdefault(name, "1")


@contextmanager
def one_thread() -> Iterator[None]:
    """Processes started inside this inherit numeric libraries kept to one thread."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def deaf_to_signals() -> Iterator[None]:
    """Processes started inside this, on this thread, are deaf to `ASKED_TO_END` from their first instruction."""
    if sys.platform == "win32":  # has no masks; the child ignores them from `main` on
        yield
        return
    resource_tracker.ensure_running()  # when it has to start, it opens this thread's ears again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ASKED_TO_END)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with_parent() -> None:
    """From now on this process ends at once when its parent does, even if a request never comes to its end."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def stand_behind() -> None:
    """From now on the parent is served first where there are fewer cores than work."""
    if sys.platform != "win32":
        os.nice(NICE)


def limit_memory(more_bytes: int) -> None:
    """From now on this process gets that much more memory than it has, and no more; beyond it an allocation fails.

    Only where the system says how much it has (Linux); elsewhere the decoder's other limits have to do.
    """
    statm = Path("/proc/self/statm")
    if sys.platform == "win32" or not statm.exists():
        return
    import resource

    limit = int(statm.read_text().split()[0]) * resource.getpagesize() + more_bytes
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    limit = limit if most == resource.RLIM_INFINITY else min(limit, most)
    resource.setrlimit(resource.RLIMIT_AS, (limit, most))


def main(connection: Connection, kind: str, model_dir: str, runtime: str | None) -> None:
    """Serve `connection`. `kind` is ``recognise`` or ``decode``.

    A request is a tuple of arguments. An answer is one or more messages ``("part", …)`` and then ``("done",)``, or
    ``("error", class name, sentence, key, facts)``. The first message, unasked, is ``("done", information)`` after the
    warm-up.
    """
    for number in ASKED_TO_END:
        signal.signal(number, signal.SIG_IGN)
    end_with_parent()
    stand_behind()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with loading():
            information, answer = _recogniser(model_dir, runtime) if kind == "recognise" else _decoder()
        loaded()
        connection.send(("done", information))
        while True:
            _answer(connection, answer, connection.recv())
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    except Exception as error:  # noqa: BLE001  the parent must hear why there will be no worker
        _send_error(connection, error)


def _answer(connection: Connection, answer: Answer, request: tuple[Any, ...]) -> None:
    try:
        parts = answer(*request)
    except Exception as error:  # noqa: BLE001  one bad request must not cost the worker
        _send_error(connection, error)
        return
    for part in parts:
        connection.send(("part", part))
    connection.send(("done",))


def _send_error(connection: Connection, error: Exception) -> None:
    key, facts = getattr(error, "key", None), dict(getattr(error, "facts", {}))
    connection.send(("error", type(error).__name__, str(error), key, facts))


def _recogniser(model_dir: str, runtime: str | None) -> tuple[Any, Answer]:
    from ser_engine.recognizer import Recognizer

    recognizer = Recognizer.load(model_dir, runtime=runtime)  # type: ignore[arg-type]  # the parent's is typed
    cheaper: dict[str, Recognizer | None] = {}

    def answer(windows: list[Window], other_dir: str | None = None, other_version: str = "") -> list[Any]:
        if other_dir is None:
            return [recognizer.hear(windows)]
        if other_dir not in cheaper:  # there from the first time on that it is needed
            cheaper[other_dir] = None
            with suppress(Exception):  # whatever is wrong with it, the model that serves is not
                found = Recognizer.load(other_dir)
                cheaper[other_dir] = found if found.info.version == other_version else None
        if (other := cheaper[other_dir]) is None:
            return [recognizer.hear(windows)]
        return [[replace(heard, engine=other.info.name) for heard in other.hear(windows)]]

    return recognizer.info, answer


def _decoder() -> tuple[Any, Answer]:
    import av
    import soxr

    from ser_engine.audio import windows_of

    importlib.import_module("ser_engine.gates")  # all that is loaded when it is needed is loaded before the limit
    importlib.import_module("webrtcvad")
    limit_memory(DECODER_BYTES)

    def answer(data: bytes, filename: str | None, limits: DecodeLimits) -> list[Any]:
        windows = list(windows_of(data, filename=filename, limits=limits))
        return [windows[i : i + WINDOWS_A_MESSAGE] for i in range(0, len(windows), WINDOWS_A_MESSAGE)]

    return (av.__version__, soxr.__version__), answer
