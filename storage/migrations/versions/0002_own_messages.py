"""The bot's own messages in Discord, and who wrote a mark."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "bot_messages",
        sa.Column("message_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("channel_id", sa.BigInteger(), nullable=False),
        sa.Column("guild_id", sa.BigInteger(), nullable=True),
        sa.Column("session_id", sa.String(length=32), nullable=True),
        sa.Column("user_hash", sa.String(length=64), nullable=True),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("posted_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["session_id"], ["sessions.id"], name="fk_bot_messages_session_id", ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("message_id", name="pk_bot_messages"),
    )
    op.create_index("ix_bot_messages_session_id", "bot_messages", ["session_id"], unique=False)
    op.create_index("ix_bot_messages_user_hash", "bot_messages", ["user_hash"], unique=False)
    with op.batch_alter_table("moments") as moments:
        moments.add_column(sa.Column("author_hash", sa.String(length=64), nullable=True))
        moments.create_index("ix_moments_author_hash", ["author_hash"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("moments") as moments:
        moments.drop_index("ix_moments_author_hash")
        moments.drop_column("author_hash")
    op.drop_table("bot_messages")
