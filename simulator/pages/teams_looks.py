"""PURE: the looks of Adaptive Card elements: sizes, colours and distances become classes and checked styles."""

from __future__ import annotations

import re
from typing import Final

from simulator.pages.reading import Json, words

_SIZES: Final = ("small", "medium", "large", "extralarge")
_COLOURS: Final = ("accent", "good", "warning", "attention", "light", "dark")
_SPACINGS: Final = ("none", "small", "medium", "large", "extralarge", "padding")
_STYLES: Final = ("emphasis", "good", "warning", "attention", "accent")
_ALIGNED: Final = ("left", "center", "right")
_PIXELS: Final = re.compile(r"(\d{1,4})(?:\.\d+)?px", re.IGNORECASE)


def chosen(found: object, name: str, known: tuple[str, ...], prefix: str) -> str:
    """The class of a named value; values are compared without case, as Adaptive Cards does."""
    value = words(found, name).lower()
    return f"{prefix}-{value}" if value in known else ""


def text_classes(found: Json) -> str:
    """How words look."""
    return _joined(
        chosen(found, "size", _SIZES, "size"),
        chosen(found, "weight", ("lighter", "bolder"), "weight"),
        chosen(found, "color", _COLOURS, "color"),
        chosen(found, "horizontalAlignment", _ALIGNED, "align"),
        chosen(found, "fontType", ("monospace",), "font"),
        "subtle" if found.get("isSubtle") is True else "",
        "heading" if words(found, "style").lower() == "heading" else "",
        "column-header" if words(found, "style").lower() == "columnheader" else "",
    )


def place_classes(found: Json, *, first: bool) -> str:
    """The distance to what stands above or before it; the first of its kind has none."""
    if first:
        return "placed"
    line = "separated" if found.get("separator") is True else ""
    return _joined("placed", chosen(found, "spacing", _SPACINGS, "spacing") or "spacing-default", line)


def box_classes(found: Json) -> str:
    """How a container looks."""
    return _joined(
        chosen(found, "style", _STYLES, "style"),
        "bleed" if found.get("bleed") is True else "",
        chosen(found, "verticalContentAlignment", ("center", "bottom"), "vertical"),
    )


def cell_alignment(found: object) -> str:
    """To which side the cells of a table, a row or a column keep."""
    return chosen(found, "horizontalCellContentAlignment", _ALIGNED, "align")


def column_style(width: object) -> str:
    """How a column takes its share: a weight, pixels, or what its content needs."""
    if isinstance(width, int | float) and not isinstance(width, bool) and 0 < width < 10_000:
        return f"flex:{width:g} 1 0"
    said = str(width or "").strip().lower()
    if said.replace(".", "", 1).isdecimal() and said.isascii():
        return f"flex:{float(said):g} 1 0"
    return {"auto": "flex:0 0 auto"}.get(said) or _pixels("flex:0 0 {}px", said) or "flex:1 1 0"


def image_style(found: Json) -> str:
    """The size in pixels, where the card gives one."""
    sides = (_pixels(f"{side}:{{}}px", words(found, side)) for side in ("width", "height"))
    return ";".join(filter(None, sides))


def image_classes(found: Json) -> str:
    """The named size and the form of a picture."""
    return _joined(
        "picture",
        chosen(found, "size", ("auto", "stretch", "small", "medium", "large"), "image") or "image-auto",
        "person" if words(found, "style").lower() == "person" else "",
    )


def _pixels(form: str, said: str) -> str:
    match = _PIXELS.fullmatch(said.strip())
    return form.format(match[1]) if match else ""


def _joined(*classes: str) -> str:
    return " ".join(filter(None, classes))
