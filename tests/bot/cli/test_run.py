"""The commands as somebody types them: what is refused is refused in words, with an exit status."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from click.testing import CliRunner

from bot.__main__ import main
from bot.cli.checks import CheckStatus, check_database, check_port, check_settings, check_voice
from bot.cli.running import first_of, next_free_port, port_is_free, signals
from bot.errors import PortInUse, SettingsError, StartError
from bot.settings import Settings, load_settings, variable
from lab.cli import demo_ports
from lab.demo import Demo
from tests.fakes.backend import FakeBackend
from tests.fakes.settings import keep_addresses

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings of the machine, no .env, and logging as it was."""
    for field in Settings.model_fields:
        monkeypatch.delenv(variable(field), raising=False)
    monkeypatch.setattr("bot.logs.configure", lambda *_, **__: None)
    monkeypatch.chdir(tmp_path)


def test_the_version_is_told_of_a_checkout_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a host that reads requirements.txt and runs the Procfile."""

    def absent(name: str) -> metadata.Distribution:
        raise metadata.PackageNotFoundError(name)

    installed = metadata.version("undertone")
    monkeypatch.setattr(metadata.Distribution, "from_name", absent)
    result = CliRunner().invoke(main, ["--version"])
    assert (result.exit_code, result.output) == (0, f"undertone, version {installed}\n")


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def test_run_without_a_token_says_what_to_do() -> None:
    result = CliRunner().invoke(main, ["run"])
    assert result.exit_code == 1
    assert "DISCORD_TOKEN is not set" in result.output
    assert "undertone demo" in result.output


def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERTONE_RETENTION_DAYS", "soon")
    result = CliRunner().invoke(main, ["run"])
    assert result.exit_code == 1
    assert "UNDERTONE_RETENTION_DAYS" in result.output
    assert "Traceback" not in result.output


def test_the_demo_refuses_a_port_that_was_named_and_is_taken(taken_port: int) -> None:
    result = CliRunner().invoke(main, ["demo", "--port", str(taken_port)])
    assert result.exit_code == 1
    assert f"Port {taken_port} on 127.0.0.1 is taken" in result.output


@pytest.mark.parametrize("host", ["256.1.1.1", "192.0.2.7", "2001:db8::1", "no such host"])
def test_the_demo_refuses_a_host_that_is_not_this_machine(host: str) -> None:
    result = CliRunner().invoke(main, ["demo", "--host", host])
    assert result.exit_code == 1
    assert f"{host} is no address of this machine" in result.output
    assert isinstance(result.exception, SystemExit)


def test_a_port_that_only_root_may_open_is_not_called_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("lab.cli.check_host", lambda host: None)
    monkeypatch.setattr(socket, "socket", type("Refusing", (socket.socket,), {"bind": refused}))
    result = CliRunner().invoke(main, ["demo", "--port", "80"])
    assert result.exit_code == 1
    assert "Port 80 may not be opened by this user" in result.output
    (finding,) = check_port(load_settings(env_file=None, port=80, data_dir=tmp_path))
    assert (finding.verdict, "taken" in finding.text) == (CheckStatus.BAD, False)


def test_the_demo_takes_the_next_port_when_nobody_named_one(taken_port: int) -> None:
    assert not port_is_free("127.0.0.1", taken_port)
    assert next_free_port("127.0.0.1", taken_port) > taken_port
    web, chat = demo_ports("127.0.0.1", None)
    assert web != chat
    with pytest.raises(PortInUse):
        demo_ports("127.0.0.1", taken_port)
    with pytest.raises(StartError):
        next_free_port("127.0.0.1", taken_port, tries=1)


def test_the_database_is_brought_up_to_date(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["db", "upgrade"])
    assert (result.exit_code, result.output) == (0, "The database is up to date.\n")
    assert (tmp_path / "data" / "undertone.db").is_file()
    assert CliRunner().invoke(main, ["db", "purge"]).output == "Deleted sessions: 0\n"


def test_the_doctor_names_what_is_wrong_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERTONE_MODEL", "no-such-model")
    monkeypatch.setenv("UNDERTONE_HOST", "192.0.2.1")
    result = CliRunner().invoke(main, ["doctor", "--json", "--offline"])
    findings = {finding["subject"]: finding for finding in map(json.loads, result.output.splitlines())}
    assert result.exit_code == 1
    assert findings["model"]["verdict"] == "bad"
    assert "UNDERTONE_MODEL" in findings["model"]["text"]
    assert findings["UNDERTONE_PUBLIC_URL"]["verdict"] == "bad"
    assert findings["DISCORD_TOKEN"]["verdict"] == "note"
    assert findings["database"]["verdict"] == "ok"


def test_the_doctor_finds_voice_and_a_taken_port_as_they_are(taken_port: int, tmp_path: Path) -> None:
    settings = load_settings(env_file=None, port=taken_port, data_dir=tmp_path)
    assert {finding.verdict for finding in check_voice(settings)} == {CheckStatus.OK}
    assert [finding.verdict for finding in check_port(settings)] == [CheckStatus.NOTE]
    half = load_settings(env_file=None, oauth_client_id="1")
    assert any("only one of" in finding.text for finding in check_settings(half))
    (tmp_path / "file").touch()
    address = f"sqlite:///{tmp_path / 'file' / 'x.db'}"
    broken = load_settings(env_file=None, data_dir=tmp_path, database_address=address)
    assert [finding.verdict for finding in check_database(broken)] == [CheckStatus.BAD]


def test_the_doctor_names_settings_that_are_misspelt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("UNDERTONE_OPERATER=Mara\nUNDERTONE_MODEL=seed\n")
    monkeypatch.setenv("UNDERTONE_RETENTION", "3")
    (finding,) = [one for one in check_settings(load_settings()) if one.subject == "settings"]
    assert finding.verdict is CheckStatus.NOTE
    assert "UNDERTONE_OPERATER, UNDERTONE_RETENTION:" in finding.text
    monkeypatch.delenv("UNDERTONE_RETENTION")
    (tmp_path / ".env").unlink()
    assert not [one for one in check_settings(load_settings()) if one.subject == "settings"]


def test_the_doctor_reports_wrong_settings_instead_of_dying(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "x")
    result = CliRunner().invoke(main, ["doctor", "--offline"])
    assert result.exit_code == 1
    assert "PORT" in result.output


async def test_the_first_signal_asks_and_the_second_insists() -> None:
    stop, listens = asyncio.Event(), asyncio.Event()

    async def stubborn() -> None:
        with signals(stop):
            listens.set()
            await stop.wait()
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(30)

    task = asyncio.create_task(stubborn(), name="stubborn")
    await listens.wait()
    os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stop.is_set()


@pytest.mark.skipif(sys.platform == "win32", reason="has no such signal")
async def test_a_closed_terminal_asks_unless_it_was_to_be_outlived() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals(asyncio.Event()):  # as `nohup` starts it
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        stop = asyncio.Event()
        with signals(stop):
            os.kill(os.getpid(), signal.SIGHUP)
            async with asyncio.timeout(60):
                await stop.wait()
    finally:
        signal.signal(signal.SIGHUP, before)


async def test_first_of_passes_on_what_broke_and_cancels_the_others() -> None:
    async def breaks() -> None:
        raise StartError("broken")

    with pytest.raises(StartError, match="broken"):
        await first_of(asyncio.Event(), breaks(), asyncio.sleep(30))


async def test_the_demo_seats_people_and_hears_the_included_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_addresses(monkeypatch)
    settings = load_settings(env_file=None, data_dir=tmp_path)
    async with Demo(settings, web_port=0, chat_port=0, backend=FakeBackend()) as demo:
        (session,) = demo.service.sessions.running()

        async def heard() -> None:
            while session.counters()["predictions"] < 3:
                await asyncio.sleep(0.1)

        async with asyncio.timeout(60):
            await first_of(asyncio.Event(), demo.play(), heard())
        now = session.snapshot()
        assert (len(now.included), len(now.excluded)) == (4, 1)
        assert demo.report_url.endswith(session.record.id)
    assert list((tmp_path / "demo").iterdir()) == []


def test_a_data_folder_that_is_a_file_is_called_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    for place in ("file", "file/below"):
        monkeypatch.setenv("UNDERTONE_DATA_DIR", place)
        for words in (["db", "upgrade"], ["log-name", "5"], ["report", "x", "--json"]):
            result = CliRunner().invoke(main, words)
            assert (result.exit_code, result.output.strip()) == (
                1,
                f"{place} is no folder. Name one for the data: UNDERTONE_DATA_DIR=…",
            )
        result = CliRunner().invoke(main, ["doctor", "--json", "--offline"])
        findings = [finding for finding in map(json.loads, result.output.splitlines()) if finding["verdict"] == "bad"]
        assert [(finding["subject"], "is no folder" in finding["text"]) for finding in findings] == [
            ("data folder", True)
        ]


@pytest.mark.parametrize("module", ["bot.cli", "typing", "click", "ser_engine.loading"])
def test_ctrl_c_before_anything_is_loaded_prints_no_traceback(module: str) -> None:
    program = f"""
