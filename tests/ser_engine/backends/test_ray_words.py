"""Without Ray, and without a cluster where one should be, who asks for it is told what to do."""

from __future__ import annotations

import importlib.util
import socket
from importlib.machinery import ModuleSpec

import pytest

from bot.recognition import make_backend
from bot.settings import load_settings
from ser_engine.backends.ray_serve import RayBackend
from ser_engine.errors import BackendError, MissingExtra
from ser_engine.models import find_model


@pytest.mark.unit
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


@pytest.mark.integration
@pytest.mark.parametrize("port", [None, 99_999])
async def test_who_names_a_cluster_that_is_not_there_is_told(port: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray would ask there for many minutes, and keep the process from ending."""
    monkeypatch.setattr("ser_engine.backends.ray_serve.need_ray", lambda: None)
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{port or taken.getsockname()[1]}"
        backend = RayBackend("seed", find_model("seed"), address=address)
        with pytest.raises(BackendError, match=f"No Ray cluster answers at {address}"):
            await backend.start()
    assert not backend.ready
