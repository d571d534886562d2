"""Commands from one's own account, in a place where the bot is no member; and in threads."""

from __future__ import annotations

import pytest

from bot.texts import english as texts
from sandbox import NotOffered
from sandbox.models import ChannelType
from tests.bot.commands.test_analyze import answer_to, button, recorded
from tests.fakes.backend import LABELS, FakeBackend, prediction
from tests.fakes.world import World, text_of, wav

pytestmark = pytest.mark.integration


async def test_ones_own_recordings_are_analysed_where_the_bot_is_no_member(world: World) -> None:
    sandbox, mara = world.sandbox, world.mara
    guild = sandbox.state.add_guild("Elsewhere", mara)
    channel = sandbox.state.add_channel(guild, "talk")
    message = sandbox.send_voice_message(mara, channel, recorded())
    with pytest.raises(NotOffered):
        await sandbox.context_menu(mara, message, texts.MENU_ANALYZE)
    sandbox.people.install(mara)
    answer = await sandbox.answer(await sandbox.context_menu(mara, message, texts.MENU_ANALYZE))
    assert answer.embeds[0]["title"] == texts.ANALYSIS_TITLE
    assert answer.visible_to == mara.id
    assert message.reactions == []
    with pytest.raises(NotOffered):
        await sandbox.command(mara, channel, "listen start")


async def test_somebody_elses_voice_message_cannot_be_asked_about_where_the_bot_is_no_member(world: World) -> None:
    sandbox = world.sandbox
    guild = sandbox.state.add_guild("Elsewhere", world.mara)
    sandbox.state.add_member(guild, world.theo)
    channel = sandbox.state.add_channel(guild, "talk")
    message = sandbox.send_voice_message(world.mara, channel, recorded())
    sandbox.people.install(world.theo)
    refused = await sandbox.answer(await sandbox.context_menu(world.theo, message, texts.MENU_ANALYZE))
    assert text_of(refused) == texts.CANNOT_ASK_HERE


@pytest.mark.parametrize("kind", [ChannelType.TEXT, ChannelType.FORUM])
async def test_a_voice_message_in_a_thread_is_answered_there(world: World, kind: ChannelType) -> None:
    sandbox = world.sandbox
    parent = sandbox.state.add_channel(sandbox.guild, "parent", kind)
    thread = sandbox.state.add_thread(parent, "a thread", world.mara)
    message = sandbox.send_voice_message(world.mara, thread, recorded())
    await sandbox.context_menu(world.mara, message, texts.MENU_ANALYZE)
    assert (await answer_to(world, message)).channel_id == thread.id


@pytest.mark.parametrize("pictured", [False, True])
async def test_after_fifteen_minutes_the_answer_comes_to_who_asked_and_nobody_else(
    world: World, pictured: bool
) -> None:
    if pictured:
        backend = world.service.backend
        assert isinstance(backend, FakeBackend)
        backend.script.extend(prediction(emotion) for emotion in LABELS[:2] * 4)
    file = world.sandbox.file(world.sandbox.text, "voice.wav", wav(24.0 if pictured else 1.5))
    question = await world.ask(world.mara, "analyze", {"file": file})
    world.sandbox.world.interactions.lifetime_s = 0.0
    await world.sandbox.press(world.mara, question, button(question, "yes"))
    private = world.sandbox.people.direct_messages(world.mara)
    (told,) = await world.sandbox.wait_for(lambda: world.sandbox.messages(private))
    assert told.embeds[0]["title"] == texts.ANALYSIS_TITLE
    assert [one.content[:4] for one in told.attachments] == ([b"\x89PNG"] if pictured else [])
    assert not any(message.embeds for message in world.sandbox.messages(world.sandbox.text))
