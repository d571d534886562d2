"""A server that chose no retention follows the operator's, also when that changes.

What is stored by now stays as it is: nothing tells whether it was chosen.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_SERVERS = sa.table("servers", sa.column("retention_days", sa.Integer()))
_MESSAGES = sa.table("bot_messages", sa.column("kind", sa.String(16)))


def upgrade() -> None:
    with op.batch_alter_table("servers") as servers:
        servers.alter_column("retention_days", existing_type=sa.Integer(), nullable=True)


def downgrade() -> None:
    # An older program does not know this kind of message, and ends in an error where it reads one.
    op.execute(_MESSAGES.update().where(_MESSAGES.c.kind == "shared").values(kind="notice"))
    op.execute(_SERVERS.update().where(_SERVERS.c.retention_days.is_(None)).values(retention_days=7))
    with op.batch_alter_table("servers") as servers:
        servers.alter_column("retention_days", existing_type=sa.Integer(), nullable=False)
