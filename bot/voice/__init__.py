"""Hearing a Discord voice call: encrypted packets in, each included speaker's samples out.

    link = await connect(channel, sink=sink, consent=is_included, on_state=show)
    …
    link.discard(user_id)       # somebody withdrew
    await link.close()

See `docs/voice.md` for how it works and what each counter means.
"""

from .counters import ReceiveCounters
from .door import refusal
from .errors import CannotJoin, IncompatibleLibrary, VoiceError
from .link import VoiceLink, connect
from .states import ConsentGate, FrameSink, LinkState, Reason, StateListener

__all__ = [
    "CannotJoin",
    "ConsentGate",
    "FrameSink",
    "IncompatibleLibrary",
    "LinkState",
    "Reason",
    "ReceiveCounters",
    "StateListener",
    "VoiceError",
    "VoiceLink",
    "connect",
    "refusal",
]
