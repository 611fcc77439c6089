"""botbuilder's own connector client succeeds against the simulator, and fails as it does against Teams."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from botbuilder.schema import (
    Activity,
    ActivityTypes,
    ChannelAccount,
    ConversationParameters,
    ErrorResponseException,
)
from botframework.connector.aio import ConnectorClient
from botframework.connector.auth import MicrosoftAppCredentials


class _Token(MicrosoftAppCredentials):  # type: ignore[misc]  # botframework has no types
    """Credentials that carry a token fetched before; msal itself accepts no address but Microsoft's."""

    def __init__(self, app_id: str, token: str) -> None:
        super().__init__(app_id, "unused")
        self._fetched = token

    def get_access_token(self, force_refresh: bool = False) -> str:
        return self._fetched


@pytest.fixture(name="client")
async def _client(teams: Any) -> AsyncIterator[Any]:
    async with ConnectorClient(_Token(teams.app_id, await teams.token()), base_url=f"{teams.service_url}/") as client:
        yield client


def _message(text: str) -> Activity:
    return Activity(type=ActivityTypes.message, text=text)


class TestBotbuilder:
    async def test_whole_life_of_a_message(self, teams: Any, client: Any) -> None:
        """create_conversation, send_to_conversation, update_activity and delete_activity do what they say."""
        chat = await teams.installed(0)
        parameters = ConversationParameters(
            is_group=False,
            bot=ChannelAccount(id=f"28:{teams.app_id}"),
            members=[ChannelAccount(id=chat["aad_object_id"])],
            tenant_id=teams.tenant,
        )
        opened = await client.conversations.create_conversation(parameters)
        sent = await client.conversations.send_to_conversation(opened.id, _message("Hello"))
        after_send = [each["text"] for each in teams.mailbox(chat["aad_object_id"])]
        await client.conversations.update_activity(opened.id, sent.id, _message("Better"))
        after_update = [each["text"] for each in teams.mailbox(chat["aad_object_id"])]
        await client.conversations.delete_activity(opened.id, sent.id)

        assert chat["id"] == opened.id
        assert after_send == ["Hello"]
        assert after_update == ["Better"]
        assert teams.mailbox(chat["aad_object_id"]) == []

    async def test_reply(self, teams: Any, client: Any) -> None:
        """reply_to_activity, which continue_conversation uses, delivers."""
        chat = await teams.installed(0)
        sent = await client.conversations.reply_to_activity(chat["id"], "random-id", _message("Hello"))

        assert sent.id
        assert len(teams.mailbox(chat["aad_object_id"])) == 1

    async def test_members(self, teams: Any, client: Any) -> None:
        """get_conversation_member and get_conversation_members give the person with the e-mail."""
        chat = await teams.installed(0)
        person = await teams.person(0)
        one = await client.conversations.get_conversation_member(chat["id"], person["id"])
        everybody = await client.conversations.get_conversation_members(chat["id"])

        assert (chat["user_id"], person["id"]) == (one.id, one.aad_object_id)
        assert person["email"] == one.additional_properties["email"]
        assert [chat["user_id"]] == [each.id for each in everybody]

    async def test_refusal_is_an_error_response(self, teams: Any, client: Any) -> None:
        """A refusal arrives with its code in the exception."""
        chat = await teams.installed(0)
        await teams.control("teams/installs", {"person": chat["aad_object_id"], "action": "remove", "notify": False})
        with pytest.raises(ErrorResponseException) as caught:
            await client.conversations.send_to_conversation(chat["id"], _message("Hello"))

        assert caught.value.error.error.code == "BotNotInConversationRoster"
        assert caught.value.response.status_code == 403

    async def test_blocked_person_has_the_other_shape(self, teams: Any, client: Any) -> None:
        """For a blocked person the exception carries no code, only the text, as against Teams."""
        chat = await teams.installed(0)
        block = {"person": chat["aad_object_id"], "block": "MessageWritesBlocked"}
        await teams.control("teams/people", block, "PATCH")
        with pytest.raises(ErrorResponseException) as caught:
            await client.conversations.send_to_conversation(chat["id"], _message("Hello"))

        assert caught.value.error.error is None
        assert "MessageWritesBlocked" in caught.value.response.text
