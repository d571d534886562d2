"""Voice messages and files: analysed when whoever has to agree did so, and answered where they were asked about.

What waits for an answer is held in memory only, because attachment addresses are never stored; after a restart the
button asks to be asked again. A message that was deleted meanwhile ends it quietly.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any, Final

import discord
import structlog

from bot.app import App
from bot.commands.analysis import Analyst
from bot.commands.answers import Answer, Outcome
from bot.commands.common import NO_MENTIONS, Interaction, change, defer_change, say, told
from bot.commands.language import texts_of
from bot.commands.of_message import mode_of, opted_out, original_of, raise_gone, standing_of, texts_for, texts_of_server
from bot.commands.questions import Kind, Question, Questions, Request, require_agreed
from bot.commands.recordings import Found, found_in, is_long
from bot.commands.voice_buttons import author_buttons, statement_buttons
from bot.commands.whose_voice import Case, Remembered, Verdict, decide
from bot.errors import MessageGone, NotPossible, code_of, expected, in_words
from ser_engine.errors import AudioError, BackendError
from storage.errors import StorageError
from storage.records import Decision, MessageKind, VoiceMode

UNASKED: Final = frozenset({VoiceMode.REACT, VoiceMode.REPLY})

_log = structlog.get_logger(__name__)


class VoiceMessages:
    """Answers to recordings, whichever way they are asked about."""

    def __init__(self, app: App, remembered: Remembered) -> None:
        self._app = app
        self._analyst = Analyst(app.backend, app.settings)
        self._turns = app.turns
        self._statements, self._refusals = remembered.statements, remembered.refusals
        self.questions = Questions(app.clock)

    # --- the doors

    async def on_message(self, message: discord.Message, *, mentioned: bool) -> None:
        """A message that the bot may read: direct, or pinging it, or in a channel where that was switched on."""
        if message.author.bot or message.webhook_id is not None:
            return
        request = self._request(message.author.id, found_in(message), message=message)
        async with self._answering(message):
            if not request.found.files:
                if message.guild is None:
                    texts = await texts_for(self._app, message)
                    await message.reply(texts.DIRECT_HINT, allowed_mentions=NO_MENTIONS)
            elif message.guild is None or mentioned:
                await self._handle(request)
            elif request.found.own_voice:
                await self._unasked(request, message)

    async def _unasked(self, request: Request, message: discord.Message) -> None:
        """A voice message that asks nothing: answered where the server chose so, for those who opted in."""
        with suppress(NotPossible, StorageError, BackendError):  # nobody asked, so nobody is told to wait
            mode = await mode_of(self._app, message)
            if mode in UNASKED and await standing_of(self._app, message) is Decision.OPT_IN:
                self._turns.admit(message.author.id)
                with suppress(*(() if mode is VoiceMode.REPLY else (AudioError,))):  # an emoji, or nothing
                    await self._analyse(request, reply=mode is VoiceMode.REPLY)

    async def asked_in_menu(self, interaction: Interaction, message: discord.Message) -> None:
        """*Apps → Analyze emotion*. The interaction is deferred already."""
        found = found_in(message)
        if not found.files:
            raise NotPossible("NO_AUDIO_IN_MESSAGE")
        if message.author.bot or message.webhook_id is not None:
            raise NotPossible("NOT_A_PERSON")
        await self._handle(self._request(interaction.user.id, found, message=message, interaction=interaction))

    async def asked_with_file(self, interaction: Interaction, file: discord.Attachment) -> None:
        """`/analyze`: the answer is for the asking person's eyes. The interaction is deferred already."""
        found = Found(files=(file,), own_voice=False, forwarded=False)
        await self._handle(self._request(interaction.user.id, found, interaction=interaction))

    def _request(self, asker_id: int, found: Found, **more: Any) -> Request:
        now = self._app.withdrawals.number
        return Request(asker_id=asker_id, found=found, withdrawals=now, withdrawals_before=now, **more)

    async def deleted(self, message_ids: Collection[int]) -> None:
        """Messages are gone: the questions about them are taken away, and one that is gone may be asked again."""
        for message_id in message_ids:
            for question in self.questions.about(message_id):
                await self.questions.withdraw(question)

    # --- who has to agree

    async def _handle(self, request: Request) -> None:
        """Analyse, ask whoever has to be asked, or raise why not."""
        message, asker_id = request.message, request.asker_id
        here = message if request.in_public else None  # elsewhere no server chose anything, and nobody answered
        if here is not None and await mode_of(self._app, here) is VoiceMode.OFF:
            raise NotPossible("SWITCHED_OFF_HERE")
        original = await original_of(self._app, message) if message is not None else None
        if original is not None and self._refusals.said(original.id, asker_id):
            raise NotPossible("DECLINED_BEFORE")
        if original is not None and original.author.id != asker_id:
            request = replace(request, original_author_id=original.author.id)
        case = Case(
            asker_id=asker_id,
            author_id=message.author.id if message is not None else asker_id,
            own_voice=request.found.own_voice,
            forwarded=request.found.forwarded,
            author_standing=None if here is None else await standing_of(self._app, here),
            original_opted_out=await opted_out(self._app, original, but=asker_id),
            stated=self._statements.holds(asker_id, self._app.clock.monotonic_s()),
        )
        verdict = decide(case)
        if verdict is Verdict.AUTHOR_OPTED_OUT:
            raise NotPossible("AUTHOR_OPTED_OUT")
        if verdict is Verdict.ASKER_OPTED_OUT:
            raise NotPossible("OPTED_OUT_OF_VOICE")
        self._turns.admit(asker_id)
        if verdict is Verdict.ASKER_STATES:
            await self._ask_for_statement(request)
        elif verdict is Verdict.ASK_AUTHOR and message is not None:
            await self._ask_author(request, message)
        else:
            await self._analyse(request)

    async def _ask_author(self, request: Request, message: discord.Message) -> None:
        """Ask the author, below the message, with buttons."""
        author_id, asker_id = message.author.id, request.asker_id
        if not request.in_public:
            raise NotPossible("CANNOT_ASK_HERE")
        if self._refusals.said(message.id, asker_id):
            raise NotPossible("DECLINED_BEFORE")
        if (open_one := self.questions.of(author_id)) is not None:
            raise NotPossible("ASKED_ALREADY" if open_one.about(message.id) else "AUTHOR_IS_ASKED")
        question = self.questions.ask(author_id, Kind.AUTHOR, [request])
        texts = await texts_for(self._app, message)
        text = texts("ASK_AUTHOR", author_id=author_id, asker_id=asker_id)
        buttons = author_buttons(texts, message.id, author_id)
        mentioned = discord.AllowedMentions(users=[message.author], replied_user=False, everyone=False)
        await self._post_below(message, question, text, view=buttons, allowed_mentions=mentioned)
        if request.interaction is not None:
            await say(request.interaction, texts_of(request.interaction).ASKED_AUTHOR)

    async def author_answered(self, interaction: Interaction, message_id: int, *, yes: bool) -> None:
        """The author pressed a button below the question about their message."""
        now = self._app.withdrawals.number  # of the press: a no that comes while Discord takes it is a later one
        question = next((q for q in self.questions.about(message_id) if q.person_id == interaction.user.id), None)
        if question is not None:
            self.questions.answered(question)
            for request in () if yes else question.pending:
                self._refusals.note(message_id, request.asker_id)
        await defer_change(interaction)
        texts = await texts_of_server(self._app, interaction.guild)
        if question is None:
            await self.questions.pressed_late(interaction, message_id, texts)
            return
        await change(interaction, content=texts.AGREED if yes else texts.DECLINED, view=None)
        for request in question.pending if yes else ():
            await self._analyse(replace(request, interaction=interaction, withdrawals=now))

    async def _ask_for_statement(self, request: Request) -> None:
        """Ask the asking person whose voice it is. A newer question of theirs takes the place of an older one."""
        before = self.questions.of(request.asker_id)
        waiting = before.pending if before is not None and before.kind is Kind.STATEMENT else []
        question = self.questions.ask(request.asker_id, Kind.STATEMENT, [*waiting, request])
        if before is not None:
            await before.take_away()
        if request.interaction is not None:
            texts = texts_of(request.interaction)
            buttons = statement_buttons(texts, question.ticket, request.asker_id)
            question.shown = await say(request.interaction, texts.WHOSE_VOICE, view=buttons)
        elif (message := request.message) is not None:
            texts = await texts_for(self._app, message)
            buttons = statement_buttons(texts, question.ticket, request.asker_id)
            await self._post_below(message, question, texts.WHOSE_VOICE, view=buttons, allowed_mentions=NO_MENTIONS)

    async def _post_below(self, message: discord.Message, question: Question, text: str, **content: Any) -> None:
        """Ask where everybody reads it. Raises MessageGone, and what Discord refuses; nothing is asked then."""
        try:
            question.shown = await message.reply(text, **content)
        except BaseException as error:
            self.questions.close(question)
            raise_gone(error)
            raise
        await self._app.own.note(question.shown, MessageKind.QUESTION, about=question.person_id)
        await self.questions.posted(question)

    async def stated(self, interaction: Interaction, ticket: str, *, yes: bool) -> None:
        """Whoever asked pressed a button below the question whose voice it is."""
        question, texts = self.questions.of(interaction.user.id), texts_of(interaction)
        if question is None or question.ticket != ticket:
            await self.questions.pressed_late(interaction, ticket, texts)
            return
        self.questions.answered(question)
        now = self._app.withdrawals.number
        await change(interaction, content=texts.STATED if yes else texts.NOT_STATED, view=None)
        if not yes:
            return
        self._statements.make(interaction.user.id, self._app.clock.monotonic_s())
        for request in (replace(request, withdrawals=now) for request in question.pending):
            if request.message is not None and request.interaction is None:
                async with self._answering(request.message):
                    await self._analyse(request)
            else:
                async with told(interaction):
                    await self._analyse(replace(request, interaction=interaction))
        if question.shown is not None and not question.shown.flags.ephemeral:
            await question.take_away()

    # --- the answer

    async def _analyse(self, request: Request, *, reply: bool = True) -> None:
        """Answer below the message, or in private. Raises what went wrong, MessageGone too."""
        outcomes = [await self._outcome(request, file) for file in request.found.files]
        if len(outcomes) == 1 and isinstance(error := outcomes[0].result, Exception):
            raise error
        require_agreed(request, self._app.withdrawals)
        answer = Answer(outcomes, model=self._app.backend.model.name)
        message, interaction = request.message, request.interaction
        if message is None or not request.in_public:
            if interaction is not None:
                content = await answer.content(texts_of(interaction))
                require_agreed(request, self._app.withdrawals)  # once more: a picture takes a moment
                await say(interaction, **content)
            return
        made = {message.id} if await self._react(message, answer) else set()
        if reply:
            content = await answer.content(await texts_for(self._app, message), below=message)
            try:
                posted = await message.reply(allowed_mentions=NO_MENTIONS, **content)
            except discord.HTTPException as error:
                raise_gone(error)
                raise
            await self._app.own.note(posted, MessageKind.ANSWER, about=message.author.id)
            made.add(posted.id)
        await self._take_back_from(request, message, made)
        _log.info("message_analysed", channel=message.channel.id, recordings=len(outcomes))
        if interaction is not None:
            await say(interaction, texts_of(interaction).DONE_BELOW)

    async def _take_back_from(self, request: Request, message: discord.Message, made: set[int]) -> None:
        """Who did so while Discord took the answer finds it gone."""
        try:
            require_agreed(request, self._app.withdrawals)
        except NotPossible:
            guild_id = message.guild.id if message.guild else None
            about = await self._app.storage.messages_about(message.author.id, guild_id)
            await self._app.own.remove(record for record in about if record.message_id in made)
            raise

    async def _outcome(self, request: Request, file: discord.Attachment) -> Outcome:
        """What became of one file. What is wrong with a file is its outcome; anything else is raised."""
        try:
            async with self._turns.turn(request.asker_id, long=is_long(file)):
                require_agreed(request, self._app.withdrawals)
                return Outcome(file.filename, await self._analyst.analyse(file))
        except Exception as error:
            if isinstance(error, MessageGone) or not expected(error):
                raise
            return Outcome(file.filename, error)

    async def _react(self, message: discord.Message, answer: Answer) -> bool:
        """Whether it did: the reply says it too."""
        if (emoji := answer.emoji) is None:
            return False
        try:
            await message.add_reaction(emoji)
        except discord.Forbidden:
            _log.info("reaction_not_allowed", channel=message.channel.id)
            return False
        except discord.HTTPException as error:
            raise_gone(error)
            raise
        await self._app.own.note(message, MessageKind.REACTION, about=message.author.id)
        return True

    @asynccontextmanager
    async def _answering(self, message: discord.Message) -> AsyncIterator[None]:
        """The one error handler of messages: says below the message what went wrong, and nothing when it is gone."""
        try:
            yield
        except MessageGone:
            _log.info("message_gone", channel=message.channel.id)
        except Exception as error:  # noqa: BLE001
            if not expected(error):
                _log.error("message_failed", code=code_of(error), channel=message.channel.id, exc_info=error)
            try:
                await message.reply(in_words(error, await texts_for(self._app, message)), allowed_mentions=NO_MENTIONS)
            except discord.HTTPException as unsaid:
                _log.info("error_not_said", channel=message.channel.id, status=unsaid.status)
