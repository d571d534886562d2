"""Recognition as the settings want it, begun before the rest of the service is imported: each takes about a second, and
a worker process needs none of what the service imports."""

from __future__ import annotations

import asyncio
import importlib
from pathlib import Path
from types import ModuleType

from bot.settings import Settings
from ser_engine.backends.base import InferenceBackend
from ser_engine.loading import loaded, loading


def make_backend(settings: Settings) -> InferenceBackend:
    """Raises ModelError when there is no such model."""
    from ser_engine.models import find_model

    model_dir: Path = find_model(settings.model)
    if settings.backend == "ray":
        from ser_engine.backends.ray_serve import RayBackend

        return RayBackend(
            settings.model,
            model_dir,
            replicas=settings.workers,
            address=settings.ray_address,
            runtime=settings.runtime,
        )
    if settings.workers == 0:
        from ser_engine.backends.inline import InlineBackend

        return InlineBackend(model_dir, runtime=settings.runtime)
    from ser_engine.backends.workers import WorkerBackend

    return WorkerBackend(
        model_dir,
        workers=settings.workers,
        runtime=settings.runtime,
        cheaper_dir=_cheaper(model_dir),
        degrade_after_s=settings.degrade_after_s,
    )


def _cheaper(model_dir: Path) -> Path | None:
    """The model that answers when there is too much to do: `fast`, where it is there, is another, and knows the same
    labels."""
    from ser_engine.errors import ModelError
    from ser_engine.models import CHEAPER, available_models, find_model, load_manifest

    if CHEAPER not in available_models():
        return None
    cheaper = find_model(CHEAPER)
    try:
        same = load_manifest(cheaper).labels == load_manifest(model_dir).labels
    except ModelError:
        return None  # the one that serves says what is wrong with it when it starts
    return cheaper if same and cheaper.resolve() != model_dir.resolve() else None


class Warming:
    """A backend that is starting. Whoever is handed it awaits `done` and closes the backend."""

    def __init__(self, backend: InferenceBackend) -> None:
        self.backend = backend
        self.done = asyncio.create_task(backend.start(), name="backend-start")

    async def close(self) -> None:
        """End the backend, whether it had started or not."""
        await asyncio.gather(self.done, return_exceptions=True)
        await self.backend.close()


async def begin(settings: Settings, module: str) -> tuple[Warming, ModuleType]:
    """Start recognition, and import `module` in the meantime. Raises ModelError when there is no such model."""
    warming = Warming(make_backend(settings))
    try:
        with loading():
            imported = await asyncio.to_thread(importlib.import_module, module)
        loaded()
        return warming, imported
    except BaseException:
        await warming.close()
        raise
