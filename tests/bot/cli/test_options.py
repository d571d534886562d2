"""What the options of every command refuse."""

from __future__ import annotations

import errno
import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from bot.cli.options import write_whole
from bot.cli.program import _COMMANDS

pytestmark = pytest.mark.unit


def options(command: click.Command) -> Iterator[click.Parameter]:
    yield from command.params
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            yield from options(inner)


@pytest.mark.parametrize("value", ["nan", "-nan", "inf", "-inf", "1e999", "soon"])
def test_what_cannot_be_counted_with_is_refused_by_every_command(value: str) -> None:
    seen = set()
    for name, (module, attribute, _) in _COMMANDS.items():
        for option in options(getattr(importlib.import_module(module), attribute)):
            if isinstance(option.type, click.types.FloatParamType):
                seen.add((name, option.opts[0]))
                with pytest.raises(click.BadParameter):
                    option.type(value, option)
    assert ("demo", "--seconds") in seen


def test_an_empty_name_is_not_the_folder_at_hand() -> None:
    seen = set()
    for name, (module, attribute, _) in _COMMANDS.items():
        for option in options(getattr(importlib.import_module(module), attribute)):
            if isinstance(option.type, click.Path):
                seen.add((name, option.opts[0]))
                with pytest.raises(click.BadParameter):
                    option.type("", option)
    assert {("analyze", "files"), ("backup", "folder"), ("train", "--out")} <= seen


@pytest.mark.parametrize("before", [None, "an older one"])
def test_an_output_that_breaks_off_leaves_no_part_of_it(
    before: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "strip.svg"
    if before is not None:
        file.write_text(before)
    written = Path.write_text

    def full(path: Path, text: str, **options: str) -> int:
        written(path, text[:3], **options)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(file, "a new one")
    assert {one.name: one.read_text() for one in tmp_path.iterdir()} == ({"strip.svg": before} if before else {})


@pytest.mark.skipif(os.name != "posix", reason="links and pipes of Unix")
def test_an_output_goes_where_a_link_and_a_pipe_lead_and_keeps_its_rights(tmp_path: Path) -> None:
    there, link, pipe = tmp_path / "there", tmp_path / "link", tmp_path / "pipe"
    there.write_text("an older one")
    there.chmod(0o640)
    link.symlink_to(there)
    write_whole(link, "a new one")
    assert (link.is_symlink(), there.read_text(), there.stat().st_mode & 0o777) == (True, "a new one", 0o640)

    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_whole(pipe, "down the pipe")
    assert (pipe.is_fifo(), os.read(reader, 100)) == (True, b"down the pipe")
    os.close(reader)


def test_an_output_that_is_standard_output_follows_what_was_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with `--picture /dev/stdout > file`."""
    with (tmp_path / "file").open("w", encoding="ascii") as output:
        monkeypatch.setattr(sys, "stdout", output)
        click.echo("printed before")
        write_whole(tmp_path / "file", "the pictüre")
    assert (tmp_path / "file").read_text(encoding="utf-8") == "printed before\nthe pictüre"


def test_an_output_in_a_closed_folder_is_written_over_where_the_file_is_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a container is given a single file. Not by the folder's mode: tests may run as root."""
    there = tmp_path / "there"
    there.write_text("an older one")
    written = Path.write_text

    def closed(path: Path, text: str, **options: str) -> int:
        if path != there:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return written(path, text, **options)

    monkeypatch.setattr(Path, "write_text", closed)
    write_whole(there, "a new one")
    assert there.read_text() == "a new one"
    with pytest.raises(PermissionError):
        write_whole(tmp_path / "new", "a new one")


@pytest.mark.skipif(os.name != "posix", reason="rights of Unix")
def test_an_output_is_never_open_to_more_people_than_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "report.html"
    there.write_text("an older one")
    there.chmod(0o600)
    written, rights = Path.write_text, list[int]()

    def seen(path: Path, text: str, **options: str) -> int:
        many = written(path, text, **options)
        rights.append(path.stat().st_mode & 0o777)
        return many

    monkeypatch.setattr(Path, "write_text", seen)
    write_whole(there, "how somebody sounded")
    assert (rights, there.read_text()) == ([0o600], "how somebody sounded")
