"""`/privacy`, `/report`, `/settings` and `/about`: what people may, and what they may not."""

from __future__ import annotations

import io
import json
import re
import threading
import zipfile
from collections.abc import Iterable
from dataclasses import asdict, replace
from datetime import timedelta
from importlib import metadata
from typing import Any

import discord
import pytest

from bot.commands.panel_view import INCLUDE_ID
from bot.texts import english as texts
from bot.texts import of
from sandbox import Message, offers, posting
from sandbox.commands import CommandForm, OptionForm
from sandbox.permissions import EVERYONE, Permission
from sandbox.rest import access
from storage import NewSession, Storage
from storage.identity import Identity
from storage.records import Decision, MomentRecord, Purpose
from storage.rights import GONE_AFTER
from tests.fakes.records import window
from tests.fakes.world import World, text_of

pytestmark = pytest.mark.integration


def attached(message: Message) -> dict[str, object]:
    """The JSON file of an answer."""
    (file,) = message.attachments
    parsed: dict[str, object] = json.loads(file.content)
    return parsed


async def test_opting_out_takes_effect_in_the_running_session(world: World) -> None:
    world.sit(world.owner, world.mara)
    await world.seen(world.owner, world.mara)
    panel = await world.attest_and_start()
    await world.press(world.mara, panel, INCLUDE_ID)
    session = world.service.sessions.of(world.sandbox.guild.id)
    assert session is not None
    assert session.consents(world.mara.id)
    assert text_of(await world.ask(world.mara, "privacy opt-out")) == texts.SET_OPT_OUT
    assert not session.consents(world.mara.id)
    assert text_of(await world.press(world.mara, panel, INCLUDE_ID)) == texts.OPTED_OUT
    assert text_of(await world.ask(world.mara, "privacy ask-me")) == texts.SET_ASK
    assert text_of(await world.press(world.mara, panel, INCLUDE_ID)) == texts.INCLUDED


async def test_a_standing_opt_in_is_stored_and_shown(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Storage, "export_person")  # the status counts, and reads nothing of two hours of talk
    assert text_of(await world.ask(world.mara, "privacy opt-in")) == texts.SET_OPT_IN
    stored = await world.service.storage.standing_consent(world.sandbox.guild.id, world.mara.id)
    assert stored is Decision.OPT_IN
    assert "You opted in" in text_of(await world.ask(world.mara, "privacy status"))


async def test_export_and_deletion_of_everything_about_oneself(world: World) -> None:
    session_id = await world.session_with(world.mara, world.theo)
    exported = attached(await world.ask(world.mara, "privacy export"))
    assert len(exported["sessions_taken_part_in"]) == 1  # type: ignore[arg-type]
    question = await world.ask(world.mara, "privacy delete")
    answer = await world.press(world.mara, question, "undertone:delete")
    assert text_of(answer) == texts("DELETED_RESULTS", n=1)
    assert not world.service.bus.knows(session_id)
    assert world.service.bus.recent(session_id) == []
    report = await world.service.storage.report(session_id)
    assert report is not None
    assert [person.participant.user_id for person in report.participants] == [world.theo.id]


