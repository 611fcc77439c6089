"""PURE: Slack's documented limits of a message, as one visible table (docs.slack.dev: chat.postMessage, Block Kit)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

Found = tuple[str, str]  # field, what is wrong

MAX_TEXT: Final = 40_000
MAX_MARKDOWN: Final = 12_000
MAX_BLOCKS: Final = 50
MAX_ATTACHMENTS: Final = 100

# block type → path inside the block → most characters. `[]` stands for every item of a list.
BLOCK_TEXTS: Final[Mapping[str, Mapping[tuple[str, ...], int]]] = {
    "section": {("text", "text"): 3000, ("fields", "[]", "text"): 2000},
    "header": {("text", "text"): 150},
    "markdown": {("text",): MAX_MARKDOWN},
    "image": {("image_url",): 3000, ("alt_text",): 2000, ("title", "text"): 2000},
    "video": {("alt_text",): 2000, ("title", "text"): 200},
    "actions": {
        ("elements", "[]", "text", "text"): 75,
        ("elements", "[]", "value"): 2000,
        ("elements", "[]", "url"): 3000,
        ("elements", "[]", "action_id"): 255,
    },
}
# block type → list inside the block → most items
BLOCK_LISTS: Final[Mapping[str, Mapping[str, int]]] = {
    "section": {"fields": 10},
    "context": {"elements": 10},
    "actions": {"elements": 25},
}
MAX_BLOCK_ID: Final = 255


def slack_limit_problems(payload: Mapping[str, Any], field: str) -> Iterator[Found]:
    """Every limit that the payload exceeds, with the field that exceeds it."""
    yield from _too_long(payload.get("text"), MAX_TEXT, f"{field}.text")
    yield from _too_long(payload.get("markdown_text"), MAX_MARKDOWN, f"{field}.markdown_text")
    yield from _too_many(payload.get("attachments"), MAX_ATTACHMENTS, f"{field}.attachments")
    yield from _blocks(payload.get("blocks"), f"{field}.blocks")
    for index, attachment in enumerate(_items(payload.get("attachments"))[:MAX_ATTACHMENTS]):
        if isinstance(attachment, Mapping):
            yield from _blocks(attachment.get("blocks"), f"{field}.attachments[{index}].blocks")


def _blocks(blocks: object, field: str) -> Iterator[Found]:
    yield from _too_many(blocks, MAX_BLOCKS, field)
    for index, block in enumerate(_items(blocks)[:MAX_BLOCKS]):
        at = f"{field}[{index}]"
        if not isinstance(block, Mapping) or not isinstance(block.get("type"), str):
            yield at, "must be an object with a type"
            continue
        yield from _too_long(block.get("block_id"), MAX_BLOCK_ID, f"{at}.block_id")
        for name, most in BLOCK_LISTS.get(block["type"], {}).items():
            yield from _too_many(block.get(name), most, f"{at}.{name}")
        for path, most in BLOCK_TEXTS.get(block["type"], {}).items():
            for where, value in _at(block, path, at):
                yield from _too_long(value, most, where)


def _at(value: object, path: tuple[str, ...], field: str) -> Iterator[tuple[str, object]]:
    """The values that a path of the table leads to, each with its place."""
    if not path:
        yield field, value
    elif path[0] == "[]":
        for index, item in enumerate(_items(value)):
            yield from _at(item, path[1:], f"{field}[{index}]")
    elif isinstance(value, Mapping) and path[0] in value:
        yield from _at(value[path[0]], path[1:], f"{field}.{path[0]}")


def _items(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _too_long(value: object, most: int, field: str) -> Iterator[Found]:
    if isinstance(value, str) and len(value) > most:
        yield field, f"is too long for Slack: at most {most} characters, {len(value)} given: shorten it"


def _too_many(value: object, most: int, field: str) -> Iterator[Found]:
    if isinstance(value, list) and len(value) > most:
        yield field, f"has too many items for Slack: at most {most}, {len(value)} given: remove some"
