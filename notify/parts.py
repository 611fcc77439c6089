"""PURE: the neutral parts of a rich message, between a template and a platform's own form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Side(StrEnum):
    """Where the cells of a column stand; both platforms use these words."""

    LEFT = "left"
    CENTER = "center"
    RIGHT = "right"


@dataclass(frozen=True, slots=True)
class Said:
    """A paragraph."""

    text: str


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture by its address, with a text for those who do not see it."""

    url: str
    alt: str


@dataclass(frozen=True, slots=True)
class Choice:
    """A button: it opens an address, or answers with a value."""

    title: str
    url: str | None = None
    value: str | None = None
    picture: str | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of a list."""

    title: str
    subtitle: str = ""
    picture: str | None = None
    link: str | None = None
    choices: Sequence[Choice] = ()


@dataclass(frozen=True, slots=True)
class Grid:
    """A table; every row has as many cells as the header, and every column keeps to one side."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    sides: Sequence[Side]


Part = Said | Picture | Choice | Item | Grid
