"""Running until told to stop: signals, and errors in words, for every command that serves."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import click
from sqlalchemy.engine import make_url

from bot import logs
from bot.errors import SettingsError, StartError
from bot.settings import Settings, load_routed, load_settings
from ser_engine.backends.process import ASKED_TO_END
from ser_engine.errors import EngineError
from storage.claim import file_of
from storage.errors import StorageError


def until_stopped(main: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    """Run `main` with an event that the signals set. A second one ends it at once.

    Errors that have words end with them and exit status 1.
    """
    try:
        asyncio.run(_run(main))
    except (KeyboardInterrupt, asyncio.CancelledError):  # a second signal, however far the first one got
        raise SystemExit(130) from None
    except (StartError, EngineError, StorageError) as error:
        fail(str(error))


def fail(text: str) -> NoReturn:
    click.secho(text, err=True, fg="red")
    raise SystemExit(1)


def settings_of(*, routed: bool = False, **overrides: Any) -> Settings:
    """The settings with the options that were given, and the log set up by them. Ends in words when one is wrong."""
    try:
        given = {name: value for name, value in overrides.items() if value is not None}
        settings = load_routed(**given) if routed else load_settings(**given)
    except SettingsError as error:
        fail(str(error))
    logs.configure(settings.log_level, json=settings.log_json)
    return settings


def check_is_there(settings: Settings) -> None:
    """Raises StartError where there is no file of a database: SQLite would make one, and nothing would be in it."""
    address = make_url(settings.database_url)
    if address.get_backend_name() == "sqlite" and not ((file := file_of(address)) and file.is_file()):
        raise StartError(
            f"There is no database {address.database}. Set UNDERTONE_DATA_DIR to the folder of the service."
        )


async def _run(main: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    stop = asyncio.Event()
    with signals(stop):
        await main(stop)


@contextmanager
def signals(stop: asyncio.Event) -> Iterator[None]:
    """Set `stop` at the first signal, cancel this task at the second. On Windows, Ctrl-C raises instead."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()

    def asked() -> None:
        if stop.is_set() and task is not None:
            task.cancel()
        stop.set()

    installed = []
    for number in ASKED_TO_END:
        if number not in (signal.SIGINT, signal.SIGTERM) and signal.getsignal(number) is signal.SIG_IGN:
            continue  # as by `nohup`: it goes on without its terminal
        try:
            loop.add_signal_handler(number, asked)
        except (NotImplementedError, RuntimeError):
            continue
        installed.append(number)
    try:
        yield
    finally:
        for number in installed:
            loop.remove_signal_handler(number)


async def first_of(stop: asyncio.Event, *works: Coroutine[Any, Any, Any]) -> None:
    """Return when `stop` is set or one of `works` ended; raises what it raised. The others are cancelled."""
    tasks = [asyncio.create_task(work, name=f"until-{index}") for index, work in enumerate(works)]
    tasks.append(asyncio.create_task(_wait(stop), name="until-stopped"))
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _wait(stop: asyncio.Event) -> None:
    await stop.wait()


def check_host(host: str) -> None:
    """Raises StartError where nothing on this machine could listen at `host`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((host, 0))
    except OSError as error:
        raise StartError(f"{host} is no address of this machine: {error.strerror}. Try --host 127.0.0.1.") from error


def port_trouble(host: str, port: int) -> StartError | None:
    """What keeps a server from listening there now, in words."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            from bot.assembly import port_error  # brings the whole service along

            return port_error(error, host, port)
    return None


def port_is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    return port_trouble(host, port) is None


def next_free_port(host: str, wanted: int, *, tries: int = 50, without: frozenset[int] = frozenset()) -> int:
    """The first free port from `wanted` on. Raises StartError when there is none near."""
    for port in range(wanted, min(wanted + tries, 65_536)):
        if port not in without and port_is_free(host, port):
            return port
    raise StartError(f"No free port between {wanted} and {wanted + tries} on {host}. Choose one: PORT=9000.")
