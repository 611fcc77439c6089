"""Domains of members' e-mails

Before a rolling upgrade: stop every older process. It cannot read what this version writes into `deliveries.candidates`.
After it: nothing.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# What stands after the last @. Both engines strip from the right whatever is no @; the rest is the part before it.
_FILL = """
    UPDATE emails SET domain = NULLIF(substr(email, length(rtrim(email, replace(email, '@', ''))) + 1), '')
    WHERE email LIKE '%@%' AND EXISTS (
        SELECT 1 FROM people
        WHERE people.bot_id = emails.bot_id AND people.channel = emails.channel
          AND people.tenant_id = emails.tenant_id AND people.user_id = emails.user_id
          AND people.kind = 'member' AND NOT people.disabled
    )
"""


def upgrade() -> None:
    op.add_column("emails", sa.Column("domain", sa.String(length=320), nullable=True))
    op.execute(sa.text(_FILL))
    op.create_index("ix_emails_domain", "emails", ["bot_id", "channel", "domain", "tenant_id"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_emails_domain", table_name="emails")
    op.drop_column("emails", "domain")
