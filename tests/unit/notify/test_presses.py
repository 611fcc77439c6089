"""What is kept of a press, and whose words a text is."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from adapters.evidence import Press, Said
from notify.presses import MOST_BYTES, detail, pressed_by


def nested(levels: int) -> Any:
    """A list in a list in a list."""
    value: Any = "x"
    for _ in range(levels):
        value = [value]
    return value


class TestDetail:
    def test_names(self) -> None:
        """What the platform did not say is left out; what is falsy is not."""
        assert orjson.loads(detail(Press("k", 0, "No", "a", "b", "v"))) == {
            "value": 0,
            "label": "No",
            "actionId": "a",
            "blockId": "b",
            "verb": "v",
        }
        assert orjson.loads(detail(Press("k"))) == {}

    @pytest.mark.parametrize(
        ("value", "note"),
        [
            ("x" * (MOST_BYTES - 2), None),
            ("x" * (MOST_BYTES - 1), "the value has 2049 bytes and was not kept: at most 2048 are"),
            ("ö" * 1024, "the value has 2050 bytes and was not kept: at most 2048 are"),
            (nested(31), None),
            (nested(32), "the value is nested more than 32 deep and was not kept"),
            (nested(300), "the value is nested more than 32 deep and was not kept"),
            ({"nul": "\0", "number": 1e300}, None),
        ],
        ids=["fits", "one too many", "bytes", "fits deep", "too deep", "much too deep", "odd"],
    )
    def test_bounded(self, value: Any, note: str | None) -> None:
        """A value that is too large or too deep is not cut but left out, and a note says so."""
        kept = orjson.loads(detail(Press("k", value, "OK")))

        assert kept == ({"value": value, "label": "OK"} if note is None else {"note": note, "label": "OK"})

    def test_label(self) -> None:
        """A label is cut."""
        assert len(orjson.loads(detail(Press("k", None, "x" * 1000)))["label"]) == 200


def payload(*actions: dict[str, Any], **more: Any) -> bytes:
    """A message with a card that has these actions."""
    card = {"type": "AdaptiveCard", "version": "1.5", "actions": list(actions)}
    content = {"contentType": "application/vnd.microsoft.card.adaptive", "content": card}
    return orjson.dumps({"type": "message", "attachments": [content], **more})


def submit(title: str, **msteams: str) -> dict[str, Any]:
    return {"type": "Action.Submit", "title": title, "data": {"msteams": msteams}}


HERO = {
    "contentType": "application/vnd.microsoft.card.hero",
    "content": {"title": "Lunch?", "buttons": [{"type": "imBack", "title": "Yes", "value": "yes"}]},
}


class TestPressedBy:
    @pytest.mark.parametrize(
        ("sent", "label"),
        [
            (payload(submit("Yes", type="imBack", value="yes")), "Yes"),
            (payload(submit("Yes", type="imBack", value=" yes ")), "Yes"),
            (payload(submit("Yes", type="messageBack", text="yes", displayText="Y")), "Yes"),
            (orjson.dumps({"attachments": [HERO]}), "Yes"),
            (payload(suggestedActions={"actions": [{"type": "imBack", "title": "Yes", "value": "yes"}]}), "Yes"),
            (payload(submit("No", type="imBack", value="no")), None),
            (payload(submit("Yes", type="imBack", value="Yes")), None),
            (payload({"type": "Action.Submit", "title": "Yes", "data": {"value": "yes"}}), None),
            (payload(text="yes, imBack"), None),
            (b'"imBack" of a script', None),
        ],
    )
    def test_exactly_its_words(self, sent: bytes, label: str | None) -> None:
        """A button that says exactly the text, wherever it stands; nothing else."""
        found = pressed_by(sent, Said("k", "yes"))

        assert found == (None if label is None else Press("k", "yes", label))
