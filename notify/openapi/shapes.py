"""PURE: the words in which schemas are written here: JSON Schema 2020-12, as OpenAPI 3.1 takes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from notify.ids import UUID_SHAPE

Json = dict[str, Any]


def ref(name: str, kind: str = "schemas") -> Json:
    """A part of the document that has a name."""
    return {"$ref": f"#/components/{kind}/{name}"}


def text(says: str = "", **more: Any) -> Json:
    """A string."""
    return _said({"type": "string", **more}, says)


def whole(says: str = "", **more: Any) -> Json:
    """A whole number."""
    return _said({"type": "integer", **more}, says)


def always(value: str | int, says: str = "") -> Json:
    """The one value that there is."""
    return _said({"const": value}, says)


def texts(says: str, **more: Any) -> Json:
    """A list of strings."""
    return _said({"type": "array", "items": {"type": "string"}, **more}, says)


def many(items: Json, says: str = "", **more: Any) -> Json:
    """A list."""
    return _said({"type": "array", "items": items, **more}, says)


def choice(values: Sequence[str], says: str = "") -> Json:
    """One of some words."""
    return _said({"type": "string", "enum": list(values)}, says)


def closed(required: Mapping[str, Json], optional: Mapping[str, Json] | None = None, says: str = "") -> Json:
    """An object with these members and no others."""
    members = {**required, **(optional or {})}
    form = {"type": "object", "properties": members, "required": list(required), "additionalProperties": False}
    return _said(form, says)


def open_object(says: str) -> Json:
    """An object with any members."""
    return _said({"type": "object", "additionalProperties": True}, says)


def an_id(prefix: str, says: str) -> Json:
    """An id in Kore's shape."""
    return text(says, pattern=f"^{prefix}-{UUID_SHAPE}$")


def moment(says: str) -> Json:
    """A time as Kore writes it: UTC, with milliseconds."""
    return text(says, format="date-time", pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$")


def _said(schema: Json, says: str) -> Json:
    return {**schema, "description": says} if says else schema
