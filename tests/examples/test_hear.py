"""`examples/hear.py` is a bot of somebody else: it runs as a program of its own, against the loopback Discord."""

from __future__ import annotations

import asyncio
import os
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from sandbox import Message, Sandbox

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
COUNT_ME = "count-me"
BROUGHT = (
    *("discord", "davey", "nacl", "_cffi_backend", "cffi", "pycparser", "av", "av.libs", "numpy", "numpy.libs"),
    *("aiohttp", "aiohappyeyeballs", "aiosignal", "attr", "attrs", "frozenlist", "idna", "multidict", "propcache"),
    *("yarl", "audioop", "typing_extensions"),
)
"""What `pip install "discord.py[voice]" davey av numpy` installs."""


def only_these(folder: Path) -> Path:
    """A folder of packages: what `discord.py[voice]`, davey, av and numpy bring, and two of ours; nothing else."""
    folder.mkdir()
    for place, names in ((Path(sysconfig.get_path("purelib")), BROUGHT), (ROOT, ("bot", "ser_engine"))):
        for name in names:
            for found in (*place.glob(name), *place.glob(f"{name}.py"), *place.glob(f"{name}.*.so")):
                (folder / found.name).symlink_to(found)
    return folder


async def who_talks(python: Sequence[str], folder: Path, **environment: str) -> str:
    """Let Anna, who agreed, and Ben, who did not, talk for three seconds; what the bot wrote in the end."""
    certificate = folder / "certificate.pem"
    async with Sandbox(rate_limits=False) as sandbox:
        certificate.write_bytes(sandbox.voice.certificate.authority_pem)
        anna, ben = sandbox.add_person("Anna"), sandbox.add_person("Ben")
        async with sandbox.speaker(anna) as first, sandbox.speaker(ben) as second:
            for speaker in (first, second):
                await speaker.join(sandbox.voice_channel.id)
            process = await asyncio.create_subprocess_exec(
                *(*python, str(ROOT / "tests" / "examples" / "alone.py"), sandbox.api_base, sandbox.gateway_url),
                *(str(ROOT / "examples" / "hear.py"), str(sandbox.voice_channel.id), "600"),
                env={**os.environ, "DISCORD_TOKEN": sandbox.token, "SSL_CERT_FILE": str(certificate), **environment},
                cwd=folder,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            try:
                question = await sandbox.wait_for(lambda: asked(sandbox), timeout_s=60.0)
                await sandbox.answer(await sandbox.press(anna, question, COUNT_ME))
                await sandbox.voice.settled(sandbox.voice_channel.id)
                await asyncio.gather(first.say(voice()), second.say(voice()))
                late = sandbox.add_person("Cleo")  # when she is answered, what was said before has arrived
                await sandbox.answer(await sandbox.press(late, question, COUNT_ME))
                sandbox.disconnect(sandbox.bot)
                result = await sandbox.wait_for(lambda: answered(sandbox))
                assert str(ben.id) not in result.content
                assert f"<@{anna.id}>" in result.content
                return result.content
            except TimeoutError:
                if process.returncode is None:
                    process.kill()
                printed, _ = await process.communicate()
                pytest.fail(f"the example did not do its part: {printed.decode()[-2000:]}")
            finally:
                if process.returncode is None:
                    process.kill()
                await process.communicate()


def voice() -> np.ndarray:
    """Three seconds that sound like a voice; float32 mono at 16 kHz."""
    t = np.arange(48_000) / 16_000
    return np.asarray(0.2 * sum(np.sin(2 * np.pi * 180 * k * t) / k for k in range(1, 12)), dtype=np.float32)


def asked(sandbox: Sandbox) -> Message | None:
    messages = sandbox.messages(sandbox.voice_channel)
    return next((message for message in messages if COUNT_ME in message.custom_ids()), None)


def answered(sandbox: Sandbox) -> Message | None:
    return next((m for m in sandbox.messages(sandbox.voice_channel) if "talked" in m.content), None)


async def test_the_example_hears_those_who_agreed_and_needs_nothing_else(tmp_path: Path) -> None:
    packages = only_these(tmp_path / "packages")
    text = await who_talks([sys.executable, "-S"], tmp_path, PYTHONPATH=str(packages))
    seconds = float(text.rsplit(" for ", 1)[1].removesuffix(" s"))
    assert 0.5 < seconds <= 3.2


async def test_without_a_channel_or_a_token_it_says_how_it_is_started() -> None:
    without = {name: value for name, value in os.environ.items() if name != "DISCORD_TOKEN"}
    for words, environment in (((), {**without, "DISCORD_TOKEN": "x"}), (("1",), without)):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(ROOT / "examples" / "hear.py"), *words),
            env=environment,
            cwd=ROOT,
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await process.communicate()
        assert (process.returncode, b"hear.py CHANNEL_ID" in said, b"Traceback" in said) == (1, True, False)
