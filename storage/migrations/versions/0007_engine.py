"""Which windows another model answered than the session's, because more was said than that could recognise."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("windows", sa.Column("engine", sa.String(length=32), nullable=True))


def downgrade() -> None:
    op.drop_column("windows", "engine")
