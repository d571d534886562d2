"""The README keeps its word: links lead somewhere, commands exist, the invitation asks for what it says."""

from __future__ import annotations

import re
from pathlib import Path

import discord
import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "document",
    sorted(
        p.relative_to(ROOT).as_posix()
        for p in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "model" / "MODEL_CARD.md")
    ),
)
def test_links_lead_to_files(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    links = [link.split("#")[0] for link in re.findall(r"\]\((?!https?:|#|mailto:)([^)\s]+)", text)]
    missing = [link for link in links if link and not ((ROOT / document).parent / link).exists()]
    assert not missing, missing


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
