"""PURE: what a caller wants to say, before it is known to whom.

    native     the platform's own payload, checked: the same for everybody
    template   the platform's payload with placeholders
    text       words as they are, with placeholders
    markup     words in the platform's own markup, with placeholders
    script     JavaScript that prints the payload or the words for each person

Only `native` can be sent as it stands; everything else is rendered for each person.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What a message is; the values are stored."""

    NATIVE = "native"
    TEMPLATE = "template"
    TEXT = "text"
    MARKUP = "markup"
    SCRIPT = "script"


@dataclass(frozen=True, slots=True)
class Message:
    """A message and its kind; `body` is an object for `native` and `template`, and text for the others.

    `warnings` is what rendering it for everybody had to say.
    """

    kind: Kind
    body: str | Mapping[str, Any]
    warnings: tuple[str, ...] = ()
