"""The old app's way with one window, in a process of its own: librosa's features, and Keras' `predict` of them.

    python -m lab.old_way

It reads the `seed` engine's network, which has the old app's layers. It prints a line once it is warm; for each line on
its standard input it answers once, and prints the processor time that took, in seconds, all its threads together. Apart
from the measured process, because TensorFlow's threads go on turning for a while after an answer.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

from ser_engine.backends.process import keep_to_one_thread


def main() -> None:
    keep_to_one_thread()
    os.environ["TF_NUM_INTEROP_THREADS"] = "1"
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras
    import numpy as np

    from lab.bench import by_librosa, voice_like
    from ser_engine.models import NETWORK_KERAS, find_model

    network = keras.saving.load_model(str(find_model("seed") / NETWORK_KERAS), compile=False)
    pcm = voice_like()

    def answer() -> None:
        features = by_librosa(pcm).T[:400]
        padded = np.zeros((1, 400, features.shape[1]), np.float32)
        padded[0, : len(features)] = features
        network.predict(padded, verbose=0)

    for _ in range(3):
        answer()
    print("ready", flush=True)  # noqa: T201 - the line that the other process waits for
    for _ in sys.stdin:
        begun_s = time.process_time()
        answer()
        print(time.process_time() - begun_s, flush=True)  # noqa: T201 - the answer


@contextlib.contextmanager
def old_way() -> Iterator[Callable[[], float]]:
    """The process, as a function that answers once and gives the processor time that took. Raises RuntimeError."""
    command = (sys.executable, "-m", "lab.old_way")
    with subprocess.Popen(  # noqa: S603 - this very program
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdin is not None  # noqa: S101 - both are pipes
        assert process.stdout is not None  # noqa: S101
        lines, questions = process.stdout, process.stdin
        if not lines.readline():
            raise RuntimeError("the old app's way did not start")

        def once() -> float:
            questions.write("\n")
            questions.flush()
            return float(lines.readline())

        try:
            yield once
        finally:
            questions.close()


if __name__ == "__main__":
    main()
