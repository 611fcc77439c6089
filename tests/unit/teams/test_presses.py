"""What a press on Teams says, in every form in which it is documented."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.evidence import Press, Said
from adapters.teams.presses import press_of, said_of

KEY = "key"
EXECUTED = {
    "action": {"type": "Action.Execute", "id": "ok", "title": "OK", "verb": "approve", "data": {"x": 1}},
    "trigger": "manual",
}


class TestPress:
    @pytest.mark.parametrize(
        ("activity", "press"),
        [
            ({"type": "message", "value": {"choice": "yes"}}, Press(KEY, {"choice": "yes"})),
            ({"type": "message", "text": "Yes", "value": {"a": 1}}, Press(KEY, {"a": 1})),
            (
                {"type": "invoke", "name": "adaptiveCard/action", "value": EXECUTED},
                Press(KEY, {"x": 1}, "OK", action_id="ok", verb="approve"),
            ),
            ({"type": "invoke", "name": "adaptiveCard/action", "value": {"action": {}}}, Press(KEY)),
            (
                {"type": "invoke", "name": "task/fetch", "value": {"data": {"type": "task/fetch"}, "context": {}}},
                Press(KEY, {"type": "task/fetch"}),
            ),
            ({"type": "invoke", "value": {"option": "opt1"}}, Press(KEY, {"option": "opt1"})),
        ],
    )
    def test_every_form(self, activity: dict[str, Any], press: Press) -> None:
        """The value, and of Action.Execute also id, title and verb."""
        assert press == press_of(activity, KEY)

    @pytest.mark.parametrize(
        "activity",
        [
            {"type": "message", "text": "Yes"},
            {"type": "invoke", "name": "adaptiveCard/action", "value": {**EXECUTED, "trigger": "automatic"}},
            {"type": "invoke", "name": "signin/tokenExchange", "value": {"token": "secret"}},
            {"type": "invoke", "name": "signin/verifyState", "value": {"state": "secret"}},
            {"type": "invoke", "name": "fileConsent/invoke", "value": {"uploadInfo": {"uploadUrl": "secret"}}},
            {"type": "invoke", "name": 17, "value": {}},
            {"type": "messageReaction", "value": {}},
        ],
        ids=str,
    )
    def test_no_press(self, activity: dict[str, Any]) -> None:
        """A card that refreshes itself, a sign-in, a file: nothing was pressed, and no secret is read."""
        assert press_of(activity, KEY) is None

    def test_no_key(self) -> None:
        """An activity without an id could be counted twice, and is not counted."""
        assert press_of({"type": "message", "value": 1}, None) is None
        assert said_of({"type": "message", "text": "Yes"}, None) is None


class TestSaid:
    @pytest.mark.parametrize(
        ("activity", "said"),
        [
            ({"type": "message", "text": " Yes\n"}, Said(KEY, "Yes")),
            ({"type": "message", "text": "Yes", "value": {}}, None),
            ({"type": "message", "text": "  "}, None),
            ({"type": "message", "text": "x" * 1001}, None),
            ({"type": "message", "text": 17}, None),
            ({"type": "message"}, None),
            ({"type": "messageUpdate", "text": "Yes"}, None),
        ],
        ids=str,
    )
    def test_short_texts(self, activity: dict[str, Any], said: Said | None) -> None:
        """Only a text that a button could say is looked at."""
        assert said == said_of(activity, KEY)
