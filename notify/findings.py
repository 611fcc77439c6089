"""PURE: what is probably wrong with a native payload, though nothing refuses it.

Teams shows a card with an error in it as nothing, and Slack refuses blocks only when they are sent; here it is said
before. Each finding is a sentence with its place. What goes beyond a limit is refused instead, and is no finding.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final, assert_never

from adapters.base import ChannelName
from notify import templates
from notify.block_forms import BLOCKS, YOUNG
from notify.card_rules import rule_findings
from notify.card_schema import schema_findings
from notify.cards import CONTENT_TYPE as ADAPTIVE

MOST: Final = 20
LONGEST: Final = 500  # characters of a finding; names of members can be as long as the payload

Found = tuple[str, str]  # place, what is wrong

# Bounded, so that no text is expensive to look at.
_MARKDOWN: Final = re.compile(r"\*\*[^*\n]{1,300}\*\*|\[[^\[\]\n]{1,300}\]\(https?://")
_MRKDWN: Final = re.compile(r"<https?://[^|>\s]{1,300}\||<[!@#][A-Za-z0-9|^_-]{1,100}>")
_TEXT_FORMATS: Final = ("plain", "markdown", "xml", "extendedmarkdown")
_LAYOUTS: Final = ("list", "carousel")


def findings(channel: ChannelName, payload: Mapping[str, Any]) -> tuple[str, ...]:
    """Sentences of the form "where: what", at most twenty; a template of Kore's SDK has none."""
    if templates.is_template(payload):
        return ()
    match channel:
        case ChannelName.SLACK:
            found = _slack(payload)
        case ChannelName.MSTEAMS:
            found = _teams(payload)
        case _:
            assert_never(channel)
    return tuple(islice(_sentences(found), MOST))


def _sentences(found: Iterator[Found]) -> Iterator[str]:
    """Each once; nothing is looked for beyond what is taken."""
    said: set[str] = set()
    for at, says in found:
        sentence = f"{at}: {says}"[:LONGEST]
        if sentence not in said:
            said.add(sentence)
            yield sentence


def _teams(payload: Mapping[str, Any]) -> Iterator[Found]:
    yield from _word(payload, "textFormat", _TEXT_FORMATS)
    yield from _word(payload, "attachmentLayout", _LAYOUTS)
    yield from _wrong_markup(payload.get("text"), _MRKDWN, "text", "Slack's markup, which Teams shows as it is written")
    is_summed_up = bool(payload.get("summary") or payload.get("text"))
    for index, attachment in enumerate(_list(payload.get("attachments"))):
        if isinstance(attachment, Mapping) and attachment.get("contentType") == ADAPTIVE:
            yield from _card(attachment.get("content"), f"attachments[{index}].content", is_summed_up=is_summed_up)


def _card(card: object, at: str, *, is_summed_up: bool) -> Iterator[Found]:
    if not isinstance(card, Mapping):
        yield at, "must be the card as an object"
        return
    yield from rule_findings(card, at, is_summed_up=is_summed_up)
    yield from schema_findings(card, at)


def _word(payload: Mapping[str, Any], name: str, words: tuple[str, ...]) -> Iterator[Found]:
    given = payload.get(name)
    if given is not None and (not isinstance(given, str) or given.lower() not in words):
        yield name, f"must be one of {', '.join(words)}"


def _slack(payload: Mapping[str, Any]) -> Iterator[Found]:
    if payload.get("mrkdwn") is not False:
        yield from _mrkdwn(payload.get("text"), "text")
    ids: set[str] = set()
    yield from _blocks(payload.get("blocks"), "blocks", ids)
    for index, attachment in enumerate(_list(payload.get("attachments"))):
        if isinstance(attachment, Mapping):
            if "contentType" in attachment:
                yield f"attachments[{index}]", "is an attachment of Teams, which Slack does not show"
            yield from _blocks(attachment.get("blocks"), f"attachments[{index}].blocks", ids)


def _blocks(blocks: object, at: str, ids: set[str]) -> Iterator[Found]:
    for index, block in enumerate(_list(blocks)):
        where = f"{at}[{index}]"
        if isinstance(block, Mapping) and isinstance(block.get("type"), str):
            yield from _block(block, where)
            yield from _twice(block.get("block_id"), ids, f"{where}.block_id")


def _block(block: Mapping[str, Any], at: str) -> Iterator[Found]:
    kind = block["type"]
    if kind in BLOCKS:
        yield from BLOCKS[kind].findings(block, at, kind)
    elif kind not in YOUNG:
        yield f"{at}.type", f'"{kind[:40]}" is no block of Slack\'s: one of {", ".join(BLOCKS)}'
    for where, text in _mrkdwn_objects(block, at):
        yield from _mrkdwn(text, where)
    actions: set[str] = set()
    for index, element in enumerate(_list(block.get("elements"))):
        if isinstance(element, Mapping):
            yield from _twice(element.get("action_id"), actions, f"{at}.elements[{index}].action_id")


def _twice(name: object, seen: set[str], at: str) -> Iterator[Found]:
    if isinstance(name, str):
        if name in seen:
            yield at, "is used twice: each must be its own"
        seen.add(name)


def _mrkdwn_objects(value: object, at: str) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        if value.get("type") == "mrkdwn":
            yield f"{at}.text", value.get("text")
        for name, member in value.items():
            yield from _mrkdwn_objects(member, f"{at}.{name}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _mrkdwn_objects(item, f"{at}[{index}]")


def _mrkdwn(text: object, at: str) -> Iterator[Found]:
    yield from _wrong_markup(text, _MARKDOWN, at, "standard Markdown, and Slack's is *bold* and <address|face>")


def _wrong_markup(text: object, wrong: re.Pattern[str], at: str, says: str) -> Iterator[Found]:
    if isinstance(text, str) and wrong.search(text):
        yield at, f"looks like {says}"


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
