"""Hearing a Discord voice call: encrypted packets in, each included speaker's samples out.

In an ordinary discord.py bot::

    async with hear(channel, consent={ada.id, ben.id}) as call:
        async for speaker, samples, at_s, concealed in call:
            ...

With callbacks instead of a loop, as the service does it::

    link = await connect(channel, sink=sink, consent=is_included, on_state=show)
    link.discard(user_id)       # somebody withdrew
    await link.close()

It needs discord.py[voice], davey, av and numpy, and nothing else of Undertone than the Opus codec. See `docs/voice.md`
for how it works and what each counter means.
"""

from .check import check_call
from .counters import ReceiveCounters
from .door import refusal
from .errors import CannotJoin, IncompatibleLibrary, VoiceError
from .hear import Heard, Hearing, hear
from .link import VoiceLink, connect
from .states import ConsentGate, FrameSink, LinkState, Reason, StateListener

__all__ = [
    "CannotJoin",
    "ConsentGate",
    "FrameSink",
    "Heard",
    "Hearing",
    "IncompatibleLibrary",
    "LinkState",
    "Reason",
    "ReceiveCounters",
    "StateListener",
    "VoiceError",
    "VoiceLink",
    "check_call",
    "connect",
    "hear",
    "refusal",
]
