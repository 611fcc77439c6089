"""PURE: text for Teams, where Markdown cannot be escaped everywhere.

Desktop honours backslashes and entities, phones show them (microsoft/AdaptiveCards#5590 and its MarkDownParser.cpp).
"""

from __future__ import annotations

import re
from typing import Final

APART: Final = "\u200b"  # shown by nobody, and it ends what a control character began

_LINK: Final = re.compile(r"\](?=[(\[:]|\Z)")
_TAG: Final = re.compile(r"<(?=[A-Za-z/!?]|\Z)")


def take_links_apart(said: str) -> str:
    """The same words, in which no brackets give an address another face."""
    return _LINK.sub(f"]{APART}", said)


def take_tags_apart(said: str) -> str:
    """The same words, in which `<at>` mentions nobody and `<https://…>` is a bare address."""
    return _TAG.sub(f"<{APART}", said)
