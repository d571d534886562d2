"""Words of the web that both pages and the JSON interface use: what the figures mean and what they cannot know."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ser_engine.baseline import SETTLED_AFTER as SETTLED_AFTER

METHOD: Final = (
    "Each speaker's audio was cut into windows of at most three seconds, while they spoke. A window is kept when it "
    "holds at least 0.8 seconds of speech.",
    "A neural network compared the sound of each window with recordings of actors and gave a probability for each "
    "label. Confidence is the probability of the likeliest one, calibrated on actors it had not heard before.",
    "A window is called unclear when there was too little speech in it, it was clipped, or the network was unsure. "
    "Unclear windows count as talk time and never towards an emotion.",
    "Talk time is speech alone, and shares are of the clear part of it. A turn has its short pauses in it, and ends "
    "when a speaker is silent for 1.5 seconds. Overlap is the time in which two or more people had a window.",
    "Audio was kept in memory for a few seconds and never stored. Only times and probabilities are.",
)

LIMITS: Final = (
    "It says how a voice sounds, never how a person feels. Somebody can sound angry and be delighted.",
    "It does not know the words, the language, the face, the relationship or the joke.",
    "It learned mostly from American actors reading twelve sentences. Other voices, languages, ages, microphones and "
    "rooms are heard less well, and real speech is harder than acted speech.",
    "A single window is often wrong. Read the picture as a whole, and the confidence with it.",
    "Do not use it to judge people: not at work, in school or in exams, not for moderation, not to find lies.",
)

REASONS: Final = {
    "unsure": "unsure",
    "no_speech": "no speech",
    "too_short": "too short",
    "clipped": "clipped",
}
"""Why a window is unclear, by the engine's code."""

ELSEWHERE: Final = (
    "On another corpus of actors, in the same language, engines of this kind found 62\u00a0% of five tones (UAR), "
    "where they find 80\u00a0% on actors of this one and guessing finds 20\u00a0%."
)
"""What the model card says of voices unlike the corpus."""

STOOD_IN: Final = "by the faster model"
"""Of a window that another model answered, because more was said than the session's could recognise."""

STILL_NEW: Final = "still getting to know this voice"
"""Of a speaker who was heard, but not long enough to be compared with themselves."""

STAYED_NEW: Final = "too little was heard to compare this voice with itself"
"""Of the same speaker, when the session is over."""

STATES: Final = {"live": "live", "ended": "ended", "interrupted": "interrupted"}

KEY_NEEDED: Final = (
    "Reports open with the address that Undertone printed when it started; it ends in ?key=… and is a new one at each "
    "start. To let people sign in with Discord instead, set UNDERTONE_PUBLIC_URL, UNDERTONE_OAUTH_CLIENT_ID and "
    "UNDERTONE_OAUTH_CLIENT_SECRET. Share links work either way."
)
WRONG_KEY: Final = "This is not the key that Undertone printed when it started. Each start makes a new one."
UNSAVED: Final = (
    "The database cannot be written now, so new results are not being saved. They wait, and are saved when it can be."
)
STORAGE_AWAY: Final = "The database does not answer now. Please try again in a minute."
WRONG_HOST: Final = (
    "This page answers only under its own names: 127.0.0.1, localhost, or the host of UNDERTONE_PUBLIC_URL."
)
NO_FORM: Final = "What was sent is not one of this page's forms."
STALE_FORM: Final = "This form is out of date: you signed in or out since the page was loaded. Load it again."
NOT_YOURS: Final = (
    "This report is open to those who took part, to the person who started it, and to the role that its server chose."
)
NO_PAGE: Final = "There is no page at this address."
NO_REQUEST: Final = "Its first line or one of its headers is broken, or too long."
BROKEN: Final = "The reason is in the log."
CHANGED: Final = "The file is another one by now than the request asks for."
NO_RANGE: Final = "The file has no such part."
NO_SESSION: Final = "There is no such session. Reports are deleted after some days, or when somebody asks for it."
NO_SPEAKER: Final = "There is no such speaker in this session."
NO_SHARE: Final = "This link has expired, was revoked, or never existed."
DEAD_SHARE: Final = "This link has expired or was revoked. Ask the person who sent it for a new one."
SIGN_IN: Final = "Sign in with Discord to see the reports of conversations that you took part in."


def sounded(name: str, tone: str, lasted: str) -> str:
    """A change of tone in the list of moments."""
    return f"{name} sounded {tone} for {lasted}"


def other_methods(methods: Iterable[str]) -> str:
    return f"This address takes {' and '.join(sorted(methods))} requests only."


# --- the microphone page's stream

FOREIGN_PAGE: Final = "Another site's page sent this; it is not taken."
NOT_READY: Final = "The recognition is not ready at the moment."
NO_WEBSOCKET: Final = "This address takes a WebSocket with the samples of a microphone."
MICROPHONES_FULL: Final = "Too many microphones are heard at the moment."
MICROPHONE_SILENT: Final = "No sound arrived for 20 seconds."
MICROPHONE_NOT_PCM: Final = "This stream takes samples as 16-bit numbers, and the word stop."
MICROPHONE_TOO_FAST: Final = "Sound arrived faster than it can be spoken. Choose the file instead."
WINDOW_LOST: Final = "The recognition did not answer in time; three seconds were skipped."

# --- what a reader may do to a report

WHICH_DAYS: Final = "Choose for how many days the link shall work."
NOT_SURE: Final = "Tick the box to say that you are sure."
STILL_RUNS: Final = "The session still runs. Stop it in Discord first, then delete it."
NOT_YOURS_TO_DO: Final = (
    "Everybody's results are shared, and the session is deleted, by the person who started it, by who manages the "
    "server in Discord, and by whoever runs Undertone. Your own results are yours to share."
)
DONE: Final = {
    "revoked": "All links to this report have stopped working.",
    "revoked_own": "All links to this report that you made have stopped working.",
    "deleted": "The session and everything about it is deleted.",
    "deleted_here": "The session is deleted here. Messages about it are still in Discord; Undertone tries again "
    "every hour to remove them.",
}
"""What was done, by the parameter ``done`` of the page that follows."""