async def test_a_file_is_made_outside_the_loop(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    made_in: list[int] = []
    dumps = json.dumps

    def noted(value: object, **how: Any) -> str:
        if how.get("indent"):
            made_in.append(threading.get_ident())
        return dumps(value, **how)

    monkeypatch.setattr(json, "dumps", noted)
    await world.ask(world.mara, "privacy export")
    assert made_in
    assert threading.get_ident() not in made_in


async def test_an_export_that_discord_would_not_take_comes_in_a_zip(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = await world.session_with(world.mara)
    person = (await world.service.storage.participants(session_id))[0]
    windows = [window(person.id, 3.0 * n) for n in range(2_000)]
    for at in range(0, len(windows), 500):
        await world.service.storage.add_windows(session_id, windows[at : at + 500])
    for module in (access, offers, posting):
        monkeypatch.setattr(module, "UPLOAD_LIMIT_BYTES", 200_000)
    for command, name in {"privacy": "undertone-my-data.json", "report": f"undertone-{session_id}.json"}.items():
        (attachment,) = (await world.ask(world.mara, f"{command} export")).attachments
        assert attachment.filename == f"{name}.zip"
        with zipfile.ZipFile(io.BytesIO(attachment.content)) as archive:
            assert archive.namelist() == [name]
            assert archive.read(name).count(b"start_s") > len(windows)


async def test_an_export_that_is_too_large_as_a_zip_comes_in_parts(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, sandbox = world.service.storage, world.sandbox
    sessions = [await world.session_with(world.mara, world.theo) for _ in range(3)]
    people = [person for one in sessions for person in await storage.participants(one)]
    for person in people:
        await storage.add_windows(person.session_id, [window(person.id, 3.0 * n) for n in range(400)])
    for module in (access, offers, posting):
        monkeypatch.setattr(module, "UPLOAD_LIMIT_BYTES", 4_000)

    def last_of(found: list[Message]) -> bool:
        return texts("EXPORTED_IN_PARTS", number=len(found), all=len(found)) in found[-1].content

    async def exported(command: str, options: dict[str, object]) -> list[dict[str, Any]]:
        asked = await sandbox.command(world.mara, sandbox.text, command, options)
        await sandbox.wait_for(lambda: asked.messages and last_of(asked.messages))
        files = [message.attachments[0] for message in asked.messages]
        assert len({file.filename for file in files}) == len(files)
        parts: dict[str, dict[str, Any]] = {}  # as in one folder
        for file in files:
            with zipfile.ZipFile(io.BytesIO(file.content)) as archive:
                (name,) = archive.namelist()
                assert file.filename == f"{name}.zip"
                parts[name] = json.loads(archive.read(name))
        assert len(parts) == len(files)
        return list(parts.values())

    mine = await exported("privacy export", {})
    taken_part_in = [one for part in mine for one in part["sessions_taken_part_in"]]
    assert sorted(one["session_id"] for one in taken_part_in) == sorted(sessions)
    assert all(len(one["windows"]) > 400 for one in taken_part_in)
    report = await exported("report export", {"session": sessions[0]})
    rows = [one["participant"]["id"] for part in report for one in part["participants"]]
    assert rows == [person.id for person in people if person.session_id == sessions[0]]


async def test_reports_are_for_those_who_took_part(world: World) -> None:
    session_id = await world.session_with(world.mara)
    assert texts.SUMMARY_TITLE in text_of(await world.ask(world.mara, "report last"))
    assert session_id in text_of(await world.ask(world.owner, "report list"))
    assert text_of(await world.ask(world.theo, "report last")) == texts.NO_REPORT
    assert text_of(await world.ask(world.theo, "report export", {"session": session_id})) == texts.NO_REPORT


async def test_an_exported_report_names_nobody(world: World) -> None:
    session_id = await world.session_with(world.mara)
    mark = MomentRecord(at_s=1.0, kind="mark", participant_id=None, text="Theo laughs")
    await world.service.storage.add_moment(session_id, mark)
    answer = await world.ask(world.mara, "report export")
    text = answer.attachments[0].content.decode()
    assert "Speaker 1" in text
    assert str(world.mara.id) not in text
    assert str(world.owner.id) not in text
    assert "Theo" not in text


async def test_an_exported_report_holds_every_window(world: World) -> None:
    session_id = await world.session_with(world.mara)
    person = (await world.service.storage.participants(session_id))[0]
    more = [window(person.id, 3.0 * n, reason="unsure" if n % 7 == 0 else None) for n in range(1, 1_200)]
    for at in range(0, len(more), 500):
        await world.service.storage.add_windows(session_id, more[at : at + 500])
    exported: Any = attached(await world.ask(world.mara, "report export"))
    (of_mara,) = exported["participants"]
    assert of_mara["windows"][1:] == [asdict(one) for one in more]


def token_in(message: Message) -> str:
    match = re.search(r"/s/(\S+)", text_of(message))
    assert match is not None
    return match[1]


async def test_everybodys_results_are_the_starters_to_share_and_everybody_is_told(world: World) -> None:
    session_id = await world.session_with(world.mara)
    refused = await world.ask(world.mara, "report share", {"everybody": True})
    assert text_of(refused) == texts.MAY_NOT_SHARE_ALL
    token = token_in(await world.ask(world.owner, "report share"))
    share = await world.service.storage.share(token)
    assert share is not None
    assert (share.session_id, share.participant_id) == (session_id, None)
    assert (share.expires_at - share.created_at).days == 7
    places = (world.sandbox.text, world.sandbox.voice_channel)
    told = [m for place in places for m in world.sandbox.messages(place) if m.visible_to is None and m.content]
    assert len(told) == 1
    assert f"<@{world.owner.id}>" in told[0].content
    assert text_of(await world.ask(world.mara, "report revoke")) == texts.NOTHING_TO_REVOKE
    assert text_of(await world.ask(world.owner, "report revoke")) == texts("REVOKED", n=1)
    share = await world.service.storage.share(token)
    assert share is not None
    assert share.revoked_at is not None


async def test_ones_own_results_are_ones_own_to_share(world: World) -> None:
    await world.session_with(world.mara, world.theo)
    token = token_in(await world.ask(world.mara, "report share"))
    share = await world.service.storage.share(token)
    assert share is not None
    people = await world.service.storage.participants(share.session_id)
    assert [p.user_id for p in people if p.id == share.participant_id] == [world.mara.id]
    assert text_of(await world.ask(world.theo, "report revoke")) == texts.NOTHING_TO_REVOKE
    assert text_of(await world.ask(world.mara, "report revoke")) == texts("REVOKED", n=1)


async def test_a_manager_revokes_links_of_a_session_without_them(world: World) -> None:
    session_id = await world.session_with(world.mara)
    token = token_in(await world.ask(world.owner, "report share"))
    rights = int(EVERYONE | Permission.MANAGE_GUILD)
    role = world.sandbox.state.add_role(world.sandbox.guild, "Warden", permissions=rights)
    warden = world.sandbox.add_person("Wes", role_ids=(role.id,))
    options: dict[str, object] = {"session": session_id}
    assert text_of(await world.ask(world.theo, "report revoke", options)) == texts.NO_REPORT
    assert text_of(await world.ask(warden, "report export", options)) == texts.NO_REPORT
    assert text_of(await world.ask(warden, "report revoke", options)) == texts("REVOKED", n=1)
    share = await world.service.storage.share(token)
    assert share is not None
    assert share.revoked_at is not None


async def test_choosing_a_report_looks_at_the_sessions_of_its_server_only(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, looked = world.service.storage, set[str]()
    elsewhere = await storage.start_session(
        NewSession(guild_id=1, channel_id=2, started_by=3, model="m", model_version="1", labels=("Happy",))
    )
    here = await world.session_with(world.mara)
    in_sessions = Identity.in_sessions

    def counted(self: Identity, session_ids: Iterable[str], user_id: int) -> dict[str, str]:
        hashes = in_sessions(self, session_ids, user_id)
        looked.update(hashes)
        return hashes

    monkeypatch.setattr(Identity, "in_sessions", counted)
    assert here in text_of(await world.ask(world.mara, "report list"))
    assert here in looked
    assert elsewhere.id not in looked


async def test_deleting_a_session_is_for_the_starter(world: World) -> None:
    session_id = await world.session_with(world.mara)
    options: dict[str, object] = {"session": session_id}
    assert world.service.bus.knows(session_id)  # its live events are held a while after its end
    assert text_of(await world.ask(world.mara, "report delete", options)) == texts.MAY_NOT_DELETE
    assert text_of(await world.ask(world.owner, "report delete", options)) == texts.REPORT_DELETED
    assert await world.service.storage.session(session_id) is None
    assert not world.service.bus.knows(session_id)


async def test_standing_answers_for_sessions_and_for_voice_messages_are_two(world: World) -> None:
    storage, guild_id, mara = world.service.storage, world.sandbox.guild.id, world.mara
    await world.ask(mara, "privacy opt-in")
    assert await storage.standing_consent(guild_id, mara.id, Purpose.VOICE) is None
    assert text_of(await world.ask(mara, "privacy opt-in", {"what": "voice"})) == texts.SET_OPT_IN_VOICE
    assert await storage.standing_consent(guild_id, mara.id, Purpose.VOICE) is Decision.OPT_IN
    assert texts.PRIVACY_VOICE_DECISIONS["opt_in"] in text_of(await world.ask(mara, "privacy status"))
    assert text_of(await world.ask(mara, "privacy opt-out")) == texts.SET_OPT_OUT
    for purpose in Purpose:
        assert await storage.standing_consent(guild_id, mara.id, purpose) is Decision.OPT_OUT


async def test_what_is_stored_of_a_server_goes_some_time_after_the_bot_was_removed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = await world.session_with(world.mara)
    app, storage, guild = world.service.app, world.service.storage, world.sandbox.guild
    await world.ask(world.mara, "privacy opt-in")
    world.sandbox.state.remove_member(guild, world.sandbox.bot.id)
    await world.sandbox.wait_for(lambda: not world.service.gateway.client.guilds)
    now = app.clock.now()

    async def round_of_deletions(after: timedelta) -> None:
        monkeypatch.setattr(app.clock, "now", lambda: now + after)
        await app.deletions._expire()

    await storage.change_server(guild.id, lambda now: replace(now, chosen_days=90))
    await round_of_deletions(GONE_AFTER - timedelta(hours=1))
    assert await storage.session(session_id) is not None
    assert (await storage.server(guild.id)).attested_at is not None
    await round_of_deletions(GONE_AFTER + timedelta(hours=1))
    assert await storage.session(session_id) is None
    assert await storage.standing_consent(guild.id, world.mara.id) is None
    assert not await storage.messages_of_session(session_id)
    assert (await storage.server(guild.id)).attested_at is None
    assert timedelta(days=30) >= GONE_AFTER


async def test_about_answers_where_the_program_is_not_installed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a host that reads requirements.txt and runs the Procfile."""

    def absent(name: str) -> metadata.Distribution:
        raise metadata.PackageNotFoundError(name)

    installed = metadata.version("undertone")
    monkeypatch.setattr(metadata.Distribution, "from_name", absent)
    answer = await world.ask(world.mara, "about")
    assert installed in answer.embeds[0]["footer"]["text"]


async def test_about_says_what_it_cannot_do(world: World) -> None:
    answer = text_of(await world.ask(world.mara, "about"))
    assert texts.OPERATOR_UNNAMED in answer
    assert texts.NOT_FOR in answer
    assert "often wrong" in answer


async def test_each_person_is_answered_in_the_language_of_their_discord(world: World) -> None:
    world.mara.locale = "de"
    assert text_of(await world.ask(world.mara, "privacy ask-me")) == of("de").SET_ASK
    assert text_of(await world.ask(world.theo, "privacy ask-me")) == texts.SET_ASK
    refused = await world.ask(world.mara, "listen stop")
    assert text_of(refused) == of("de").NOTHING_RUNS


async def test_what_everybody_reads_is_in_the_servers_language(world: World) -> None:
    world.sandbox.guild.locale = "de"
    world.sit(world.owner)
    await world.seen(world.owner)
    guild = world.service.gateway.client.get_guild(world.sandbox.guild.id)
    assert guild is not None
    guild.preferred_locale = discord.Locale.german
    panel = await world.attest_and_start()
    assert panel.embeds[0]["title"] == of("de").PANEL_TITLE
    assert of("de").BTN_INCLUDE in str(panel.components)


async def test_menus_are_in_german_too(world: World) -> None:
    def without_german(form: CommandForm | OptionForm) -> list[str]:
        inner = [name for option in form.options for name in without_german(option)]
        return inner if "de" in (form.name_localizations or {}) else [form.name, *inner]

    german = of("de")
    commands = [command.form for command in world.sandbox.world.commands.listed(None)]
    listen = next(form for form in commands if form.name == "listen")
    assert listen.name_localizations == {"de": german.NAMES["listen"]}
    assert listen.description_localizations == {"de": german.CMD_LISTEN}
    assert [name for form in commands for name in without_german(form)] == []
