"""Compact tokens: parts in base64url, joined by dots, read in the one spelling that their maker must have used."""

from __future__ import annotations

import base64
import re
from typing import Any, Final

from notify import strict_json

_PART: Final = re.compile(r"[A-Za-z0-9_-]+")


def decode(part: str) -> bytes | None:
    """Base64url without padding, in its one canonical spelling (Python's own reader skips what it does not know)."""
    if not _PART.fullmatch(part) or len(part) % 4 == 1:
        return None
    raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    return raw if base64.urlsafe_b64encode(raw).rstrip(b"=") == part.encode() else None


def decode_object(part: str) -> dict[str, Any] | None:
    """A part that holds a JSON object which no two readers could understand differently."""
    raw = decode(part)
    try:
        value = None if raw is None else strict_json.read(raw)
    except strict_json.NotJson:
        return None
    return value if isinstance(value, dict) else None
