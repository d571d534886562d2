"""Sessions, windows, consent, settings and shares in a database; people's rights over what is stored of them.

The names are imported when they are asked for: the records alone need no database library.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from storage.records import (
        Decision,
        MessageKind,
        MessageRecord,
        MomentRecord,
        NewSession,
        ParticipantRecord,
        ParticipantReport,
        Purpose,
        ServerSettings,
        SessionRecord,
        SessionReport,
        SessionState,
        ShareRecord,
        SummaryPlace,
        VoiceMode,
        WindowRecord,
    )
    from storage.store import Storage
    from storage.writer import WindowWriter

__all__ = [
    "Decision",
    "MessageKind",
    "MessageRecord",
    "MomentRecord",
    "NewSession",
    "ParticipantRecord",
    "ParticipantReport",
    "Purpose",
    "ServerSettings",
    "SessionRecord",
    "SessionReport",
    "SessionState",
    "ShareRecord",
    "Storage",
    "SummaryPlace",
    "VoiceMode",
    "WindowRecord",
    "WindowWriter",
]

_HOMES = {"Storage": "store", "WindowWriter": "writer"}
"""Where a name is, if not in `storage.records`."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES.get(name, 'records')}"), name)
