"""PURE: the values that a caller gives for one person's placeholders, within Kore's limits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from notify.body import shown
from notify.render import Problem

MAX_PARAMETERS: Final = 20
MAX_CHARACTERS: Final = 200


def problems(values: object, at: str) -> Iterator[Problem]:
    """What is wrong with the parameters of one identity: at most 20 names, each with at most 200 characters."""
    if not isinstance(values, dict):
        yield Problem(at, "must be an object")
        return
    if len(values) > MAX_PARAMETERS:
        yield Problem(at, f"at most {MAX_PARAMETERS} are permitted, {len(values)} given: remove some")
        return
    for name, value in values.items():
        where = f"{at}.{shown(name)}"
        if len(name) > MAX_CHARACTERS:
            yield Problem(where, f"has a name of {len(name)} characters, at most {MAX_CHARACTERS} are permitted")
        if not isinstance(value, str):
            yield Problem(where, "must be text")
        elif len(value) > MAX_CHARACTERS:
            yield Problem(where, f"at most {MAX_CHARACTERS} characters are permitted, {len(value)} given: shorten it")
