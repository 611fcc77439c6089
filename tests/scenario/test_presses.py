"""Somebody presses a button of a message: the platform tells us, and the status of the delivery shows it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.harness.herald import Herald, Json
from tests.harness.platforms import MSTEAMS, SLACK, Platforms

CARD = "application/vnd.microsoft.card.adaptive"
LUNCH: Json = {
    "type": "template",
    "payload": {
        "template_type": "button",
        "text": "Lunch?",
        "buttons": [
            {"type": "postback", "title": "Yes", "payload": "yes"},
            {"type": "postback", "title": "No", "payload": "no"},
        ],
    },
}
ACTIONS: list[Json] = [
    {"type": "Action.Submit", "title": "Submit", "data": {"order": 7}},
    {"type": "Action.Execute", "title": "Approve", "verb": "approve", "id": "ok", "data": {"order": 7}},
    {"type": "Action.Submit", "title": "Back", "data": {"msteams": {"type": "messageBack", "value": '{"order": 7}'}}},
    {"type": "Action.Submit", "title": "Fetch", "data": {"msteams": {"type": "task/fetch"}, "order": 7}},
]
BLOCKS: list[Json] = [
    {
        "type": "section",
        "block_id": "size",
        "text": {"type": "plain_text", "text": "Which size?"},
        "accessory": {
            "type": "static_select",
            "action_id": "pick",
            "options": [
                {"text": {"type": "plain_text", "text": word}, "value": word[0]} for word in ("Large", "Small")
            ],
        },
    },
    {
        "type": "actions",
        "block_id": "go",
        "elements": [
            {"type": "button", "action_id": "ok", "text": {"type": "plain_text", "text": "OK"}, "value": "7"},
            {"type": "datepicker", "action_id": "day"},
        ],
    },
]
ATTACHMENT: Json = {
    "callback_id": "c",
    "fallback": "Sure?",
    "actions": [{"name": "sure", "type": "button", "text": "Sure", "value": "1"}],
}


@dataclass
class Scene:
    """One person with a message, on one channel."""

    herald: Herald
    platforms: Platforms
    channel: str
    person: str

    async def send(self, payload: Json, *people: str, ends: str = "SUCCESS") -> tuple[str, Json]:
        """Deliver a message to the person, and to others: the request, and the message in the person's mailbox."""
        message = {"type": "script", "val": payload}
        body = {"channel": self.channel, "userIdentityType": "resolve", "message": message}
        request = await self.herald.accept({**body, "identities": [self.person, *people]})
        assert (await self.herald.final(request))["status"] == ends
        return request, (await self.platforms.messages(self.channel, email=self.person))[-1]

    async def press(self, message: Json, label: str, **more: Any) -> list[Json]:
        """The person presses the button with this label: what the platform was answered."""
        which: Json = {"person": self.person, "message_id": message["message_id"], "title": label}
        if self.channel == SLACK:
            which = {"user": self.person, "message": message["message_id"]} | ({"label": label} if label else {})
        path = "teams/press" if self.channel == MSTEAMS else "slack/press"
        answers: list[Json] = (await self.platforms.control(path, {**which, **more}))["answers"]
        return answers

    async def responses(self, request: str, person: str | None = None) -> list[Json]:
        """What the status call shows as the answers of one person, without the moment."""
        record = await self.herald.status(request)
        [entry] = [each for each in record["statusLogs"] if each["originalId"] == (person or self.person)]
        shown = entry["details"].get("responses", [])
        return [{name: value for name, value in each.items() if name != "at"} for each in shown]


@pytest.fixture(name="scene")
def _scene(herald: Herald, platforms: Platforms, channel: str) -> Scene:
    return Scene(herald, platforms, channel, platforms.emails(1)[0])


