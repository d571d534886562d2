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
from typing import TYPE_CHECKING, Final

from ser_engine.backends.process import keep_to_one_thread

if TYPE_CHECKING:
    from ser_engine.types import Pcm

_WINDOW_S: Final = 3.0


def main() -> None:
    keep_to_one_thread()
    os.environ["TF_NUM_INTEROP_THREADS"] = "1"
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras
    import numpy as np

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


def by_librosa(pcm: Pcm) -> Pcm:
    """The old app's front end: shape ``(120, frames)``."""
    import librosa
    import numpy as np

    trimmed, _ = librosa.effects.trim(pcm)
    mfcc = librosa.feature.mfcc(y=trimmed, sr=16_000, n_mfcc=40, n_fft=400, hop_length=160)
    return np.vstack([mfcc, librosa.feature.delta(mfcc), librosa.feature.delta(mfcc, order=2)])


def voice_like() -> Pcm:
    """Three seconds with a moving pitch and syllables; the time of every step depends on the length alone."""
    import numpy as np

    t = np.arange(round(_WINDOW_S * 16_000)) / 16_000
    phase = 2 * np.pi * np.cumsum(130 + 40 * np.sin(2 * np.pi * 0.9 * t)) / 16_000
    voice = sum(np.sin(h * phase) / h for h in range(1, 30)) * (0.55 + 0.45 * np.sin(2 * np.pi * 3.7 * t))
    breath = np.random.default_rng(1).standard_normal(len(t))
    return np.asarray(0.1 * voice + 0.004 * breath, dtype=np.float32)


if __name__ == "__main__":
    main()
