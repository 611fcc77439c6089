"""PURE: the actions of an Adaptive Card, and its inputs, → HTML."""

from __future__ import annotations

from typing import Any, Final

from simulator.pages.markup import Html, Piece, div, element, joined, link, picture, span, unknown
from simulator.pages.reading import kind_of, several, words
from simulator.pages.teams_looks import chosen

_PRESSED: Final = frozenset({"Action.Submit", "Action.Execute", "Action.ToggleVisibility", "Action.ShowCard"})
_BLANK: Final = "\u00a0"


def actions(found: list[Any]) -> Html:
    """A row of buttons."""
    return div("actions", *map(_action, found))


def _action(action: object) -> Html:
    kind = kind_of(action)
    icon = words(action, "iconUrl")
    said: list[Piece] = [picture(icon, "", "tiny"), " "] if icon else []
    said += [words(action, "title") or _BLANK, " ▾" if kind == "Action.ShowCard" else ""]
    classes = f"button {chosen(action, 'style', ('positive', 'destructive'), 'action')}".strip()
    if kind == "Action.OpenUrl":
        return link(words(action, "url"), *said, classes=classes)
    return span(classes, *said) if kind in _PRESSED else unknown(f"an action of type {kind}")


def card_input(found: object) -> Html:
    """A field to fill in."""
    label = words(found, "label")
    above = [div("label", label, span("required", " *") if _required(found) else "")] if label else []
    return joined(*above, _field(found))


def _field(found: object) -> Html:
    value, hint = words(found, "value"), words(found, "placeholder") or _BLANK
    match kind := kind_of(found):
        case "Input.Text" | "Input.Number" | "Input.Date" | "Input.Time":
            return span("written", value or element("span", hint, class_="hint"))
        case "Input.Toggle":
            ticked = value == (words(found, "valueOn") or "true")
            return span("ticked", "☑ " if ticked else "☐ ", words(found, "title"))
        case "Input.ChoiceSet":
            return _choices(found, value.split(","), hint)
        case _:
            return unknown(f"an input of type {kind}")


def _choices(found: object, values: list[str], hint: str) -> Html:
    choices = several(found, "choices")
    if words(found, "style").lower() != "expanded":
        picked = [words(each, "title") for each in choices if words(each, "value") in values]
        return span("picked", ", ".join(picked) or element("span", hint, class_="hint"), " ▾")
    on, off = ("☑ ", "☐ ") if _flag(found, "isMultiSelect") else ("◉ ", "○ ")
    ticks = (div("ticked", on if words(each, "value") in values else off, words(each, "title")) for each in choices)
    return joined(*ticks)


def _required(found: object) -> bool:
    return _flag(found, "isRequired")


def _flag(found: object, name: str) -> bool:
    return isinstance(found, dict) and found.get(name) is True
