"""The body of a call: hostile bytes → a checked model, or what is wrong with its fields. No problem quotes a value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from adapters.base import BotId, ChannelName
from notify import strict_json
from notify.render import Problem

MAX_IDENTITIES: Final = 1000
MAX_FIELDS: Final = 100
MAX_PROBLEMS: Final = 20  # a caller mends the first ones first; the rest is counted

Problems = tuple[Problem, ...]
CROWDED: Final = Problem("", "the body has far more fields than this call: remove them")


@dataclass(frozen=True, slots=True)
class Bot:
    """A bot as a caller sees it: its id and the channels it is set up for."""

    id: BotId
    channels: frozenset[ChannelName]


class Strict(BaseModel):
    """Fields by their own types, and no others."""

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)


Model = TypeVar("Model", bound=Strict)


def read(raw: bytes) -> object | Problems:
    """The JSON of a body, or why it is none."""
    try:
        return strict_json.read(raw)
    except strict_json.NotJson as error:
        return (Problem("", f"the body {error}"),)


def model(form: type[Model], value: object) -> Model | Problems:
    """A body in its form, or its problems: at least one, each naming its field and the remedy."""
    try:
        return form.model_validate(value)
    except ValidationError as error:
        return bounded(_structure(error.errors(include_url=False, include_input=True)))


def is_crowded(*values: object, most: int = MAX_FIELDS) -> bool:
    """Whether one of these objects is so large that naming its unknown fields one by one would take seconds."""
    return any(isinstance(value, dict) and len(value) > most for value in values)


def unknown_names(query: Iterable[str], known: Sequence[str] = ()) -> Problems:
    """The names of a query that the call does not know. A slip in `dryRun` would otherwise send for real."""
    says = f"is not known here, only {' and '.join(known)}: remove it" if known else "is not known here: remove it"
    return bounded(Problem(f"?{shown(name)}", says) for name in dict.fromkeys(query) if name not in known)


def shown(name: str) -> str:
    """A caller's own key, short and printable."""
    return "".join(character if character.isprintable() else "\ufffd" for character in name[:80])


def bounded(problems: Iterable[Problem]) -> Problems:
    """At most so many problems as somebody reads, and how many more there are."""
    found = tuple(problems)
    if len(found) <= MAX_PROBLEMS:
        return found
    return (*found[:MAX_PROBLEMS], Problem("", f"{len(found) - MAX_PROBLEMS} more fields are wrong"))


def count(most: int, given: int) -> Problem:
    """Too few or too many identities."""
    return Problem("identities", f"between 1 and {most} items are required, {given} given")


_SENTENCES: Final[Mapping[str, str]] = {
    "missing": "is required: add it",
    "extra_forbidden": "is not a field of this call: remove it",
    "string_type": "must be text",
    "dict_type": "must be an object",
    "list_type": "must be a list",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "bool_type": "must be true or false",
}
_VALUES: Final = (("message", "val"), ("message", "value"), ("content", "val"), ("content", "value"))


def _structure(errors: Iterable[ErrorDetails]) -> Iterator[Problem]:
    seen: set[str] = set()
    for item in errors:
        where = _place(item["loc"])
        if where not in seen:
            seen.add(where)
            yield Problem(where or "the body", _sentence(item))


def _place(loc: Sequence[int | str]) -> str:
    """`identities[3]`, `message.val`; the names of union members are pydantic's, not the caller's."""
    if tuple(loc[:2]) in _VALUES:
        loc = loc[:2]
    place = ""
    for part in loc:
        place += f"[{part}]" if isinstance(part, int) else f".{shown(part)}" if place else shown(part)
    return place


def _sentence(item: ErrorDetails) -> str:
    kind, given = item["type"], item.get("input")
    if kind in ("too_short", "too_long"):
        return count(MAX_IDENTITIES, len(given) if isinstance(given, list) else 0).says
    if kind == "literal_error":
        return f"must be {str(item['ctx']['expected']).replace(chr(39), chr(34))}"
    if tuple(item["loc"][:2]) in _VALUES and kind not in ("missing", "extra_forbidden"):
        return "must be text, or an object where the type permits it"
    return _SENTENCES.get(kind, "is not valid: correct it")
