"""PURE: an Adaptive Card → HTML, as far as version 1.5, the newest that Teams shows (adaptivecards.io/explorer)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from simulator.pages.markdown import Size, markdown
from simulator.pages.markup import Html, Piece, div, element, joined, lines, link, picture, span, unknown
from simulator.pages.reading import Json, inner, kind_of, several, words
from simulator.pages.teams_actions import actions, card_input
from simulator.pages.teams_looks import (
    box_classes,
    cell_alignment,
    chosen,
    column_style,
    image_classes,
    image_style,
    place_classes,
    text_classes,
)
from simulator.pages.teams_text import mentioned

_NEWEST: Final = (1, 5)
_DEEPEST: Final = 20
_VERSION: Final = re.compile(r"(\d{1,4})\.(\d{1,4})")


@dataclass(frozen=True, slots=True)
class _Inside:
    """Where in a card an element stands, and whom the card mentions."""

    mentions: frozenset[str]
    depth: int = 0

    @property
    def deeper(self) -> _Inside:
        """Inside an element of this place."""
        return _Inside(self.mentions, self.depth + 1)

    @property
    def too_deep(self) -> bool:
        """Whether nothing more is shown here."""
        return self.depth > _DEEPEST

    def markdown(self, said: str) -> Html:
        """Words of this card."""
        return markdown(said, Size.CARD, self.mentions)


def adaptive_card(card: Json) -> Html:
    """The whole card; of a version that Teams does not know only its `fallbackText`."""
    teams = inner(card, "msteams")
    inside = _Inside(mentioned(teams))
    version = _VERSION.match(words(card, "version"))
    if version and (int(version[1]), int(version[2])) > _NEWEST:
        said = words(card, "fallbackText")
        return div("card", inside.markdown(said) if said else unknown(f"a card of version {words(card, 'version')}"))
    below = [actions(several(card, "actions"))] if several(card, "actions") else []
    full = words(teams, "width").lower() == "full"
    return div("card full" if full else "card", _stack(several(card, "body"), inside), *below)


def _stack(found: Iterable[Any], place: _Inside) -> Html:
    """Elements one below the other."""
    seen = [each for each in found if not (isinstance(each, Mapping) and each.get("isVisible") is False)]
    if place.too_deep and seen:
        return unknown("what stands deeper inside")
    return joined(*(_placed(each, place, first=not number) for number, each in enumerate(seen)))


def _placed(found: Any, place: _Inside, *, first: bool) -> Html:
    if not isinstance(found, Mapping):
        return unknown("an element that is no object")
    return div(place_classes(found, first=first), _element(found, place))


def _element(found: Json, place: _Inside) -> Html:
    kind = kind_of(found)
    show = _input if kind.startswith("Input.") else _ELEMENTS.get(kind)
    if show is not None:
        return _selectable(found, show(found, place))
    fallback = found.get("fallback")
    if isinstance(fallback, Mapping) and not place.too_deep:
        return _element(fallback, place.deeper)
    return Html("") if fallback == "drop" else unknown(f"an element of type {kind}")


def _selectable(found: Json, shown: Html) -> Html:
    """What opens an address as a whole: HTML knows no link inside a link, so one lies above everything but buttons."""
    action = inner(found, "selectAction")
    if action is None or kind_of(action) != "Action.OpenUrl":
        return shown
    return div("selectable", shown, link(words(action, "url"), classes="above"))


def _text_block(found: Json, place: _Inside) -> Html:
    wrapped = "" if found.get("wrap") is True else " one-line"
    return div(f"text {text_classes(found)}{wrapped}", place.markdown(words(found, "text")))


def _rich_text(found: Json, place: _Inside) -> Html:
    aligned = chosen(found, "horizontalAlignment", ("center", "right"), "align")
    return div(f"text {aligned}".strip(), *map(_run, several(found, "inlines")))


def _run(run: object) -> Html:
    if isinstance(run, str):
        return lines(run)
    if kind_of(run) != "TextRun" or not isinstance(run, Mapping):
        return unknown(f"a run of type {kind_of(run)}")
    shown: Html = lines(words(run, "text"))
    for name, tag in (("italic", "i"), ("strikethrough", "s"), ("underline", "u"), ("highlight", "mark")):
        if run.get(name) is True:
            shown = element(tag, shown)
    action = inner(run, "selectAction")
    if action is not None and kind_of(action) == "Action.OpenUrl":
        shown = link(words(action, "url"), shown)
    return span(text_classes(run), shown)


def _image(found: Json, place: _Inside) -> Html:
    shown = picture(words(found, "url"), words(found, "altText"), image_classes(found), image_style(found))
    return div(chosen(found, "horizontalAlignment", ("center", "right"), "align"), shown)


def _image_set(found: Json, place: _Inside) -> Html:
    size = {"size": words(found, "imageSize") or "medium"}
    images = [each for each in several(found, "images") if isinstance(each, Mapping)]
    return div("images", *(_image({**each, **size}, place) for each in images))


def _container(found: Json, place: _Inside) -> Html:
    return div(f"container {box_classes(found)}", _stack(several(found, "items"), place.deeper))


def _column_set(found: Json, place: _Inside) -> Html:
    columns = several(found, "columns")
    shown = (_column(each, place, first=not number) for number, each in enumerate(columns))
    return div(f"columns {box_classes(found)}".strip(), *shown)


def _column(found: Any, place: _Inside, *, first: bool) -> Html:
    if not isinstance(found, Mapping):
        return unknown("a column that is no object")
    inside = _selectable(found, _stack(several(found, "items"), place.deeper))
    classes = f"column {box_classes(found)} {place_classes(found, first=first)}"
    return element("div", inside, class_=classes, style=column_style(found.get("width")))


def _facts(found: Json, place: _Inside) -> Html:
    rows = (
        element("tr", *(element(tag, place.markdown(words(fact, name))) for tag, name in _FACT))
        for fact in several(found, "facts")
    )
    return element("table", *rows, class_="facts")


_FACT: Final = (("th", "title"), ("td", "value"))


def _action_set(found: Json, place: _Inside) -> Html:
    return actions(several(found, "actions"))


def _table(found: Json, place: _Inside) -> Html:
    columns = [_Column(column_style(_width(each)), cell_alignment(each)) for each in several(found, "columns")]
    header = found.get("firstRowAsHeader") is not False
    classes = f"grid {cell_alignment(found)}{'' if found.get('showGridLines') is False else ' lined'}"
    rows = several(found, "rows")
    shown = (_row(row, columns, place, header=header and not number) for number, row in enumerate(rows))
    return element("div", *shown, class_=classes, role="table")


@dataclass(frozen=True, slots=True)
class _Column:
    """What a table says of one column."""

    style: str
    aligned: str


def _width(column: object) -> object:
    """The width of a table's column: a weight or pixels."""
    return column.get("width", 1) if isinstance(column, Mapping) else 1


def _row(row: object, columns: list[_Column], place: _Inside, *, header: bool) -> Html:
    """A row, whose own alignment goes before that of the columns, as theirs goes before the table's."""
    cells = several(row, "cells")
    aligned = cell_alignment(row)
    shown: list[Piece] = []
    for column, cell in zip(columns, cells, strict=False):
        inside = _stack(several(cell, "items"), place.deeper)
        classes = f"cell {aligned or column.aligned}".strip()
        role = "columnheader" if header else "cell"
        shown.append(element("div", inside, class_=classes, role=role, style=column.style))
    if len(cells) > len(columns):
        shown.append(unknown(f"{len(cells) - len(columns)} cells without a column"))
    return element("div", *shown, class_="row header" if header else "row", role="row")


def _input(found: Json, place: _Inside) -> Html:
    return card_input(found)


_ELEMENTS: Final[Mapping[str, Callable[[Json, _Inside], Html]]] = {
    "TextBlock": _text_block,
    "RichTextBlock": _rich_text,
    "Image": _image,
    "ImageSet": _image_set,
    "Container": _container,
    "ColumnSet": _column_set,
    "FactSet": _facts,
    "ActionSet": _action_set,
    "Table": _table,
}
