"""A message for one person: what a script printed, and what its author is told about it."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.base import ChannelName
from notify.message import Kind, Message
from notify.notes import Notes
from notify.personal import Ready, Signatures, Unready, Writer, printed
from notify.script.results import Failed, Printed, Why

SLACK, TEAMS = ChannelName.SLACK, ChannelName.MSTEAMS
BUTTONS: dict[str, Any] = {
    "type": "template",
    "payload": {
        "template_type": "button",
        "text": "Lunch, {name}?",
        "buttons": [{"type": "web_url", "title": "Menu", "url": "{menu}"}],
    },
}


class TestPrinted:
    def test_almost_an_object(self) -> None:
        """An output that begins like a JSON object and is none goes as text, and its author is told."""
        message = printed(SLACK, Printed('{"text": "unclosed"'), markup=False)

        assert isinstance(message, Ready)
        assert message.payload["text"] == '{"text": "unclosed"'
        assert "begins like a JSON object" in message.notes.warnings[0]

    @pytest.mark.parametrize("output", ["{braces} in prose", "Hi", "[1]", '{"a"} is a set'])
    def test_prose(self, output: str) -> None:
        """Prose is prose, with braces or without."""
        message = printed(TEAMS, Printed(output), markup=False)

        assert isinstance(message, Ready)
        assert message.notes == Notes()

    @pytest.mark.parametrize(
        "output", ['{"text":"a","text":"b"}', '{"a":' * 70 + "1" + "}" * 70, '{"a":' * 5000 + "1" + "}" * 5000]
    )
    def test_ambiguous(self, output: str) -> None:
        """An object that two readers could understand differently is refused, never guessed at."""
        message = printed(TEAMS, Printed(output), markup=False)

        assert isinstance(message, Unready)
        assert (message.reason, message.code) == ("message_invalid", "rendered")

    def test_log_of_a_failure(self) -> None:
        """What a script logged before it failed is kept with the failure."""
        message = printed(TEAMS, Failed(Why.THROWN, "Error: no", 2, 5, ("seen",)), markup=False)

        assert message == Unready(
            "script_failed", "thrown", "Correct the script: Error: no (line 2, column 5)", Notes(log=("seen",))
        )


class TestTemplates:
    def test_value_breaks_the_form(self) -> None:
        """A value that takes a template out of its form fails its person, and the member is named."""
        writer = Writer(SLACK, Message(Kind.TEMPLATE, BUTTONS))

        whole = writer.write({"name": "Ann", "menu": "https://x.example/menu"})
        broken = writer.write({"name": "Ann", "menu": "no address"})

        assert isinstance(whole, Ready)
        assert "blocks" in whole.payload
        assert whole.notes == Notes()
        assert broken == Unready(
            "message_invalid",
            "rendered",
            "message.payload: buttons[0].url: must be an address that begins with http:// or https://",
        )

    def test_author_breaks_the_form(self) -> None:
        """What is out of its form whatever the values are leaves its text, and a warning that names the member."""
        buttons = [{"title": "Menu", "url": "/menu"}]
        written = {"type": "template", "payload": {**BUTTONS["payload"], "buttons": buttons}}

        message = Writer(SLACK, Message(Kind.TEMPLATE, written)).write({"name": "Ann"})

        assert isinstance(message, Ready)
        assert message.payload["text"] == "Lunch, Ann?"
        assert message.notes.warnings == (
            "message.payload: buttons[0].url: must be an address that begins with http:// or https://: "
            "only its text is shown",
        )

    def test_value_of_an_unknown_kind(self) -> None:
        """A template of a kind that is not known is its text, whatever the values are."""
        written = {"type": "template", "payload": {"template_type": "carousel", "text": "Hi {name}"}}

        message = Writer(TEAMS, Message(Kind.TEMPLATE, written)).write({"name": "Ann"})

        assert isinstance(message, Ready)
        assert message.payload["text"] == "Hi Ann"

    def test_printed(self) -> None:
        """A template out of its form that a script prints goes as its text, with the same warning."""
        output = '{"type": "template", "payload": {"template_type": "button", "text": "Lunch?", "buttons": []}}'

        message = printed(SLACK, Printed(output), markup=False)

        assert isinstance(message, Ready)
        assert message.payload["text"] == "Lunch?"
        assert message.notes.warnings == (
            "the script's output.payload: buttons: must be a list that is not empty: only its text is shown",
        )


class TestSignature:
    def test_scripts(self) -> None:
        """Scripts say the same if they are the same with the same values: nobody runs them to find out."""
        script = Message(Kind.SCRIPT, "print(1)")

        signatures = Signatures(SLACK)

        assert signatures.of(script, {"a": "1", "b": "2"}) == signatures.of(script, {"b": "2", "a": "1"})
        assert signatures.of(script, {}) != signatures.of(script, {"a": "1"})

    def test_words(self) -> None:
        """A text with a value is the same as the text that has it written out."""
        signatures, greeting = Signatures(TEAMS), Message(Kind.TEXT, "Hi {name}")
        written = Message(Kind.NATIVE, {"type": "message", "text": "Hi Ann", "textFormat": "plain"})

        assert signatures.of(greeting, {"name": "Ann", "unused": "x"}) == signatures.of(written, {})
        assert signatures.of(greeting, {"name": "Bob"}) != signatures.of(written, {})
