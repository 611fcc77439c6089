"""PURE: neutral parts → a Slack message in Block Kit. Words of the template are plain text or escaped once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Final, assert_never

from notify.parts import Choice, Grid, Item, Part, Picture, Said
from notify.slack_limits import MAX_BLOCKS
from notify.slack_text import escape

BUTTONS_A_BLOCK: Final = 25  # Slack's limit of one actions block
CHARACTERS_A_SECTION: Final = 3000
TABLE_ROWS: Final = 100  # with the header (docs.slack.dev/reference/block-kit/blocks/table-block)
TABLE_COLUMNS: Final = 20
TABLE_CHARACTERS: Final = 10_000

_NOTHING: Final = " "  # Slack refuses a cell without a character


def render(parts: Sequence[Part], summary: str) -> dict[str, Any]:
    """The whole message; `summary` is what a push notification shows. Entries of a list stand apart where they can."""
    blocks = _all(parts, apart=True)
    return {"blocks": blocks if len(blocks) <= MAX_BLOCKS else _all(parts, apart=False), "text": escape(summary)}


def _all(parts: Sequence[Part], *, apart: bool) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    for is_choice, run in groupby(parts, key=lambda part: isinstance(part, Choice)):
        if is_choice:
            blocks += _buttons([part for part in run if isinstance(part, Choice)])
        else:
            for part in run:
                if not isinstance(part, Choice):
                    blocks += [{"type": "divider"}] if apart and blocks and isinstance(part, Item) else []
                    blocks += _blocks(part)
    return blocks


def _blocks(part: Said | Picture | Item | Grid) -> list[dict[str, Any]]:
    match part:
        case Said(text):
            return [{"type": "section", "text": _plain(piece)} for piece in _pieces(text)]
        case Picture(url, alt):
            return [{"type": "image", "image_url": url, "alt_text": alt or "Picture"}]
        case Item():
            return _item(part)
        case Grid():
            return [_grid(part)]
        case _:
            assert_never(part)


def _item(item: Item) -> list[dict[str, Any]]:
    words = escape(" ".join(item.title.split()))  # emphasis ends with the line, and does not begin with a gap
    title = f"<{_address(item.link)}|{words}>" if item.link else words
    said = f"*{title}*" + (f"\n{escape(item.subtitle)}" if item.subtitle else "")
    section: dict[str, Any] = {"type": "section", "text": {"type": "mrkdwn", "text": said, "verbatim": True}}
    if item.picture:
        section["accessory"] = {"type": "image", "image_url": item.picture, "alt_text": item.title}
    return [section, *_buttons(item.choices)]


def _grid(grid: Grid) -> dict[str, Any]:
    """A table where Slack takes one of this size, else columns of fixed width: nothing is cut."""
    lines = (grid.header, *grid.rows)
    said = sum(len(cell) or len(_NOTHING) for line in lines for cell in line)
    fits = len(lines) <= TABLE_ROWS and len(grid.header) <= TABLE_COLUMNS and said <= TABLE_CHARACTERS
    return _table(grid) if fits else _drawn(grid)


def _table(grid: Grid) -> dict[str, Any]:
    return {
        "type": "table",
        "column_settings": [{"align": side.value, "is_wrapped": True} for side in grid.sides],
        "rows": [[_bold(cell) for cell in grid.header], *([_raw(cell) for cell in row] for row in grid.rows)],
    }


def _raw(cell: str) -> dict[str, Any]:
    return {"type": "raw_text", "text": cell or _NOTHING}


def _bold(cell: str) -> dict[str, Any]:
    words = {"type": "text", "text": cell or _NOTHING, "style": {"bold": True}}
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [words]}]}


def _drawn(grid: Grid) -> dict[str, Any]:
    lines = (grid.header, *grid.rows)
    widths = [max(len(line[column]) for line in lines) for column in range(len(grid.header))]
    drawn = "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
    words = {"type": "rich_text_preformatted", "elements": [{"type": "text", "text": drawn or _NOTHING}]}
    return {"type": "rich_text", "elements": [words]}


def _buttons(choices: Sequence[Choice]) -> list[dict[str, Any]]:
    buttons = [_button(choice, number) for number, choice in enumerate(choices)]
    return [
        {"type": "actions", "elements": buttons[start : start + BUTTONS_A_BLOCK]}
        for start in range(0, len(buttons), BUTTONS_A_BLOCK)
    ]


def _button(choice: Choice, number: int) -> dict[str, Any]:
    does = {"url": choice.url} if choice.url is not None else {"value": choice.value or choice.title}
    return {"type": "button", "action_id": f"choice_{number}", "text": _plain(choice.title), **does}


def _pieces(text: str) -> Iterator[str]:
    """A long text in sections, cut between words where it can be; nothing but the gap is lost."""
    rest = text.strip()
    while len(rest) > CHARACTERS_A_SECTION:
        at = max(rest.rfind(gap, 1, CHARACTERS_A_SECTION + 1) for gap in ("\n", " "))
        at = at if at > 0 else CHARACTERS_A_SECTION
        yield rest[:at].rstrip()
        rest = rest[at:].lstrip()
    yield rest


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": True}


def _address(url: str) -> str:
    """An address inside Slack's angle brackets: what would end it early is percent-encoded."""
    return escape(url.replace("|", "%7C").replace("<", "%3C").replace(">", "%3E"))
