"""PURE: looks into JSON of unknown form; what is missing or of another type reads as nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]


def words(value: object, name: str) -> str:
    """A string of an object; a number reads as its digits."""
    found = value.get(name) if isinstance(value, Mapping) else None
    if isinstance(found, str):
        return found
    return str(found) if isinstance(found, int | float) and not isinstance(found, bool) else ""


def inner(value: object, name: str) -> Json | None:
    """An object inside an object."""
    found = value.get(name) if isinstance(value, Mapping) else None
    return found if isinstance(found, Mapping) else None


def several(value: object, name: str) -> list[Any]:
    """A list inside an object."""
    found = value.get(name) if isinstance(value, Mapping) else None
    return found if isinstance(found, list) else []


def kind_of(value: object, name: str = "type") -> str:
    """What an object calls itself, for a box that says what is not shown."""
    return words(value, name) or "without a type"
