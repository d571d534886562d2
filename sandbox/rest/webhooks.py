"""Further answers to an interaction: its first answer read, edited or taken back, and follow-ups."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from sandbox import errors
from sandbox.forms import MessageForm, parse
from sandbox.interactions import Interaction
from sandbox.models import Message, MessageFlag
from sandbox.rest.access import form_body, shown, snowflake, world_of
from sandbox.rest.answers import no_content, reply
from sandbox.rest.interactions import answering

ROUTES: Final = web.RouteTableDef()
_PATH: Final = "/webhooks/{webhook_id}/{token}"


def _interaction(request: web.Request) -> Interaction:
    world = world_of(request)
    if snowflake(request, "webhook_id") != world.application_id:
        raise errors.unknown_webhook()
    return world.interactions.by_token(request.match_info["token"])


def _message(request: web.Request, interaction: Interaction) -> Message:
    name = request.match_info["message_id"]
    if name == "@original":
        if interaction.original is None or interaction.deleted:
            raise errors.unknown_message()
        return interaction.original
    message_id = snowflake(request, "message_id")
    found = next((m for m in interaction.messages if m.id == message_id), None)
    if found is None:
        raise errors.unknown_message()
    return found


@ROUTES.post(_PATH)
async def follow_up(request: web.Request) -> web.Response:
    """The first follow-up after "thinking" takes the place of it, and its visibility with it."""
    world = world_of(request)
    interaction = _interaction(request)
    raw, uploads = await form_body(request)
    form = parse(MessageForm, raw)
    waiting = interaction.original
    if waiting is not None and waiting.loading and not interaction.deleted:
        message = world.posting.edit(waiting, form, uploads)
    else:
        ephemeral = bool((form.flags or 0) & MessageFlag.EPHEMERAL)
        message = world.posting.create(
            interaction.channel,
            world.bot,
            form,
            uploads,
            answering=answering(world, interaction, ephemeral=ephemeral),
        )
        interaction.followups.append(message)
    world.interactions.answered(interaction)
    return reply(shown(request, message))


@ROUTES.get(_PATH + "/messages/{message_id}")
async def read(request: web.Request) -> web.Response:
    return reply(shown(request, _message(request, _interaction(request))))


@ROUTES.patch(_PATH + "/messages/{message_id}")
async def edit(request: web.Request) -> web.Response:
    world = world_of(request)
    interaction = _interaction(request)
    message = _message(request, interaction)
    raw, uploads = await form_body(request)
    world.posting.edit(message, parse(MessageForm, raw), uploads)
    world.interactions.answered(interaction)
    return reply(shown(request, message))


@ROUTES.delete(_PATH + "/messages/{message_id}")
async def delete(request: web.Request) -> web.Response:
    world = world_of(request)
    interaction = _interaction(request)
    message = _message(request, interaction)
    world.state.delete_message(message)
    if message is interaction.original:
        interaction.deleted = True
    else:
        interaction.followups.remove(message)
    world.interactions.answered(interaction)
    return no_content()
