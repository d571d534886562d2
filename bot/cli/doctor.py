"""`undertone doctor`: checks what the service needs, one line each, and says what to do about what is wrong."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Final

import click

from bot.cli.checks import (
    CheckStatus,
    Finding,
    bad,
    check_data_dir,
    check_database,
    check_discord,
    check_model,
    check_port,
    check_settings,
    check_socket,
    check_voice,
)
from bot.cli.options import Number
from bot.errors import SettingsError
from bot.settings import Settings, load_settings

SIGNS: Final = {CheckStatus.OK: ("✔", "green"), CheckStatus.NOTE: ("•", "yellow"), CheckStatus.BAD: ("✘", "red")}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("--offline", is_flag=True, help="Ask nothing of Discord.")
@click.option("--start", "timed", is_flag=True, help="Start once and say what takes the time.")
@click.option(
    "--call", "channel_id", type=int, help="Join this voice channel and print what is met there, for a bug report."
)
@click.option("--me", type=int, help="With --call: your user id. You are heard, and what you say is thrown away.")
@click.option("--seconds", default=60.0, show_default=True, type=Number(1, 600), help="With --call: how long.")
def doctor(as_json: bool, offline: bool, timed: bool, channel_id: int | None, me: int | None, seconds: float) -> None:
    """Check the settings and what they lead to, and say what to do. Exit status 1 when something is wrong."""
    if channel_id is not None:
        from bot.cli import call

        call.printed(channel_id, me=me, seconds=seconds)
        return
    if timed:
        from bot.cli import start

        click.echo(start.told(as_json=as_json))
        return
    findings = examine(offline=offline)
    for finding in findings:
        if as_json:
            click.echo(json.dumps(asdict(finding)))
        else:
            sign, colour = SIGNS[finding.verdict]
            click.echo(f"{click.style(sign, fg=colour)} {finding.subject}: {finding.text}")
    sys.exit(1 if any(finding.verdict is CheckStatus.BAD for finding in findings) else 0)


def examine(*, offline: bool = False) -> list[Finding]:
    """All findings. A check that breaks is a finding itself."""
    try:
        settings = load_settings()
    except SettingsError as error:
        return [bad("settings", str(error))]
    checks: list[tuple[str, Callable[[Settings], list[Finding]]]] = [
        ("settings", check_settings),
        ("data folder", check_data_dir),
        ("database", check_database),
        ("model", check_model),
        ("voice", check_voice),
        ("voice packets", check_socket),
        ("port", check_port),
    ]
    if not offline:
        checks.append(("Discord", check_discord))
    findings: list[Finding] = []
    for subject, check in checks:
        try:
            findings += check(settings)
        except Exception as error:  # noqa: BLE001  # a doctor must not die of the illness
            findings.append(bad(subject, f"the check itself failed: {type(error).__name__}: {error}"))
    return findings
