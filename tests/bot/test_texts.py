"""The catalogue: every text that is used exists in every language, and every text that exists is used."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Final

import pytest
from babel.messages.catalog import Message
from babel.messages.pofile import read_po

import bot
from bot.texts import LANGUAGES, english, of
from bot.voice.counters import ReceiveCounters
from ser_engine.refusals import SENTENCES

pytestmark = pytest.mark.unit

SOURCE: Final = Path(bot.__file__).parent
SPEAKERS: Final = frozenset({"texts", "english", "public", "texts_of"})
"""What variables and functions are called that give the words of a language."""
ASKING: Final = SPEAKERS | {"NotPossible", "NotAllowed", "VoiceFailed", "described"}
"""What takes the name of a text as its first argument."""
NAME: Final = re.compile(r"[A-Z][A-Z0-9_]+(\.[\w-]+)?")


@cache
def nodes() -> tuple[tuple[str, ast.AST], ...]:
    """Every piece of the package's source, with the file that it stands in."""
    found: list[tuple[str, ast.AST]] = []
    for path in SOURCE.rglob("*.py"):
        name = path.relative_to(SOURCE).as_posix()
        found += [(name, node) for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    return tuple(found)


def entries(language: str) -> dict[str, Message]:
    with (SOURCE / "catalogue" / f"{language}.po").open("rb") as source:
        messages = [message for message in read_po(source, locale=language) if message.id]
    return {str(m.id[0] if m.pluralizable else m.id): m for m in messages}


def forms(message: Message) -> tuple[str, ...]:
    return tuple(map(str, message.string)) if isinstance(message.string, tuple) else (str(message.string),)


def fields(form: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(form) if name}


def last_name(node: ast.AST) -> str:
    """``texts`` of ``texts``, ``self.texts`` and ``texts()``."""
    if isinstance(node, ast.Call):
        return last_name(node.func)
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def test_every_text_that_is_used_exists() -> None:
    groups = {key.partition(".")[0] for key in english.keys if "." in key}
    asked = set()
    for place, node in nodes():
        if isinstance(node, ast.Attribute) and NAME.fullmatch(node.attr) and last_name(node.value) in SPEAKERS:
            asked.add((place, node.attr))
        elif isinstance(node, ast.Call) and node.args and last_name(node.func) in ASKING:
            strings = [part.value for part in ast.walk(node.args[0]) if isinstance(part, ast.Constant)]
            asked.update((place, name) for name in strings if isinstance(name, str) and NAME.fullmatch(name))
    assert len(asked) > 100
    assert {(place, name) for place, name in asked if name not in english.keys | groups} == set()


def test_every_text_that_exists_is_used() -> None:
    names = {node.attr for _, node in nodes() if isinstance(node, ast.Attribute)}
    names |= {node.value for _, node in nodes() if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    groups = {name.partition(".")[0] for name in names}
    assert {
        key for key in english.keys if key not in names and ("." not in key or key.split(".")[0] not in groups)
    } == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_says_all_of_it_with_the_same_values(language: str) -> None:
    first = entries(LANGUAGES[0])
    other = {key: message for key, message in entries(language).items() if not key.startswith("REFUSALS.")}
    assert first.keys() == other.keys()
    for key, message in other.items():
        assert all(form.strip() for form in forms(message)), key
        assert message.pluralizable == first[key].pluralizable, key
        for form in forms(message):
            assert fields(form) == fields(forms(first[key])[-1]), key


@pytest.mark.parametrize("language", LANGUAGES[1:])
def test_every_refusal_of_the_engine_is_translated(language: str) -> None:
    """In English the engine's own sentences stand."""
    said = {key: fields(sentence) for key, sentence in of(language).REFUSALS.items()}
    assert said == {key: fields(sentence) for key, (_, sentence) in SENTENCES.items()}


@pytest.mark.parametrize("language", LANGUAGES)
def test_discord_takes_all_names_and_descriptions(language: str) -> None:
    texts = of(language)
    for name in texts.NAMES.values():
        assert re.fullmatch(r"[-_\w]{1,32}", name)
        assert name == name.lower()
    for key in texts.keys:
        if key.startswith(("CMD_", "ARG_")):
            assert len(texts(key, megabytes=25, minutes=10)) <= 100, key
        if key.startswith("BTN_"):
            assert len(texts(key)) <= 80, key


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_command_is_called_what_the_readers_menu_calls_it(language: str) -> None:
    """In a German client there is no `/listen`."""
    names = set(of(language).NAMES.values())
    said = [form for message in entries(language).values() for form in forms(message)]
    commands = [command for form in said for command in re.findall(r"`/([^`]+)`", form)]
    assert len(commands) >= 10
    for command in commands:
        words, option, _ = re.match(r"([^:]*?)(?: (\S+):(.*))?$", command).groups()  # type: ignore[union-attr]
        assert {*words.split(), *filter(None, [option])} <= names, command


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("key", ["SUMMARY_NO_LINK", "SHARED_WITH_OTHERS"])
def test_what_everybody_reads_calls_commands_by_their_english_names_too(key: str, language: str) -> None:
    """Each reader's menu is in their own language, and a mention of a command is not (discord-api-docs issue 5518)."""
    commands = re.findall(r"`(/[^`]+)`", english._translations.gettext(key))
    said = of(language)._translations.gettext(key)
    assert commands
    assert [command for command in commands if command not in said] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_permission_has_one_name(language: str) -> None:
    texts = of(language)
    names = {*texts.PERMISSIONS.values(), "Move Members", "Mitglieder verschieben"}
    for sentence in (texts.NO_NOTICE, *texts.JOIN_FAILURES.values()):
        assert set(re.findall(r"\*([^*]+)\*", sentence)) <= names, sentence


def test_one_and_many_differ_and_numbers_are_written_as_in_the_language() -> None:
    assert english("DELETED_RESULTS", n=1) == "Done. I deleted your results from 1 session."
    assert english("DELETED_RESULTS", n=4711) == "Done. I deleted your results from 4,711 sessions."
    assert of("de")("DELETED_RESULTS", n=4711) == "Fertig. Ich habe deine Ergebnisse aus 4.711 Sitzungen gelöscht."


@pytest.mark.parametrize(
    ("locale", "language"),
    [("de", "de"), ("en-US", "en"), ("en-GB", "en"), ("fr", "en"), ("zh-CN", "en"), (None, "en")],
)
def test_a_locale_without_a_catalogue_is_spoken_to_in_english(locale: str | None, language: str) -> None:
    assert of(locale).language == language


def test_a_name_that_is_not_there_is_an_error() -> None:
    with pytest.raises(AttributeError):
        _ = english.NO_SUCH_TEXT
    with pytest.raises(KeyError):
        english("NO_SUCH_TEXT")


def test_every_packet_that_is_dropped_is_accounted_for_in_words() -> None:
    drops = {name for name in ReceiveCounters().as_dict() if name.startswith("dropped_")}
    assert drops <= english.LOSSES.keys()


@pytest.mark.parametrize("language", LANGUAGES)
def test_whatever_is_filled_in_it_is_a_sentence_and_not_its_name(language: str) -> None:
    texts = of(language)
    for key, message in entries(language).items():
        wanted = {name: "x" for form in forms(message) for name in fields(form)}
        for n in (1, 2, 1_000):
            said = texts(
                key,
                **{name: n if name == "n" else value for name, value in wanted.items()},
                **({} if wanted else {"n": n}),
            )
            assert said != key
            assert ("n" not in wanted) or texts.number(n) in said or n == 1, key
