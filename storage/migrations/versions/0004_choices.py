"""What a server may choose, who made a share link and for whose row, and a standing answer for each of two purposes.

A standing *yes* was given to sessions; that it holds for voice messages, which are answered in public, is asked anew. A
standing *no* holds for both.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_SERVERS = sa.table(
    "servers",
    sa.column("guild_id", sa.BigInteger()),
    sa.column("listen_role_id", sa.BigInteger()),
    sa.column("auto_channel_ids", sa.JSON()),
    sa.column("listen_role_ids", sa.JSON()),
    sa.column("voice_modes", sa.JSON()),
)
_CONSENTS = sa.table(
    "consents",
    sa.column("guild_id", sa.BigInteger()),
    sa.column("user_hash", sa.String()),
    sa.column("purpose", sa.String()),
    sa.column("decision", sa.String()),
    sa.column("decided_at", sa.DateTime(timezone=True)),
)
_OLD_CONSENTS = sa.table("consents", *(sa.column(c.name, c.type) for c in _CONSENTS.columns if c.name != "purpose"))


def _new_columns() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("listen_role_ids", sa.JSON(), nullable=False, server_default="[]"),
        sa.Column("unheard_role_ids", sa.JSON(), nullable=False, server_default="[]"),
        sa.Column("viewer_role_id", sa.BigInteger(), nullable=True),
        sa.Column("report_channel_id", sa.BigInteger(), nullable=True),
        sa.Column("summary_place", sa.String(length=16), nullable=False, server_default="voice_chat"),
        sa.Column("live_emotions", sa.Boolean(), nullable=False, server_default=sa.true()),
        sa.Column("voice_modes", sa.JSON(), nullable=False, server_default="{}"),
        sa.Column("auto_listen_ids", sa.JSON(), nullable=False, server_default="[]"),
        sa.Column("language", sa.String(length=8), nullable=True),
        sa.Column("left_at", sa.DateTime(timezone=True), nullable=True),
    )


def upgrade() -> None:
    with op.batch_alter_table("servers") as servers:
        for column in _new_columns():
            servers.add_column(column)
    connection = op.get_bind()
    for row in connection.execute(
        sa.select(_SERVERS.c.guild_id, _SERVERS.c.listen_role_id, _SERVERS.c.auto_channel_ids)
    ):
        chosen = {
            "listen_role_ids": [] if row.listen_role_id is None else [row.listen_role_id],
            "voice_modes": {str(channel_id): "reply" for channel_id in row.auto_channel_ids},
        }
        connection.execute(_SERVERS.update().where(_SERVERS.c.guild_id == row.guild_id).values(chosen))
    with op.batch_alter_table("servers") as servers:
        servers.drop_column("listen_role_id")
        servers.drop_column("auto_channel_ids")

    with op.batch_alter_table("shares") as shares:
        shares.add_column(sa.Column("participant_id", sa.Integer(), nullable=True))
        shares.add_column(sa.Column("maker_hash", sa.String(length=64), nullable=True))
        shares.create_foreign_key(
            "fk_shares_participant_id", "participants", ["participant_id"], ["id"], ondelete="CASCADE"
        )

    answers = [row._asdict() for row in connection.execute(sa.select(_OLD_CONSENTS))]
    op.drop_table("consents")  # its primary key changes, which SQLite cannot do in place
    op.create_table(
        "consents",
        sa.Column("guild_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("user_hash", sa.String(length=64), nullable=False),
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("decision", sa.String(length=16), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("guild_id", "user_hash", "purpose", name="pk_consents"),
    )
    both = [answer | {"purpose": "live"} for answer in answers]
    both += [answer | {"purpose": "voice"} for answer in answers if answer["decision"] == "opt_out"]
    op.bulk_insert(_CONSENTS, both)


def downgrade() -> None:
    with op.batch_alter_table("shares") as shares:
        shares.drop_constraint("fk_shares_participant_id", type_="foreignkey")
        shares.drop_column("maker_hash")
        shares.drop_column("participant_id")
    connection = op.get_bind()
    answers = [row._asdict() for row in connection.execute(sa.select(_CONSENTS).where(_CONSENTS.c.purpose == "live"))]
    op.drop_table("consents")
    op.create_table(
        "consents",
        sa.Column("guild_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("user_hash", sa.String(length=64), nullable=False),
        sa.Column("decision", sa.String(length=16), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("guild_id", "user_hash", name="pk_consents"),
    )
    op.bulk_insert(_OLD_CONSENTS, [{name: answer[name] for name in answer if name != "purpose"} for answer in answers])
    with op.batch_alter_table("servers") as servers:
        servers.add_column(sa.Column("listen_role_id", sa.BigInteger(), nullable=True))
        servers.add_column(sa.Column("auto_channel_ids", sa.JSON(), nullable=False, server_default="[]"))
    for row in connection.execute(sa.select(_SERVERS.c.guild_id, _SERVERS.c.listen_role_ids, _SERVERS.c.voice_modes)):
        before = {
            "listen_role_id": next(iter(row.listen_role_ids), None),
            "auto_channel_ids": [
                int(channel) for channel, mode in row.voice_modes.items() if mode in ("react", "reply")
            ],
        }
        connection.execute(_SERVERS.update().where(_SERVERS.c.guild_id == row.guild_id).values(before))
    with op.batch_alter_table("servers") as servers:
        for column in _new_columns():
            servers.drop_column(column.name)
