"""PURE: the message templates of Kore's SDK → Adaptive Card (Teams) and Block Kit (Slack).

Kinds: text, button, quick_replies, list, table, image, in the form that Kore documents for its web SDK
(Koredotcom/docs: docs/xo/sdk/web-mobile-sdk-message-formatting-and-templates.md). A template is first read into
neutral parts; whatever does not have the documented form is not guessed at: `render` answers None, and `slip` says
which member is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, assert_never

from adapters.base import ChannelName
from notify import blockkit, cards
from notify.parts import Choice, Grid, Item, Part, Picture, Said, Side

_TYPES: Final = frozenset({"template", "text", "image", "error"})
_PRINTED: Final = re.compile(r"\S+")  # an address with a gap in it is refused by Slack
UNSAID: Final = "You have a new notification."  # where there are no words to show


class NotTheForm(ValueError):
    """The template does not have its documented form; the message names the member and what is wrong with it."""

    def __init__(self, at: str, says: str) -> None:
        super().__init__(f"{at}: {says}")


@dataclass(frozen=True, slots=True)
class _Body:
    """An object of the inner payload, read strictly; `at` is what stands before the names of its members."""

    fields: Mapping[str, Any]
    at: str = ""

    def place(self, *names: str) -> str:
        """Where the first of these members is that there is; without any, where the first belongs."""
        return f"{self.at}{next((name for name in names if name in self.fields), names[0])}"

    def text(self, *names: str, default: str | None = None) -> str:
        found = next((self.fields[name] for name in names if name in self.fields), default)
        if isinstance(found, bool) or not isinstance(found, str | int | float):
            raise NotTheForm(self.place(*names), "must be text")
        return str(found)

    def words(self, *names: str, default: str | None = None) -> str:
        said = self.text(*names, default=default)
        if not said.strip():
            raise NotTheForm(self.place(*names), "must not be empty")
        return said

    def web(self, *names: str) -> str:
        url = self.text(*names).strip()
        if not url.lower().startswith(("https://", "http://")):
            raise NotTheForm(self.place(*names), "must be an address that begins with http:// or https://")
        if not _PRINTED.fullmatch(url):
            raise NotTheForm(self.place(*names), "must be an address without blanks")
        return url

    def items(self, name: str, *, optional: bool = False) -> list[Any]:
        found = self.fields.get(name, [] if optional else None)
        if not isinstance(found, list) or not (found or optional):
            raise NotTheForm(self.place(name), "must be a list" if optional else "must be a list that is not empty")
        return found

    def objects(self, name: str, *, optional: bool = False) -> list[_Body]:
        return [
            _body(item, f"{self.place(name)}[{index}]")
            for index, item in enumerate(self.items(name, optional=optional))
        ]


def is_template(payload: Mapping[str, Any]) -> bool:
    """Whether a payload is written in Kore's SDK form rather than in a platform's own."""
    kind = payload.get("type")
    return isinstance(kind, str) and kind in _TYPES and isinstance(payload.get("payload"), Mapping)


def text_of(payload: Mapping[str, Any]) -> str | None:
    """The template's text, if it has any."""
    said = payload["payload"].get("text")
    return said if isinstance(said, str) and said.strip() else None


def render(channel: ChannelName, payload: Mapping[str, Any]) -> dict[str, Any] | None:
    """The template in the platform's own words; None for a kind or form that we do not know."""
    try:
        parts = _parts(payload)
    except NotTheForm:
        return None
    if parts is None:
        return None
    summary = text_of(payload) or next(filter(None, map(_summary, parts)), UNSAID)
    return cards.render(parts, summary) if channel is ChannelName.MSTEAMS else blockkit.render(parts, summary)


def slip(payload: Mapping[str, Any]) -> str | None:
    """What keeps a template of a known kind from its form, as "member: what is wrong"; None for every other."""
    try:
        _parts(payload)
    except NotTheForm as error:
        return str(error)
    return None


