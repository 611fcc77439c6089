"""PURE: the message templates of Kore's SDK → Adaptive Card (Teams) and Block Kit (Slack).

Kinds: text, button, quick_replies, list, table, image, in the form that Kore documents for its web SDK
(Koredotcom/docs: docs/xo/sdk/web-mobile-sdk-message-formatting-and-templates.md). A template is first read into
neutral parts; whatever does not have the documented form is not guessed at: `render` answers None and the caller
sends the template's text instead.
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
    """The template does not have its documented form."""


@dataclass(frozen=True, slots=True)
class _Body:
    """The inner payload, read strictly."""

    fields: Mapping[str, Any]

    def text(self, *names: str, default: str | None = None) -> str:
        found = next((self.fields[name] for name in names if name in self.fields), default)
        if isinstance(found, bool) or not isinstance(found, str | int | float):
            raise NotTheForm
        return str(found)

    def web(self, *names: str) -> str:
        url = self.text(*names).strip()
        if not url.lower().startswith(("https://", "http://")) or not _PRINTED.fullmatch(url):
            raise NotTheForm
        return url

    def items(self, name: str, *, optional: bool = False) -> list[Any]:
        found = self.fields.get(name, [] if optional else None)
        if not isinstance(found, list) or not (found or optional):
            raise NotTheForm
        return found

    def objects(self, name: str, *, optional: bool = False) -> list[_Body]:
        return [_body(item) for item in self.items(name, optional=optional)]


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
    inner = payload["payload"]
    kind = inner.get("template_type", payload["type"])
    read = _KINDS.get(kind) if isinstance(kind, str) else None
    if read is None:
        return None
    try:
        parts = read(_Body(inner))
    except NotTheForm:
        return None
    summary = text_of(payload) or next(filter(None, map(_summary, parts)), UNSAID)
    return cards.render(parts, summary) if channel is ChannelName.MSTEAMS else blockkit.render(parts, summary)


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
    return [Said(_filled(body.text("text")))]


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
    header, sides = [_cell(column[0]) for column in columns], [_side(column[1:2]) for column in columns]
    rows = [[_cell(value) for value in row.items("Values")] for row in body.objects("elements")]
    if any(len(row) != len(header) for row in rows):
        raise NotTheForm
    said = body.text("text", default="")
    return [*([Said(said)] if said.strip() else []), Grid(header, rows, sides)]


def _image(body: _Body) -> list[Part]:
    said = body.text("text", "title", default="")
    return [*([Said(said)] if said.strip() else []), Picture(body.web("url", "image_url"), said)]


def _item(body: _Body) -> Item:
    action = body.fields.get("default_action")
    return Item(
        title=_filled(body.text("title")),
        subtitle=body.text("subtitle", default=""),
        picture=body.web("image_url") if body.fields.get("image_url") else None,
        link=_body(action).web("url") if isinstance(action, Mapping) and "url" in action else None,
        choices=_choices(body.objects("buttons", optional=True)),
    )


def _choices(found: Sequence[_Body]) -> list[Choice]:
    return [_choice(body) for body in found]


def _choice(body: _Body) -> Choice:
    title = _filled(body.text("title"))
    picture = body.web("image_url") if body.fields.get("image_url") else None
    if "url" in body.fields:
        return Choice(title, url=body.web("url"), picture=picture)
    return Choice(title, value=_filled(body.text("payload", "value", default=title)), picture=picture)


def _body(item: object) -> _Body:
    if not isinstance(item, Mapping):
        raise NotTheForm
    return _Body(item)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise NotTheForm
    return str(value)


def _side(found: Sequence[object]) -> Side:
    """Kore's web SDK knows the same words; anything else is the default."""
    return next((side for side in Side if list(found) == [side.value]), Side.LEFT)


def _filled(said: str) -> str:
    if not said.strip():
        raise NotTheForm
    return said


_KINDS: Final[Mapping[str, Callable[[_Body], list[Part]]]] = {
    "text": _text,
    "error": _text,
    "button": _button,
    "quick_replies": _quick_replies,
    "list": _list,
    "table": _table,
    "image": _image,
}
