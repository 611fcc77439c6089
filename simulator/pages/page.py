"""PURE: the page of one person's mailbox, and the list of everybody who has mail."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

from simulator.mailbox import Message, MessagePlatform
from simulator.pages.markup import Html, Piece, div, element, joined, span
from simulator.pages.slack_view import slack_message
from simulator.pages.teams_view import teams_message

STYLE: Final = "/_sim/mailbox.css"
PATH: Final = "/_sim/mailbox"
PRODUCTS: Final[Mapping[MessagePlatform, str]] = {"slack": "Slack", "teams": "Microsoft Teams"}


def mailbox_page(platform: MessagePlatform, email: str, messages: Sequence[Message]) -> str:
    """One person's messages in order of arrival, as the platform shows them."""
    name = messages[-1].name if messages else ""
    days: list[Piece] = []
    day = ""
    for message in messages:
        if (today := _day(message.at)) != day:
            day = today
            days.append(element("h2", day, class_="day"))
        days.append(_message(message))
    empty = [element("p", "No message has arrived here.", class_="empty")] if not messages else []
    person = div("person", element("b", name or email), span("email", email) if name else "")
    head = element("header", person, *_tabs(platform, email), class_="top")
    return _page(platform, f"{name or email}, {PRODUCTS[platform]}", head, element("main", *days, *empty))


def people_page(messages: Iterable[Message]) -> str:
    """Everybody who has mail, by platform and e-mail."""
    counted: dict[tuple[MessagePlatform, str], list[Message]] = {}
    for message in messages:
        if message.email:
            counted.setdefault((message.platform, message.email), []).append(message)
    rows = (_person(platform, email, found) for (platform, email), found in sorted(counted.items()))
    head = element("header", div("person", element("b", "Mailboxes")), class_="top")
    none = element("p", "Nobody has a message yet.", class_="empty")
    shown = element("table", *rows, class_="people") if counted else none
    return _page("people", "Mailboxes", head, element("main", shown))


def address_of(platform: MessagePlatform, email: str) -> str:
    """Where a person's mailbox is shown."""
    return f"{PATH}?{urlencode({'platform': platform, 'email': email})}"


def _person(platform: MessagePlatform, email: str, found: Sequence[Message]) -> Html:
    shown = element("a", found[-1].name or email, href=address_of(platform, email))
    cells = (shown, span("email", email), PRODUCTS[platform], str(len(found)))
    return element("tr", *(element("td", cell) for cell in cells))


def _tabs(platform: MessagePlatform, email: str) -> Iterable[Html]:
    for each, product in PRODUCTS.items():
        yield element("a", product, href=address_of(each, email), class_="tab here" if each == platform else "tab")


def _message(message: Message) -> Html:
    slack = message.platform == "slack"
    sender = message.sender or "App"
    edited = [span("edited", "(edited)" if slack else "Edited")] if message.edits else []
    at = element("time", _time(message.at), datetime=message.at.isoformat(), title=message.at.isoformat())
    badge = [span("badge", "APP")] if slack else []
    head = div("head", span("sender", sender), *badge, at, *edited)
    body = div("body", slack_message(message.body) if slack else teams_message(message.body))
    avatar = div("avatar", sender[:1].upper())
    return element("article", avatar, div("bubble", head, body), class_="message", id=f"m-{message.message_id}")


def _page(look: str, title: str, *children: Piece) -> str:
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("link", rel="icon", href="data:,"),
        element("link", rel="stylesheet", href=STYLE),
    )
    page = element("html", head, element("body", *children, class_=look), lang="en")
    return str(joined(Html("<!doctype html>\n"), page))


def _time(at: datetime) -> str:
    return f"{at:%I:%M %p}".lstrip("0")


def _day(at: datetime) -> str:
    return f"{at:%A, %B} {at.day}"
