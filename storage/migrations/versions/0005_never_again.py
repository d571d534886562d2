"""Ids of participants are never used again, and a message may have to be written anew."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("bot_messages", sa.Column("stale", sa.Boolean(), nullable=False, server_default=sa.false()))
    if op.get_bind().dialect.name == "sqlite":  # PostgreSQL's sequences never go back
        with op.batch_alter_table("participants", recreate="always", table_kwargs={"sqlite_autoincrement": True}):
            pass


def downgrade() -> None:
    """Participants stay as they are: the program of before works with them."""
    op.drop_column("bot_messages", "stale")
