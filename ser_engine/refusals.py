"""Every sentence with which the engine refuses, once: filled from the limits and from what was found.

Each door (command line, upload, Discord) says these sentences as they are. `EngineError.key` and `EngineError.facts`
are for those who say them in another language.
"""

from __future__ import annotations

from typing import Final

from ser_engine.errors import (
    AudioTooLarge,
    AudioTooLong,
    BackendError,
    BackendOverloaded,
    DeadlineExceeded,
    DecodeTimeout,
    EmptyAudio,
    EngineError,
    InvalidSamples,
    NoSpeech,
    UndecodableAudio,
    UnsupportedFormat,
    WorkerLost,
)
from ser_engine.limits import DEFAULT_LIMITS, DecodeLimits

SENTENCES: Final[dict[str, tuple[type[EngineError], str]]] = {
    # the file
    "empty_file": (EmptyAudio, "The file is empty."),
    "no_sound": (EmptyAudio, "There is no sound in the file."),
    "unreadable": (UndecodableAudio, "The file cannot be read: {reason}."),
    "no_recordings": (UndecodableAudio, "There is no recording in this folder."),
    "too_large": (AudioTooLarge, "The file is too large; at most {megabytes} MB can be analysed."),
    "too_long": (AudioTooLong, "The recording is too long; at most {minutes} minutes can be analysed."),
    "not_audio": (UnsupportedFormat, "The file holds {found}, not a recording."),
    "not_as_named": (UndecodableAudio, "The file is named .{ending}, but it holds {found}, not a recording."),
    "not_known": (UnsupportedFormat, "Nothing in the file is known as audio or video."),
    "not_known_as_named": (
        UndecodableAudio,
        "The file is named .{ending}, but nothing in it is known as audio or video.",
    ),
    "damaged": (UndecodableAudio, "The {kind} file is damaged and cannot be decoded."),
    "too_damaged": (UndecodableAudio, "The file is damaged: too little of it can be decoded."),
    "no_index": (
        UndecodableAudio,
        "The recording was cut off: the index that belongs at the end of an MP4 or QuickTime file is missing.",
    ),
    "index_last": (
        UndecodableAudio,
        "The index of this MP4 or QuickTime recording stands at its end, so it cannot be read from a pipe beyond "
        "{megabytes} MB. Name the file instead.",
    ),
    "no_track": (UndecodableAudio, "There is no audio track in the {kind} file."),
    "too_many_tracks": (UndecodableAudio, "The {kind} file has more than {most} tracks, which are too many."),
    "unknown_codec": (UndecodableAudio, "The sound in the {kind} file is coded as {codec}, which cannot be decoded."),
    "protected": (UndecodableAudio, "The file is protected against copying, so its sound cannot be decoded."),
    "odd_shape": (
        UnsupportedFormat,
        "A sample rate of {rate_hz} Hz with {channels} channels cannot be analysed.",
    ),
    "decoder_broke": (UndecodableAudio, "The file cannot be decoded: the decoder broke down over it."),
    "too_much_memory": (UndecodableAudio, "Decoding the file needs more memory than a file may have."),
    "decode_late": (DecodeTimeout, "Decoding took longer than {seconds} s."),
    # the samples
    "not_mono": (InvalidSamples, "The samples must have one dimension (mono)."),
    "not_finite": (InvalidSamples, "The file holds numbers that are not sound (NaN or infinity)."),
    "not_full_scale": (InvalidSamples, "The samples must be floats with a full scale of ±1."),
    "bad_window": (
        InvalidSamples,
        "A window must hold mono samples, from one to 3 s of them: finite floats with a full scale of ±1.",
    ),
    "no_speech": (NoSpeech, "There is no stretch in it with at least {seconds} s of speech."),
    "only_noise": (NoSpeech, "There is sound in it, but no speech: only noise, a tone or music."),
    # the recognition
    "not_running": (BackendError, "The recognition is not running."),
    "stopped": (BackendError, "The recognition has stopped."),
    "no_decoder": (BackendError, "The decoder cannot be started. Please try again in a moment."),
    "busy": (BackendOverloaded, "Too much is being analysed at the moment. Please try again in a minute."),
    "late": (DeadlineExceeded, "The analysis took too long. Please try again in a minute."),
    "lost": (WorkerLost, "The recognition broke down twice over this speech; it was given up."),
}


def too_large(limits: DecodeLimits = DEFAULT_LIMITS) -> EngineError:
    """The refusal of a file with too many bytes; doors say it before they have read the whole file."""
    return refusal("too_large", megabytes=limits.megabytes)


def too_long(limits: DecodeLimits = DEFAULT_LIMITS) -> EngineError:
    """The refusal of a recording of too many seconds."""
    return refusal("too_long", minutes=limits.minutes)


def refusal(key: str, **facts: object) -> EngineError:
    """The error of that key, with its sentence filled in."""
    kind, sentence = SENTENCES[key]
    error = kind(sentence.format(**facts))
    error.key, error.facts = key, facts
    return error
