"""The simulated connector: what works, and what is refused with which status and code."""

import json
from typing import Any

import pytest

from simulator.teams.apps import DEFAULT_APP_ID, DEFAULT_MULTI_TENANT_APP_ID
from simulator.teams.ids import user_id
from simulator.teams.people import tenant_id

TEXT = {"type": "message", "text": "Hello"}


def _code(answer: Any) -> tuple[int, str]:
    return answer.status, answer.json["error"]["code"]


class TestCreate:
    async def test_same_pair_same_chat(self, teams: Any) -> None:
        """Opening the chat of the same pair again gives the same id, by object id and by 29: id alike."""
        chat = await teams.installed(0)
        first = await teams.bot("POST", "conversations", teams.opening(chat["aad_object_id"]))
        second = await teams.bot("POST", "conversations", teams.opening(chat["user_id"]))

        assert first.status == 201
        assert {"id": chat["id"]} == first.json == second.json

    async def test_global_service_url(self, teams: Any) -> None:
        """The global service URL serves every tenant."""
        chat = await teams.installed(0)
        headers = {"Authorization": f"Bearer {await teams.token()}"}
        body = teams.opening(chat["aad_object_id"])
        answer = await teams.call("POST", f"{teams.url}/teams/v3/conversations", json=body, headers=headers)

        assert (201, chat["id"]) == (answer.status, answer.json["id"])

    async def test_sdk_spelling_of_the_tenant(self, teams: Any) -> None:
        """The tenant is read from tenantID too, and from channelData alone."""
        chat = await teams.installed(0)
        spelled = {**teams.opening(chat["aad_object_id"], channelData=None), "tenantID": teams.tenant}
        del spelled["tenantId"]
        bare = teams.opening(chat["aad_object_id"])
        del bare["tenantId"]

        assert (await teams.bot("POST", "conversations", spelled)).status == 201
        assert (await teams.bot("POST", "conversations", bare)).status == 201

    async def test_with_an_activity(self, teams: Any) -> None:
        """An activity in the request is posted, and its id returned."""
        chat = await teams.installed(0)
        answer = await teams.bot("POST", "conversations", teams.opening(chat["aad_object_id"], activity=TEXT))

        assert chat["id"] == answer.json["id"]
        assert answer.json["activityId"].isdecimal()
        assert teams.mailbox(chat["aad_object_id"]) == [TEXT]

    async def test_needs_the_app(self, teams: Any) -> None:
        """A person without the app cannot be written to."""
        person = await teams.person(1)
        answer = await teams.bot("POST", "conversations", teams.opening(person["id"]))

        assert _code(answer) == (403, "ForbiddenOperationException")

    @pytest.mark.parametrize(
        ("changes", "status", "code"),
        [
            pytest.param({"bot": None}, 400, "Bad Argument", id="no bot"),
            pytest.param({"bot": {"id": DEFAULT_APP_ID}}, 400, "Bad Argument", id="bot without 28:"),
            pytest.param({"bot": {"id": "28:other"}}, 400, "Bad Argument", id="other bot"),
            pytest.param({"members": []}, 400, "Bad Argument", id="nobody"),
            pytest.param({"members": [{"id": "a"}, {"id": "b"}]}, 400, "Bad Argument", id="two people"),
            pytest.param({"members": [{}]}, 400, "Bad Argument", id="no id"),
            pytest.param({"members": [{"id": "ada@contoso.example"}]}, 400, "Bad Argument", id="e-mail"),
            pytest.param({"members": [{"id": "29:1abc"}]}, 400, "Bad Argument", id="garbled 29: id"),
            pytest.param({"members": [{"id": user_id("other", 0, 0)}]}, 400, "Bad Argument", id="29: of other bot"),
            pytest.param({"members": [{"id": user_id(DEFAULT_APP_ID, 1, 0)}]}, 400, "Bad Argument", id="29: abroad"),
            pytest.param({"members": [{"id": "0000-nobody"}]}, 404, "NotFound", id="unknown person"),
            pytest.param({"tenantId": tenant_id(1)}, 400, "Bad Argument", id="two tenants"),
            pytest.param({"tenantId": None, "channelData": None}, 400, "Bad Argument", id="no tenant"),
            pytest.param({"isGroup": True}, 400, "Bad Argument", id="group chat"),
        ],
    )
    async def test_refuses_a_wrong_request(self, teams: Any, changes: dict[str, Any], status: int, code: str) -> None:
        """A request that misses or mixes up something is refused."""
        chat = await teams.installed(0)
        answer = await teams.bot("POST", "conversations", {**teams.opening(chat["aad_object_id"]), **changes})

        assert (status, code) == _code(answer)

    async def test_disabled_account(self, teams: Any) -> None:
        """No new chat is opened with a disabled account."""
        chat = await teams.installed(0)
        await teams.control("teams/people", {"person": chat["aad_object_id"], "enabled": False}, "PATCH")
        answer = await teams.bot("POST", "conversations", teams.opening(chat["aad_object_id"]))

        assert _code(answer) == (403, "ForbiddenOperationException")


