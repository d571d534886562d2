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

SENTENCES: Final[dict[str, tuple[type[EngineError], str]]] = {
    # the file
    "empty_file": (EmptyAudio, "The file is empty."),
    "no_sound": (EmptyAudio, "There is no sound in the file."),
    "unreadable": (UndecodableAudio, "The file cannot be read: {reason}."),
    "too_large": (AudioTooLarge, "The file is too large; at most {megabytes} MB can be analysed."),
    "too_long": (AudioTooLong, "The recording is too long; at most {minutes} minutes can be analysed."),
    "not_audio": (UnsupportedFormat, "This is not an audio file of a known kind ({kinds})."),
    "not_as_named": (UndecodableAudio, "The file is named .{ending}, but it does not hold audio of that kind."),
    "damaged": (UndecodableAudio, "The {kind} file is damaged and cannot be decoded."),
    "too_damaged": (UndecodableAudio, "The file is damaged: too little of it can be decoded."),
    "no_track": (UndecodableAudio, "There is no audio track in the file."),
    "bad_header": (UndecodableAudio, "The file's header is damaged."),
    "odd_shape": (
        UnsupportedFormat,
        "A sample rate of {rate_hz} Hz with {channels} channels cannot be analysed.",
    ),
    "rate_changes": (UndecodableAudio, "The sample rate changes inside the file."),
    "decoder_broke": (UndecodableAudio, "The file cannot be decoded: the decoder broke down over it."),
    "decode_late": (DecodeTimeout, "Decoding took longer than {seconds} s."),
    # the samples
    "not_mono": (InvalidSamples, "The samples must have one dimension (mono)."),
    "not_finite": (InvalidSamples, "The file holds numbers that are not sound (NaN or infinity)."),
    "bad_window": (InvalidSamples, "A window must hold finite mono samples, and at least one."),
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


def too_large(max_bytes: int) -> EngineError:
    """The refusal of a file with more bytes than that; doors say it before they have read the whole file."""
    return refusal("too_large", megabytes=f"{max_bytes / 2**20:.0f}")


def refusal(key: str, **facts: object) -> EngineError:
    """The error of that key, with its sentence filled in."""
    kind, sentence = SENTENCES[key]
    error = kind(sentence.format(**facts))
    error.key, error.facts = key, facts
    return error
