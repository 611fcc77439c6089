"""Keys of our own, sealed; the audit record; requests that outlive their contents

Before an upgrade: stop every older process. It would not find an Idempotency-Key that a newer one has stored, and would delete the
digest of a request that was emptied. On PostgreSQL `requests` cannot be read while its new index is made: two seconds for a
million requests.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sealed_keys",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_sealed_keys")),
    )
    op.create_table(
        "audit_events",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("bot_id", sa.String(length=64), nullable=False),
        sa.Column("channel", sa.String(length=16), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("actor", sa.String(length=255), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=True),
        sa.Column("hash", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_audit_events")),
        sa.UniqueConstraint("position", name=op.f("uq_audit_events_position")),
    )
    op.create_index(
        "ix_audit_events_loose",
        "audit_events",
        ["seq"],
        sqlite_where=sa.text("position IS NULL"),
        postgresql_where=sa.text("position IS NULL"),
    )
    op.create_index(
        "ix_audit_events_started",
        "audit_events",
        ["seq"],
        sqlite_where=sa.text("kind = 'started'"),
        postgresql_where=sa.text("kind = 'started'"),
    )
    op.add_column("requests", sa.Column("digest", sa.Text(), nullable=True))
    op.create_index(
        "ix_requests_contents",
        "requests",
        ["closed_at"],
        sqlite_where=sa.text("digest IS NULL"),
        postgresql_where=sa.text("digest IS NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_requests_contents", table_name="requests")
    op.drop_column("requests", "digest")
    op.drop_index("ix_audit_events_started", table_name="audit_events")
    op.drop_index("ix_audit_events_loose", table_name="audit_events")
    op.drop_table("audit_events")
    op.drop_table("sealed_keys")
