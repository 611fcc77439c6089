"""S12 where it is hardest: everything that a message is made of, presses with answers, and rows that are refused.

Every test of this folder is under the scan of `tests/harness/canaries.py`; here its canaries are single words.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import pytest
from sqlalchemy import text

from app import DATABASE
from tests.harness.canaries import TEXT, Watch
from tests.harness.herald import Herald, Json, slack_oauth, text_body
from tests.harness.herald import bot as bot_of
from tests.harness.platforms import CHANNELS, MSTEAMS, SLACK, Platforms
from tests.scenario.conftest import Starting

SOURCE, OUTPUT, PRINTED, VALUE, ODD, PRESSED, TYPED = WORDS = (
    *("scriptsourcecanary", "scriptoutputcanary", "scriptlogcanary", "placeholdercanary", "oddfieldcanary"),
    *("pressedvaluecanary", "typedanswercanary"),
)
SCRIPT: Final = (
    f"const {SOURCE} = 1; console.log('{PRINTED.upper()}'.toLowerCase()); print('{OUTPUT[:5]}' + '{OUTPUT[5:]}')"
)
FORM: Final[Json] = {
    "type": "message",
    "attachments": [
        {
            "contentType": "application/vnd.microsoft.card.adaptive",
            "content": {
                "type": "AdaptiveCard",
                "version": "1.5",
                "body": [{"type": "Input.Text", "id": "why"}],
                "actions": [{"type": "Action.Submit", "title": "Go", "data": {"choice": PRESSED}}],
            },
        }
    ],
}
BUTTON: Final[Json] = {
    "text": "Go?",
    "blocks": [
        {
            "type": "actions",
            "elements": [
                {"type": "button", "action_id": "go", "value": PRESSED, "text": {"type": "plain_text", "text": "Go"}}
            ],
        }
    ],
}


def script(channel: str, people: list[str], val: object) -> Json:
    message = {"type": "script", "val": val}
    return {"channel": channel, "userIdentityType": "resolve", "message": message, "identities": people}


class TestWords:
    async def test_s12_contents(self, herald: Herald, platforms: Platforms, canary: Watch) -> None:
        """S12: source, output and log of a script, values of placeholders, unknown fields, pressed values and
        typed answers stand in the columns that are meant for them, and are written nowhere else."""
        canary.note(TEXT, *WORDS)
        people = platforms.emails(2)
        for channel in CHANNELS:
            broken = script(channel, people, f"const {SOURCE} = '{OUTPUT}'; throw new Error({SOURCE})")
            values = text_body(channel, people, "Dear {name}")
            values["options"] = {"parameters": {person: {"name": VALUE} for person in people}}
            sent = [await herald.accept(each) for each in (script(channel, people, SCRIPT), broken, values)]
            refused = await herald.post(values | {ODD: ODD})
            for request in sent:
                await herald.final(request)
            assert refused[0] == 412
        for channel, native in ((MSTEAMS, FORM), (SLACK, BUTTON)):
            request = await herald.accept(script(channel, people[:1], native))
            await herald.final(request)
            message = (await platforms.messages(channel, email=people[0]))[-1]
            press: Json = {"user": people[0], "message": message["message_id"], "label": "Go"}
            if channel == MSTEAMS:
                press = {
                    "person": people[0],
                    "message_id": message["message_id"],
                    "title": "Go",
                    "inputs": {"why": TYPED},
                }
            await platforms.control("teams/press" if channel == MSTEAMS else "slack/press", press)
            [entry] = (await herald.status(request))["statusLogs"]
            assert PRESSED in str(entry["details"]["responses"])


@asynccontextmanager
async def refusing(herald: Herald, table: str) -> AsyncIterator[None]:
    """The database refuses every new row of a table, and says so as the engine does: PostgreSQL quotes the row."""
    assert herald.app is not None
    database = herald.app[DATABASE]
    if database.is_sqlite:
        begin = f"CREATE TRIGGER refusing_{table} BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'refused'); END"
        end = f"DROP TRIGGER refusing_{table}"
    else:
        begin = f"ALTER TABLE {table} ADD CONSTRAINT refusing CHECK (false) NOT VALID"
        end = f"ALTER TABLE {table} DROP CONSTRAINT refusing"
    async with database.write() as tx:
        await tx.execute(text(begin))
    try:
        yield
    finally:
        async with database.write() as tx:
            await tx.execute(text(end))


class TestRefusedRows:
    async def test_s12_accept(self, herald: Herald, platforms: Platforms, canary: Watch) -> None:
        """S12: a request that the database refuses is an error with its place, and none of its row."""
        async with refusing(herald, "deliveries"):
            status, answer = await herald.post(text_body(SLACK, platforms.emails(3)))

        assert (500, {"errors": [{"msg": "Internal Server Error", "code": 500}]}) == (status, answer)
        [event] = [line for action, line in canary.lines if action == "call_failed"]
        assert "IntegrityError" in event
        assert "storage/requests.py" in event

    async def test_s12_events(self, herald: Herald, platforms: Platforms, canary: Watch) -> None:
        """S12: the same for events of the platforms, and for what was learned about people."""
        await platforms.control("settings", {"slack_event_retry_seconds": []})
        person = platforms.emails(1)[0]
        for table in ("conversation_references", "inbox"):
            async with refusing(herald, table):
                await platforms.control("teams/installs", {"emails": [person]})
                await platforms.slack_event("user_change", user=person)
                await platforms.slack_event("message.im", text="a reply in words")

        failed = {action for action, _ in canary.lines}
        assert {"teams_event_not_stored", "slack.event.failed"} <= failed

    async def test_s12_states(self, platforms: Platforms, starting: Starting, canary: Watch) -> None:
        """S12: nor is a state or a code of an install logged when it cannot be stored."""
        async with starting(platforms, bot_of(slack=slack_oauth())) as herald:
            await herald.connect(platforms, SLACK)
            async with refusing(herald, "installations"):
                with pytest.raises(AssertionError, match="did not answer"):
                    await herald.install_slack(platforms)

        assert any(action == "slack.install.storage_failed" for action, _ in canary.lines)
