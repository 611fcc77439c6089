"""PURE: following a list's cursors (https://docs.slack.dev/apis/web-api/pagination), and seeing that it has no end.

Brent's cycle detection: of all cursors only one is kept, that of the newest page whose number is a power of two. A
circle of n cursors is seen within 3n pages of it, wherever it begins. A list whose cursors are all new ends at a number
of pages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MOST_EMPTY = 20  # pages without anybody may be met among others, but not for ever


@dataclass(frozen=True, slots=True)
class OddCursor:
    """The answer speaks of a next page, but not in words that could be sent back."""


@dataclass(frozen=True, slots=True)
class Trail:
    """How far a list was followed: its pages, how many of the last were empty, and one cursor that was met."""

    pages: int = 0
    empty: int = 0
    mark: str | None = None

    @classmethod
    def written(cls, found: object) -> Trail:
        """The trail that a chore wrote down; one that has not begun where there is none."""
        fields = found if isinstance(found, dict) else {}
        pages, empty, mark = fields.get("pages"), fields.get("empty"), fields.get("mark")
        return cls(
            pages if isinstance(pages, int) else 0,
            empty if isinstance(empty, int) else 0,
            mark if isinstance(mark, str) else None,
        )

    def further(self, cursor: str, entries: int) -> Trail:
        """One page of so many entries later, with another to come."""
        pages = self.pages + 1
        is_power_of_two = pages & (pages - 1) == 0
        return Trail(pages, 0 if entries else self.empty + 1, cursor if is_power_of_two else self.mark)

    def endless(self, cursor: str, entries: int, most: int) -> str | None:
        """Why the page at this cursor must not be asked for: a code, or None if it may."""
        if cursor == self.mark:
            return "cursor_repeated"
        if not entries and self.empty + 1 >= MOST_EMPTY:
            return "too_many_empty_pages"
        return "too_many_pages" if self.pages + 1 >= most else None


def next_cursor(body: Mapping[str, Any]) -> str | OddCursor | None:
    """Where the next page begins; None after the last."""
    metadata = body.get("response_metadata")
    cursor = metadata.get("next_cursor") if isinstance(metadata, dict) else metadata
    if cursor is None or cursor == "":
        return None
    return cursor if isinstance(cursor, str) and isinstance(metadata, dict) else OddCursor()