class TestTemplate:
    async def test_pressed(self, scene: Scene) -> None:
        """The button of a template: acknowledged in the platform's form, recorded once, and only for who pressed it."""
        other = scene.platforms.emails(2)[1]
        request, message = await scene.send(LUNCH, other)

        answers = await scene.press(message, "Yes", copies=2)

        assert [{"status": 200, "body": ""}] * 2 == answers
        on_slack = {"kind": "button", "value": "yes", "label": "Yes", "actionId": "choice_0", "blockId": "sim2"}
        on_teams = {"kind": "button", "value": "yes"}
        assert [on_slack if scene.channel == SLACK else on_teams] == await scene.responses(request)
        assert [] == await scene.responses(request, other)


def card(*actions: Json) -> Json:
    """A Teams message with an Adaptive Card."""
    content = {"type": "AdaptiveCard", "version": "1.5", "body": [], "actions": list(actions)}
    return {"type": "message", "attachments": [{"contentType": CARD, "content": content}]}


class TestForms:
    @pytest.fixture
    def database_kind(self) -> str:
        """What is stored is tested on both databases elsewhere; here it is the wire."""
        return "sqlite"

    @pytest.mark.parametrize("channel", [MSTEAMS], indirect=True)
    async def test_in_doubt(self, scene: Scene) -> None:
        """A press proves a message whose answer was lost, and is recorded on it."""
        await scene.platforms.send_fault(MSTEAMS, status=502, stored=True, times=1)
        request, message = await scene.send(card(ACTIONS[0]), ends="FAILURE")

        await scene.press(message, "Submit")

        assert (await scene.herald.status(request))["status"] == "SUCCESS"
        assert [{"kind": "button", "value": {"order": 7}}] == await scene.responses(request)

    @pytest.mark.parametrize("channel", [MSTEAMS], indirect=True)
    async def test_teams(self, scene: Scene) -> None:
        """Every action of a card, each in its own form, and an invoke with the body that Teams wants."""
        request, message = await scene.send(card(*ACTIONS))

        submitted = await scene.press(message, "Submit", inputs={"note": "soon"})
        executed = await scene.press(message, "Approve")
        back = await scene.press(message, "Back")
        fetched = await scene.press(message, "Fetch")

        done = '{"statusCode":200,"type":"application/vnd.microsoft.activity.message","value":"OK"}'
        assert ["", done, "", "{}"] == [answer["body"] for [answer] in (submitted, executed, back, fetched)]
        assert [
            {"kind": "button", "value": {"order": 7, "note": "soon"}},
            {"kind": "button", "value": {"order": 7}, "label": "Approve", "actionId": "ok", "verb": "approve"},
            {"kind": "button", "value": {"order": 7}},
            {"kind": "button", "value": {"order": 7, "type": "task/fetch"}},
        ] == await scene.responses(request)

    @pytest.mark.parametrize("channel", [SLACK], indirect=True)
    async def test_slack(self, scene: Scene) -> None:
        """Buttons, menus and pickers of blocks, and a button of an attachment."""
        request, message = await scene.send({"text": "Order", "blocks": BLOCKS, "attachments": [ATTACHMENT]})

        await scene.press(message, "OK")
        await scene.press(message, "", action_id="pick", option="S")
        await scene.press(message, "", action_id="day", given="2026-01-05")
        await scene.press(message, "Sure")

        assert [
            {"kind": "button", "value": "7", "label": "OK", "actionId": "ok", "blockId": "go"},
            {"kind": "button", "value": "S", "label": "Small", "actionId": "pick", "blockId": "size"},
            {"kind": "button", "value": "2026-01-05", "actionId": "day", "blockId": "go"},
            {"kind": "button", "value": "1", "label": "Sure", "actionId": "sure"},
        ] == await scene.responses(request)

    async def test_what_is_not_there(self, scene: Scene) -> None:
        """The simulator presses no button that the person does not see."""
        _, message = await scene.send(LUNCH)

        stranger = replace(scene, person=scene.platforms.emails(2)[1])
        for who, pressed, label in (
            (scene, message, "Maybe"),
            (scene, {**message, "message_id": "17"}, "Yes"),
            (stranger, message, "Yes"),
        ):
            with pytest.raises(AssertionError, match=" 400 "):
                await who.press(pressed, label)