def _parts(payload: Mapping[str, Any]) -> list[Part] | None:
    """The neutral parts; None for a kind that we do not know. Raises NotTheForm."""
    inner = payload["payload"]
    kind = inner.get("template_type", payload["type"])
    read = _KINDS.get(kind) if isinstance(kind, str) else None
    return read(_Body(inner)) if read else None


def _summary(part: Part) -> str:
    """What stands for a part where only words are shown: a notification, an old client."""
    match part:
        case Said(text) | Picture(_, text):
            return text.strip()
        case Item(title) | Choice(title):
            return title
        case Grid(header):
            return ", ".join(filter(None, (cell.strip() for cell in header)))
        case _:
            assert_never(part)


def _text(body: _Body) -> list[Part]:
    return [Said(body.words("text"))]


def _button(body: _Body) -> list[Part]:
    return [*_text(body), *_choices(body.objects("buttons"))]


def _quick_replies(body: _Body) -> list[Part]:
    return [*_text(body), *_choices(body.objects("quick_replies"))]


def _list(body: _Body) -> list[Part]:
    said = body.text("text", "heading", default="")
    head: list[Part] = [Said(said)] if said.strip() else []
    return [*head, *map(_item, body.objects("elements")), *_choices(body.objects("buttons", optional=True))]


def _table(body: _Body) -> list[Part]:
    columns = [column if isinstance(column, list) and column else [column] for column in body.items("columns")]
    header = [_cell(column[0], f"columns[{index}]") for index, column in enumerate(columns)]
    sides = [_side(column[1:2]) for column in columns]
    rows = [_row(row, len(header)) for row in body.objects("elements")]
    said = body.text("text", default="")
    return [*([Said(said)] if said.strip() else []), Grid(header, rows, sides)]


def _image(body: _Body) -> list[Part]:
    said = body.text("text", "title", default="")
    return [*([Said(said)] if said.strip() else []), Picture(body.web("url", "image_url"), said)]


def _item(body: _Body) -> Item:
    action, at = body.fields.get("default_action"), body.place("default_action")
    return Item(
        title=body.words("title"),
        subtitle=body.text("subtitle", default=""),
        picture=body.web("image_url") if body.fields.get("image_url") else None,
        link=_body(action, at).web("url") if isinstance(action, Mapping) and "url" in action else None,
        choices=_choices(body.objects("buttons", optional=True)),
    )


def _choices(found: Sequence[_Body]) -> list[Choice]:
    return [_choice(body) for body in found]


def _choice(body: _Body) -> Choice:
    title = body.words("title")
    picture = body.web("image_url") if body.fields.get("image_url") else None
    if "url" in body.fields:
        return Choice(title, url=body.web("url"), picture=picture)
    return Choice(title, value=body.words("payload", "value", default=title), picture=picture)


def _body(item: object, at: str) -> _Body:
    if not isinstance(item, Mapping):
        raise NotTheForm(at, "must be an object")
    return _Body(item, f"{at}.")


def _row(row: _Body, width: int) -> list[str]:
    at = row.place("Values")
    cells = [_cell(value, f"{at}[{index}]") for index, value in enumerate(row.items("Values"))]
    if len(cells) != width:
        raise NotTheForm(at, f"must have a value for each of the {width} columns, and has {len(cells)}")
    return cells


def _cell(value: object, at: str) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise NotTheForm(at, "must be text or a number")
    return str(value)


def _side(found: Sequence[object]) -> Side:
    """Kore's web SDK knows the same words; anything else is the default."""
    return next((side for side in Side if list(found) == [side.value]), Side.LEFT)


_KINDS: Final[Mapping[str, Callable[[_Body], list[Part]]]] = {
    "text": _text,
    "error": _text,
    "button": _button,
    "quick_replies": _quick_replies,
    "list": _list,
    "table": _table,
    "image": _image,
}
