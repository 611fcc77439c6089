"""What a real browser shows on the simulator's mailbox page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest

from bench.pictures import samples, with_pictures
from simulator.pages.page import STYLE
from tests.browser.conftest import Look
from tests.harness.platforms import CHANNELS, MSTEAMS, SLACK

HOSTILE: Final = (
    "<script>alert(1)</script><img src='http://127.0.0.1:9/seen' onerror='alert(2)'>"
    '"><svg onload=alert(3)><iframe src=http://127.0.0.1:9/framed></iframe>'
)
LITERAL: Final = "Hello <!channel> <@U123> & *you* <https://a.example|bank>"


def script(payload: dict[str, Any]) -> dict[str, Any]:
    """A message that is a payload."""
    return {"message": {"type": "script", "val": payload}}


def said(value: Any) -> Iterator[str]:
    """Every word of a template that a person is to see."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name in ("text", "title", "subtitle") and isinstance(inner, str):
                yield inner
            elif name == "Values":
                yield from map(str, inner)
            elif name == "columns":
                yield from (column[0] for column in inner)
            else:
                yield from said(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from said(inner)


def buttons(value: Any) -> Iterator[str]:
    """The title of every button of a template."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name in ("buttons", "quick_replies"):
                yield from (each["title"] for each in inner)
            else:
                yield from buttons(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from buttons(inner)


@pytest.mark.parametrize("channel", CHANNELS)
async def test_templates(look: Look, channel: str) -> None:
    """Every kind of template is shown with its words, its buttons and its pictures, and nothing of it is not known."""
    sources = {kind: with_pictures(source, look.platforms.url) for kind, source in samples().items()}
    for source in sources.values():
        record = await look.herald.deliver(channel, [look.email], **script(source))
        assert record["status"] == "SUCCESS", record

    page = await look.at(channel)

    shown = await page.evaluate("[...document.querySelectorAll('.message')].map(m => m.innerText)")
    pressed = await page.evaluate(
        "[...document.querySelectorAll('.message')].map(m => [...m.querySelectorAll('.button')].map(b => b.innerText))"
    )
    assert len(sources) == len(shown)
    for source, text, titles in zip(sources.values(), shown, pressed, strict=True):
        assert [] == [each for each in said(source) if each not in text]
        assert sorted(buttons(source)) == sorted(titles)
    assert [480, 176, 176] == sorted(await page.evaluate("[...document.images].map(i => i.naturalWidth)"), reverse=True)
    assert 0 == await page.evaluate("document.querySelectorAll('.unknown').length")


@pytest.mark.parametrize("channel", CHANNELS)
async def test_hostile(look: Look, channel: str) -> None:
    """A hostile name and a hostile message are words: nothing runs, nothing is loaded, nothing else is a link."""
    if channel == MSTEAMS:
        await look.platforms.teams_person(look.email, first=HOSTILE)
    else:
        await look.platforms.slack_person(look.email, real_name=HOSTILE)
    await look.herald.deliver(channel, [look.email], HOSTILE)

    page = await look.at(channel)

    assert HOSTILE in await page.words("header")
    assert HOSTILE in await page.words(".message .text")
    assert [f"{look.platforms.url}{STYLE}"] == [
        url for url in page.asked if "/_sim/mailbox?" not in url and url != "data:,"
    ]
    assert [] == page.spoke
    assert 0 == await page.evaluate("document.querySelectorAll('script, svg, iframe, main a').length")


async def test_mentions(look: Look) -> None:
    """A plain text that holds Slack's markup shows it letter by letter."""
    await look.herald.deliver(SLACK, [look.email], LITERAL)

    page = await look.at(SLACK)

    assert LITERAL == await page.words(".message .text")
    assert 0 == await page.evaluate("document.querySelectorAll('.mention, main a, main b').length")


@pytest.mark.parametrize("channel", CHANNELS)
async def test_missing_picture(look: Look, channel: str) -> None:
    """A picture that cannot be loaded is a box of its own with the words for it."""
    source = {"type": "image", "payload": {"url": "http://127.0.0.1:9/soup.png", "title": "Pumpkin soup"}}
    await look.herald.deliver(channel, [look.email], **script(source))

    page = await look.at(channel)

    natural, width, height, alt = await page.evaluate(
        "(i => [i.naturalWidth, i.width, i.height, i.alt])(document.images[0])"
    )
    assert (0, "Pumpkin soup") == (natural, alt)
    assert width >= 120
    assert height >= 60
