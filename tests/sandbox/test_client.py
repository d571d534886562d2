"""An unmodified discord.py client lives in the sandbox: registers commands, answers, posts, edits, reacts."""

from __future__ import annotations

import io

import discord
import pytest
from discord import app_commands
from PIL import Image

from sandbox import NotOffered, Sandbox
from tests.fakes.plain_bot import PlainBot

pytestmark = pytest.mark.integration


def png(width: int = 4, height: int = 3) -> io.BytesIO:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(buffer, "png")
    buffer.seek(0)
    return buffer


def text_channel(bot: PlainBot, sandbox: Sandbox) -> discord.TextChannel:
    channel = bot.get_channel(sandbox.text.id)
    assert isinstance(channel, discord.TextChannel)
    return channel


async def test_the_client_sees_the_server_it_logged_in_to(bot: PlainBot, sandbox: Sandbox) -> None:
    guild = bot.get_guild(sandbox.guild.id)
    assert guild is not None
    assert guild.name == sandbox.guild.name
    assert guild.me.id == sandbox.bot.id
    assert {c.name for c in guild.channels} == {"general", "Fireside"}
    assert guild.me.guild_permissions.use_application_commands
    assert not guild.me.guild_permissions.administrator
    assert bot.application_id == sandbox.application_id


async def test_members_out_of_voice_are_unknown_until_fetched(bot: PlainBot, sandbox: Sandbox) -> None:
    mara = sandbox.add_person("Mara")
    guild = bot.get_guild(sandbox.guild.id)
    assert guild is not None
    assert guild.get_member(mara.id) is None
    assert (await guild.fetch_member(mara.id)).display_name == "Mara"
    sandbox.state.join_voice(mara.id, sandbox.voice_channel)
    await sandbox.wait_for(lambda: guild.get_member(mara.id) is not None)


async def test_a_command_is_deferred_and_then_answered_with_a_picture(bot: PlainBot, sandbox: Sandbox) -> None:
    async def about(interaction: discord.Interaction) -> None:
        await interaction.response.defer(thinking=True)
        embed = discord.Embed(title="About", description="How it sounds").set_image(url="attachment://strip.png")
        await interaction.edit_original_response(
            content="Done", embed=embed, attachments=[discord.File(png(), "strip.png", description="A strip")]
        )

    await bot.add_slash("about", about)
    interaction = await sandbox.command(sandbox.you, sandbox.text, "about")

    assert interaction.response_type == 5
    message = await sandbox.answer(interaction)
    assert message.content == "Done"
    assert message.edited_at is None  # it was completed, not edited
    assert message.embeds[0]["title"] == "About"
    assert (message.attachments[0].width, message.attachments[0].height) == (4, 3)
    assert message in sandbox.messages(sandbox.text)
    seen = await text_channel(bot, sandbox).fetch_message(message.id)
    assert seen.attachments == []  # an attachment that an embed shows is listed with the embed alone
    assert seen.embeds[0].image.url is not None
    assert await bot.http.get_from_cdn(seen.embeds[0].image.url) == message.attachments[0].content


async def test_an_ephemeral_answer_is_seen_by_one_person(bot: PlainBot, sandbox: Sandbox) -> None:
    async def hush(interaction: discord.Interaction) -> None:
        await interaction.response.send_message("only for you", ephemeral=True)

    await bot.add_slash("hush", hush)
    mara = sandbox.add_person("Mara")
    interaction = await sandbox.command(mara, sandbox.text, "hush")
    message = await sandbox.answer(interaction)

    assert message.ephemeral
    assert message in sandbox.messages(sandbox.text, seen_by=mara)
    assert message not in sandbox.messages(sandbox.text, seen_by=sandbox.you)
    with pytest.raises(discord.NotFound):
        await text_channel(bot, sandbox).fetch_message(message.id)


async def test_subcommands_and_options_of_every_kind_arrive(bot: PlainBot, sandbox: Sandbox) -> None:
    got: dict[str, object] = {}

    class Listen(app_commands.Group):
        @app_commands.command(description="Start")
        async def start(
            self,
            interaction: discord.Interaction,
            who: discord.Member,
            where: discord.VoiceChannel,
            clip: discord.Attachment,
            times: app_commands.Range[int, 1, 5] = 1,
            loud: bool = False,
        ) -> None:
            got.update(who=who.id, where=where.id, clip=await clip.read(), times=times, loud=loud)
            await interaction.response.send_message("ok")

    bot.tree.add_command(Listen(name="listen", description="Listening"))
    await bot.tree.sync()
    mara = sandbox.add_person("Mara")
    clip = sandbox.file(sandbox.text, "clip.wav", b"RIFF....")
    options = {"who": mara, "where": sandbox.voice_channel, "clip": clip, "times": 3, "loud": True}
    await sandbox.answer(await sandbox.command(mara, sandbox.text, "listen start", options))

    assert got == {"who": mara.id, "where": sandbox.voice_channel.id, "clip": b"RIFF....", "times": 3, "loud": True}
    with pytest.raises(ValueError, match="times is out of range"):
        await sandbox.command(mara, sandbox.text, "listen start", options | {"times": 9})
    with pytest.raises(NotOffered):
        await sandbox.command(mara, sandbox.text, "listen")


