"""All words that people read in Discord, in one place, written for the person who reads them.

Rules: *sounds angry*, never *is angry*; what is unsure is called unclear; an emoji or a colour never says something
alone. `{…}` is filled by the functions beside the sentence. The web pages' words are in their templates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from bot.pictures.times import clock, spell
from ser_engine.audio import DEFAULT_LIMITS
from ser_engine.errors import AudioError, EngineError

NAME: Final = "Undertone"

# --- commands, as Discord's menu shows them

CMD_LISTEN: Final = "Listen to a voice channel and show how the conversation sounds"
CMD_LISTEN_START: Final = "Start listening in the voice channel you are in"
CMD_LISTEN_STOP: Final = "Stop listening and post the summary"
CMD_LISTEN_STATUS: Final = "What the bot hears, and what was lost on the way"
CMD_MARK: Final = "Mark this moment of the running session"
ARG_MARK_NOTE: Final = "A few words to find it again, shown in the report"
CMD_ANALYZE: Final = "Tell how an audio file sounds"
ARG_ANALYZE_FILE: Final = f"A recording or a video with sound; {DEFAULT_LIMITS.in_words}"
MENU_ANALYZE: Final = "Analyze emotion"
CMD_REPORT: Final = "Reports of past sessions"
CMD_REPORT_LAST: Final = "Your newest report in this server"
CMD_REPORT_LIST: Final = "Your reports in this server"
CMD_REPORT_SHARE: Final = "Make a link that opens a report without signing in"
CMD_REPORT_REVOKE: Final = "Make all share links of a report stop working"
CMD_REPORT_DELETE: Final = "Delete a session and everything about it"
CMD_REPORT_EXPORT: Final = "A report's figures as a JSON file"
ARG_REPORT_SESSION: Final = "Which session; the newest when left out"
ARG_REPORT_DAYS: Final = "Days until the link expires"
CMD_PRIVACY: Final = "What is stored about you, and your say in it"
CMD_PRIVACY_STATUS: Final = "What is stored about you here, and what you decided"
CMD_PRIVACY_IN: Final = "Be included in this server's sessions without pressing the button each time"
CMD_PRIVACY_OUT: Final = "Never be included in this server"
CMD_PRIVACY_ASK: Final = "Forget the standing decision; every session asks you again"
CMD_PRIVACY_EXPORT: Final = "Everything stored about you, as a JSON file"
CMD_PRIVACY_DELETE: Final = "Delete everything stored about you"
ARG_PRIVACY_EVERYWHERE: Final = "In every server, not only this one"
CMD_SETTINGS: Final = "How Undertone behaves in this server"
CMD_SETTINGS_SHOW: Final = "Show the settings of this server"
CMD_SETTINGS_ROLE: Final = "Choose the role that may start listening"
ARG_SETTINGS_ROLE: Final = "The role; left out, only Manage Server may"
CMD_SETTINGS_RETENTION: Final = "Days until results are deleted"
CMD_SETTINGS_AUTO: Final = "Analyse voice messages in a channel without being asked, for those who opted in"
ARG_SETTINGS_CHANNEL: Final = "The text channel"
ARG_SETTINGS_ON: Final = "On or off"
CMD_ABOUT: Final = "What Undertone is, can and cannot"

# --- starting up

ACTIVITY: Final = "Not listening until somebody asks: /listen start"
LOGIN_REFUSED: Final = "Discord does not accept DISCORD_TOKEN. Copy it anew from the application's Bot page."
INTENTS_REFUSED: Final = (
    "Discord refuses the intents of this bot. It asks for no privileged one; is the token another bot's?"
)

# --- buttons

BTN_INCLUDE: Final = "Include me"
BTN_EXCLUDE: Final = "Leave me out"
BTN_MARK: Final = "Mark"
BTN_STOP: Final = "Stop"
BTN_ATTEST: Final = "It is not a workplace, school or exam"
BTN_ALLOW: Final = "Analyse my message"
BTN_DENY: Final = "No"
BTN_DELETE: Final = "Delete everything"

# --- errors

NOT_ALLOWED: Final = "You may not do that here."
SERVER_ONLY: Final = "That works in a server only."
NEEDS_MANAGE_SERVER: Final = "The first start in a server needs somebody with *Manage Server*."
NEEDS_SETTINGS_RIGHT: Final = "Changing settings needs *Manage Server*."
DISCORD_FORBIDS: Final = "Discord does not let me do that here: I lack a permission in this channel."
DISCORD_AWAY: Final = "Discord did not answer properly. Please try again in a moment."
ENGINE_AWAY: Final = "The recognition is not available at the moment. Please try again in a minute."
STORAGE_AWAY: Final = "The database does not answer at the moment. Please try again in a minute."
STORAGE_REFUSED: Final = "The database could not do that. The operator finds the reason in the log."
UNDECODABLE: Final = "This file cannot be read as audio."

NOT_IN_VOICE: Final = "Join a voice channel first; I come to the one you are in."
NOT_IN_THIS_VOICE: Final = "You are not in the voice channel that I listen to."
NOTHING_RUNS: Final = "I am not listening in this server."
STALE_PANEL: Final = "That session has ended."
OLD_PANEL: Final = "This panel is of an earlier session. Use the newest one in the channel of the running session."
OPTED_OUT: Final = "You opted out in this server, so I leave you out. `/privacy ask-me` or `opt-in` lifts that."
MAY_NOT_STOP: Final = "Only the person who started it, or somebody who may start listening, can stop it."
NO_NOTICE: Final = (
    "I could show no notice that I listen (panel, channel status, chime), so I do not start. "
    "Give me *Send Messages* and *Embed Links* in this channel."
)
STARTING_UP: Final = "I am still starting up. Please try again in a few seconds."
STOPPING: Final = "I am about to be restarted. Please try again in a minute."
VOICE_FAILED: Final = "I could not join the voice channel. Please try again, or choose another region for it."
NO_AUDIO_IN_MESSAGE: Final = "There is no audio in that message."
FOREIGN_HOST: Final = "I only fetch files from Discord itself."
NOT_A_PERSON: Final = "I only analyse messages of people, because a person has to agree to it."
AUTHOR_OPTED_OUT: Final = "The author of that message opted out of being analysed."
NOT_YOUR_CHOICE: Final = "Only the author of the message can decide that."
NO_REPORT: Final = "There is no report that you may open here."

# --- answers

INCLUDED: Final = "You are included in this session from now on. *Leave me out* ends that at once."
ALREADY_INCLUDED: Final = "You are included already."
EXCLUDED: Final = (
    "You are left out from now on, and what was being analysed is discarded. "
    "Earlier windows of this session stay until `/privacy delete`."
)
ALREADY_EXCLUDED: Final = "You are not included. Nobody analyses you."
STOPPING_SESSION: Final = "Stopped. The summary is in the channel of the panel."
ASKED_AUTHOR: Final = "I asked the author. If they agree, the answer appears below their message."
DONE_BELOW: Final = "Done: the answer is below the message."
DECLINED: Final = "The author would rather not. Nothing was analysed."
ASK_AGAIN: Final = "That question is too old; please let them ask again."
AGREED: Final = "The author agreed; one moment."
DIRECT_HINT: Final = "Send me a voice message or an audio file, and I tell how it sounds. `/about` says more."
EXPORTED: Final = "Here it is."
NO_PUBLIC_URL: Final = "The operator has not set a public address for the web pages, so a link would open for nobody."
MAY_NOT_DELETE: Final = "Only the person who started it, or somebody with *Manage Server*, can delete a session."
STILL_RUNS: Final = "That session still runs. Stop it first."
REPORT_DELETED: Final = "Deleted, with everything about it."
REPORTS_TITLE: Final = "Your reports"
SETTINGS_TITLE: Final = "Settings of this server"
PRIVACY_TITLE: Final = "What is stored about you here"
SET_OPT_IN: Final = "From now on you are included in this server's sessions, and your voice messages may be analysed."
SET_OPT_OUT: Final = "From now on you are never included in this server."
SET_ASK: Final = "Forgotten. Every session asks you again."
ROLE_CLEARED: Final = "Only people with *Manage Server* may start listening now."

ATTEST: Final = (
    "**Before the first start in this server**\n"
    "Undertone guesses how voices sound. Inferring emotion at work and in education is prohibited in the European "
    "Union and wrong elsewhere too.\n"
    "Nobody is analysed before they press *Include me*; no audio is stored; results are deleted after {days} days.\n\n"
    "By pressing the button you state, for this server, that this is **not a workplace, school or exam**."
)
ABOUT: Final = (
    "Undertone tells how a conversation *sounds*: live in a voice channel (`/listen start`), on a voice message "
    "(*Apps → Analyze emotion*), and afterwards in a report.\n"
    "It knows nothing of what is said, and nothing of what anybody feels: it compares the sound of three seconds of "
    "speech with recordings of actors. It is often wrong, and says so: confidence is shown, and what is unsure is "
    "called *unclear*.\n"
    "Nobody is analysed without pressing *Include me*. Audio is never stored. `/privacy` shows and deletes what is."
)
NOT_FOR: Final = "Not for workplaces, schools, exams, moderation, lie detection or profiling."

# --- panel and summary

PANEL_TITLE: Final = "Listening"
PANEL_ENDED_TITLE: Final = "Session ended"
PANEL_NOTICE: Final = "Only those who pressed *Include me* are analysed; everybody else's voice is dropped unheard."
PANEL_NOBODY: Final = "Nobody is included yet."
PANEL_ALONE: Final = "Everybody left. I leave in a minute unless somebody comes back."
PANEL_MODEL: Final = "a guess about sound, not about feelings"
FIELD_EXCLUDED: Final = "Not included"
FIELD_STATE: Final = "Connection"
QUIET: Final = "has not spoken yet"
LINK_STATES: Final = {
    "connecting": "connecting",
    "listening": "listening",
    "reconnecting": "reconnecting; what is said now is lost",
    "cannot_decrypt": "cannot decrypt what arrives: try another region for the channel",
    "failed": "the connection is lost",
    "closed": "not connected",
}
SERVER_DEAFENED: Final = "deafened by a moderator: I hear nothing until that is lifted"
VOICE_STATUS: Final = "Undertone listens to those who agreed"
SUMMARY_TITLE: Final = "How the conversation sounded"
SUMMARY_EMPTY: Final = "Nobody who was included spoke long enough for a single window."
SUMMARY_REPORT: Final = "Report"
SUMMARY_PICTURE_ALT: Final = (
    "A strip for each speaker: one cell a window, coloured by what it sounded like, lighter when less sure"
)
ANALYSIS_TITLE: Final = "How it sounds"
BREAKDOWN_TITLE: Final = "In all"
OVER_TIME_TITLE: Final = "Over time"
STATUS_TITLE: Final = "Listening"
STATUS_HEARD: Final = "Heard"
STATUS_LOST: Final = "Not heard, and why"
STATUS_NOTHING_LOST: Final = "nothing"
SHARES_TITLE: Final = "Everybody together"
MOMENTS_TITLE: Final = "Moments"
MARK_WITHOUT_NOTE: Final = "marked"
ALL_UNCLEAR: Final = "❔ all of it unclear"

END_REASONS: Final = {
    "stopped": "stopped by hand",
    "everyone_left": "everybody left",
    "kicked": "I was disconnected from the voice channel",
    "moved": "I was moved to another channel, where nobody has agreed",
    "channel_deleted": "the voice channel was deleted",
    "permissions": "I lost the permission to be in the voice channel",
    "time_limit": "the longest time for a session was reached",
    "shutdown": "the bot is being stopped or restarted",
    "voice_failed": "the voice connection was lost and three tries did not bring it back",
    "cannot_decrypt": "the call could not be decrypted: try another region for the channel",
    "voice_refused": "Discord refused the voice connection",
    "connection_lost": "the connection to Discord was lost",
    "could_not_start": "it could not start",
    "error": "something broke in the bot",
    "process_ended": "the bot was stopped in the middle of it",
}


def refused(error: EngineError) -> str:
    """What the engine refuses, in its own sentence; a text that stands in no catalogue stays in the log."""
    if error.key is not None:
        return str(error)
    return UNDECODABLE if isinstance(error, AudioError) else ENGINE_AWAY


def unexpected(reference: str | None) -> str:
    tail = f" The operator finds it in the log as `{reference}`." if reference else ""
    return f"Something broke on my side, not on yours.{tail}"


def cooldown(seconds: float) -> str:
    return f"Not so fast: please try again in {max(1, round(seconds))} s."


def missing_permissions(names: Sequence[str]) -> str:
    return f"You need {permission_list(names)} for that."


def bot_lacks(names: Sequence[str], channel_id: int) -> str:
    return f"I lack {permission_list(names)} in <#{channel_id}>."


def permission_list(names: Sequence[str]) -> str:
    return ", ".join(f"*{name.replace('_', ' ').title().replace('Guild', 'Server')}*" for name in names)


def already_listening(channel_id: int) -> str:
    return f"I am listening already, in <#{channel_id}>. One conversation at a time in a server."


def listening_in(channel_id: int, panel_url: str | None) -> str:
    where = f" The panel: {panel_url}" if panel_url else ""
    return f"I am in <#{channel_id}>.{where}"


def needs_role(role_id: int) -> str:
    return f"Starting needs <@&{role_id}> or *Manage Server*."


def bar(share: float, *, width: int = 8) -> str:
    """A small bar of text; `share` is 0 to 1."""
    filled = round(max(0.0, min(1.0, share)) * width)
    return "▰" * filled + "▱" * (width - filled)


def percent(share: float) -> str:
    return f"{round(share * 100)} %"


def duration(seconds: float) -> str:
    """``42 s``, ``3 min 5 s``, ``1 h 2 min``: as on the web pages."""
    return spell(seconds)


def sounds(emoji: str, word: str, confidence: float) -> str:
    """``😠 sounds angry · 71 %``"""
    return f"{emoji} sounds {word} · {percent(confidence)}"


def ask_author(author_id: int, asker_id: int) -> str:
    return (
        f"<@{author_id}>, <@{asker_id}> would like to know how your voice message sounds. "
        "May I analyse it? The answer would be visible here; nothing is stored."
    )


def retention_set(days: int) -> str:
    return f"Results are deleted after {days} {'day' if days == 1 else 'days'}."


def deleted(counts: dict[str, int]) -> str:
    gone = tally({name: number for name, number in sorted(counts.items()) if number})
    return f"Deleted. {gone}" if gone else "There was nothing to delete."


def begins_to_sound(emotion: str) -> str:
    return f"begins to sound {emotion.lower()}"


def overlap(seconds: float) -> str:
    return f"Talking at once: {duration(seconds)}"


def clock_time(seconds: float) -> str:
    """``3:05``, as on the time axis of pictures and pages."""
    return f"`{clock(seconds)}`"


def noticed_moments(number: int) -> str:
    return f"{number} {'moment' if number == 1 else 'moments'} in which a voice turned, in the report"


def marked(at_s: float) -> str:
    return f"Marked at {clock_time(at_s)}."


def status_line(channel_id: int, elapsed_s: float, link: str, included: int, excluded: int) -> str:
    return (
        f"<#{channel_id}> · {duration(elapsed_s)} · connection: {LINK_STATES.get(link, link)}\n"
        f"{included} included, {excluded} not included"
    )


def tally(counts: Mapping[str, int]) -> str:
    """Counters as people read them: ``windows: 12 · frames: 4,711``"""
    return " · ".join(f"{name.replace('_', ' ')}: {value:,}" for name, value in counts.items())


def and_more(number: int) -> str:
    return f"… and {number} more"


def unclear_sum(emoji: str, likeliest: str, confidence: float) -> str:
    return f"{emoji} **unclear**; if anything, it sounds {likeliest} ({percent(confidence)})"


def ask_delete(*, everywhere: bool) -> str:
    where = "in every server" if everywhere else "in this server"
    return (
        f"This deletes everything stored about you {where}: your windows in all reports, your standing decision, and "
        "that you started sessions. It cannot be undone."
    )


def privacy_status(*, standing: str | None, included_now: bool, counts: Mapping[str, int]) -> str:
    decision = {
        "opt_in": "You opted in: sessions in this server include you.",
        "opt_out": "You opted out: you are never included in this server.",
    }.get(standing or "", "Every session asks you.")
    now = "You are included in the running session." if included_now else "Nobody analyses you at the moment."
    stored = tally(counts) or "nothing"
    return f"{decision}\n{now}\n\nStored: {stored}\nAudio: never. `/privacy export` shows all of it."


def settings_lines(*, attested: bool, role_id: int | None, days: int, channels: Sequence[int]) -> str:
    statement = "made: not a workplace, school or exam" if attested else "not made yet; the first start asks for it"
    who = f"<@&{role_id}> and *Manage Server*" if role_id else "*Manage Server*"
    where = ", ".join(f"<#{channel}>" for channel in channels) or "none"
    return (
        f"**Statement:** {statement}\n**May start:** {who}\n"
        f"**Results are deleted after:** {days} {'day' if days == 1 else 'days'}\n"
        f"**Voice messages of those who opted in, without being asked:** {where}"
    )


def role_set(role_id: int) -> str:
    return f"From now on <@&{role_id}> may start listening, beside *Manage Server*."


def auto_set(channel_id: int, *, on: bool) -> str:
    if not on:
        return f"Off in <#{channel_id}>."
    return (
        f"On in <#{channel_id}>, for those who opted in. Discord shows me files of messages that do not mention me "
        "only when the operator switched on the *Message Content* intent."
    )


def report_line(session_id: str, channel_id: int, started_unix: int, state: str, url: str | None) -> str:
    name = f"[{session_id}]({url})" if url else f"`{session_id}`"
    return f"<t:{started_unix}:f> · <#{channel_id}> · {state} · {name}"


def shared(url: str, expires_unix: int) -> str:
    return f"{url}\nOpens the report without signing in, until <t:{expires_unix}:f>. `/report revoke` ends it earlier."


def revoked(number: int) -> str:
    return f"{number} {'link works' if number == 1 else 'links work'} no more." if number else "There was no link."
