"""The first answer to an interaction, due within three seconds."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final

from aiohttp import web
from pydantic import BaseModel, Field

from sandbox import errors
from sandbox.components import LABEL, ROW, SELECTS, TEXT_DISPLAY, TEXT_INPUT
from sandbox.forms import MessageForm, parse
from sandbox.interactions import Interaction
from sandbox.models import Json, MessageFlag
from sandbox.posting import Answering, Uploads
from sandbox.rest.access import form_body, shown, snowflake, world_of
from sandbox.rest.answers import no_content, reply
from sandbox.world import World

ROUTES: Final = web.RouteTableDef()


class Callback(IntEnum):
    PONG = 1
    MESSAGE = 4
    DEFERRED_MESSAGE = 5
    DEFERRED_UPDATE = 6
    UPDATE = 7
    AUTOCOMPLETE = 8
    MODAL = 9


_ALLOWED: Final = {
    2: {Callback.MESSAGE, Callback.DEFERRED_MESSAGE, Callback.MODAL},
    3: {Callback.MESSAGE, Callback.DEFERRED_MESSAGE, Callback.DEFERRED_UPDATE, Callback.UPDATE, Callback.MODAL},
    4: {Callback.AUTOCOMPLETE},
    5: {Callback.MESSAGE, Callback.DEFERRED_MESSAGE, Callback.DEFERRED_UPDATE, Callback.UPDATE},
}
"""Which answers fit which type of interaction."""


class _CallbackForm(BaseModel):
    type: Callback
    data: Json | None = None


class _Choice(BaseModel):
    name: str = Field(min_length=1, max_length=100)
    value: str | int | float


class _Choices(BaseModel):
    choices: list[_Choice] = Field(max_length=25)


class _Modal(BaseModel):
    custom_id: str = Field(min_length=1, max_length=100)
    title: str = Field(min_length=1, max_length=45)
    components: list[Json] = Field(min_length=1, max_length=5)


@ROUTES.post("/interactions/{interaction_id}/{token}/callback")
async def callback(request: web.Request) -> web.Response:
    world = world_of(request)
    raw, uploads = await form_body(request)
    interaction = world.interactions.to_answer(snowflake(request, "interaction_id"), request.match_info["token"])
    form = parse(_CallbackForm, raw)
    if form.type not in _ALLOWED[interaction.type]:
        raise errors.invalid_field("type", "INTERACTION_RESPONSE_TYPE_INVALID", "Not an answer to this interaction")
    _answer(world, interaction, form.type, form.data or {}, uploads)
    interaction.response_type = int(form.type)
    world.interactions.answered(interaction)
    if request.query.get("with_response") not in ("1", "true"):
        return no_content()
    return reply(_outcome(request, interaction, form.type))


def answering(world: World, interaction: Interaction, *, ephemeral: bool) -> Answering:
    """What marks a message as this interaction's answer."""
    return Answering(
        metadata=interaction.metadata,
        application_id=world.application_id,
        ephemeral_for=interaction.user.id if ephemeral else None,
    )


def _answer(world: World, interaction: Interaction, kind: Callback, data: Json, uploads: Uploads) -> None:
    flags = data.get("flags") or 0
    if kind in (Callback.MESSAGE, Callback.DEFERRED_MESSAGE):
        loading = kind is Callback.DEFERRED_MESSAGE
        interaction.ephemeral = bool(flags & MessageFlag.EPHEMERAL)
        interaction.original = world.posting.create(
            interaction.channel,
            world.bot,
            MessageForm() if loading else parse(MessageForm, data),
            uploads,
            answering=answering(world, interaction, ephemeral=interaction.ephemeral),
            loading=loading,
        )
    elif kind in (Callback.DEFERRED_UPDATE, Callback.UPDATE):
        interaction.original = interaction.message
        if interaction.message is not None:
            interaction.ephemeral = interaction.message.ephemeral
            if kind is Callback.UPDATE:
                world.posting.edit(interaction.message, parse(MessageForm, data), uploads)
    elif kind is Callback.AUTOCOMPLETE:
        interaction.choices = [c.model_dump() for c in parse(_Choices, data).choices]
    elif kind is Callback.MODAL:
        modal = parse(_Modal, data)
        for index, component in enumerate(modal.components):
            _check_modal_part(component, f"components.{index}")
        interaction.modal = modal.model_dump()


def _check_modal_part(component: Json, path: str) -> None:
    kind = component.get("type")
    if kind not in (ROW, LABEL, TEXT_DISPLAY):
        raise errors.invalid_field(f"{path}.type", "BASE_TYPE_CHOICES", "Value of field must be one of (1, 10, 18).")
    inner = component.get("components", []) if kind == ROW else [component.get("component")] if kind == LABEL else []
    for field in inner:
        fits = isinstance(field, dict) and (field.get("type") == TEXT_INPUT or (kind == LABEL and _fits_label(field)))
        if not fits:
            raise errors.invalid_field(f"{path}.component", "BASE_TYPE_CHOICES", "Not in a modal")


def _fits_label(field: dict[str, Any]) -> bool:
    return field.get("type") in SELECTS or field.get("type") in (19, 21, 22, 23)


def _outcome(request: web.Request, interaction: Interaction, kind: Callback) -> Json:
    summary: Json = {"id": str(interaction.id), "type": interaction.type}
    body: Json = {"interaction": summary}
    if interaction.original is not None:
        summary["response_message_id"] = str(interaction.original.id)
        summary["response_message_loading"] = interaction.original.loading
        summary["response_message_ephemeral"] = interaction.original.ephemeral
        if kind is not Callback.DEFERRED_UPDATE:
            body["resource"] = {"type": int(kind), "message": shown(request, interaction.original)}
    return body
