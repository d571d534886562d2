"""Windows in whole numbers, their probabilities in two bytes a label, the session that of their participant."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

AT_ONCE = 5_000
SHARES = ("speech_ratio", "gap_ratio", "confidence")
ABSENT = 0xFFFF

windows = sa.table(
    "windows", sa.column("id"), sa.column("participant_id"), sa.column("probabilities"), sa.column("packed")
)
participants = sa.table("participants", sa.column("id"), sa.column("session_id"))
sessions = sa.table("sessions", sa.column("id"), sa.column("labels", sa.JSON()))


def upgrade() -> None:
    op.add_column("windows", sa.Column("packed", sa.LargeBinary(), nullable=True))
    op.drop_index("ix_windows_session_id_start_s", "windows")
    _convert("probabilities", sa.JSON(), "packed", sa.LargeBinary(), _packed)
    op.execute("UPDATE windows SET start_s = round(start_s * 1000), end_s = round(end_s * 1000)")
    for name in SHARES:
        op.execute(f"UPDATE windows SET {name} = round({name} * 10000)")  # noqa: S608  names of ours
    with op.batch_alter_table("windows") as table:
        table.drop_constraint("fk_windows_session_id", type_="foreignkey")
        table.drop_column("session_id")
        table.drop_column("probabilities")
        table.alter_column("start_s", new_column_name="start_ms", type_=sa.Integer())
        table.alter_column("end_s", new_column_name="end_ms", type_=sa.Integer())
        for name in SHARES:
            table.alter_column(name, type_=sa.SmallInteger())
    with op.batch_alter_table("windows") as table:
        table.alter_column("packed", new_column_name="probabilities", nullable=False)


def downgrade() -> None:
    with op.batch_alter_table("windows") as table:
        table.add_column(sa.Column("session_id", sa.String(length=32), nullable=True))
        table.alter_column("probabilities", new_column_name="packed")
        table.alter_column("start_ms", new_column_name="start_s", type_=sa.Float())
        table.alter_column("end_ms", new_column_name="end_s", type_=sa.Float())
        for name in SHARES:
            table.alter_column(name, type_=sa.Float())
    op.add_column("windows", sa.Column("probabilities", sa.JSON(), nullable=True))
    _convert("packed", sa.LargeBinary(), "probabilities", sa.JSON(), _unpacked)
    op.execute("UPDATE windows SET start_s = start_s / 1000, end_s = end_s / 1000")
    for name in SHARES:
        op.execute(f"UPDATE windows SET {name} = {name} / 10000")  # noqa: S608  names of ours
    op.execute(
        "UPDATE windows SET session_id = "
        "(SELECT session_id FROM participants WHERE participants.id = windows.participant_id)"
    )
    with op.batch_alter_table("windows") as table:
        table.alter_column("session_id", nullable=False)
        table.alter_column("probabilities", nullable=False)
        table.drop_column("packed")
        table.create_foreign_key("fk_windows_session_id", "sessions", ["session_id"], ["id"], ondelete="CASCADE")
        table.create_index("ix_windows_session_id_start_s", ["session_id", "start_s"], unique=False)


def _convert(
    old: str, old_type: sa.types.TypeEngine[Any], new: str, new_type: sa.types.TypeEngine[Any], made: Callable[..., Any]
) -> None:
    """Fill column `new` of each window from column `old` and the session's labels."""
    connection, last = op.get_bind(), 0
    read = (
        sa.select(windows.c.id, sa.type_coerce(windows.c[old], old_type), sessions.c.labels)
        .join_from(windows, participants, participants.c.id == windows.c.participant_id)
        .join(sessions, sessions.c.id == participants.c.session_id)
        .order_by(windows.c.id)
        .limit(AT_ONCE)
    )
    write = windows.update().where(windows.c.id == sa.bindparam("which"))
    write = write.values({new: sa.bindparam("value", type_=new_type)})
    while rows := connection.execute(read.where(windows.c.id > last)).all():
        connection.execute(write, [{"which": row[0], "value": made(row[1], row[2])} for row in rows])
        last = rows[-1][0]


def _packed(probabilities: dict[str, float], labels: list[str]) -> bytes:
    steps = (round(probabilities[label] * 10_000) if label in probabilities else ABSENT for label in labels)
    return struct.pack(f"<{len(labels)}H", *steps)


def _unpacked(blob: bytes, labels: list[str]) -> dict[str, float]:
    steps = struct.unpack(f"<{len(labels)}H", blob)
    return {label: step / 10_000 for label, step in zip(labels, steps, strict=True) if step != ABSENT}
