"""PURE: what became of a script for one recipient, as values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

ERROR_CHARACTERS: Final = 500


class Why(StrEnum):
    """Why a script gave no message."""

    SYNTAX = "syntax"  # it is no JavaScript; nobody's turn began
    THROWN = "thrown"  # it threw, or left a promise that never settles
    TIME = "time"
    MEMORY = "memory"
    OUTPUT = "output"  # it printed too much
    SILENT = "silent"  # it printed nothing
    ENGINE = "engine"  # its process died
    BUDGET = "budget"  # the whole request's time is used up


@dataclass(frozen=True, slots=True)
class Printed:
    """What the script printed, all prints in one, and what it logged."""

    output: str
    log: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """One bounded sentence, and the place in the caller's own source where there is one."""

    why: Why
    error: str
    line: int | None = None
    column: int | None = None
    log: tuple[str, ...] = ()

    @property
    def says(self) -> str:
        """The error with its place."""
        if self.line is None:
            return self.error
        place = f"line {self.line}" if self.column is None else f"line {self.line}, column {self.column}"
        return f"{self.error} ({place})"


Result = Printed | Failed


def bounded(text: str, most: int = ERROR_CHARACTERS) -> str:
    """The text in one line of at most so many characters; what is cut is marked."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"