import sys
class Pressed:
    def find_spec(self, name, *_):
        if name == {module!r}:
            raise KeyboardInterrupt
sys.modules.pop({module!r}, None)
sys.meta_path.insert(0, Pressed())
import bot.__main__
"""
    paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
    words = [sys.executable, "-c", program]
    done = subprocess.run(words, env={**os.environ, **paths}, capture_output=True, text=True, check=False)  # noqa: S603
    assert (done.returncode, done.stdout + done.stderr) == (130, "")


def test_the_doctor_tells_how_people_get_in() -> None:
    def told(**settings: object) -> dict[str, str]:
        found = check_settings(load_settings(env_file=None, **settings))
        return {finding.subject: f"{finding.verdict.value}: {finding.text}" for finding in found}

    assert "note: not set up" in told()["sign-in"]
    assert "/undertone/" in told(public_url="https://example.org/undertone/")["UNDERTONE_PUBLIC_URL"]
    assert told(public_url="https://example.org")["UNDERTONE_PUBLIC_URL"] == "ok: https://example.org"
    with pytest.raises(SettingsError, match="UNDERTONE_PUBLIC_URL"):
        load_settings(env_file=None, public_url="https://example.org/?a=b")


@pytest.mark.skipif(sys.platform == "win32", reason="a shell of Unix")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_an_output_that_is_cut_off_is_no_success(unbuffered: str, tmp_path: Path) -> None:
    """As the image has it, Python writes without a buffer, and passes over what a full disk did not take."""
    line = f"ulimit -f 1; exec {sys.executable} -m bot model show seed --json >out"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "PYTHONUNBUFFERED": unbuffered}
    ended = subprocess.run(  # noqa: S602  a shell is what is tested
        line, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (1, "The output cannot be written: File too large.\n")