class TestSend:
    async def test_lands_in_the_mailbox(self, teams: Any) -> None:
        """A message is answered with 201 and a unique id in the form of a millisecond timestamp, and is delivered."""
        chat = await teams.installed(0)
        answers = [await teams.bot("POST", f"conversations/{chat['id']}/activities", TEXT) for _ in range(3)]

        assert [answer.status for answer in answers] == [201] * 3
        assert len({answer.json["id"] for answer in answers}) == 3
        assert all(len(answer.json["id"]) == 13 for answer in answers)
        assert teams.mailbox(chat["aad_object_id"]) == [TEXT] * 3

    async def test_reply_is_a_message(self, teams: Any) -> None:
        """A reply to any activity id lands in the chat."""
        chat = await teams.installed(0)
        answer = await teams.bot("POST", f"conversations/{chat['id']}/activities/some-uuid", TEXT)

        assert answer.status == 201
        assert teams.mailbox(chat["aad_object_id"]) == [TEXT]

    async def test_graph_chat_id_is_an_alias(self, teams: Any) -> None:
        """The chat id that Graph gives names the same conversation."""
        chat = await teams.installed(0)
        answer = await teams.bot("POST", f"conversations/{chat['graph_id']}/activities", TEXT)

        assert answer.status == 201
        assert teams.mailbox(chat["aad_object_id"]) == [TEXT]

    async def test_typing_leaves_no_message(self, teams: Any) -> None:
        """A typing activity is accepted and not delivered."""
        chat = await teams.installed(0)
        answer = await teams.bot("POST", f"conversations/{chat['id']}/activities", {"type": "typing"})

        assert answer.status == 201
        assert teams.mailbox(chat["aad_object_id"]) == []

    async def test_update_and_delete(self, teams: Any) -> None:
        """The bot can replace and take back its message, once."""
        chat = await teams.installed(0)
        place = f"conversations/{chat['id']}/activities"
        message_id = (await teams.bot("POST", place, TEXT)).json["id"]
        updated = await teams.bot("PUT", f"{place}/{message_id}", {**TEXT, "text": "Better"})
        seen = teams.mailbox(chat["aad_object_id"])
        deleted = await teams.bot("DELETE", f"{place}/{message_id}")
        again = await teams.bot("DELETE", f"{place}/{message_id}")
        late = await teams.bot("PUT", f"{place}/{message_id}", TEXT)

        assert (200, {"id": message_id}) == (updated.status, updated.json)
        assert [each["text"] for each in seen] == ["Better"]
        assert deleted.status == 200
        assert teams.mailbox(chat["aad_object_id"]) == []
        assert (404, "ActivityNotFoundInConversation") == _code(again) == _code(late)

    async def test_split_message_has_no_id(self, teams: Any) -> None:
        """When asked to, text with a card is split as documented, and no id comes back."""
        chat = await teams.installed(0)
        await teams.control("settings", {"teams_split_messages": True})
        card = {"contentType": "application/vnd.microsoft.card.hero", "content": {}}
        answer = await teams.bot("POST", f"conversations/{chat['id']}/activities", {**TEXT, "attachments": [card]})

        assert (answer.status, answer.json) == (201, {})


class TestMembers:
    async def test_member_by_every_id(self, teams: Any) -> None:
        """A member is found by 29: id, object id and user principal name, with all that Teams tells about people."""
        chat = await teams.installed(5)
        person = await teams.person(5)
        names = [chat["user_id"], person["id"], person["upn"]]
        found = [(await teams.bot("GET", f"conversations/{chat['id']}/members/{name}")).json for name in names]

        assert found[0] == found[1] == found[2]
        assert {
            "id": chat["user_id"],
            "name": person["name"],
            "givenName": person["first"],
            "surname": person["last"],
            "email": person["email"],
            "userPrincipalName": person["upn"],
            "aadObjectId": person["id"],
            "objectId": person["id"],
            "tenantId": teams.tenant,
            "userRole": "user",
        } == found[0]
        assert person["email"] != person["upn"]

    async def test_lists(self, teams: Any) -> None:
        """The list and the paged list of a personal chat hold the one person."""
        chat = await teams.installed(0)
        members = (await teams.bot("GET", f"conversations/{chat['id']}/members")).json
        paged = (await teams.bot("GET", f"conversations/{chat['id']}/pagedmembers")).json

        assert [chat["user_id"]] == [each["id"] for each in members]
        assert {"members": members} == paged

    async def test_stranger(self, teams: Any) -> None:
        """Somebody else is not a member."""
        chat = await teams.installed(0)
        answer = await teams.bot("GET", f"conversations/{chat['id']}/members/{(await teams.person(1))['id']}")

        assert _code(answer) == (404, "MemberNotFoundInConversation")

    async def test_team_members(self, teams: Any) -> None:
        """In a team that holds the app, members are found by user principal name."""
        person = await teams.person(3)
        await teams.control("teams/installs", {"team": "News", "members": [person["email"]], "notify": False})
        team = await teams.control("teams/conversations?team=News", method="GET")
        found = await teams.bot("GET", f"conversations/{team['id']}/members/{person['upn']}")

        assert person["email"] == found.json["email"]


