"""What a panel says, as plain data: rendered from a snapshot of the session, compared to see whether it changed.

Pure. People are written as mentions, which Discord shows as names without notifying anybody in an embed, so the bot
needs no names.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from bot.cards import COLOUR, COLOUR_ENDED, COLOUR_TROUBLE, Buttons, Card
from bot.listening.aggregate import Tone
from bot.pictures import palette
from bot.texts import Texts
from bot.voice.states import LinkState, Reason

QUIET_AFTER_S: Final = 30.0
"""After this time without a window somebody does not *sound* like anything now."""
MAX_LISTED: Final = 20
"""People listed one by one; an embed's description holds 4,096 characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The state of a session that a panel shows."""

    channel_id: int
    started_at: datetime
    included: Sequence[tuple[int, Tone | None]]
    """User id and tone, in order of arrival."""
    excluded: Sequence[int]
    new_voices: Collection[int] = ()
    """Of whom the engine has not heard enough yet to compare them with themselves."""
    by_standing: Collection[int] = ()
    """Who of the included pressed nothing: their standing answer includes them."""
    live_emotions: bool = True
    """Whether the server wants to see while it runs what each sounds like."""
    viewer_role_id: int | None = None
    """Whose holders read the report, too."""
    overall: str | None = None
    """How everybody together sounded in the last minute."""
    unsaved: bool = False
    """Results are not being saved at the moment."""
    pressed: bool = False
    """More is said than can be recognised, so a cheaper model answers."""
    link: LinkState
    link_reason: Reason = Reason.JOINED
    now_s: float = 0.0
    """Position on the session's timeline."""
    alone: bool = False
    deafened: bool = False
    model: str
    report_url: str | None


def panel_card(now: Snapshot, texts: Texts) -> Card:
    """The panel of a running session."""
    lines = [_line(user_id, tone, now, texts) for user_id, tone in now.included[:MAX_LISTED]]
    if len(now.included) > MAX_LISTED:
        lines.append(texts("AND_MORE", n=len(now.included) - MAX_LISTED))
    if not lines:
        lines = [texts.PANEL_NOBODY]
    head = texts("PANEL_SINCE", channel_id=now.channel_id, started=int(now.started_at.timestamp()))
    if now.overall is not None:
        look = palette.tone(now.overall)
        lines += ["", f"{look.emoji} {texts('PANEL_OVERALL', word=texts.tone(now.overall))}"]
    small = [texts.PANEL_NOTICE]
    if now.excluded:  # not by name: who did not agree is nobody's business
        small.insert(0, texts("PANEL_EXCLUDED", n=len(now.excluded)))
    if now.viewer_role_id is not None:
        small.append(texts("PANEL_READERS", role_id=now.viewer_role_id))
    text = "\n".join([head, "", f"**{texts.PANEL_PEOPLE}**", *lines, "", *(f"-# {line}" for line in small)])
    fields: list[tuple[str, str]] = []
    if trouble := _trouble(now, texts):
        fields.append((texts.FIELD_STATE, trouble))
    return Card(
        title=texts.PANEL_TITLE,
        text=text,
        fields=tuple(fields),
        footer=texts("FOOTER", model=now.model),
        colour=COLOUR_TROUBLE if trouble else COLOUR,
        buttons=Buttons.PANEL,
        url=now.report_url,
    )


def ended_card(texts: Texts, *, channel_id: int, reason: str, duration_s: float, report_url: str | None) -> Card:
    """What remains of the panel after the end."""
    why = texts.END_REASONS.get(reason, reason)
    return Card(
        title=texts.PANEL_ENDED_TITLE,
        text=f"<#{channel_id}> · {texts.duration(duration_s)} · {why}",
        colour=COLOUR_ENDED,
        url=report_url,
    )


def _line(user_id: int, tone: Tone | None, now: Snapshot, texts: Texts) -> str:
    who = f"<@{user_id}>"
    parts = [_sound(who, tone, now.now_s, texts) if now.live_emotions else f"▫️ {texts('PERSON_HEARD', who=who)}"]
    if user_id in now.new_voices:
        parts.append(texts.STILL_NEW)
    if user_id in now.by_standing:
        parts.append(texts.PERSON_BY_STANDING)
    return " · ".join(parts)


def _sound(who: str, tone: Tone | None, now_s: float, texts: Texts) -> str:
    if tone is None:
        return f"▫️ {who} {texts.QUIET}"
    look = palette.tone(tone.emotion, unclear=tone.unclear)
    word = texts.tone(tone.emotion)
    if tone.unclear:
        return f"{look.emoji} {texts('PERSON_UNCLEAR', who=who, word=word, share=texts.percent(tone.confidence))}"
    if now_s - tone.heard_until_s > QUIET_AFTER_S:
        return f"{look.emoji} {texts('PERSON_QUIET', who=who, word=word)}"
    sure = f"{texts.bar(tone.confidence)} {texts.percent(tone.confidence)}"
    return f"{look.emoji} {texts('PERSON_SOUNDS', who=who, word=word, sure=sure)}"


def _trouble(now: Snapshot, texts: Texts) -> str:
    troubles = []
    if now.link is LinkState.RECONNECTING and now.link_reason is Reason.UNDECRYPTABLE:  # that is what it reconnects for
        troubles.append(texts("PANEL_LINK", state=texts.LINK_STATES[LinkState.CANNOT_DECRYPT]))
    elif now.link is not LinkState.LISTENING:
        troubles.append(texts("PANEL_LINK", state=texts.LINK_STATES[now.link]))
    elif now.link_reason.code in texts.LINK_REASONS:
        troubles.append(texts.LINK_REASONS[now.link_reason.code])
    if now.deafened:
        troubles.append(texts.SERVER_DEAFENED)
    if now.unsaved:
        troubles.append(texts.UNSAVED)
    if now.pressed:
        troubles.append(texts.PRESSED)
    if now.alone:
        troubles.append(texts.PANEL_ALONE)
    return "\n".join(f"• {trouble}" for trouble in troubles) if len(troubles) > 1 else "".join(troubles)
