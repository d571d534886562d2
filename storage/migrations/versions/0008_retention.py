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


def upgrade() -> None:
    with op.batch_alter_table("servers") as servers:
        servers.alter_column("retention_days", existing_type=sa.Integer(), nullable=True)


def downgrade() -> None:
    op.execute(_SERVERS.update().where(_SERVERS.c.retention_days.is_(None)).values(retention_days=7))
    with op.batch_alter_table("servers") as servers:
        servers.alter_column("retention_days", existing_type=sa.Integer(), nullable=False)