class TestRefusals:
    async def test_no_valid_token(self, teams: Any) -> None:
        """Without a valid bot token nothing is done."""
        chat = await teams.installed(0)
        graph = await teams.token("https://graph.microsoft.com/.default")
        good = await teams.token()
        values = [None, "", "Basic abc", "Bearer", "Bearer abc", f"Bearer {graph}", f"Bearer {good}x"]
        url = f"{teams.service_url}/v3/conversations/{chat['id']}/activities"
        answers = [
            await teams.call("POST", url, json=TEXT, headers={} if value is None else {"Authorization": value})
            for value in values
        ]

        assert [(401, "Unauthorized")] * len(values) == [_code(answer) for answer in answers]
        assert teams.mailbox(chat["aad_object_id"]) == []

    async def test_unknown_bot(self, teams: Any) -> None:
        """A valid token of an app without a Teams channel is answered with BotNotRegistered."""
        chat = await teams.installed(0)
        await teams.control("teams/apps", {"app_id": DEFAULT_APP_ID, "teams_channel": False})
        answer = await teams.bot("POST", f"conversations/{chat['id']}/activities", TEXT)

        assert _code(answer) == (401, "BotNotRegistered")

    async def test_disabled_by_admin(self, teams: Any) -> None:
        """A bot that the tenant's admin disabled can neither open nor write."""
        chat = await teams.installed(0)
        await teams.control("teams/apps", {"app_id": DEFAULT_APP_ID, "disabled_in": [teams.tenant]})
        sent = await teams.bot("POST", f"conversations/{chat['id']}/activities", TEXT)
        opened = await teams.bot("POST", "conversations", teams.opening(chat["aad_object_id"]))

        assert (403, "BotDisabledByAdmin") == _code(sent) == _code(opened)

    async def test_uninstalled(self, teams: Any) -> None:
        """After the app is removed the chat is known but closed to the bot."""
        chat = await teams.installed(0)
        await teams.control("teams/installs", {"person": chat["aad_object_id"], "action": "remove", "notify": False})
        sent = await teams.bot("POST", f"conversations/{chat['id']}/activities", TEXT)
        read = await teams.bot("GET", f"conversations/{chat['id']}/members")
        opened = await teams.bot("POST", "conversations", teams.opening(chat["aad_object_id"]))

        assert (403, "BotNotInConversationRoster") == _code(sent) == _code(read)
        assert _code(opened) == (403, "ForbiddenOperationException")

    async def test_blocked_writes(self, teams: Any) -> None:
        """A blocked chat answers with JSON inside a string, and lets the bot write again once the person writes."""
        chat = await teams.installed(0)
        person = chat["aad_object_id"]
        await teams.control("teams/people", {"person": person, "block": "MessageWritesBlocked"}, "PATCH")
        refused = await teams.bot("POST", f"conversations/{chat['id']}/activities", TEXT)
        await teams.control("teams/events", {"kind": "message", "person": person, "text": "Hi"})
        sent = await teams.bot("POST", f"conversations/{chat['id']}/activities", TEXT)

        assert (refused.status, refused.json["errorCode"]) == (403, 209)
        assert json.loads(refused.json["message"])["subCode"] == "MessageWritesBlocked"
        assert sent.status == 201

    async def test_conversation_blocked(self, teams: Any) -> None:
        """The other kind of block has a plain code, also when the chat is opened."""
        chat = await teams.installed(0)
        person = chat["aad_object_id"]
        await teams.control("teams/people", {"person": person, "block": "ConversationBlockedByUser"}, "PATCH")
        sent = await teams.bot("POST", f"conversations/{chat['id']}/activities", TEXT)
        opened = await teams.bot("POST", "conversations", teams.opening(person))

        assert (403, "ConversationBlockedByUser") == _code(sent) == _code(opened)

    async def test_forgotten_conversation(self, teams: Any) -> None:
        """A conversation that was deleted is not found; the next one of the same pair has another id."""
        chat = await teams.installed(0)
        await teams.control("teams/conversations/forget", {"person": chat["aad_object_id"]})
        gone = await teams.bot("POST", f"conversations/{chat['id']}/activities", TEXT)
        renewed = (await teams.bot("POST", "conversations", teams.opening(chat["aad_object_id"]))).json["id"]
        sent = await teams.bot("POST", f"conversations/{renewed}/activities", TEXT)

        assert _code(gone) == (404, "ConversationNotFound")
        assert renewed != chat["id"]
        assert sent.status == 201

    async def test_conversation_of_another_bot(self, teams: Any) -> None:
        """Another bot's conversation id cannot be read."""
        chat = await teams.installed(0)
        token = (await teams.ask_token("botframework.com", client_id=DEFAULT_MULTI_TENANT_APP_ID)).json["access_token"]
        url = f"{teams.service_url}/v3/conversations/{chat['id']}/activities"
        answer = await teams.call("POST", url, json=TEXT, headers={"Authorization": f"Bearer {token}"})

        assert _code(answer) == (400, "BadArgument")
        assert answer.json["error"]["message"] == "Failed to decrypt conversation id"

    async def test_conversation_of_another_tenant(self, teams: Any) -> None:
        """The regional service URL of another tenant does not know the conversation."""
        chat = await teams.installed(0)
        url = f"{teams.url}/teams/{tenant_id(1)}/v3/conversations/{chat['id']}/activities"
        answer = await teams.call("POST", url, json=TEXT, headers={"Authorization": f"Bearer {await teams.token()}"})

        assert _code(answer) == (404, "ConversationNotFound")

    async def test_person_who_left(self, teams: Any) -> None:
        """Whoever left the tenant can be neither written to nor found."""
        chat = await teams.installed(0)
        person = chat["aad_object_id"]
        await teams.control("teams/people", {"person": person, "left": True}, "PATCH")
        sent = await teams.bot("POST", f"conversations/{chat['id']}/activities", TEXT)
        opened = await teams.bot("POST", "conversations", teams.opening(person))

        assert _code(sent) == (403, "BotNotInConversationRoster")
        assert _code(opened) == (404, "NotFound")

    async def test_content_type(self, teams: Any) -> None:
        """Only JSON is accepted."""
        chat = await teams.installed(0)
        url = f"{teams.service_url}/v3/conversations/{chat['id']}/activities"
        headers = {"Authorization": f"Bearer {await teams.token()}", "Content-Type": "text/plain"}
        answer = await teams.call("POST", url, data=json.dumps(TEXT), headers=headers)

        assert answer.status == 415

    async def test_broken_json(self, teams: Any) -> None:
        """What is not JSON is refused as such."""
        chat = await teams.installed(0)
        url = f"{teams.service_url}/v3/conversations/{chat['id']}/activities"
        headers = {"Authorization": f"Bearer {await teams.token()}", "Content-Type": "application/json"}
        answer = await teams.call("POST", url, data="{", headers=headers)

        assert _code(answer) == (400, "BadSyntax")

    async def test_too_large(self, teams: Any) -> None:
        """The limit counts UTF-16: 52 000 ASCII characters are over 100 KB, 50 000 are not."""
        chat = await teams.installed(0)
        place = f"conversations/{chat['id']}/activities"
        over = await teams.bot("POST", place, {**TEXT, "text": "x" * 52_000})
        under = await teams.bot("POST", place, {**TEXT, "text": "x" * 50_000})

        assert _code(over) == (413, "MessageSizeTooBig")
        assert under.status == 201

    async def test_bad_activity(self, teams: Any) -> None:
        """An activity that Teams would not show is a bad argument."""
        chat = await teams.installed(0)
        answer = await teams.bot("POST", f"conversations/{chat['id']}/activities", {"text": "no type"})

        assert _code(answer) == (400, "Bad Argument")


class TestChannels:
    async def test_new_thread(self, teams: Any) -> None:
        """A bot in a team can start a thread in its channel and continue it."""
        await teams.control("teams/installs", {"team": "News", "notify": False})
        team = await teams.control("teams/conversations?team=News", method="GET")
        body = teams.opening("x", isGroup=True, activity=TEXT, channelData={"channel": {"id": team["id"]}})
        opened = await teams.bot("POST", "conversations", body)
        replied = await teams.bot("POST", f"conversations/{opened.json['id']}/activities", TEXT)

        assert opened.json["id"].startswith(f"{team['id']};messageid=")
        assert (opened.status, replied.status) == (201, 201)

    async def test_foreign_channel(self, teams: Any) -> None:
        """A channel without the app refuses the bot."""
        body = teams.opening("x", isGroup=True, activity=TEXT, channelData={"channel": {"id": "19:x@thread.tacv2"}})
        answer = await teams.bot("POST", "conversations", body)

        assert _code(answer) == (403, "BotNotInConversationRoster")
