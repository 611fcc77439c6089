"""PURE: Slack's documented limits of a message, as one visible table (docs.slack.dev: chat.postMessage, Block Kit)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

Found = tuple[str, str]  # field, what is wrong

MAX_TEXT: Final = 40_000
MAX_MARKDOWN: Final = 12_000
MAX_BLOCKS: Final = 50
MAX_ATTACHMENTS: Final = 100

Path = tuple[str, ...]  # inside a block or element; `[]` stands for every item of a list

# What an element may say, wherever it stands.
ELEMENT_TEXTS: Final[Mapping[Path, int]] = {
    ("text", "text"): 75,
    ("value",): 2000,
    ("url",): 3000,
    ("action_id",): 255,
    ("accessibility_label",): 75,
    ("placeholder", "text"): 150,
    ("alt_text",): 2000,
    ("image_url",): 3000,
    ("confirm", "title", "text"): 100,
    ("confirm", "text", "text"): 300,
    ("confirm", "confirm", "text"): 30,
    ("confirm", "deny", "text"): 30,
    ("options", "[]", "text", "text"): 75,
    ("options", "[]", "value"): 150,
    ("options", "[]", "description", "text"): 75,
    ("options", "[]", "url"): 3000,
    ("option_groups", "[]", "label", "text"): 75,
    ("option_groups", "[]", "options", "[]", "text", "text"): 75,
    ("option_groups", "[]", "options", "[]", "value"): 150,
}
MAX_OPTIONS: Final = 100
# element type → most options; a select has the hundred
FEWER_OPTIONS: Final[Mapping[str, int]] = {"overflow": 5, "checkboxes": 10, "radio_buttons": 10}
# block type → where its elements stand
ELEMENTS: Final[Mapping[str, Path]] = {
    "actions": ("elements", "[]"),
    "context_actions": ("elements", "[]"),
    "section": ("accessory",),
    "input": ("element",),
}
# block type → path inside the block → most characters
BLOCK_TEXTS: Final[Mapping[str, Mapping[Path, int]]] = {
    "section": {("text", "text"): 3000, ("fields", "[]", "text"): 2000},
    "header": {("text", "text"): 150},
    "image": {("image_url",): 3000, ("alt_text",): 2000, ("title", "text"): 2000},
    "input": {("label", "text"): 2000, ("hint", "text"): 2000},
    "video": {("alt_text",): 2000, ("title", "text"): 200, ("author_name",): 50},
    "context": {
        ("elements", "[]", "text"): 3000,
        ("elements", "[]", "alt_text"): 2000,
        ("elements", "[]", "image_url"): 3000,
    },
    "alert": {("text", "text"): 200},
    "card": {
        ("title", "text"): 150,
        ("subtitle", "text"): 150,
        ("body", "text"): 200,
        ("hero_image", "image_url"): 3000,
        ("hero_image", "alt_text"): 2000,
    },
    "container": {("title", "text"): 150, ("subtitle", "text"): 150},
}
# block type → list inside the block → most items
BLOCK_LISTS: Final[Mapping[str, Mapping[Path, int]]] = {
    "section": {("fields",): 10},
    "context": {("elements",): 10},
    "context_actions": {("elements",): 5},
    "actions": {("elements",): 25},
    "table": {("rows",): 100, ("rows", "[]"): 20, ("column_settings",): 20},
    "data_table": {("rows",): 101, ("rows", "[]"): 20},
    "card": {("actions",): 3},
    "carousel": {("elements",): 10},
    "container": {("child_blocks",): 10},
}
# block type → the characters that all blocks of this type in a message may have together
TOGETHER: Final[Mapping[str, int]] = {"markdown": MAX_MARKDOWN, "table": 10_000}
MAX_BLOCK_ID: Final = 255


def slack_limit_problems(payload: Mapping[str, Any], field: str) -> Iterator[Found]:
    """Every limit that the payload exceeds, with the field that exceeds it."""
    yield from _too_long(payload.get("text"), MAX_TEXT, f"{field}.text")
    yield from _too_long(payload.get("markdown_text"), MAX_MARKDOWN, f"{field}.markdown_text")
    yield from _too_many(payload.get("attachments"), MAX_ATTACHMENTS, f"{field}.attachments")
    attachments = _items(payload.get("attachments"))[:MAX_ATTACHMENTS]
    blocks = [(payload.get("blocks"), f"{field}.blocks")] + [
        (attachment.get("blocks"), f"{field}.attachments[{index}].blocks")
        for index, attachment in enumerate(attachments)
        if isinstance(attachment, Mapping)
    ]
    for given, at in blocks:
        yield from _blocks(given, at)
    yield from _together([block for given, _ in blocks for block in _items(given)], field)


def _blocks(blocks: object, field: str) -> Iterator[Found]:
    yield from _too_many(blocks, MAX_BLOCKS, field)
    for index, block in enumerate(_items(blocks)[:MAX_BLOCKS]):
        at = f"{field}[{index}]"
        if isinstance(block, dict) and isinstance(block.get("type"), str):
            yield from _block(block, at)
        else:
            yield at, "must be an object with a type"


def _block(block: Mapping[str, Any], at: str) -> Iterator[Found]:
    kind = block["type"]
    yield from _too_long(block.get("block_id"), MAX_BLOCK_ID, f"{at}.block_id")
    for path, most in BLOCK_LISTS.get(kind, {}).items():
        if path[0] in block:
            for where, value in _at(block, path, at):
                yield from _too_many(value, most, where)
    yield from _texts(block, BLOCK_TEXTS.get(kind, {}), at)
    if kind in ELEMENTS:
        for where, element in _at(block, ELEMENTS[kind], at):
            yield from _element(element, where)


def _element(element: object, at: str) -> Iterator[Found]:
    if not isinstance(element, dict):
        return
    kind = element.get("type")
    most = FEWER_OPTIONS.get(kind, MAX_OPTIONS) if isinstance(kind, str) else MAX_OPTIONS
    for path in (("options",), ("option_groups",), ("option_groups", "[]", "options")):
        if path[0] in element:
            for where, value in _at(element, path, at):
                yield from _too_many(value, most, where)
    yield from _texts(element, ELEMENT_TEXTS, at)


def _texts(value: object, limits: Mapping[Path, int], at: str) -> Iterator[Found]:
    if not isinstance(value, dict):
        return
    for path, most in limits.items():
        if path[0] in value:  # most are not: no element says everything that elements can
            for where, said in _at(value, path, at):
                yield from _too_long(said, most, where)


def _together(blocks: list[Any], field: str) -> Iterator[Found]:
    """What all blocks of one type may say together."""
    for kind, most in TOGETHER.items():
        said = sum(_characters(block) for block in blocks if isinstance(block, dict) and block.get("type") == kind)
        if said > most:
            yield field, f"has too much in its {kind} blocks for Slack: at most {most} characters, {said} given"


def _characters(value: object) -> int:
    """The characters of every text in a block."""
    if isinstance(value, dict):
        own = len(value["text"]) if isinstance(value.get("text"), str) else 0
        return own + sum(_characters(child) for child in value.values())
    return sum(map(_characters, value)) if isinstance(value, list) else 0


def _at(value: object, path: Path, field: str) -> Iterator[tuple[str, object]]:
    """The values that a path of the table leads to, each with its place."""
    if not path:
        yield field, value
    elif path[0] == "[]":
        for index, item in enumerate(_items(value)):
            yield from _at(item, path[1:], f"{field}[{index}]")
    elif isinstance(value, dict) and path[0] in value:
        yield from _at(value[path[0]], path[1:], f"{field}.{path[0]}")


def _items(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _too_long(value: object, most: int, field: str) -> Iterator[Found]:
    if isinstance(value, str) and len(value) > most:
        yield field, f"is too long for Slack: at most {most} characters, {len(value)} given: shorten it"


def _too_many(value: object, most: int, field: str) -> Iterator[Found]:
    if isinstance(value, list) and len(value) > most:
        yield field, f"has too many items for Slack: at most {most}, {len(value)} given: remove some"
