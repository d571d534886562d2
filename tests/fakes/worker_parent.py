"""A process that owns inference workers, to be signalled: ``python -m tests.fakes.worker_parent HOW MODEL_DIR``.

It prints the workers' process ids, and then does as `HOW` says:

- ``serve``: recognises once more after a SIGTERM, and says how often a worker had to be replaced; then it ends
- ``forget``: ends without closing anything
- ``wait``: waits to be killed
- ``stuck``: has no backend, but a child that will never come to an end by itself
"""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

from ser_engine.backends import process
from ser_engine.backends.workers import WorkerBackend
from ser_engine.segmenter import segment_pcm
from tests.fakes.clips import clip, clip_paths


def say(*words: object) -> None:
    print(*words, flush=True)  # noqa: T201


async def own(how: str, model_dir: Path) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    backend = WorkerBackend(model_dir)
    say("starting")
    await backend.start()
    await backend._decoder.start()  # as the first file does
    say(*(slot.pid for slot in (*backend._slots, backend._decoder)))
    if how == "forget":
        return
    await stop.wait()
    windows = segment_pcm(clip(clip_paths()[0]))
    answers = await backend.predict(windows, deadline_s=60)
    say(len(answers) - len(windows), backend.counters()["restarts"], sum(slot.starts for slot in backend._slots))
    await backend.close()
    # The loop takes its handler away when it closes; a signal that comes then would decide how this ended.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def never_ends(ready: Connection) -> None:
    process.end_with_parent()
    ready.send("ready")
    while True:
        time.sleep(60)


def keep_stuck() -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=never_ends, args=(theirs,), daemon=True)
    with process.deaf_to_signals():
        child.start()
    ours.recv()
    say(child.pid)
    time.sleep(60)


if __name__ == "__main__":
    if sys.argv[1] == "stuck":
        keep_stuck()
    else:
        asyncio.run(own(sys.argv[1], Path(sys.argv[2])))
