"""The parent's side of one worker process: start, ask, replace, end. All that blocks runs in its thread."""

from __future__ import annotations

import asyncio
import atexit
import multiprocessing
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, Final, Literal, TypeVar

import structlog

from ser_engine import errors
from ser_engine.backends import process
from ser_engine.errors import BackendError, EngineError, ModelError

log = structlog.get_logger(__name__)

Kind = Literal["recognise", "decode"]
T = TypeVar("T")

START_LIMIT_S: Final = 180.0  # TensorFlow on a cold, busy machine
_END_LIMIT_S: Final = 2.0
_LOOK_S: Final = 1.0
_MOST_DOUBLINGS: Final = 6
_EXCHANGED: Final = "The model was exchanged while it is served. Start Undertone again, and it serves the new one."
_SPAWN: Final = multiprocessing.get_context("spawn")


class WorkerGone(Exception):
    """The process died, was killed for taking too long, or cannot be asked now; inside the backends only."""


class Slot:
    """A place for one worker process. `ask` must not be called again before it returned."""

    def __init__(self, name: str, kind: Kind, model_dir: str, runtime: str | None = None) -> None:
        self.name = name
        self.starts = 0
        self._failed = 0
        self.info: Any = None
        self._gone = ""
        self._late = False
        self._kind: Final = kind
        self._model_dir = model_dir
        self._runtime = runtime
        self._process: SpawnProcess | None = None
        self._connection: Connection | None = None
        self._ready = False
        self._ended = False
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    @property
    def ready(self) -> bool:
        """True while a warmed-up process is there."""
        return self._ready and self._process is not None and self._process.is_alive()

    @property
    def look_again_s(self) -> float:
        """When to look whether it is ready while nobody asks: more and more rarely where it cannot be started."""
        return _LOOK_S * 2.0 ** min(self._failed, _MOST_DOUBLINGS)

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    @property
    def gone(self) -> str:
        """How the last process ended, for the log: ``SIGKILL`` (the system takes memory back so), ``status 1``, or
        ``no answer``, and then it was killed from here."""
        exit_code = None if self._process is None else self._process.exitcode
        return self._gone if exit_code is None else _as_told(exit_code)

    async def start(self) -> None:
        """Start the process and wait for its warm-up. Raises WorkerGone when it dies or hangs, and ModelError, also
        when it found another model than the process before it: what the parent knows of the model would not fit."""
        self._failed += 1
        await self._in_thread(self._start)
        self._failed = 0

    async def ask(self, *request: Any, limit_s: float) -> list[Any]:
        """The parts of the answer. Raises what the worker raised, or WorkerGone (the process is gone by then)."""
        return await self._in_thread(self._ask, request, limit_s)

    async def end(self) -> None:
        """End the process and the thread; an `ask` still waiting fails. The slot cannot be used again."""
        self._ended = True
        self._stop()
        await asyncio.to_thread(self._join)

    async def _in_thread(self, work: Callable[..., T], *arguments: Any) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._guarded, work, *arguments)
        except RuntimeError as error:  # no thread is left, or `end` has come
            raise (WorkerGone() if self._ended else self._broke(error)) from error

    def _guarded(self, work: Callable[..., T], *arguments: Any) -> T:
        """Whatever goes wrong here costs this process, and never the task that serves: without it a worker would be
        missing until the next start."""
        try:
            return work(*arguments)
        except (WorkerGone, EngineError):
            raise
        except Exception as error:  # no memory, no process, no file descriptor is left: perhaps there is later
            self._kill()
            raise self._broke(error) from error

    def _broke(self, error: Exception) -> WorkerGone:
        log.error("worker_broke", worker=self.name, error=type(error).__name__, exc_info=error)
        return WorkerGone()

    def _start(self) -> None:
        self._kill()
        self._late = False
        self._still_wanted()
        made, ours, theirs = self._make()
        # multiprocessing would ask it to end at the interpreter's exit, which it does not hear, and wait for it.
        atexit.register(made.kill)
        theirs.close()
        self._process, self._connection, self.starts = made, ours, self.starts + 1
        self._still_wanted()  # `end` may have come while the process was being made
        (info,), _ = self._receive(time.monotonic() + START_LIMIT_S)
        if self.info is not None and info != self.info:
            log.error("model_exchanged", worker=self.name, had=str(self.info), found=str(info))
            self._kill()
            raise ModelError(_EXCHANGED)
        self.info, self._ready = info, True

    def _make(self) -> tuple[SpawnProcess, Connection, Connection]:
        ours, theirs = _SPAWN.Pipe()
        arguments = (theirs, self._kind, self._model_dir, self._runtime)
        made = _SPAWN.Process(target=process.main, args=arguments, name=self.name, daemon=True)
        try:
            with process.one_thread(), process.deaf_to_signals():
                made.start()
        except BaseException:
            ours.close()
            theirs.close()
            raise
        return made, ours, theirs

    def _ask(self, request: tuple[Any, ...], limit_s: float) -> list[Any]:
        if self._connection is None or self._process is None or not self.ready:
            raise WorkerGone
        deadline, self._late = time.monotonic() + limit_s, False
        late = threading.Timer(limit_s, self._end_late, (self._process,))
        late.daemon = True
        try:
            late.start()
        except RuntimeError as error:  # no thread is left: perhaps there is later
            raise WorkerGone from error
        try:
            return self._exchange(request, deadline)
        finally:
            late.cancel()

    def _end_late(self, process: SpawnProcess) -> None:
        """A worker that stands still in the middle of a message would hold up whoever writes to it or reads from it."""
        self._late = True
        process.kill()

    def _exchange(self, request: tuple[Any, ...], deadline: float) -> list[Any]:
        assert self._connection is not None  # noqa: S101  (`_ask` looked)
        assert self._process is not None  # noqa: S101
        try:
            self._connection.send(request)
        except (OSError, ValueError) as error:
            self._process.join(_END_LIMIT_S)
            self._kill()
            raise WorkerGone from error
        return self._receive(deadline)[1]

    def _receive(self, deadline: float) -> tuple[tuple[Any, ...], list[Any]]:
        """Rest of the last message, and the parts before it."""
        connection, parts = self._connection, list[Any]()
        while connection is not None:
            try:
                if not connection.poll(max(0.0, deadline - time.monotonic())):
                    break
                kind, *rest = connection.recv()
            except (EOFError, OSError):
                if self._process is not None:
                    self._process.join(_END_LIMIT_S)  # the pipe breaks a moment before there is an exit code
                break
            if kind == "error":
                raise _as_raised(*rest)
            if kind == "done":
                return tuple(rest), parts
            parts.append(rest[0])
        self._kill()
        raise WorkerGone

    def _kill(self) -> None:
        self._ready = False
        if self._process is not None:
            self._gone = _as_told(None if self._late else self._process.exitcode)
            self._process.kill()
            self._process.join(_END_LIMIT_S)
            atexit.unregister(self._process.kill)
            self._process = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _still_wanted(self) -> None:
        if self._ended:
            self._kill()
            raise WorkerGone

    def _stop(self) -> None:
        """Let go of a thread that waits for an answer: its pipe breaks when the process is gone."""
        self._ready = False
        if self._process is not None and self._process.is_alive():
            self._process.kill()

    def _join(self) -> None:
        self._threads.submit(self._kill)
        self._threads.shutdown(wait=True)


def _as_told(exit_code: int | None) -> str:
    if exit_code is None:
        return "no answer"
    try:
        return f"status {exit_code}" if exit_code >= 0 else signal.Signals(-exit_code).name
    except ValueError:  # a signal without a name
        return f"signal {-exit_code}"


def _as_raised(name: str, sentence: str, key: str | None, facts: dict[str, object]) -> EngineError:
    """The worker's error, by name; what the engine does not know is a fault of ours."""
    kind = getattr(errors, name, None)
    if isinstance(kind, type) and issubclass(kind, EngineError):
        error = kind(sentence)
        error.key, error.facts = key, facts
        return error
    return BackendError(f"A worker failed: {name}: {sentence}")
