"""What a press on Slack says, for every element of Block Kit and for the buttons of attachments."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.evidence import Press
from adapters.slack.presses import presses_of

ACTION: dict[str, Any] = {"action_id": "a", "block_id": "b", "action_ts": "1700000000.000200"}
RED = {"text": {"type": "plain_text", "text": "Red"}, "value": "red"}
BLUE = {"text": {"type": "plain_text", "text": "Blue"}, "value": "blue"}


def pressed(**action: Any) -> Press:
    """The one press of a payload with this action."""
    [press] = presses_of({"type": "block_actions", "actions": [{**ACTION, **action}]})
    return press


def legacy(**changes: Any) -> dict[str, Any]:
    """A press of a button in an attachment."""
    button = {"name": "answer", "text": "Yes!", "type": "button", "value": "yes"}
    return {
        "type": "interactive_message",
        "actions": [{"name": "answer", "type": "button", "value": "yes"}],
        "callback_id": "c",
        "attachment_id": "1",
        "action_ts": "1700000000.000200",
        "original_message": {"attachments": [{"id": 1, "callback_id": "c", "actions": [button]}]},
        **changes,
    }


class TestBlocks:
    @pytest.mark.parametrize(
        ("action", "value", "label"),
        [
            ({"type": "button", "value": "yes", "text": {"type": "plain_text", "text": "Yes"}}, "yes", "Yes"),
            ({"type": "button", "text": {"type": "plain_text", "text": "Open"}}, None, "Open"),
            ({"type": "static_select", "selected_option": RED}, "red", "Red"),
            ({"type": "external_select", "selected_option": RED}, "red", "Red"),
            ({"type": "static_select", "selected_option": None}, None, ""),
            ({"type": "overflow", "selected_option": RED}, "red", "Red"),
            ({"type": "radio_buttons", "selected_option": RED}, "red", "Red"),
            ({"type": "multi_static_select", "selected_options": [RED, BLUE]}, ["red", "blue"], "Red, Blue"),
            ({"type": "checkboxes", "selected_options": []}, [], ""),
            ({"type": "users_select", "selected_user": "U1"}, "U1", ""),
            ({"type": "multi_users_select", "selected_users": ["U1", "U2"]}, ["U1", "U2"], ""),
            ({"type": "conversations_select", "selected_conversation": "D1"}, "D1", ""),
            ({"type": "multi_conversations_select", "selected_conversations": ["D1"]}, ["D1"], ""),
            ({"type": "channels_select", "selected_channel": "C1"}, "C1", ""),
            ({"type": "multi_channels_select", "selected_channels": ["C1"]}, ["C1"], ""),
            ({"type": "datepicker", "selected_date": "2026-01-05"}, "2026-01-05", ""),
            ({"type": "timepicker", "selected_time": "09:30"}, "09:30", ""),
            ({"type": "datetimepicker", "selected_date_time": 1_700_000_000}, 1_700_000_000, ""),
            ({"type": "plain_text_input", "value": "soon"}, "soon", ""),
            ({"type": "rich_text_input", "rich_text_value": {"type": "rich_text"}}, {"type": "rich_text"}, ""),
        ],
    )
    def test_every_element(self, action: dict[str, Any], value: Any, label: str) -> None:
        """Each element's choice is its value, and the words that the person saw are its label."""
        press = pressed(**action)

        assert (value, label) == (press.value, press.label)
        assert ("a", "b") == (press.action_id, press.block_id)

    def test_key(self) -> None:
        """The same press has the same key; another moment, block or action has another."""
        first = pressed(type="button").key

        assert first == pressed(type="button", value="whatever").key
        changes = ({"action_ts": "1700000000.000300"}, {"block_id": "c"}, {"action_id": "c"})
        assert first not in {pressed(type="button", **each).key for each in changes}

    @pytest.mark.parametrize(
        "actions",
        [None, [], "x", ["x"], [{}], [{"action_id": "a"}], [{"action_ts": 17}], [{"action_ts": ""}]],
        ids=str,
    )
    def test_nothing_to_know_it_by(self, actions: Any) -> None:
        """What is no action, or says no moment, is no press."""
        assert presses_of({"type": "block_actions", "actions": actions}) == ()


class TestAttachments:
    def test_button(self) -> None:
        """The label stands in the message."""
        [press] = presses_of(legacy())

        assert ("yes", "Yes!", "answer") == (press.value, press.label, press.action_id)

    def test_menu(self) -> None:
        """A menu says what was selected."""
        [press] = presses_of(
            legacy(actions=[{"name": "game", "type": "select", "selected_options": [{"value": "chess"}]}])
        )

        assert ("chess", "", "game") == (press.value, press.label, press.action_id)

    def test_without_its_message(self) -> None:
        """Ephemeral messages come without the original; then there is no label."""
        [press] = presses_of(legacy(original_message=None))

        assert ("yes", "") == (press.value, press.label)
