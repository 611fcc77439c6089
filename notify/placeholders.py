"""PURE: `{name}` in what a caller wrote, and the values that take its place for one person.

A message is read once and filled for each person. One pass: a value is never read again. A name without a value stays
as it is written and is reported. In a payload only strings that are values are filled, never names of members.

    text | payload ──▶ Template ──values──▶ Filled(value, missing)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from adapters.base import ChannelName
from notify.escaping import Insert, Place, insertion
from notify.places import Find, Path, places

NAME: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")

LOOK_BACK: Final = 4000  # how much of the author's words before a value is looked at: more than an address is long

Values = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Filled:
    """What one person gets, and the names that had no value, each once and in order."""

    value: Any
    missing: tuple[str, ...]


class _Node(Protocol):
    """A value in which something is to be filled."""

    def names(self) -> Iterator[str]: ...
    def fill(self, values: Values) -> Any: ...


@dataclass(frozen=True, slots=True)
class Template:
    """A text or payload that has been read: `fill` costs only what is filled.

    What holds no placeholder is shared by everything that was filled: it is not to be changed.
    """

    body: Any
    root: _Node | None
    names: tuple[str, ...]

    def fill(self, values: Values) -> Filled:
        """The text or payload with these values."""
        if self.root is None:
            return Filled(self.body, ())
        return Filled(self.root.fill(values), tuple(name for name in self.names if name not in values))


def read_text(channel: ChannelName, said: str, *, markup: bool) -> Template:
    """A text; with `markup` it is in the platform's own, and values are escaped for it."""
    place = _MARKUP[channel] if markup else Place.LITERAL
    return _template(said, _text(said, place))


def read_payload(channel: ChannelName, payload: Mapping[str, Any]) -> Template:
    """A payload, in which each value is escaped as its place demands."""
    return _template(payload, _node(payload, (), payload, places(channel, payload)))


def names_in(body: str | Mapping[str, Any]) -> tuple[str, ...]:
    """The names of all placeholders, each once and in order."""
    return _template(body, _node(body, (), {}, lambda path, owner: Place.LITERAL)).names


def fill_text(channel: ChannelName, said: str, values: Values, *, markup: bool) -> Filled:
    """A text for one person."""
    return read_text(channel, said, markup=markup).fill(values)


def fill_payload(channel: ChannelName, payload: Mapping[str, Any], values: Values) -> Filled:
    """A new payload for one person."""
    return read_payload(channel, payload).fill(values)


_MARKUP: Final = {ChannelName.SLACK: Place.MRKDWN, ChannelName.MSTEAMS: Place.TEAMS_MARKDOWN}


def _template(body: Any, root: _Node | None) -> Template:
    return Template(body, root, tuple(dict.fromkeys(root.names())) if root else ())


@dataclass(frozen=True, slots=True)
class _Slot:
    """One placeholder: how its value is written here, and the author's words behind it."""

    name: str
    insert: Insert
    then: str

    def fill(self, values: Values) -> str:
        value = values.get(self.name)
        return f"{{{self.name}}}{self.then}" if value is None else f"{self.insert(value)}{self.then}"


@dataclass(frozen=True, slots=True)
class _Text:
    """A string with placeholders."""

    first: str
    slots: tuple[_Slot, ...]

    def names(self) -> Iterator[str]:
        return (slot.name for slot in self.slots)

    def fill(self, values: Values) -> str:
        return self.first + "".join([slot.fill(values) for slot in self.slots])


@dataclass(frozen=True, slots=True)
class _Object:
    """An object with placeholders somewhere in it."""

    body: Mapping[str, Any]
    members: tuple[tuple[str, _Node], ...]

    def names(self) -> Iterator[str]:
        return (name for _, node in self.members for name in node.names())

    def fill(self, values: Values) -> dict[str, Any]:
        return {**self.body, **{key: node.fill(values) for key, node in self.members}}


@dataclass(frozen=True, slots=True)
class _List:
    """A list with placeholders somewhere in it."""

    items: list[Any]
    places: tuple[tuple[int, _Node], ...]

    def names(self) -> Iterator[str]:
        return (name for _, node in self.places for name in node.names())

    def fill(self, values: Values) -> list[Any]:
        filled = list(self.items)
        for index, node in self.places:
            filled[index] = node.fill(values)
        return filled


def _node(value: object, path: Path, owner: Mapping[str, Any], find: Find) -> _Node | None:
    """What is to be filled in a value; None if there is nothing."""
    if isinstance(value, str):
        return _text(value, find(path, owner)) if "{" in value else None
    if isinstance(value, Mapping):
        members = ((key, _node(item, (*path, key), value, find)) for key, item in value.items())
        found = tuple((key, node) for key, node in members if node)
        return _Object(value, found) if found else None
    if isinstance(value, list):
        items = ((index, _node(item, (*path, index), owner, find)) for index, item in enumerate(value))
        places_ = tuple((index, node) for index, node in items if node)
        return _List(value, places_) if places_ else None
    return None


def _text(said: str, place: Place) -> _Text | None:
    first, *rest = NAME.split(said)
    if not rest:
        return None
    before, slots = first, []
    for name, then in zip(rest[::2], rest[1::2], strict=True):
        slots.append(_Slot(name, insertion(place, before), then))
        before = (before + then)[-LOOK_BACK:]
    return _Text(first, tuple(slots))
