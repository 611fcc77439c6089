"""The `context` of a script, to the letter of the documented shape."""

from __future__ import annotations

import pytest

from notify.script.context import Recipient, context

JOHN = Recipient(
    "john@abc.com",
    "resolve",
    name="John Doe",
    locale="de-DE",
    user_id="u-1",
    org_id="o-1",
    parameters={"orderId": "XYZ"},
)


class TestContext:
    def test_shape(self) -> None:
        """Everything that Kore documents is there, under its name."""
        assert {
            "bot": "Bot",
            "botid": "st-1",
            "intent": "",
            "entities": {},
            "history": [],
            "currentLanguage": "de-DE",
            "session": {
                "EnterpriseContext": {},
                "BotContext": {},
                "UserSession": {},
                "UserContext": {
                    "_id": "u-1",
                    "emailId": "john@abc.com",
                    "firstName": "John",
                    "lastName": "Doe",
                    "orgId": "o-1",
                    "customData": {"orderId": "XYZ"},
                    "identities": [{"val": "john@abc.com", "type": "email"}],
                },
                "BotUserSession": {
                    "isReturningUser": False,
                    "lastUserMessageTime": None,
                    "lastMessage": {"channel": "slack", "messagePayload": {}},
                    "channels": [{"type": "slack"}],
                },
                "opts": {"userId": "u-1", "streamId": "st-1"},
            },
        } == context("Bot", "st-1", "slack", JOHN)

    def test_unknown(self) -> None:
        """What is not known is empty, and the language English."""
        found = context("Bot", "st-1", "msteams", Recipient("a@b.c", "resolve"))
        user = found["session"]["UserContext"]

        assert ("en", "", "", "", {}) == (
            found["currentLanguage"],
            user["firstName"],
            user["lastName"],
            user["orgId"],
            user["customData"],
        )

    def test_channel_id(self) -> None:
        """An id of the channel is no e-mail, and is not called one."""
        user = context("Bot", "st-1", "slack", Recipient("U123", "donotresolve"))["session"]["UserContext"]

        assert ("", [{"val": "U123", "type": "slack"}]) == (user["emailId"], user["identities"])

    @pytest.mark.parametrize(
        ("name", "first", "last"),
        [
            ("John Doe", "John", "Doe"),
            ("Doe, John", "John", "Doe"),
            ("van der Berg, Anna Maria", "Anna Maria", "van der Berg"),
            ("Anna van der Berg", "Anna", "van der Berg"),
            ("Madonna", "Madonna", ""),
            ("  John   Doe ", "John", "Doe"),
            ("", "", ""),
        ],
    )
    def test_names(self, name: str, first: str, last: str) -> None:
        """Both ways to write a display name give first and last name."""
        user = context("Bot", "st-1", "slack", Recipient("a@b.c", "resolve", name=name))["session"]["UserContext"]

        assert (first, last) == (user["firstName"], user["lastName"])
