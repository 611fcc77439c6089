"""PURE: the addresses that a person's press can open on either platform."""

from __future__ import annotations

import re
from typing import Final

NO_ADDRESS: Final = "must be an address that begins with https://, http:// or mailto:"
_OPENS: Final = re.compile(r"(?:https?://|mailto:)\S+", re.IGNORECASE)


def opens(address: str) -> bool:
    """Whether there is something to open; what stands there nobody looks up."""
    return _OPENS.fullmatch(address) is not None
