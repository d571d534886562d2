"""Posting and editing messages: from a validated form and its files to a record in the state.

Every door to a message (a channel, an interaction's answer, a follow-up, an edit, a person's keyboard) comes through
here, so that limits, mentions and attachments are the same at each.
"""

from __future__ import annotations

import io
import mimetypes
import re
from dataclasses import dataclass
from typing import Final

from sandbox import components, errors
from sandbox.forms import (
    PERSON_UPLOAD_LIMIT_BYTES,
    SETTABLE_FLAGS,
    UPLOAD_LIMIT_BYTES,
    AllowedMentions,
    AttachmentSlot,
    MessageForm,
)
from sandbox.models import Attachment, Channel, Json, Message, MessageFlag, User, utc_now
from sandbox.state import State

LATE_EDITS_LIMIT: Final = 3
"""How often a message that is older than an hour may be edited; Discord does not publish its figure."""
_LATE_AFTER_S: Final = 3_600.0
_MENTION: Final = re.compile(r"<@!?(\d+)>")
_ROLE_MENTION: Final = re.compile(r"<@&(\d+)>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file of a multipart request, by its number in ``files[n]``."""

    filename: str
    content: bytes
    content_type: str | None = None


Uploads = dict[int, Upload]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answering:
    """What makes a message an interaction's answer."""

    metadata: Json
    application_id: int
    ephemeral_for: int | None = None


class Posting:
    def __init__(self, state: State) -> None:
        self._state = state

    def create(
        self,
        channel: Channel,
        author: User,
        form: MessageForm,
        uploads: Uploads,
        *,
        answering: Answering | None = None,
        loading: bool = False,
    ) -> Message:
        """Post a message.

        Raises:
            ApiError: over a limit, empty, or an unknown message replied to.
        """
        if form.enforce_nonce and (posted := self._posted(channel, author, form.nonce)) is not None:
            return posted
        flags = (form.flags or 0) & SETTABLE_FLAGS
        message = Message(
            id=self._state.ids.next(),
            channel_id=channel.id,
            guild_id=channel.guild_id,
            author=author,
            tts=form.tts,
            nonce=form.nonce,
            flags=flags | (MessageFlag.LOADING if loading else 0),
        )
        if answering is not None:
            message.interaction = answering.metadata
            message.webhook_id = answering.application_id
            message.visible_to = answering.ephemeral_for
            message.flags |= MessageFlag.EPHEMERAL if answering.ephemeral_for else 0
        if form.message_reference is not None:
            self._reply(message, form)
        self._fill(message, form, uploads)
        if not loading:
            _refuse_empty(message)
        return self._state.add_message(message)

    def _posted(self, channel: Channel, author: User, nonce: str | int | None) -> Message | None:
        """What was posted with that nonce already: whoever lost the answer asks again."""
        newest = reversed(self._state.messages(channel.id))
        return next((m for m in newest if nonce is not None and (m.author.id, m.nonce) == (author.id, nonce)), None)

    def edit(self, message: Message, form: MessageForm, uploads: Uploads) -> Message:
        """Change what the form names and leave the rest; an answer that was loading is loaded then.

        Raises:
            ApiError: over a limit, empty, or too many edits of an old message.
        """
        late = (utc_now() - message.created_at).total_seconds() > _LATE_AFTER_S
        if late and message.late_edits >= LATE_EDITS_LIMIT:
            raise errors.too_many_late_edits()
        completed = message.loading
        draft = _copy(message)
        draft.flags &= ~MessageFlag.LOADING
        if form.flags is not None:
            draft.flags |= form.flags & (MessageFlag.SUPPRESS_EMBEDS | MessageFlag.COMPONENTS_V2)
        self._fill(draft, form, uploads)
        _refuse_empty(draft)
        for name in ("content", "embeds", "components", "attachments", "flags", "mention_ids", "mention_role_ids"):
            setattr(message, name, getattr(draft, name))
        message.late_edits += late
        self._state.update_message(message, edited=not completed)
        return message

    def _fill(self, message: Message, form: MessageForm, uploads: Uploads) -> None:
        given = form.model_fields_set
        form.check_embeds()
        if "content" in given:
            message.content = (form.content or "").strip()
        if "embeds" in given:
            message.embeds = [embed.stored() for embed in form.embeds or []]
        if "components" in given:
            v2 = bool(message.flags & MessageFlag.COMPONENTS_V2)
            message.components = components.check(form.components or [], v2=v2)
        if message.flags & MessageFlag.COMPONENTS_V2 and (message.content or message.embeds):
            raise errors.invalid_field(
                "content", "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2", "Not with Components V2"
            )
        if "attachments" in given or uploads:
            message.attachments = self._attachments(message, form.attachments, uploads)
        self._mention(message, form.allowed_mentions)

    def _attachments(self, message: Message, slots: list[AttachmentSlot] | None, uploads: Uploads) -> list[Attachment]:
        kept: list[Attachment] = []
        before = {a.id: a for a in message.attachments}
        for slot in slots if slots is not None else [AttachmentSlot(id=n) for n in uploads]:
            if slot.id in uploads:
                kept.append(self.attach(message.channel_id, uploads[slot.id], slot, by_bot=message.author.bot))
            elif slot.id in before:
                kept.append(before[slot.id])
            else:
                raise errors.invalid_field("attachments", "ATTACHMENT_NOT_FOUND", "Attachment data was not found")
        if slots is None:
            kept = [*before.values(), *kept]
        return kept

    def attach(self, channel_id: int, upload: Upload, slot: AttachmentSlot, *, by_bot: bool) -> Attachment:
        if len(upload.content) > (UPLOAD_LIMIT_BYTES if by_bot else PERSON_UPLOAD_LIMIT_BYTES):
            raise errors.too_large()
        filename = re.sub(r"[^\w.\-]", "_", slot.filename or upload.filename)[-128:] or "file"
        content_type = mimetypes.guess_type(filename)[0] or upload.content_type or "application/octet-stream"
        width, height = _size_px(upload.content) if content_type.startswith("image/") else (None, None)
        return Attachment(
            id=self._state.ids.next(),
            channel_id=channel_id,
            filename=filename,
            content_type=content_type,
            content=upload.content,
            description=slot.description,
            width=width,
            height=height,
            duration_secs=slot.duration_secs,
            waveform=slot.waveform,
        )

    def _reply(self, message: Message, form: MessageForm) -> None:
        reference = form.message_reference
        if reference is None:
            return
        target = self._state.message(message.channel_id, reference.message_id)
        if target is None:
            if reference.fail_if_not_exists:
                raise errors.invalid_field("message_reference", "REPLIES_UNKNOWN_MESSAGE", "Unknown message")
            return
        message.reply_to_id = target.id
        allowed = form.allowed_mentions
        if allowed is None or allowed.replied_user:
            message.mention_ids.append(target.author.id)

    def _mention(self, message: Message, allowed: AllowedMentions | None) -> None:
        users = [int(found) for found in _MENTION.findall(message.content)]
        roles = [int(found) for found in _ROLE_MENTION.findall(message.content)]
        if allowed is not None:
            users = [u for u in users if "users" in allowed.parse or u in allowed.users]
            roles = [r for r in roles if "roles" in allowed.parse or r in allowed.roles]
        target = self._state.message(message.channel_id, message.reply_to_id or 0)
        replied = [target.author.id] if target and target.author.id in message.mention_ids else []
        message.mention_ids = list(dict.fromkeys([*replied, *(u for u in users if u in self._state.users)]))
        message.mention_role_ids = list(dict.fromkeys(roles))
        everyone = allowed is None or "everyone" in allowed.parse
        message.mention_everyone = everyone and ("@everyone" in message.content or "@here" in message.content)


def _copy(message: Message) -> Message:
    return Message(
        id=message.id,
        channel_id=message.channel_id,
        author=message.author,
        content=message.content,
        embeds=message.embeds,
        components=message.components,
        attachments=message.attachments,
        mention_ids=message.mention_ids,
        reply_to_id=message.reply_to_id,
        flags=message.flags,
    )


def _refuse_empty(message: Message) -> None:
    if not (message.content or message.embeds or message.components or message.attachments):
        raise errors.empty_message()


def _size_px(content: bytes) -> tuple[int | None, int | None]:
    from PIL import Image, UnidentifiedImageError  # only messages with pictures need it

    try:
        with Image.open(io.BytesIO(content)) as picture:
            return picture.size
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError):
        return None, None
