"""Look-ups or listing: the quicker way is taken."""

from __future__ import annotations

import pytest

from identity.slack import Plan, choose
from storage.mirrors import Mirror

LOOK_UP, LIST, BOTH = Plan(True, False), Plan(False, True), Plan(True, True)


def listed(members: int, page_size: int = 1000) -> Mirror:
    return Mirror(completed_at=1.0, started_at=0.5, members=members, page_size=page_size)


@pytest.mark.parametrize(
    ("unknown", "mirror", "expected"),
    [
        (1, None, LOOK_UP),
        (20, None, LOOK_UP),
        (21, None, BOTH),
        (1000, None, BOTH),
        (1000, Mirror(None, 1.0, 0, 1000), BOTH),  # a listing that never came to its end tells nothing
        # pages of 200: list from U > M/80
        (125, listed(10_000, 200), LOOK_UP),
        (126, listed(10_000, 200), LIST),
        # pages of 1000: list from U > M/400
        (25, listed(10_000), LOOK_UP),
        (26, listed(10_000), LIST),
        (2, listed(0), LOOK_UP),
        (3, listed(0), LIST),
        (1000, listed(1_000_000), LOOK_UP),
    ],
)
def test_the_quicker_way_is_taken(unknown: int, mirror: Mirror | None, expected: Plan) -> None:
    """U/50 minutes against ⌈M/P⌉/20 minutes; with an unknown M both from 21 addresses on."""
    assert choose(unknown, mirror) == expected
