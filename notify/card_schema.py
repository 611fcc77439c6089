"""PURE: an Adaptive Card held against the published schema of version 1.5 (notify/data).

The schema says "any of sixteen elements"; whoever reads a finding wants to know what is wrong with the one that was
meant. So the element's `type` chooses, and what it has too much, too little or wrong is named with its place. What
Teams knows beyond the schema (the package `microsoft-teams-cards` lists it) is no finding.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, Final

Found = tuple[str, str]  # place, what is wrong
Schema = Mapping[str, Any]
Version = tuple[int, ...]

NEWEST: Final[Version] = (1, 5)
_FILE: Final = Path(__file__).parent / "data" / "adaptive-card-1.5.json"

TEAMS_TYPES: Final = frozenset(
    {
        *("Badge", "Carousel", "CarouselPage", "CodeBlock", "Component", "CompoundButton", "Icon", "IconRun"),
        *("ImageRun", "Input.Rating", "ProgressBar", "ProgressRing", "Rating", "Data.Query", "CitationRun"),
        *("Action.InsertImage", "Action.OpenUrlDialog", "Action.Popover", "Action.ResetInputs"),
        *("Layout.AreaGrid", "Layout.Flow", "Layout.Stack"),
    }
)
_TEAMS_FAMILY: Final = "Chart."
TEAMS_MEMBERS: Final = frozenset(
    {
        *("allowExpand", "captionSources", "choices.data", "conditionallyEnabled", "fallback", "firstRowAsHeaders"),
        *("fitMode", "grid.area", "height", "horizontalAlignment", "horizontalContentAlignment", "id", "isSortKey"),
        *("isVisible", "key", "labelFor", "labelPosition", "lang", "layouts", "maxHeight", "menuActions", "metadata"),
        *("minColumnWidth", "minWidth", "msteams", "requires", "resources", "roundedCorners", "rtl", "separator"),
        *("showBorder", "showTitle", "spacing", "style", "targetWidth", "themedIconUrls", "themedUrls"),
        *("useMultipleColumns", "valueChangedAction", "verticalContentAlignment"),
    }
)
_KINDS: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (Mapping,),
    "array": (list,),
    "null": (type(None),),
}
_WORDS: Final = {
    "string": "text",
    "number": "a number",
    "boolean": "true or false",
    "object": "an object",
    "array": "a list",
    "null": "null",
}


def schema_findings(card: Mapping[str, Any], at: str) -> Iterator[Found]:
    """What the schema does not know or misses, each with its place."""
    yield from _check(card, _definition("AdaptiveCard"), at, version_of(card) or NEWEST)


def version_of(card: Mapping[str, Any]) -> Version | None:
    """The version that a card says it needs."""
    parts = card.get("version", "").split(".") if isinstance(card.get("version"), str) else []
    return tuple(int(part) for part in parts) if len(parts) == 2 and all(map(_is_digits, parts)) else None


def _is_digits(part: str) -> bool:
    return part.isascii() and part.isdigit() and len(part) < 4


@cache
def _definitions() -> Schema:
    schema: Schema = json.loads(_FILE.read_text(encoding="utf-8"))["definitions"]
    return schema


def _definition(name: str) -> Schema:
    found: Schema = _definitions()[name.removeprefix("#/definitions/")]
    return found


def _check(value: object, schema: Schema, at: str, version: Version) -> Iterator[Found]:
    if "$ref" in schema:
        yield from _check(value, _definition(schema["$ref"]), at, version)
        return
    kind = schema.get("type")
    if kind and not _is(value, kind):
        yield at, f"must be {_WORDS[kind]}"
        return
    if isinstance(value, Mapping):
        yield from _object(value, schema, at, version)
    for base in schema.get("allOf", ()):
        yield from _check(value, base, at, version)
    if "anyOf" in schema:
        yield from _any(value, schema["anyOf"], at, version)
    if "enum" in schema and not _is_one_of(value, schema["enum"]):
        yield at, f"is not known here: {_listed(schema['enum'])}"
    if isinstance(value, list) and "items" in schema:
        for index, item in enumerate(value):
            yield from _check(item, schema["items"], f"{at}[{index}]", version)


def _object(value: Mapping[str, Any], schema: Schema, at: str, version: Version) -> Iterator[Found]:
    known = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            yield at, f"has no {name}"
    for name, member in value.items():
        if name in known:
            yield from _too_new(known[name], f"{at}.{name}", version)
            yield from _check(member, known[name], f"{at}.{name}", version)
        elif schema.get("additionalProperties") is False and name not in TEAMS_MEMBERS:
            yield f"{at}.{name}", f"is not known in {_name(schema)}{_meant(name, known)}"


def _any(value: object, branches: list[Schema], at: str, version: Version) -> Iterator[Found]:
    choices = tuple(_flat(branches))
    objects = tuple(choice for choice in choices if "properties" in choice or choice.get("type") == "object")
    if isinstance(value, Mapping) and objects:
        yield from _one_of(value, objects, at, version)
        return
    names = [name for choice in choices for name in choice.get("enum", ())]
    plain = [choice for choice in choices if "type" in choice and choice not in objects]
    if (names and value is None) or _is_one_of(value, names) or any(_is(value, choice["type"]) for choice in plain):
        return
    expected = [_WORDS[choice["type"]] for choice in (*plain, *objects[:1]) if choice["type"] != "null"]
    yield at, f"is not known here: {_listed(names)}" if names else f"must be {' or '.join(expected)}"


def _one_of(value: Mapping[str, Any], objects: tuple[Schema, ...], at: str, version: Version) -> Iterator[Found]:
    """The object that was meant: the only one, or the one whose type it names."""
    by_type = {_name(choice): choice for choice in objects}
    named = value.get("type")
    if len(objects) == 1:
        chosen = objects[0]
    elif not isinstance(named, str):
        yield at, f"has no type: {_listed(by_type)}"
        return
    elif named not in by_type:
        if named not in TEAMS_TYPES and not named.startswith(_TEAMS_FAMILY):
            yield f"{at}.type", f'"{named[:40]}" is not known here{_meant(named, by_type) or f": {_listed(by_type)}"}'
        return
    else:
        chosen = by_type[named]
    yield from _too_new(chosen, at, version)
    yield from _check(value, chosen, at, version)


def _too_new(schema: Schema, at: str, version: Version) -> Iterator[Found]:
    needed = tuple(int(part) for part in schema.get("version", "1.0").split("."))
    if needed > version:
        said = ".".join(map(str, version))
        yield at, f"came with version {schema['version']} of Adaptive Cards, and the card says {said}"


def _flat(branches: list[Schema]) -> Iterator[Schema]:
    """The choices behind references, and behind choices of choices."""
    for branch in branches:
        if "$ref" in branch:
            yield from _flat([_definition(branch["$ref"])])
        elif "anyOf" in branch:
            yield from _flat(branch["anyOf"])
        elif "allOf" in branch and "properties" not in branch:
            yield from _flat(branch["allOf"])
        else:
            yield branch


def _is(value: object, kind: str) -> bool:
    return isinstance(value, _KINDS[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _is_one_of(value: object, names: list[Any]) -> bool:
    """Renderers read the names of styles, sizes and colours without case."""
    return isinstance(value, str) and value.lower() in {str(name).lower() for name in names}


def _name(schema: Schema) -> str:
    kinds = schema.get("properties", {}).get("type", {}).get("enum", ("this object",))
    return str(kinds[0])


def _meant(name: str, known: Mapping[str, Any]) -> str:
    close = get_close_matches(name, known, n=1, cutoff=0.75)
    return f": did you mean {close[0]}?" if close else ""


def _listed(names: Mapping[str, Any] | list[Any]) -> str:
    return "one of " + ", ".join(map(str, names))
