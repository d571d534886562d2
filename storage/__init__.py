"""Sessions, windows, consent, settings and shares in a database; people's rights over what is stored of them."""

from storage.records import (
    Decision,
    MessageKind,
    MessageRecord,
    MomentRecord,
    NewSession,
    ParticipantRecord,
    ParticipantReport,
    ServerSettings,
    SessionRecord,
    SessionReport,
    SessionState,
    ShareRecord,
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
    "ServerSettings",
    "SessionRecord",
    "SessionReport",
    "SessionState",
    "ShareRecord",
    "Storage",
    "WindowRecord",
    "WindowWriter",
]
