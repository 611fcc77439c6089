"""What Slack accepts as a message: sizes, blocks, attachments, metadata. Where its rules are unknown, we refuse.

Sources: docs.slack.dev/reference/methods/chat.postMessage (errors), …/reference/block-kit/blocks (sizes and required
fields), …/messaging/message-metadata (form of metadata).
"""

import json
import re
from typing import Any

from simulator.slack import limits
from simulator.slack.answers import SlackError
from simulator.slack.arguments import Arguments

Block = dict[str, Any]
_EVENT_TYPE = re.compile(r"[A-Za-z0-9_]{1,255}")
FORMATS = ("markdown_text", "mrkdwn")
"""How a text is to be read; a new text is read anew."""
_OFF = (False, "false", "False", 0, "0")
_BLOCK_TYPES = frozenset(
    {
        "actions",
        "context",
        "divider",
        "file",
        "header",
        "image",
        "input",
        "markdown",
        "rich_text",
        "section",
        "table",
        "video",
    }
)
_CELLS = frozenset({"raw_text", "raw_number", "rich_text"})


def read_content(arguments: Arguments) -> tuple[dict[str, Any], list[str]]:
    """The message fields that the arguments describe, and warnings; refused with Slack's codes."""
    text, markdown = arguments.text("text"), arguments.text("markdown_text")
    blocks = arguments.structure("blocks", "invalid_blocks_format")
    attachments = arguments.structure("attachments", "invalid_attachments")
    if markdown and (text or blocks):
        raise SlackError("markdown_text_conflict")
    if not (text.strip() or markdown.strip() or blocks or attachments):
        raise SlackError("no_text")
    if len(markdown) > limits.MARKDOWN_TEXT:
        raise SlackError("msg_too_long")
    warnings = ["message_truncated"] if len(text) > limits.TEXT else []
    content: dict[str, Any] = {"text": (text or markdown)[: limits.TEXT]}
    if markdown:
        content["markdown_text"] = markdown
    if arguments.values.get("mrkdwn") in _OFF:
        content["mrkdwn"] = False
    if blocks:
        check_blocks(blocks)
        content["blocks"] = blocks
    if attachments:
        check_attachments(attachments)
        content["attachments"] = attachments
    return content, warnings


def read_metadata(arguments: Arguments) -> dict[str, Any] | None:
    """The message metadata; None when none was given."""
    metadata = arguments.structure("metadata", "invalid_metadata_format")
    if metadata is None or metadata == "":
        return None
    if not isinstance(metadata, dict):
        raise SlackError("invalid_metadata_format")
    if not metadata:
        return {}
    if set(metadata) - {"event_type", "event_payload", "entities"}:
        raise SlackError("invalid_metadata_format")
    event_type, payload = metadata.get("event_type"), metadata.get("event_payload")
    if not isinstance(event_type, str) or not _EVENT_TYPE.fullmatch(event_type) or not isinstance(payload, dict):
        raise SlackError("invalid_metadata_format")
    if len(json.dumps(metadata)) > limits.METADATA_BYTES:
        raise SlackError("metadata_too_large")
    return metadata


def check_attachments(attachments: object) -> None:
    """At most a hundred objects."""
    if not isinstance(attachments, list) or not all(isinstance(each, dict) for each in attachments):
        raise SlackError("invalid_attachments")
    if len(attachments) > limits.ATTACHMENTS:
        raise SlackError("too_many_attachments")


def check_blocks(blocks: object) -> None:
    """Refuse blocks as Block Kit does, naming every mistake with its place."""
    if not isinstance(blocks, list):
        raise SlackError("invalid_blocks_format")
    mistakes: list[str] = []
    if len(blocks) > limits.BLOCKS:
        mistakes.append(f"no more than {limits.BLOCKS} items allowed [json-pointer:/blocks]")
    for index, block in enumerate(blocks[: limits.BLOCKS]):
        mistakes += [f"{what} [json-pointer:/blocks/{index}{where}]" for what, where in _mistakes(block)]
    ids = [block["block_id"] for block in blocks if isinstance(block, dict) and "block_id" in block]
    if len(set(map(str, ids))) != len(ids):
        mistakes.append("block_id already exists [json-pointer:/blocks]")
    if mistakes:
        messages = [f"[ERROR] {each}" for each in mistakes]
        raise SlackError("invalid_blocks", errors=mistakes, response_metadata={"messages": messages})
    if sum(map(_table_size, blocks)) > limits.TABLES_TOTAL:
        raise SlackError("msg_blocks_too_long")
    if sum(len(each.get("text", "")) for each in blocks if each["type"] == "markdown") > limits.MARKDOWN_BLOCKS_TOTAL:
        raise SlackError("msg_blocks_too_long")


Mistakes = list[tuple[str, str]]


def _mistakes(block: object) -> Mistakes:
    if not isinstance(block, dict):
        return [("must be an object", "")]
    kind = block.get("type")
    if kind is None:
        return [("missing required field: type", "")]
    if not isinstance(kind, str) or kind not in _BLOCK_TYPES:
        return [(f"unsupported type: {kind}", "/type")]
    block_id = block.get("block_id", "")
    found: Mistakes = []
    if not isinstance(block_id, str) or len(block_id) > limits.BLOCK_ID:
        found.append((f"must be less than {limits.BLOCK_ID + 1} characters", "/block_id"))
    check = _CHECKS.get(kind)
    return found + (check(block) if check else [])


