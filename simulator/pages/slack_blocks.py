"""PURE: Block Kit → HTML (docs.slack.dev/reference/block-kit/blocks)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from simulator.pages.markdown import Size, markdown
from simulator.pages.markup import Html, Piece, div, element, joined, link, picture, span, unknown
from simulator.pages.mrkdwn import plain
from simulator.pages.reading import inner, kind_of, several, words
from simulator.pages.slack_text import rich_text, text_object

Block = Mapping[str, Any]
_STYLES: Final = {"primary": "button primary", "danger": "button danger"}
_PICKED: Final = frozenset(
    {
        *("static_select", "external_select", "users_select", "conversations_select", "channels_select"),
        *("multi_static_select", "multi_external_select", "multi_users_select", "multi_conversations_select"),
        *("multi_channels_select", "datepicker", "timepicker", "datetimepicker"),
    }
)
_WRITTEN: Final = frozenset(
    {"plain_text_input", "email_text_input", "url_text_input", "number_input", "rich_text_input"}
)
_TICKED: Final = {"checkboxes": "☐", "radio_buttons": "○"}


def blocks(found: list[Any]) -> Html:
    """All blocks of a message, one below the other."""
    return joined(*map(_block, found))


def _block(block: object) -> Html:
    kind = kind_of(block)
    show = _BLOCKS.get(kind)
    if show is None or not isinstance(block, Mapping):
        return div("block", unknown(f"a block of type {kind}"))
    return div(f"block {kind}", show(block))


def _section(block: Block) -> Html:
    said: list[Piece] = [div("text", text_object(block["text"]))] if inner(block, "text") else []
    if fields := several(block, "fields"):
        said.append(div("fields", *(div("field", text_object(each)) for each in fields)))
    accessory = inner(block, "accessory")
    beside = [div("accessory", _accessory(accessory))] if accessory else []
    return joined(div("words", *said), *beside)


def _accessory(found: Block) -> Html:
    if kind_of(found) == "image":
        return picture(_address(found), words(found, "alt_text"), "thumbnail")
    return element_of_kind(found)


def _header(block: Block) -> Html:
    return text_object(block.get("text"))


def _divider(block: Block) -> Html:
    return element("hr")


def _image(block: Block) -> Html:
    title = inner(block, "title")
    above = [div("title", text_object(title))] if title else []
    return joined(*above, picture(_address(block), words(block, "alt_text")))


def _address(found: Block) -> object:
    return found.get("image_url") or f"slack_file {words(inner(found, 'slack_file'), 'id')}"


def _context(block: Block) -> Html:
    return joined(*map(_remark, several(block, "elements")))


def _remark(found: object) -> Html:
    if isinstance(found, Mapping) and kind_of(found) == "image":
        return picture(_address(found), words(found, "alt_text"), "tiny")
    return span("remark", text_object(found))


def _actions(block: Block) -> Html:
    return joined(*map(element_of_kind, several(block, "elements")))


def _input(block: Block) -> Html:
    label = div("label", text_object(block.get("label")))
    hint = [div("hint", text_object(block["hint"]))] if inner(block, "hint") else []
    return joined(label, element_of_kind(block.get("element")), *hint)


def _markdown(block: Block) -> Html:
    return markdown(words(block, "text"), Size.SLACK)


def _table(block: Block) -> Html:
    """Rows of cells; none of them is a header to Slack, whose `data_table` has one."""
    looks = [_column(each) for each in several(block, "column_settings")]
    return element("table", *(_row(row, looks) for row in several(block, "rows")))


def _column(settings: object) -> str:
    side = words(settings, "align")
    wrapped = isinstance(settings, Mapping) and settings.get("is_wrapped") is True
    return " ".join(filter(None, (side if side in ("center", "right") else "", "" if wrapped else "unwrapped")))


def _row(row: object, looks: list[str]) -> Html:
    cells = row if isinstance(row, list) else []
    shown = (
        element("td", _cell(cell), class_=looks[number] if number < len(looks) else "unwrapped")
        for number, cell in enumerate(cells)
    )
    return element("tr", *shown)


def _cell(cell: object) -> Html:
    match kind := kind_of(cell):
        case "raw_text":
            return joined(words(cell, "text"))
        case "raw_number":
            return joined(words(cell, "text") or words(cell, "value"))
        case "rich_text" if isinstance(cell, Mapping):
            return rich_text(cell)
        case _:
            return unknown(f"a cell of type {kind}")


def element_of_kind(found: object) -> Html:
    """Something to press or to fill in."""
    kind = kind_of(found)
    if kind == "button":
        return _button(found)
    if kind == "overflow":
        return span("button", "⋯")
    if kind in _PICKED:
        return span("picked", _placeholder(found) or "Select", " ▾")
    if kind in _WRITTEN:
        return span("written", _placeholder(found) or "\u00a0")
    if kind in _TICKED:
        return joined(*(div("ticked", _TICKED[kind], " ", _option(each)) for each in several(found, "options")))
    return unknown(f"an element of type {kind}")


def _placeholder(found: object) -> Html | None:
    said = inner(found, "placeholder")
    return text_object(said) if said else None


def _option(option: object) -> Html:
    return text_object(inner(option, "text"))


def _button(found: object) -> Html:
    said = plain(words(inner(found, "text"), "text"))
    classes = _STYLES.get(words(found, "style"), "button")
    url = words(found, "url")
    return link(url, said, classes=classes) if url else span(classes, said)


_BLOCKS: Final[Mapping[str, Callable[[Block], Html]]] = {
    "section": _section,
    "header": _header,
    "divider": _divider,
    "image": _image,
    "context": _context,
    "actions": _actions,
    "input": _input,
    "rich_text": rich_text,
    "markdown": _markdown,
    "table": _table,
}
