"""Messages as Discord writes them: with their embeds, files and reactions."""

from __future__ import annotations

from typing import Protocol

from sandbox.models import Attachment, Json, Message, Reaction
from sandbox.payloads.places import timestamp, user
from sandbox.state import State


class Urls(Protocol):
    """Where files are served."""

    def attachment(self, attachment: Attachment) -> str: ...


def attachment(record: Attachment, urls: Urls, *, ephemeral: bool = False) -> Json:
    url = urls.attachment(record)
    body: Json = {
        "id": str(record.id),
        "filename": record.filename,
        "size": len(record.content),
        "url": url,
        "proxy_url": url,
        "content_type": record.content_type,
    }
    optional = {
        "description": record.description,
        "width": record.width,
        "height": record.height,
        "duration_secs": record.duration_secs,
        "waveform": record.waveform,
        "ephemeral": ephemeral or None,
    }
    return body | {key: value for key, value in optional.items() if value is not None}


def emoji(text: str) -> Json:
    """A character, or ``name:id`` of a custom emoji."""
    name, _, emoji_id = text.partition(":")
    return {"id": emoji_id or None, "name": name if emoji_id else text}


def reaction(record: Reaction, viewer_id: int) -> Json:
    count = len(record.user_ids)
    return {
        "emoji": emoji(record.emoji),
        "count": count,
        "count_details": {"burst": 0, "normal": count},
        "me": viewer_id in record.user_ids,
        "me_burst": False,
        "burst_colors": [],
    }


def message(record: Message, state: State, urls: Urls, *, viewer_id: int, nested: bool = False) -> Json:
    """As REST answers it; `viewer_id` decides which reactions are ``me``. A reply carries what it replies to, once."""
    files = {a.filename: urls.attachment(a) for a in record.attachments}
    shown_inside = attachment_names(record.embeds) | attachment_names(record.components)
    body: Json = {
        "id": str(record.id),
        "channel_id": str(record.channel_id),
        "type": _message_type(record),
        "author": user(record.author),
        "content": record.content,
        "timestamp": timestamp(record.created_at),
        "edited_timestamp": timestamp(record.edited_at) if record.edited_at else None,
        "tts": record.tts,
        "mention_everyone": record.mention_everyone,
        "mentions": [user(state.users[u]) for u in record.mention_ids if u in state.users],
        "mention_roles": [str(role_id) for role_id in record.mention_role_ids],
        "attachments": [
            attachment(a, urls, ephemeral=record.ephemeral)
            for a in record.attachments
            if a.filename not in shown_inside
        ],
        "embeds": [with_urls(e, files) for e in record.embeds],
        "components": [with_urls(c, files) for c in record.components],
        "pinned": False,
        "flags": record.flags,
    }
    if record.reactions:
        body["reactions"] = [reaction(r, viewer_id) for r in record.reactions]
    if record.nonce is not None:
        body["nonce"] = record.nonce
    if record.interaction is not None:
        body["interaction_metadata"] = record.interaction
        body["application_id"] = body["webhook_id"] = str(record.webhook_id)
    if record.forwarded is not None:
        body["message_snapshots"] = [{"message": _snapshot(record.forwarded, state, urls)}]
        body["message_reference"] = {
            "type": 1,
            "message_id": str(record.forwarded.id),
            "channel_id": str(record.forwarded.channel_id),
        }
    if record.reply_to_id:
        body["message_reference"] = {
            "type": 0,
            "message_id": str(record.reply_to_id),
            "channel_id": str(record.channel_id),
        } | ({"guild_id": str(record.guild_id)} if record.guild_id else {})
        if not nested:
            referenced = state.message(record.channel_id, record.reply_to_id)
            body["referenced_message"] = (
                message(referenced, state, urls, viewer_id=viewer_id, nested=True) if referenced else None
            )
    return body


def _snapshot(record: Message, state: State, urls: Urls) -> Json:
    """What a forward holds of the message that it forwards: its content and files, and not who wrote it."""
    kept = ("type", "content", "embeds", "attachments", "timestamp", "edited_timestamp", "flags", "mentions")
    body = message(record, state, urls, viewer_id=0, nested=True)
    return {name: body[name] for name in (*kept, "mention_roles", "components")}


def _message_type(record: Message) -> int:
    """0 plain, 19 a reply, 20 the answer to a slash command, 23 to a context menu; the others do not occur here."""
    if record.reply_to_id:
        return 19
    if record.interaction is None or record.interaction["type"] != 2:
        return 0
    return 20 if record.interaction["command_type"] == 1 else 23


def attachment_names(node: object) -> set[str]:
    """The files that an embed or a component shows by ``attachment://name``."""
    if isinstance(node, dict):
        return {name for value in node.values() for name in attachment_names(value)}
    if isinstance(node, list):
        return {name for value in node for name in attachment_names(value)}
    if isinstance(node, str) and node.startswith("attachment://"):
        return {node.removeprefix("attachment://")}
    return set()


def with_urls(node: Json, files: dict[str, str]) -> Json:
    """A copy in which ``attachment://name`` has become the address of that file."""
    return {key: _with_urls(value, files) for key, value in node.items()}


def _with_urls(node: object, files: dict[str, str]) -> object:
    if isinstance(node, dict):
        return {key: _with_urls(value, files) for key, value in node.items()}
    if isinstance(node, list):
        return [_with_urls(value, files) for value in node]
    if isinstance(node, str) and node.startswith("attachment://"):
        return files.get(node.removeprefix("attachment://"), node)
    return node
