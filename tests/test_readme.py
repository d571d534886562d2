"""The README keeps its word: links lead somewhere, commands exist, the invitation asks for what it says."""

from __future__ import annotations

import re
from pathlib import Path

import discord
import pytest

from ser_engine.models import load_manifest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


DOCUMENTS = sorted(
    p.relative_to(ROOT).as_posix()
    for p in (
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
        ROOT / "model" / "MODEL_CARD.md",
        ROOT / "sandbox" / "README.md",
    )
)
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)\s]+)")


def anchors(text: str) -> set[str]:
    """What a forge calls the headings of a document."""
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_to_files_and_headings(document: str) -> None:
    missing = []
    for link in LINK.findall((ROOT / document).read_text(encoding="utf-8")):
        file, _, heading = link.partition("#")
        target = (ROOT / document).parent / file if file else ROOT / document
        if not target.exists() or (heading and heading not in anchors(target.read_text(encoding="utf-8"))):
            missing.append(link)
    assert missing == []


def test_the_card_states_what_the_report_and_the_models_do() -> None:
    card = (ROOT / "model" / "MODEL_CARD.md").read_text(encoding="utf-8")
    report = (ROOT / "model" / "report" / "report.md").read_text(encoding="utf-8").splitlines()
    shown = card[card.index("Over four labels:\n") : card.index("\nReliability of")].splitlines()
    rows = [line for line in shown if line.startswith(("|", "Listeners"))]
    assert len(rows) > 40
    assert [row for row in rows if row not in report] == []
    for name in ("seed", "fast", "default"):
        model = load_manifest(ROOT / "model" / name)
        recipe = card[card.index(f"\n## {name}\n") :].partition("\n## ")[2].partition("\n## ")[0]
        assert f"Temperature {model.temperature:g}" in recipe
        assert f"*unclear* below {model.unclear_below:g}" in recipe


def test_the_invitation_asks_for_what_it_says_and_no_administrator() -> None:
    match = re.search(r"permissions=(\d+)", README)
    assert match is not None
    asked = discord.Permissions(int(match[1]))
    assert asked == discord.Permissions(
        view_channel=True,
        send_messages=True,
        embed_links=True,
        attach_files=True,
        read_message_history=True,
        add_reactions=True,
        connect=True,
        speak=True,
        set_voice_channel_status=True,
    )
    assert not asked.administrator


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = set(re.findall(r"(?:`|^)make ([a-z]+)", README, flags=re.MULTILINE))
    assert named
    assert named <= targets, named - targets
