"""PURE: what rendering a message for one person had to say: warnings, and the lines that its script logged."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Notes:
    """What is kept on a delivery beside its outcome, and shown in its `details`."""

    warnings: tuple[str, ...] = ()
    log: tuple[str, ...] = ()

    def stored(self) -> str | None:
        """As a delivery's column; nothing for nothing."""
        told = {"warnings": list(self.warnings), "log": list(self.log)}
        return json.dumps({name: lines for name, lines in told.items() if lines}) if any(told.values()) else None


NO_NOTES = Notes()


def read(stored: str | None) -> Notes:
    """The notes of a delivery's column."""
    told: dict[str, Any] = json.loads(stored) if stored else {}
    return Notes(tuple(told.get("warnings", ())), tuple(told.get("log", ())))
