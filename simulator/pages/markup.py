"""PURE: HTML that cannot be broken out of: every string is escaped when it enters, unless it is markup already.

Only web addresses become links, only web pictures and embedded pictures become pictures; what is refused is said.
"""

from __future__ import annotations

import html
import re
from typing import Final

_LINK: Final = re.compile(r"(?:https?://|mailto:)[^\s\x00-\x20\x7f<>\"]+", re.IGNORECASE)
_PICTURE: Final = re.compile(
    r"https?://[^\s\x00-\x20\x7f<>\"]+|data:image/(?:png|jpe?g|gif|webp|svg\+xml);base64,[A-Za-z0-9+/=]+", re.IGNORECASE
)
_VOID: Final = frozenset({"br", "hr", "img", "link", "meta"})


class Html(str):
    """Markup that stands as it is; an operation of `str` on it gives a `str`, which is escaped again."""

    __slots__ = ()


Piece = Html | str


def escaped(piece: Piece) -> Html:
    """The piece as markup; text shows letter by letter."""
    return piece if isinstance(piece, Html) else Html(html.escape(str(piece)))


def joined(*pieces: Piece) -> Html:
    """Several pieces, one after the other."""
    return Html("".join(map(escaped, pieces)))


def element(name: str, /, *children: Piece, **attributes: str) -> Html:
    """One element; `class_` is written `class`, and an empty attribute is left out (except `alt`)."""
    given = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items()}
    written = "".join(f' {key}="{html.escape(value)}"' for key, value in given.items() if value or key == "alt")
    opened = f"<{name}{written}>"
    return Html(opened) if name in _VOID else Html(f"{opened}{joined(*children)}</{name}>")


def div(classes: str, *children: Piece) -> Html:
    """A box."""
    return element("div", *children, class_=classes)


def span(classes: str, *children: Piece) -> Html:
    """A run of words."""
    return element("span", *children, class_=classes)


def lines(text: str) -> Html:
    """Text with its line breaks."""
    parts = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return Html("<br>".join(map(escaped, parts)))


def unknown(what: str) -> Html:
    """A box that says what is not shown, in the place where it would stand."""
    return element("span", "Not shown: ", what, class_="unknown", role="note")


def is_web(url: object) -> bool:
    """Whether an address may become a link."""
    return isinstance(url, str) and _LINK.fullmatch(url) is not None


def link(url: object, *children: Piece, classes: str = "") -> Html:
    """A link that tells the other side nothing; another kind of address leaves the words, and says so."""
    if not isinstance(url, str) or not is_web(url):
        return joined(*children, " ", unknown(f"a link to {_said(url)}"))
    return element("a", *children, class_=classes, href=url, title=url, rel="noopener noreferrer", target="_blank")


def picture(url: object, alt: object, classes: str = "picture", style: str = "") -> Html:
    """A picture by address; while it cannot be loaded its words stand in a box of its size."""
    if not isinstance(url, str) or _PICTURE.fullmatch(url) is None:
        return unknown(f"a picture from {_said(url)}")
    said = alt if isinstance(alt, str) else ""
    return element("img", src=url, alt=said, class_=classes, style=style, referrerpolicy="no-referrer")


def colour(value: object) -> str | None:
    """The colour `#rrggbb`, when it is one; nothing else may enter a style."""
    digits = value.removeprefix("#") if isinstance(value, str) else ""
    return f"#{digits}" if re.fullmatch(r"[0-9a-fA-F]{6}|[0-9a-fA-F]{3}", digits) else None


def _said(value: object) -> str:
    said = value if isinstance(value, str) else repr(value)
    return f"“{said}”" if len(said) <= 100 else f"“{said[:100]}…”"
