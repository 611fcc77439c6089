"""One thing that `herald check` found."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """How it stands, what it is about, what was found, and what to do (empty if nothing)."""

    level: Literal["ok", "warn", "fail"]
    subject: str
    text: str
    remedy: str = ""


def ok(subject: str, text: str) -> Finding:
    """This is as it should be."""
    return Finding("ok", subject, text)


def warn(subject: str, text: str, remedy: str) -> Finding:
    """This works, or works for now, but should be known."""
    return Finding("warn", subject, text, remedy)


def fail(subject: str, text: str, remedy: str) -> Finding:
    """With this, sends will not work."""
    return Finding("fail", subject, text, remedy)
