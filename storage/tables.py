"""All tables. Times are epoch seconds (UTC) as floats, the same on both engines; JSON is text written by us.

The delivery rows are the queue: what was accepted is what will be sent.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_N_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

KEY = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts only INTEGER PRIMARY KEY by itself


def _lane_columns() -> list[Column[str]]:
    return [
        Column("bot_id", String(64), nullable=False),
        Column("channel", String(16), nullable=False),
        Column("tenant_id", String(64), nullable=False),
    ]


requests = Table(
    "requests",
    metadata,
    Column("id", String(48), primary_key=True),
    Column("bot_id", String(64), nullable=False),
    Column("channel", String(16), nullable=False),
    Column("client_id", String(255), nullable=False),
    Column("created_by", String(48), nullable=False),
    Column("route", String(16), nullable=False),  # v1, v2
    Column("identity_type", String(16), nullable=False),  # resolve, donotresolve
    Column("kind", String(16), nullable=False, server_default="native"),  # what `payload` is (notify.message)
    Column("payload", LargeBinary, nullable=False),  # JSON; one for the whole request
    Column("options", Text, nullable=False),  # JSON
    Column("echoes", Boolean, nullable=False, server_default=false()),  # has buttons that speak for who presses them
    Column("total", Integer, nullable=False),
    Column("done", Integer, nullable=False, server_default="0"),
    Column("succeeded", Integer, nullable=False, server_default="0"),
    Column("status", String(16), nullable=False),  # IN_PROGRESS, SUCCESS, FAILURE, PARTIAL_SUCCESS
    Column("created_at", Double, nullable=False),
    Column("changed_at", Double, nullable=False),
    Column("deadline_at", Double, nullable=False),
    Column("closed_at", Double),
    Column("times_closed", Integer, nullable=False, server_default="0"),
    Column("digest", Text),  # JSON: what is left of the contents once they were removed; None: they are there
    Index("ix_requests_open", "status", "bot_id"),
    Index("ix_requests_changed_at", "changed_at"),
    Index(
        "ix_requests_contents",
        "closed_at",
        sqlite_where=text("digest IS NULL"),
        postgresql_where=text("digest IS NULL"),
    ),
    Index(
        "ix_requests_echoes",
        "bot_id",
        "created_at",
        sqlite_where=text("echoes"),
        postgresql_where=text("echoes"),
    ),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("seq", KEY, primary_key=True, autoincrement=True),  # order of acceptance
    Column("id", String(48), nullable=False, unique=True),
    Column("request_id", String(48), ForeignKey("requests.id", ondelete="CASCADE"), nullable=False),
    Column("position", Integer, nullable=False),
    *_lane_columns(),
    Column("candidates", Text),  # JSON: which tenants have the person and which are to be asked (notify.plan)
    Column("original_id", Text, nullable=False),  # byte for byte what the caller wrote
    Column("identity", Text, nullable=False),  # normal form
    Column("duplicate_of", String(48)),
    Column("copies", Integer, nullable=False, server_default="0"),  # how many duplicates mirror this one
    Column("state", String(16), nullable=False),
    Column("next_at", Double),  # every open row has one
    Column("term", BigInteger, nullable=False, server_default="0"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("repairs", Integer, nullable=False, server_default="0"),
    Column("user_id", String(255)),
    Column("channel_id", String(255)),
    Column("conversation_id", Text),
    Column("service_url", Text),
    Column("kind", String(16)),  # what its own payload is
    Column("payload", LargeBinary),  # own message when it differs from the request's; what was rendered, once it is
    Column("parameters", Text),  # JSON: name → value, for this person
    Column("notes", Text),  # JSON: what rendering said (warnings, the script's log)
    Column("wire_started_at", Double),
    Column("final_at", Double),
    Column("reason", String(64)),
    Column("code", String(255)),
    Column("detail", Text),
    Column("remedy", Text),
    Column("trace", Text),  # JSON
    Column("store_id", String(48)),  # messagestoreId
    Column("message_id", String(255)),  # the platform's
    UniqueConstraint("request_id", "position"),
    Index(
        "ix_deliveries_queue",
        "bot_id",
        "channel",
        "tenant_id",
        "request_id",
        "seq",
        sqlite_where=text("final_at IS NULL AND duplicate_of IS NULL"),
        postgresql_where=text("final_at IS NULL AND duplicate_of IS NULL"),
    ),
    Index(
        "ix_deliveries_due",
        "next_at",
        sqlite_where=text("final_at IS NULL AND duplicate_of IS NULL"),
        postgresql_where=text("final_at IS NULL AND duplicate_of IS NULL"),
    ),
    Index(
        "ix_deliveries_duplicate_of",
        "duplicate_of",
        sqlite_where=text("duplicate_of IS NOT NULL"),
        postgresql_where=text("duplicate_of IS NOT NULL"),
    ),
    Index(
        "ix_deliveries_doubt",
        "bot_id",
        "channel",
        "tenant_id",
        "wire_started_at",
        sqlite_where=text("state IN ('uncertain', 'unconfirmed')"),
        postgresql_where=text("state IN ('uncertain', 'unconfirmed')"),
    ),
    Index(
        "ix_deliveries_message",
        "bot_id",
        "channel",
        "message_id",
        sqlite_where=text("message_id IS NOT NULL"),
        postgresql_where=text("message_id IS NOT NULL"),
    ),
)

responses = Table(
    "responses",
    metadata,
    Column("seq", KEY, primary_key=True, autoincrement=True),
    Column("delivery_id", String(48), ForeignKey("deliveries.id", ondelete="CASCADE"), nullable=False),
    Column("event_key", String(255), nullable=False),  # the platform's own id of the press: a repetition is one
    Column("at", Double, nullable=False),
    Column("kind", String(16), nullable=False),  # button, reply
    Column("user_id", String(255), nullable=False),
    Column("detail", Text, nullable=False),  # JSON
    UniqueConstraint("delivery_id", "event_key"),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("bot_id", String(64), primary_key=True),
    Column("client_id", String(255), primary_key=True),
    Column("route", String(16), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("body_hash", String(64), nullable=False),
    Column("answer", LargeBinary, nullable=False),
    Column("expires_at", Double, nullable=False, index=True),
)

lanes = Table(
    "lanes",
    metadata,
    Column("bot_id", String(64), primary_key=True),
    Column("channel", String(16), primary_key=True),
    Column("tenant_id", String(64), primary_key=True),
    Column("owner", String(64)),
    Column("term", BigInteger, nullable=False, server_default="0"),
    Column("expires_at", Double, nullable=False, server_default="0"),
    Column("paused_reason", String(64)),
    Column("paused_remedy", Text),
    Column("paused_code", String(255)),
    Column("paused_at", Double),
    Column("probe_at", Double),  # when the paused lane tries again
    Column("probes", Integer, nullable=False, server_default="0"),
    Column("learned", Text),  # JSON: what pacing remembers across restarts
)

installations = Table(
    "installations",
    metadata,
    Column("bot_id", String(64), primary_key=True),
    Column("channel", String(16), primary_key=True),
    # a Teams tenant, a Slack workspace, or a Slack Enterprise org whose workspaces have rows of their own
    Column("tenant_id", String(64), primary_key=True),
    Column("enterprise_id", String(64)),
    Column("is_org", Boolean, nullable=False),  # this row is the org itself: holds the token, is no lane
    Column("name", Text, nullable=False, server_default=""),
    Column("app_id", String(255)),
    Column("bot_user_id", String(64)),
    Column("platform_bot_id", String(64)),
    Column("token", LargeBinary),  # encrypted
    Column("scopes", Text, nullable=False, server_default=""),  # space separated
    Column("service_url", Text),
    Column("installed_at", Double, nullable=False),  # the platform's time
    Column("removed_at", Double),  # tombstone: an older install event may not revive it
    Column("dead_reason", String(64)),  # our calls were refused; any later success clears it
    Column("changed_at", Double, nullable=False),
)

conversation_references = Table(
    "conversation_references",
    metadata,
    Column("bot_id", String(64), primary_key=True),
    Column("channel", String(16), primary_key=True),
    Column("tenant_id", String(64), primary_key=True),
    Column("user_id", String(255), primary_key=True),
    Column("channel_id", String(255), nullable=False),
    Column("conversation_id", Text),
    Column("service_url", Text),
    Column("active", Boolean, nullable=False),
    Column("inactive_reason", String(64)),
    Column("learned_at", Double, nullable=False),  # the platform's time; older events do not overwrite newer ones
    Column("changed_at", Double, nullable=False),
    Index("ix_conversation_references_channel_id", "bot_id", "channel", "tenant_id", "channel_id"),
    Index("ix_conversation_references_conversation_id", "bot_id", "channel", "conversation_id"),
)

people = Table(
    "people",
    metadata,
    Column("bot_id", String(64), primary_key=True),
    Column("channel", String(16), primary_key=True),
    Column("tenant_id", String(64), primary_key=True),
    Column("user_id", String(255), primary_key=True),
    Column("name", Text, nullable=False, server_default=""),
    Column("locale", String(32), nullable=False, server_default=""),
    Column("kind", String(16), nullable=False),  # member, guest, bot
    Column("disabled", Boolean, nullable=False),
    Column("source", String(32), nullable=False),  # install, graph, users.list, users.lookupByEmail, event
    Column("seen_at", Double, nullable=False),
    Column("listing", Integer, nullable=False, server_default="0"),  # number of the newest listing that showed them
)

emails = Table(
    "emails",
    metadata,
    Column("bot_id", String(64), primary_key=True),
    Column("channel", String(16), primary_key=True),
    Column("tenant_id", String(64), primary_key=True),
    Column("email", String(320), primary_key=True),  # normal form
    Column("user_id", String(255), primary_key=True),
    Column("seen_at", Double, nullable=False),  # when the platform last said so
    Column("domain", String(320)),  # of a member's e-mail; guests and leavers say nothing about whose domain it is
    Index("ix_emails_user_id", "bot_id", "channel", "tenant_id", "user_id"),
    Index("ix_emails_domain", "bot_id", "channel", "domain", "tenant_id"),
)

misses = Table(
    "misses",
    metadata,
    Column("bot_id", String(64), primary_key=True),
    Column("channel", String(16), primary_key=True),
    Column("tenant_id", String(64), primary_key=True),
    Column("email", String(320), primary_key=True),
    Column("reason", String(64), nullable=False),
    Column("seen_at", Double, nullable=False),
    Column("until", Double, nullable=False),
)

mirrors = Table(
    "mirrors",
    metadata,
    Column("bot_id", String(64), primary_key=True),
    Column("channel", String(16), primary_key=True),
    Column("tenant_id", String(64), primary_key=True),
    Column("completed_at", Double),  # when the last full listing ended
    Column("started_at", Double),  # when the running or last listing began
    Column("members", Integer, nullable=False, server_default="0"),
    Column("page_size", Integer, nullable=False, server_default="0"),
    Column("begun", Integer, nullable=False, server_default="0"),  # number of the newest listing; they count up
    Column("completed", Integer, nullable=False, server_default="0"),  # number of the newest one that came to its end
)

chores = Table(
    "chores",
    metadata,
    Column("id", KEY, primary_key=True, autoincrement=True),
    *_lane_columns(),
    Column("kind", String(32), nullable=False),
    Column("key", String(255), nullable=False),
    Column("detail", Text, nullable=False),  # JSON
    Column("next_at", Double, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    UniqueConstraint("bot_id", "channel", "tenant_id", "kind", "key"),
    Index("ix_chores_due", "bot_id", "channel", "tenant_id", "next_at"),
)

inbox = Table(
    "inbox",
    metadata,
    Column("bot_id", String(64), primary_key=True),
    Column("channel", String(16), primary_key=True),
    Column("event_id", String(255), primary_key=True),
    Column("seen_at", Double, nullable=False, index=True),
)

oauth_states = Table(
    "oauth_states",
    metadata,
    Column("state", String(128), primary_key=True),
    Column("bot_id", String(64), nullable=False),
    Column("expires_at", Double, nullable=False, index=True),
)

used_tokens = Table(
    "used_tokens",
    metadata,
    Column("client_id", String(255), primary_key=True),
    Column("jti_hash", String(64), primary_key=True),
    Column("expires_at", Double, nullable=False, index=True),
)

sealed_keys = Table(
    "sealed_keys",
    metadata,
    Column("name", String(32), primary_key=True),  # what it is for: ids, audit
    Column("sealed", LargeBinary, nullable=False),  # encrypted
    Column("created_at", Double, nullable=False),
)

audit_events = Table(
    "audit_events",
    metadata,
    Column("seq", KEY, primary_key=True, autoincrement=True),  # order of writing
    Column("at", Double, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("bot_id", String(64), nullable=False),
    Column("channel", String(16), nullable=False),
    Column("tenant_id", String(64), nullable=False),
    Column("actor", String(255), nullable=False),  # who: a client, a person of the platform, the operator
    Column("subject", String(255), nullable=False),  # what it was done to
    Column("detail", Text, nullable=False),  # JSON
    Column("position", BigInteger, unique=True),  # place in the chain; None until it was put there
    Column("hash", String(64)),  # over this row and the hash before it
    Index(
        "ix_audit_events_loose",
        "seq",
        sqlite_where=text("position IS NULL"),
        postgresql_where=text("position IS NULL"),
    ),
    Index(
        "ix_audit_events_started",
        "seq",
        sqlite_where=text("kind = 'started'"),
        postgresql_where=text("kind = 'started'"),
    ),
)
