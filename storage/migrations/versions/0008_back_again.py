"""From where on the results of somebody count who left themselves out of a session and came back."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("participants", sa.Column("counts_from_s", sa.Float(), nullable=True))


def downgrade() -> None:
    op.drop_column("participants", "counts_from_s")
