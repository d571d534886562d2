"""Documents that list what the code has: made from it, or compared with it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bot.settings import Settings, variable
from lab.reference import FILE, reference

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")


def test_the_reference_is_what_the_code_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Settings.model_fields:
        monkeypatch.delenv(variable(field), raising=False)
    assert FILE.read_text(encoding="utf-8") == reference(), "run: make docs"


def test_the_reference_says_something_of_each_setting_end_and_counter() -> None:
    tables = re.split(r"^## ", reference(), flags=re.MULTILINE)
    rows = [line for table in tables for line in table.splitlines() if line.startswith("| `")]
    silent = [line for line in rows if not line.startswith("| `undertone ") and line.endswith(" |  |")]
    assert rows
    assert silent == []
    assert "| `process_ended` |" in reference()


def test_the_example_of_settings_names_each_and_no_other() -> None:
    named = set(re.findall(r"^#? ?([A-Z][A-Z0-9_]+)=", EXAMPLE, re.MULTILINE))
    assert named == {variable(field) for field in Settings.model_fields}


def test_the_example_of_settings_shows_the_defaults() -> None:
    shown = dict(re.findall(r"^# ([A-Z][A-Z0-9_]+)=(.*)$", EXAMPLE, re.MULTILINE))
    wrong = {}
    for field, info in Settings.model_fields.items():
        if (name := variable(field)) in shown and info.default not in (None, "", ()):
            value = Settings.model_validate({field: shown[name]}) if shown[name] else None
            if value is None or getattr(value, field) != info.default:
                wrong[name] = (shown[name], info.default)
    assert not wrong