def _section(block: Block) -> Mistakes:
    text, fields = block.get("text"), block.get("fields")
    if text is None and not fields:
        return [("missing required field: text", "")]
    found: Mistakes = [] if text is None else _text(text, "/text", limits.SECTION_TEXT)
    if fields is None:
        return found
    if not isinstance(fields, list) or not 1 <= len(fields) <= limits.SECTION_FIELDS:
        return [*found, (f"must be between 1 and {limits.SECTION_FIELDS} items", "/fields")]
    for index, each in enumerate(fields):
        found += _text(each, f"/fields/{index}", limits.SECTION_FIELD_TEXT)
    return found


def _header(block: Block) -> Mistakes:
    return _text(block.get("text"), "/text", limits.HEADER_TEXT, kinds=("plain_text",))


def _image(block: Block) -> Mistakes:
    found: Mistakes = []
    url, alt = block.get("image_url"), block.get("alt_text")
    if url is None and "slack_file" not in block:
        found.append(("missing required field: image_url", ""))
    elif url is not None and (not isinstance(url, str) or not url or len(url) > limits.IMAGE_URL):
        found.append(("invalid url", "/image_url"))
    if not isinstance(alt, str):
        found.append(("missing required field: alt_text", ""))
    elif len(alt) > limits.ALT_TEXT:
        found.append((f"must be less than {limits.ALT_TEXT + 1} characters", "/alt_text"))
    return found


def _actions(block: Block) -> Mistakes:
    return _elements(block, limits.ACTIONS_ELEMENTS)


def _context(block: Block) -> Mistakes:
    return _elements(block, limits.CONTEXT_ELEMENTS)


def _rich_text(block: Block) -> Mistakes:
    return [] if isinstance(block.get("elements"), list) else [("missing required field: elements", "")]


def _table(block: Block) -> Mistakes:
    """docs.slack.dev/reference/block-kit/blocks/table-block: 1 to 100 rows of 1 to 20 cells."""
    rows = block.get("rows")
    if not isinstance(rows, list):
        return [("missing required field: rows", "")]
    if not 1 <= len(rows) <= limits.TABLE_ROWS:
        return [(f"must be between 1 and {limits.TABLE_ROWS} items", "/rows")]
    found: Mistakes = []
    for number, row in enumerate(rows):
        if not isinstance(row, list) or not 1 <= len(row) <= limits.TABLE_CELLS:
            found.append((f"must be between 1 and {limits.TABLE_CELLS} items", f"/rows/{number}"))
            continue
        found += [mistake for index, cell in enumerate(row) for mistake in _cell(cell, f"/rows/{number}/{index}")]
    settings = block.get("column_settings", [])
    if not isinstance(settings, list) or len(settings) > limits.TABLE_CELLS:
        found.append((f"no more than {limits.TABLE_CELLS} items allowed", "/column_settings"))
    return found


def _cell(cell: object, where: str) -> Mistakes:
    kind = cell.get("type") if isinstance(cell, dict) else None
    if not isinstance(cell, dict) or kind not in _CELLS:
        return [(f"must provide an object of type {', '.join(sorted(_CELLS))}", where)]
    if kind == "raw_text" and not (isinstance(cell.get("text"), str) and cell["text"]):
        return [("must be more than 0 characters", f"{where}/text")]
    return _rich_text(cell) if kind == "rich_text" else []


def _table_size(block: Block) -> int:
    """The characters of a table's cells."""
    if block["type"] != "table":
        return 0
    return sum(len(str(cell.get("text", ""))) for row in block["rows"] for cell in row)


def _markdown(block: Block) -> Mistakes:
    text = block.get("text")
    if not isinstance(text, str) or not text:
        return [("missing required field: text", "")]
    too_long = len(text) > limits.MARKDOWN_TEXT
    return [(f"must be less than {limits.MARKDOWN_TEXT + 1} characters", "/text")] if too_long else []


def _elements(block: Block, most: int) -> Mistakes:
    elements = block.get("elements")
    if not isinstance(elements, list) or not elements:
        return [("missing required field: elements", "")]
    if len(elements) > most:
        return [(f"no more than {most} items allowed", "/elements")]
    return [
        ("must be an object with a type", f"/elements/{index}")
        for index, each in enumerate(elements)
        if not isinstance(each, dict) or not isinstance(each.get("type"), str)
    ]


def _text(value: object, where: str, most: int, kinds: tuple[str, ...] = ("plain_text", "mrkdwn")) -> Mistakes:
    if value is None:
        return [("missing required field: text", "")]
    if not isinstance(value, dict) or value.get("type") not in kinds:
        return [(f"must provide an object of type {' or '.join(kinds)}", where)]
    text = value.get("text")
    if not isinstance(text, str) or not text:
        return [("must be more than 0 characters", f"{where}/text")]
    if len(text) > most:
        return [(f"must be less than {most + 1} characters", f"{where}/text")]
    return []


_CHECKS = {
    "section": _section,
    "header": _header,
    "image": _image,
    "actions": _actions,
    "context": _context,
    "rich_text": _rich_text,
    "table": _table,
    "markdown": _markdown,
}
