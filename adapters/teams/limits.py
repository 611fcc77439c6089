"""Microsoft's documented limits as values, each with its page. Our own pace stays below them (config.TeamsPace).

Sources: msteams-docs `bots/how-to/rate-limit.md` (connector), graph-docs `concepts/throttling-limits.md` and
`concepts/json-batching.md` (Graph).
"""

from __future__ import annotations

from typing import Final

REQUESTS_PER_SECOND: Final = 50.0
"""Everything one app sends into one tenant: messages, creates, roster calls (rate-limit.md)."""

THREAD_WINDOWS: Final = ((1, 7), (2, 8), (30, 60), (3600, 1800))
"""Sends into one conversation by one bot: (seconds, operations). One message each to many people never meets them."""

ANSWER_SECONDS: Final = 10.0
"""The platform gives a bot up after 15 seconds (learn.microsoft.com `azure/bot-service/bot-builder-basics`)."""

SEND_BUCKET: Final = "connector"
"""The lane's name for everything that REQUESTS_PER_SECOND counts."""

GRAPH_BATCH_REQUESTS: Final = 20
"""Requests in one $batch (json-batching.md)."""

GRAPH_FILTER_CLAUSES: Final = 15
"""OR clauses in one $filter on users before Graph answers "Too many child clauses"."""

GRAPH_UNITS_PER_10_SECONDS: Final = 3500
"""Resource units per app and tenant of the smallest size; `GET /users` with $select costs 1 (throttling-limits.md)."""

GRAPH_INSTALLS_PER_SECOND: Final = 30
"""GET and POST on installedApps, per app and tenant (throttling-limits.md)."""
