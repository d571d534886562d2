"""Speech emotion recognition, a library of its own: no Discord, no HTTP, no database.

from ser_engine import Recognizer, decode, segment_pcm, summarise

The names are imported when they are asked for, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ser_engine.analysis import Analysis, analyse
    from ser_engine.audio import decode
    from ser_engine.recognizer import Recognizer
    from ser_engine.segmenter import Segmenter, segment_pcm
    from ser_engine.summary import summarise
    from ser_engine.types import PcmFrame, Prediction, Window

# ONNX Runtime (since 1.29) and Ray tell their makers about the machine that they run on, unless they find these when
# they are loaded. Every way to them leads through this package.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

__all__ = [
    "Analysis",
    "PcmFrame",
    "Prediction",
    "Recognizer",
    "Segmenter",
    "Window",
    "analyse",
    "decode",
    "segment_pcm",
    "summarise",
]

_HOMES = {
    "Analysis": "analysis",
    "PcmFrame": "types",
    "Prediction": "types",
    "Recognizer": "recognizer",
    "Segmenter": "segmenter",
    "Window": "types",
    "analyse": "analysis",
    "decode": "audio",
    "segment_pcm": "segmenter",
    "summarise": "summary",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
