"""Messages that differ from person to person, and what people pressed

Before a rolling upgrade: stop every older process. It would take a message that is still to be rendered for a payload.
After it: nothing.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("requests", sa.Column("kind", sa.String(length=16), server_default="native", nullable=False))
    op.add_column("deliveries", sa.Column("kind", sa.String(length=16), nullable=True))
    op.add_column("deliveries", sa.Column("parameters", sa.Text(), nullable=True))
    op.add_column("deliveries", sa.Column("notes", sa.Text(), nullable=True))
    op.create_table(
        "responses",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("delivery_id", sa.String(length=48), nullable=False),
        sa.Column("event_key", sa.String(length=255), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("user_id", sa.String(length=255), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["delivery_id"],
            ["deliveries.id"],
            name=op.f("fk_responses_delivery_id_deliveries"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_responses")),
        sa.UniqueConstraint("delivery_id", "event_key", name=op.f("uq_responses_delivery_id_event_key")),
    )
    op.add_column("requests", sa.Column("echoes", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_index(
        "ix_requests_echoes",
        "requests",
        ["bot_id", "created_at"],
        sqlite_where=sa.text("echoes"),
        postgresql_where=sa.text("echoes"),
    )


def downgrade() -> None:
    op.drop_index("ix_requests_echoes", table_name="requests")
    op.drop_column("requests", "echoes")
    op.drop_table("responses")
    op.drop_column("deliveries", "notes")
    op.drop_column("deliveries", "parameters")
    op.drop_column("deliveries", "kind")
    op.drop_column("requests", "kind")
