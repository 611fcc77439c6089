"""Slack's numbers: rate tiers, posting limits and message sizes.

Sources: docs.slack.dev/apis/web-api/rate-limits (tiers, one message a second and channel, history of apps outside the
Marketplace), the methods' own pages (page sizes, text), docs.slack.dev/reference/block-kit/blocks (block sizes).
Where Slack publishes nothing, the value is ours and marked so.
"""

from simulator.limits import Rate

TIER_2 = Rate(20, 60)
TIER_3 = Rate(50, 60)
TIER_4 = Rate(100, 60)
AUTH_TEST = Rate(600, 60)
"""Documented as "hundreds a minute"; Slack's Java SDK plans with 600."""
HISTORY_OUTSIDE_MARKETPLACE = Rate(1, 60)

CHANNEL_PER_SECOND = 1.0
CHANNEL_BURST = 3.0
"""Slack tolerates "short bursts" of more than one a second; the size is ours."""
WORKSPACE_PER_MINUTE = 230.0
WORKSPACE_BURST = 30.0
"""Slack says "several hundred messages a minute"; 1600 messages in seven minutes were reported from the field."""

USERS_PAGE = 1000
HISTORY_PAGE = 999
HISTORY_DEFAULT_PAGE = 100
HISTORY_PAGE_OUTSIDE_MARKETPLACE = 15
TEAMS_PAGE = 1000
USERS_WITHOUT_LIMIT = 10_000
"""More people than this cannot be listed without `limit`; Slack publishes no number, this one is ours."""

TEXT = 40_000
MARKDOWN_TEXT = 12_000
BLOCKS = 50
MARKDOWN_BLOCKS_TOTAL = 13_200
"""Undocumented total of markdown blocks, beyond which Slack answers msg_blocks_too_long."""
ATTACHMENTS = 100
METADATA_BYTES = 16_384
"""Slack has a limit but does not publish it; the value is ours."""

SECTION_TEXT = 3000
SECTION_FIELDS = 10
SECTION_FIELD_TEXT = 2000
HEADER_TEXT = 150
TABLE_ROWS = 100
TABLE_CELLS = 20
TABLES_TOTAL = 10_000
"""Characters in the cells of all tables of one message."""
BLOCK_ID = 255
CONTEXT_ELEMENTS = 10
ACTIONS_ELEMENTS = 25
IMAGE_URL = 3000
ALT_TEXT = 2000
ARGUMENT_NAME = 100
"""Slack refuses "very long names"; the number is ours."""

CODE_SECONDS = 600
"""An authorization code lives ten minutes."""
EVENT_TIMEOUT = 3.0
EVENT_RETRIES = (0.0, 60.0, 300.0)
REDIRECTS = 2
