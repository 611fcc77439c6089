"""Our own pace against Microsoft's documented limits."""

from __future__ import annotations

from adapters.teams.config import TeamsPace
from adapters.teams.limits import (
    GRAPH_BATCH_REQUESTS,
    GRAPH_INSTALLS_PER_SECOND,
    GRAPH_UNITS_PER_10_SECONDS,
    REQUESTS_PER_SECOND,
)


def test_the_pace_stays_below_the_limits() -> None:
    """Who changes no setting is never refused for going too fast."""
    pace = TeamsPace()
    graph_units_per_10_seconds = (pace.graph_burst + 10 * pace.graph_batches_per_second) * GRAPH_BATCH_REQUESTS

    assert pace.requests_per_second < REQUESTS_PER_SECOND
    assert pace.installs_per_second < GRAPH_INSTALLS_PER_SECOND
    assert graph_units_per_10_seconds < GRAPH_UNITS_PER_10_SECONDS
