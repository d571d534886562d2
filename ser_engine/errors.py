"""Everything the engine can refuse, as one tree.

    EngineError
    ├── AudioError            the caller's file or samples
    │   ├── EmptyAudio        no bytes, or no samples in them
    │   ├── AudioTooLarge     more bytes than the limit
    │   ├── AudioTooLong      more seconds than the limit
    │   ├── UnsupportedFormat a kind of file that is not taken
    │   ├── UndecodableAudio  the kind is right, the content is not
    │   ├── DecodeTimeout     decoding took longer than the limit
    │   ├── InvalidSamples    NaN, infinity or a wrong shape
    │   └── NoSpeech          sound enough, but no stretch of speech in it
    ├── ModelError            a model directory that cannot be trusted or used
    ├── MissingExtra          a package that the ordinary installation leaves out
    ├── CorpusError           recordings that cannot be trained on or measured with
    └── BackendError          inference is not possible now
        ├── BackendOverloaded the queue is full
        ├── DeadlineExceeded  no answer in time
        └── WorkerLost        the worker died twice over the same batch

Each has a stable `code` for programs, says whether trying again helps, and its text is a sentence for the person, from
the one catalogue in `refusals`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar


class EngineError(Exception):
    """Base of all errors of the engine."""

    code: ClassVar[str] = "engine_error"
    retryable: ClassVar[bool] = False
    key: str | None = None
    """Which sentence of `refusals.SENTENCES` it says; None for a text that stands in no catalogue."""
    facts: Mapping[str, object] = MappingProxyType({})
    """What the sentence is filled with."""


class AudioError(EngineError):
    code = "audio_error"


class EmptyAudio(AudioError):
    code = "empty_audio"


class AudioTooLarge(AudioError):
    code = "audio_too_large"


class AudioTooLong(AudioError):
    code = "audio_too_long"


class UnsupportedFormat(AudioError):
    code = "unsupported_format"


class UndecodableAudio(AudioError):
    code = "undecodable_audio"


class DecodeTimeout(AudioError):
    code = "decode_timeout"


class InvalidSamples(AudioError):
    code = "invalid_samples"


class NoSpeech(AudioError):
    code = "no_speech"


class ModelError(EngineError):
    code = "model_error"


class MissingExtra(EngineError):
    code = "missing_extra"


class CorpusError(EngineError):
    code = "corpus_error"


class BackendError(EngineError):
    code = "backend_error"
    retryable = True


class BackendOverloaded(BackendError):
    code = "backend_overloaded"


class DeadlineExceeded(BackendError):
    code = "deadline_exceeded"


class WorkerLost(BackendError):
    code = "worker_lost"
