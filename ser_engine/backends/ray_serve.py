"""Recognition on Ray Serve: replicas on this machine or on a cluster's, for more speech than one machine can hear.

A window is one request. Serve gathers requests into batches at the replicas, refuses what is too much, watches the
replicas' health and replaces those that die; what they were working on is asked again here. Baselines never leave this
process, and strangers' files are decoded in a process beside it, as in `workers`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import structlog

from ser_engine.backends.base import ModelInfo
from ser_engine.backends.ray_replica import MAX_BATCH
from ser_engine.backends.workers import WorkerBackend
from ser_engine.baseline import WindowOutput
from ser_engine.decision import Decider
from ser_engine.errors import BackendError, EngineError
from ser_engine.extras import need_ray
from ser_engine.models import open_directory
from ser_engine.networks import Runtime
from ser_engine.refusals import refusal
from ser_engine.samples import are_windows
from ser_engine.types import Window, nothing

log = structlog.get_logger(__name__)

NAMESPACE: Final = "undertone"
START_S: Final = 300.0
"""Ray starts a handful of processes; a busy machine takes minutes over them."""
REACH_S: Final = 10.0
LOOK_EVERY_S: Final = 1.0
LOOK_LIMIT_S: Final = 5.0
PART_SAMPLES: Final = 16_000
"""Ray keeps what is larger than 100 kB in its object store, which may spill to a disk; a second of samples is 64 kB."""
TRIES: Final = 3
PAUSE_S: Final = 0.2
"""Before a window is asked again; twice as long before the last time."""


class RayBackend(WorkerBackend):
    """Satisfies `InferenceBackend`. `address` is a cluster's (``auto``, ``host:6379``); None starts Ray here and ends
    it at `close`. The application of a model on a cluster is shared by all who serve that model, and stays.
    """

    def __init__(
        self,
        model: str,
        model_dir: Path,
        replicas: int = 1,
        *,
        address: str | None = None,
        runtime: Runtime | None = None,
        queue_windows: int = 512,
    ) -> None:
        super().__init__(model_dir, 1, runtime=runtime, queue_windows=queue_windows)
        self._some = MAX_BATCH * max(1, replicas)
        self._model_name = model
        self._runtime = runtime
        self._replicas = max(1, replicas)
        self._address = address
        self._application = ""
        self._handle: Any = None
        self._well = False
        self._running = 0
        self._counts |= dict.fromkeys(("retried",), 0)

    @property
    def ready(self) -> bool:
        return not self._closed and self._well

    async def start(self) -> None:
        """Connect, deploy what is not there, and hear from a replica. Raises MissingExtra, ModelError, BackendError."""
        need_ray()
        try:
            directory = await asyncio.to_thread(open_directory, self._model_dir)
            self._decider = Decider(directory)
            await self._reach()
            try:
                async with asyncio.timeout(START_S):
                    await asyncio.to_thread(self._connect)
                    self._model = await self._info()
            except EngineError:
                raise
            except Exception as error:  # Ray raises what it likes
                raise BackendError(f"Ray Serve did not start the recognition: {_first_line(error)}") from error
            if self._model.version != directory.manifest.version:
                raise BackendError(
                    f"The Ray cluster has version {self._model.version} of the model {self._model.name!r}, and this "
                    f"machine has {directory.manifest.version}. Install the same Undertone on both."
                )
        except BaseException:
            await self.close()
            raise
        self._well = True
        self._tasks = [asyncio.create_task(self._look(), name="ray-health")]

    async def close(self) -> None:
        if not self._closed:
            self._well = False
            await super().close()
            await asyncio.to_thread(self._disconnect)

    def counters(self) -> dict[str, int]:
        return {**super().counters(), "replicas": self._running}

    async def _reach(self) -> None:
        """Raises BackendError where nothing listens at the cluster's address.

        Ray goes on asking there for many minutes, in a thread that nobody can stop meanwhile.
        """
        host, _, port = (self._address or "").rpartition(":")
        if "/" in host or not host or not port.isdecimal():  # none, `auto`, or what Ray itself has to read
            return
        try:
            async with asyncio.timeout(REACH_S):
                _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
        except (OSError, OverflowError) as error:  # a TimeoutError is the first, too
            raise BackendError(
                f"No Ray cluster answers at {self._address}. Start one there with `ray start --head`, or correct the "
                "address: UNDERTONE_RAY_ADDRESS."
            ) from error
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    def _connect(self) -> None:
        import ray
        from ray import serve

        from ser_engine.backends.ray_replica import application

        if not ray.is_initialized():
            self._begin(ray)
        serve.start(proxy_location="Disabled")  # windows come by Ray alone, not by HTTP
        self._application = f"{NAMESPACE}-{self._model_name.replace('/', '-')}"
        there = serve.status().applications.get(self._application)
        if there is not None and there.status == "RUNNING":
            self._handle = serve.get_app_handle(self._application)
            return
        served = application(
            self._model_name,
            self._runtime,
            replicas=self._replicas,
            waiting=self._queue_windows,
        )
        self._handle = serve.run(served, name=self._application, route_prefix=None)

    def _begin(self, ray: Any) -> None:
        """Ray gives its processes half a minute; where the machine was too busy for that, another try helps."""
        local = {} if self._address else {"num_cpus": self._replicas + 1, "include_dashboard": False}
        for number in range(TRIES):
            try:
                ray.init(
                    address=self._address or "local",
                    namespace=NAMESPACE,
                    log_to_driver=False,
                    logging_level="error",
                    **local,
                )
            except Exception as error:
                ray.shutdown()
                if self._address is not None or number == TRIES - 1:
                    raise
                log.warning("ray_did_not_start", error=_first_line(error))
            else:
                return

    async def _info(self) -> ModelInfo:
        info = await self._handle.info.remote()
        assert isinstance(info, ModelInfo)  # noqa: S101  # what a replica's `info` gives
        return info

    def _disconnect(self) -> None:
        try:
            import ray
            from ray import serve
        except ImportError:
            return
        if ray.is_initialized():
            if self._address is None:
                serve.shutdown()
            ray.shutdown()

    async def _look(self) -> None:
        """Ask Serve how the replicas are, for `ready` and the counters."""
        while True:
            running = 0
            with contextlib.suppress(Exception):  # a cluster that cannot be asked is not well, and that is said
                async with asyncio.timeout(LOOK_LIMIT_S):
                    running = await asyncio.to_thread(self._count)
            self._running, self._well = running, running > 0
            await asyncio.sleep(LOOK_EVERY_S)

    def _count(self) -> int:
        from ray import serve

        application = serve.status().applications.get(self._application)
        if application is None:
            return 0
        return sum(states.get("RUNNING", 0) for states in (d.replica_states for d in application.deployments.values()))

    async def _hear_some(self, windows: Sequence[Window], deadline: float, waited_s: float) -> list[WindowOutput]:
        if self._closed or self._model is None:
            raise refusal("not_running")
        if not are_windows(windows):
            raise refusal("bad_window")
        asked = [asyncio.ensure_future(self._hear_one(window)) for window in windows]
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                heard = await asyncio.gather(*asked)
        except TimeoutError:
            self._counts["expired"] += len(windows)
            raise refusal("late") from None
        finally:
            for one in asked:
                one.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        self._counts["windows"] += len(windows)
        return list(heard)

    async def _hear_one(self, window: Window) -> WindowOutput:
        """Ask until a replica answers: one that dies takes no window with it."""
        from ray.exceptions import RayActorError, RayTaskError
        from ray.serve.exceptions import BackPressureError

        for number in range(TRIES):
            if number:
                self._counts["retried"] += 1
                await asyncio.sleep(PAUSE_S * number)
            try:
                heard: WindowOutput = await self._handle.remote(*in_parts(window))
            except BackPressureError:
                self._counts["dropped"] += 1
                raise refusal("busy") from None
            except RayActorError as error:
                log.warning("replica_lost", error=type(error).__name__)
                continue
            except RayTaskError as error:
                raise BackendError(f"A replica failed: {_first_line(error)}") from error
            except Exception as error:  # noqa: BLE001 - Ray raises what it likes; asked again, then counted as lost
                log.warning("ray_failed", error=type(error).__name__)
                continue
            return heard
        self._counts["lost"] += 1
        raise refusal("lost")


def in_parts(window: Window) -> tuple[Any, ...]:
    """A window without its samples, how many of those lie before it, and all of them in parts that travel in messages
    and are stored nowhere."""
    heard = window.heard
    parts = [heard[begin : begin + PART_SAMPLES] for begin in range(0, len(heard), PART_SAMPLES)]
    return replace(window, pcm=nothing(), before=nothing()), len(window.before), *parts


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
