"""Ids in Kore's shape: a prefix and a UUID of version 5 *shape*, but never a name hash, so no id can be guessed.

Prefixes: `ds-` request, `st-` bot, `u-` user, `nl-` log entry, `ms-` message, `cs-` client, `o-` organisation,
`k-` key.
"""

from __future__ import annotations

import hmac
import os
import re
import uuid
from typing import Final

# BotKit checks bot ids with this pattern before it calls (Koredotcom/BotKit: lib/app/middlewares/APIKeyMiddleware)
UUID_SHAPE: Final = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-5[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}"


def new_id(prefix: str) -> str:
    """A random id, for example `ds-…`; 122 random bits."""
    return f"{prefix}-{uuid.UUID(bytes=os.urandom(16), version=5)}"


def derived_id(prefix: str, key: bytes, *parts: str) -> str:
    """The same id for the same parts, which nobody can compute or undo without `key`."""
    message = b"".join(len(raw).to_bytes(8, "big") + raw for raw in map(_utf8, (prefix, *parts)))
    return f"{prefix}-{uuid.UUID(bytes=hmac.digest(key, message, 'sha256')[:16], version=5)}"


def has_shape(prefix: str, value: str) -> bool:
    """Whether `value` is the prefix and a UUID of the shape above."""
    return re.fullmatch(f"{re.escape(prefix)}-{UUID_SHAPE}", value) is not None


def _utf8(part: str) -> bytes:
    return part.encode("utf-8", "surrogatepass")
