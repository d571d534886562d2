"""`undertone log-name`: the operator finds in the log whom a person reported."""

from __future__ import annotations

from pathlib import Path

import pytest
import structlog
from click.testing import CliRunner

from bot.cli.log_name import log_name
from bot.log_names import log_names
from bot.secret import key_of
from bot.settings import load_settings
from tests.fakes.log import written

pytestmark = pytest.mark.integration

PERSON = 1575937420514295808


def test_it_says_what_the_log_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERTONE_DATA_DIR", str(tmp_path))
    log_names.use(key_of(load_settings(None, data_dir=tmp_path)))  # as the service does when it starts
    with written() as stream:
        structlog.get_logger("bot.x").info("asked", user=PERSON)
    log_names.use(b"another key")
    answer = CliRunner().invoke(log_name, [str(PERSON)])
    assert answer.exit_code == 0, answer.output
    shown, name = answer.output.split()
    assert shown == str(PERSON)
    assert name in stream.getvalue()


def test_without_the_key_of_the_log_no_name_is_made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERTONE_DATA_DIR", str(tmp_path / "data"))
    answer = CliRunner().invoke(log_name, [str(PERSON)])
    assert (answer.exit_code, f"There is no {tmp_path / 'data' / 'secret.key'}" in answer.output) == (1, True)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_id_is_refused() -> None:
    assert CliRunner().invoke(log_name, ["Mara"]).exit_code == 2
