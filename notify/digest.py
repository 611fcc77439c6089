"""PURE: what is left of people and messages once they are forgotten: keyed hashes and counts.

Nobody can compute a hash, or find out by guessing whom it stands for, without the key.
"""

from __future__ import annotations

import hmac
import json
from collections import Counter
from collections.abc import Sequence
from typing import Final

FORGOTTEN: Final = "forgotten-"
_LENGTH: Final = 32  # hexadecimal digits: 128 bits


def pseudonym(key: bytes, identity: str) -> str:
    """What stands in an identity's place; the same for the same identity, and for its own pseudonym."""
    if identity.startswith(FORGOTTEN):
        return identity
    return FORGOTTEN + keyed(key, "identity", identity.encode("utf-8", "surrogatepass"))[:_LENGTH]


def digest(key: bytes, payload: bytes, deliveries: Sequence[tuple[str, str, str | None]], *, removed_at: float) -> str:
    """A request without its contents, as JSON; `deliveries` are (identity, state, reason) in their order.

    The audience is hashed by pseudonyms: it is the same whether or not somebody in it was forgotten before.
    """
    audience = "\n".join(pseudonym(key, identity) for identity, _, _ in deliveries)
    left = {
        "payload": keyed(key, "payload", payload) if payload else None,  # its only recipient was forgotten before
        "audience": keyed(key, "audience", audience.encode()),
        "states": Counter(state for _, state, _ in deliveries),
        "reasons": Counter(reason for _, _, reason in deliveries if reason is not None),
        "removed_at": removed_at,
    }
    return json.dumps(left, sort_keys=True)


def keyed(key: bytes, what: str, said: bytes) -> str:
    """64 hexadecimal digits that stand for these bytes, in one use."""
    return hmac.digest(key, f"herald.{what}\0".encode() + said, "sha256").hex()
