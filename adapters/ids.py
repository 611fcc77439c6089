"""PURE: which of a platform's ids may be kept. PostgreSQL stores no NUL and indexes no long value, and an id that one
database takes and the other refuses would be lost after its message was sent.
"""

from __future__ import annotations

MAX_ID = 255
MAX_EMAIL = 320
MAX_NAME = 256
MAX_LOCALE = 32
MAX_TENANT = 64
MAX_CONVERSATION = 1024


def readable(value: object, most: int = MAX_ID) -> str | None:
    """The id, if it is a printable text of at most `most` bytes; None for everything else."""
    if not isinstance(value, str) or not value or len(value) > most or not value.isprintable():
        return None
    return value if len(value.encode()) <= most else None


def words(value: object, most: int | None = None) -> str:
    """A text for people, such as a name, without what no database stores, cut to `most`; empty for everything else."""
    if not isinstance(value, str):
        return ""
    return value.replace("\0", "").encode("utf-8", "replace").decode()[:most]