async def test_buttons_update_and_forms_open(bot: PlainBot, sandbox: Sandbox) -> None:
    class Form(discord.ui.Modal, title="A word"):
        word: discord.ui.TextInput[Form] = discord.ui.TextInput(label="Word")

        async def on_submit(self, interaction: discord.Interaction) -> None:
            await interaction.response.send_message(f"You wrote {self.word.value}")

    class Panel(discord.ui.View):
        presses = 0

        @discord.ui.button(label="Include me", custom_id="include")
        async def include(self, interaction: discord.Interaction, _: discord.ui.Button[Panel]) -> None:
            self.presses += 1
            await interaction.response.edit_message(content=f"{interaction.user.display_name}: {self.presses}")

        @discord.ui.button(label="Write", custom_id="write")
        async def write(self, interaction: discord.Interaction, _: discord.ui.Button[Panel]) -> None:
            await interaction.response.send_modal(form)

    form = Form()
    sent = await text_channel(bot, sandbox).send("Panel", view=Panel(timeout=None))
    panel = sandbox.state.message(sandbox.text.id, sent.id)
    assert panel is not None
    assert panel.custom_ids() == ["include", "write"]

    interaction = await sandbox.press(sandbox.you, panel, "include")
    assert interaction.response_type == 7
    assert panel.content == "You: 1"

    opened = await sandbox.press(sandbox.you, panel, "write")
    assert opened.modal is not None
    field = form.word.custom_id
    answer = await sandbox.answer(await sandbox.submit(opened, {field: "hello"}))
    assert answer.content == "You wrote hello"
    with pytest.raises(NotOffered):
        await sandbox.press(sandbox.you, panel, "nothing")


async def test_the_context_menu_carries_the_message(bot: PlainBot, sandbox: Sandbox) -> None:
    async def analyze(interaction: discord.Interaction, message: discord.Message) -> None:
        await interaction.response.defer(thinking=True, ephemeral=True)
        size = len(await message.attachments[0].read())
        await message.add_reaction("😠")
        await message.reply(f"{size} bytes")
        await interaction.followup.send("Done")

    bot.tree.add_command(app_commands.ContextMenu(name="Analyze emotion", callback=analyze))
    await bot.tree.sync()
    mara = sandbox.add_person("Mara")
    spoken = sandbox.send_message(mara, sandbox.text, files=[("clip.wav", b"RIFF")])
    interaction = await sandbox.context_menu(mara, spoken, "Analyze emotion")

    assert (await sandbox.answer(interaction)).content == "Done"
    assert [(r.emoji, r.user_ids) for r in spoken.reactions] == [("😠", [sandbox.bot.id])]
    replies = [m for m in sandbox.messages(sandbox.text) if m.reply_to_id == spoken.id]
    assert [m.content for m in replies] == ["4 bytes"]


async def test_without_the_intent_content_is_withheld_unless_it_is_for_the_bot(bot: PlainBot, sandbox: Sandbox) -> None:
    mara = sandbox.add_person("Mara")
    sandbox.send_message(mara, sandbox.text, "secret", files=[("a.wav", b"x")])
    sandbox.send_message(mara, sandbox.text, f"<@{sandbox.bot.id}> listen", files=[("a.wav", b"x")])
    sandbox.direct_message(mara, "in private")
    await sandbox.wait_for(lambda: len(bot.of("message")) == 3)
    plain, mention, private = bot.of("message")

    assert (plain.content, plain.attachments) == ("", [])
    assert mention.content.endswith("listen")
    assert await mention.attachments[0].read() == b"x"
    assert (private.content, private.guild) == ("in private", None)


async def test_a_voice_message_says_what_it_is(bot: PlainBot, sandbox: Sandbox, ogg_opus: bytes) -> None:
    mara = sandbox.add_person("Mara")
    sent = sandbox.send_voice_message(mara, sandbox.people.direct_messages(mara), ogg_opus)
    await sandbox.wait_for(lambda: bot.of("message"))
    (message,) = bot.of("message")

    assert message.flags.voice
    assert message.attachments[0].is_voice_message()
    assert message.attachments[0].duration == pytest.approx(1.0, abs=0.05)
    assert message.attachments[0].waveform
    assert await message.attachments[0].read() == sent.attachments[0].content


async def test_a_person_is_written_to_in_private(bot: PlainBot, sandbox: Sandbox) -> None:
    mara = sandbox.add_person("Mara")
    user = await bot.fetch_user(mara.id)
    sent = await user.send("Hello")
    edited = await sent.edit(content="Hello, Mara")
    await edited.add_reaction("👋")
    (message,) = sandbox.messages(sandbox.people.direct_messages(mara))
    assert message.content == "Hello, Mara"
    assert message.reactions[0].emoji == "👋"
    await sent.delete()
    assert sandbox.messages(sandbox.people.direct_messages(mara)) == []
