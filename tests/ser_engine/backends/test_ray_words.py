"""Without Ray, who asks for it is told what to do."""

from __future__ import annotations

import importlib.util
from importlib.machinery import ModuleSpec

import pytest

from bot.recognition import make_backend
from bot.settings import load_settings
from ser_engine.errors import MissingExtra

pytestmark = pytest.mark.unit


async def test_who_asks_for_ray_without_the_extra_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec

    def without_ray(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name == "ray" else found(name, package)

    monkeypatch.setattr("importlib.util.find_spec", without_ray)
    backend = make_backend(load_settings(env_file=None, backend="ray", model="seed"))
    with pytest.raises(MissingExtra, match=r"--editable '\.\[ray\]'") as told:
        await backend.start()
    assert "One machine does not need it" in str(told.value)
    assert not backend.ready
    await backend.close()
