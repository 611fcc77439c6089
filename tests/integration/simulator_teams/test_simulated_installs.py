"""What a bot hears: installs, removals and what people do, signed as Teams signs."""

from typing import Any

import jwt
import pytest

from simulator.clock import ManualClock
from simulator.teams.apps import DEFAULT_APP_ID
from simulator.world import SimulatorConfig


async def _listen(teams: Any, bot: Any) -> None:
    await teams.control("teams/apps", {"app_id": DEFAULT_APP_ID, "messaging_endpoint": bot.url})


async def _verified(teams: Any, headers: dict[str, str]) -> dict[str, Any]:
    """The claims of a connector token, verified with the published keys."""
    token = headers["Authorization"].removeprefix("Bearer ")
    metadata = (await teams.call("GET", f"{teams.url}/v1/.well-known/openidconfiguration")).json
    document = (await teams.call("GET", metadata["jwks_uri"])).json
    kid = jwt.get_unverified_header(token)["kid"]
    found = next(key for key in document["keys"] if key["kid"] == kid)
    assert "msteams" in found["endorsements"]
    claims: dict[str, Any] = jwt.decode(
        token, jwt.PyJWK(found, "RS256"), algorithms=["RS256"], audience=DEFAULT_APP_ID, issuer=metadata["issuer"]
    )
    return claims


class TestPersonalInstall:
    async def test_two_activities_in_order(self, teams: Any, bot: Any) -> None:
        """An install brings installationUpdate and then conversationUpdate, with everything that a bot needs."""
        await _listen(teams, bot)
        person = await teams.person(0)
        report = await teams.control("teams/installs", {"person": person["email"]})
        installation, update = bot.activities
        chat = await teams.control(f"teams/conversations?person={person['id']}", method="GET")

        assert report == {"requested": 1, "changed": 1, "notified": True, "accepted": 1, "failed": 0, "failures": []}
        assert (installation["type"], installation["action"]) == ("installationUpdate", "add")
        assert {"id": chat["user_id"], "name": person["name"], "aadObjectId": person["id"]} == installation["from"]
        assert {"conversationType": "personal", "tenantId": teams.tenant, "id": chat["id"]} == update["conversation"]
        assert {"id": teams.tenant} == installation["channelData"]["tenant"]
        assert [{"id": f"28:{DEFAULT_APP_ID}"}] == update["membersAdded"]
        assert f"28:{DEFAULT_APP_ID}" == update["recipient"]["id"]
        assert f"{teams.url}/teams/{teams.tenant}/" == update["serviceUrl"]
        assert update["channelId"] == "msteams"

    async def test_signed(self, teams: Any, bot: Any) -> None:
        """Each activity carries a connector token that verifies, for this bot and this service URL."""
        await _listen(teams, bot)
        await teams.control("teams/installs", {"person": (await teams.person(0))["email"]})

        for activity, headers in bot.requests:
            claims = await _verified(teams, headers)
            assert activity["serviceUrl"] == claims["serviceurl"]
            assert teams.tenant == headers["x-ms-tenant-id"]

    async def test_new_key_signs_after_a_roll_over(self, teams: Any, bot: Any) -> None:
        """After a roll-over activities are signed with the new key."""
        await _listen(teams, bot)
        person = {"person": (await teams.person(0))["email"]}
        await teams.control("teams/events", {**person, "kind": "message", "text": "one"})
        rolled = await teams.control("teams/keys/roll", {"keep_old": False})
        await teams.control("teams/events", {**person, "kind": "message", "text": "two"})
        kids = [jwt.get_unverified_header(headers["Authorization"][7:])["kid"] for _, headers in bot.requests]

        assert rolled["kid"] == kids[1] != kids[0]

    @pytest.mark.parametrize(
        ("action", "member_field"),
        [
            ("remove", "membersRemoved"),
            ("add-upgrade", "membersAdded"),
            ("remove-upgrade", "membersRemoved"),
        ],
    )
    async def test_other_actions(self, teams: Any, bot: Any, action: str, member_field: str) -> None:
        """Removal and upgrades bring their own action and the matching membership change."""
        await _listen(teams, bot)
        await teams.control("teams/installs", {"person": (await teams.person(0))["email"], "action": action})

        assert action == bot.activities[0]["action"]
        assert [{"id": f"28:{DEFAULT_APP_ID}"}] == bot.activities[1][member_field]

    async def test_silent(self, teams: Any, bot: Any) -> None:
        """An install can have happened without the bot hearing of it."""
        await _listen(teams, bot)
        report = await teams.control("teams/installs", {"person": (await teams.person(0))["email"], "notify": False})

        assert report == {"requested": 1, "changed": 1, "notified": False}
        assert bot.activities == []

    async def test_bot_that_fails(self, teams: Any, bot: Any) -> None:
        """A bot that answers 500 is told once per activity, and the report says so."""
        await _listen(teams, bot)
        bot.status = 500
        report = await teams.control("teams/installs", {"person": (await teams.person(0))["email"]})

        assert (report["accepted"], report["failed"]) == (0, 1)
        assert [each["status"] for each in report["failures"][0]["answers"]] == [500, 500]
        assert len(bot.activities) == 2

    async def test_bot_that_is_down(self, teams: Any) -> None:
        """A bot that does not listen is reported with status 0."""
        await teams.control("teams/apps", {"app_id": DEFAULT_APP_ID, "messaging_endpoint": "http://127.0.0.1:9/x"})
        report = await teams.control("teams/installs", {"person": (await teams.person(0))["email"]})

        assert report["failures"][0]["answers"][0]["status"] == 0

    async def test_leaving_the_tenant(self, teams: Any, bot: Any) -> None:
        """When a person leaves, the bot hears that it was removed."""
        await _listen(teams, bot)
        chat = await teams.installed(0)
        await teams.control("teams/people", {"person": chat["aad_object_id"], "left": True}, "PATCH")

        assert [each["type"] for each in bot.activities] == ["conversationUpdate"]
        assert [{"id": f"28:{DEFAULT_APP_ID}"}] == bot.activities[0]["membersRemoved"]


class TestBulkInstall:
    async def test_everybody_with_the_app(self, teams: Any, bot: Any) -> None:
        """all_with_app leaves out guests, disabled people and people without the app."""
        await _listen(teams, bot)
        report = await teams.control("teams/installs", {"all_with_app": True, "concurrency": 4})

        assert (report["requested"], report["accepted"]) == (194, 194)
        assert len(bot.activities) == 388
        assert bot.most_active <= 4

    async def test_count_and_emails(self, teams: Any) -> None:
        """A number means the first plain people, e-mails mean exactly those."""
        emails = [(await teams.person(index))["email"] for index in (97, 99)]
        counted = await teams.control("teams/installs", {"count": 5})
        named = await teams.control("teams/installs", {"emails": emails})
        again = await teams.control("teams/installs", {"count": 5})

        assert (counted["changed"], named["changed"], again["changed"]) == (5, 2, 0)
        assert (await teams.control("state", method="GET"))["teams"]["installs"] == 7

    @pytest.mark.parametrize(
        "body",
        [
            {"app_id": "nobody", "count": 1},
            {"tenant": "nowhere", "count": 1},
            {"person": "nobody@contoso.example"},
            {"emails": ["nobody@contoso.example"]},
            {"count": "many"},
            {"action": "explode", "count": 1},
            {"tenant": "fabrikam.example", "count": 1},
            {},
        ],
    )
    async def test_refuses_a_wrong_request(self, teams: Any, body: dict[str, Any]) -> None:
        """A control request that names something unknown is refused; a single-tenant app stays at home."""
        answer = await teams.call("POST", f"{teams.url}/_sim/teams/installs", json=body)

        assert answer.status == 400
        assert answer.json["error"]


class TestThreads:
    async def test_team(self, teams: Any, bot: Any) -> None:
        """A team install names the team and its channel."""
        await _listen(teams, bot)
        await teams.control("teams/installs", {"team": "News"})
        installation, update = bot.activities

        assert installation["conversation"]["conversationType"] == "channel"
        assert installation["channelData"]["team"]["name"] == "News"
        assert update["channelData"]["eventType"] == "teamMemberAdded"

    async def test_group_chat(self, teams: Any, bot: Any) -> None:
        """A group chat is a conversation of its own kind, without a team."""
        await _listen(teams, bot)
        await teams.control("teams/installs", {"chat": "Lunch"})

        assert bot.activities[0]["conversation"]["conversationType"] == "groupChat"
        assert "team" not in bot.activities[0]["channelData"]


class TestEvents:
    @pytest.mark.parametrize(
        ("event", "expected"),
        [
            ({"kind": "message", "text": "Hi"}, {"type": "message", "text": "Hi"}),
            (
                {"kind": "reaction", "message_id": "1"},
                {"type": "messageReaction", "replyToId": "1", "reactionsAdded": [{"type": "like"}]},
            ),
            (
                {"kind": "reaction", "message_id": "1", "reactions": ["sad"], "removed": True},
                {"type": "messageReaction", "reactionsRemoved": [{"type": "sad"}]},
            ),
            (
                {"kind": "read", "message_id": "7"},
                {
                    "type": "event",
                    "name": "application/vnd.microsoft.readReceipt",
                    "value": {"lastReadMessageId": "7"},
                },
            ),
            (
                {"kind": "submit", "message_id": "1", "value": {"ok": True}},
                {"type": "message", "replyToId": "1", "value": {"ok": True}},
            ),
            ({"kind": "invoke", "value": {}}, {"type": "invoke", "name": "adaptiveCard/action", "value": {}}),
        ],
    )
    async def test_what_people_do(self, teams: Any, bot: Any, event: dict[str, Any], expected: dict[str, Any]) -> None:
        """Messages, reactions, read receipts, submits and invokes arrive as Teams sends them, signed."""
        await _listen(teams, bot)
        chat = await teams.installed(0)
        report = await teams.control("teams/events", {**event, "person": chat["aad_object_id"]})
        activity, headers = bot.requests[0]

        assert expected == {name: activity[name] for name in expected}
        assert chat["user_id"] == activity["from"]["id"]
        assert report["answers"] == [{"status": 200, "body": "heard"}]
        await _verified(teams, headers)

    async def test_unknown_kind(self, teams: Any) -> None:
        """An unknown kind of event is refused."""
        answer = await teams.control("teams/events", {"kind": "dance", "person": (await teams.person(0))["id"]})

        assert answer["error"].startswith("kind must be one of")


class TestForged:
    @pytest.mark.parametrize(
        ("change", "header", "claims"),
        [
            ({"claims": {"aud": "other"}}, {}, {"aud": "other"}),
            ({"claims": {"serviceurl": None}}, {}, {"serviceurl": None}),
            ({"header": {"kid": None}}, {"kid": None}, {}),
            ({"header": {"alg": "none"}}, {"alg": "none"}, {}),
            ({"header": {"alg": "HS256"}}, {"alg": "HS256"}, {}),
        ],
    )
    async def test_parts_of_the_token(
        self, teams: Any, bot: Any, change: dict[str, Any], header: dict[str, Any], claims: dict[str, Any]
    ) -> None:
        """Each member of header and claims can be replaced or removed."""
        await _listen(teams, bot)
        await teams.control("teams/activities", change)
        token = bot.requests[0][1]["Authorization"].removeprefix("Bearer ")
        seen_header = jwt.get_unverified_header(token)
        seen_claims = jwt.decode(token, options={"verify_signature": False})

        assert header == {name: seen_header.get(name) for name in header}
        assert claims == {name: seen_claims.get(name) for name in claims}

    @pytest.mark.parametrize("key", ["unendorsed", "unpublished", "old"])
    async def test_other_keys(self, teams: Any, bot: Any, key: str) -> None:
        """A token can be signed with a key without endorsement, an unpublished one, or one from before a roll-over."""
        await _listen(teams, bot)
        before = (await teams.call("GET", f"{teams.url}/v1/.well-known/keys")).json["keys"]
        await teams.control("teams/keys/roll", {})
        published = {each["kid"] for each in (await teams.call("GET", f"{teams.url}/v1/.well-known/keys")).json["keys"]}
        await teams.control("teams/activities", {"key": key})
        kid = jwt.get_unverified_header(bot.requests[0][1]["Authorization"][7:])["kid"]

        assert (key != "unpublished") == (kid in published)
        assert (key == "old") == (kid == before[0]["kid"])

    @pytest.mark.parametrize("signature", ["empty", "flipped", "trailing"])
    async def test_spoiled_signature(self, teams: Any, bot: Any, signature: str) -> None:
        """A spoiled signature does not verify."""
        await _listen(teams, bot)
        await teams.control("teams/activities", {"signature": signature})

        with pytest.raises(jwt.PyJWTError):
            await _verified(teams, bot.requests[0][1])

    async def test_expired(self, teams: Any, bot: Any) -> None:
        """A token can be expired already."""
        await _listen(teams, bot)
        await teams.control("teams/activities", {"expires_in": -600})

        with pytest.raises(jwt.ExpiredSignatureError):
            await _verified(teams, bot.requests[0][1])

    async def test_body_and_headers(self, teams: Any, bot: Any) -> None:
        """Members of the activity can be removed, the header given verbatim or left out."""
        await _listen(teams, bot)
        await teams.control("teams/activities", {"activity": {"serviceUrl": None, "extra": 1}, "authorization": None})
        await teams.control("teams/activities", {"authorization": "Basic x", "headers": {"X-Test": "1"}})
        (first, first_headers), (_, second_headers) = bot.requests

        assert "serviceUrl" not in first
        assert first["extra"] == 1
        assert "Authorization" not in first_headers
        assert (second_headers["Authorization"], second_headers["X-Test"]) == ("Basic x", "1")

    async def test_answer_is_returned(self, teams: Any, bot: Any) -> None:
        """The control answer says what the bot answered."""
        await _listen(teams, bot)
        bot.status = 401
        answer = await teams.control("teams/activities", {})

        assert (answer["status"], answer["body"]) == (401, "heard")
        assert answer["authorization"].startswith("Bearer ")

    async def test_without_an_endpoint(self, teams: Any) -> None:
        """There must be somewhere to post to."""
        assert "messaging_endpoint" in (await teams.control("teams/activities", {}))["error"]


class TestRestart:
    async def test_same_ids_after_a_restart(self, serving: Any) -> None:
        """A simulator of the same configuration gives the same people, chats and ids again."""
        found = []
        for _ in range(2):
            async with serving(SimulatorConfig(people=20), ManualClock()) as teams:
                chat = await teams.installed(3)
                found.append((chat["id"], chat["user_id"], chat["aad_object_id"]))

        assert found[0] == found[1]


class TestApps:
    async def test_register(self, teams: Any) -> None:
        """An app of one's own can be registered, changed, listed and removed."""
        app = {"app_id": "b0000000-0000-4000-8000-000000000009", "password": "p", "app_type": "UserAssignedMSI"}
        created = await teams.control("teams/apps", app)
        changed = await teams.control("teams/apps", {"app_id": app["app_id"], "name": "News"})
        token = await teams.ask_token(client_id=app["app_id"], client_secret="p")
        listed = await teams.control("teams/apps", method="GET")
        await teams.control(f"teams/apps/{app['app_id']}", method="DELETE")
        gone = await teams.ask_token(client_id=app["app_id"], client_secret="p")

        assert {**created, "name": "News"} == changed
        assert len(listed["apps"]) == 3
        assert (token.status, gone.status) == (200, 400)

    @pytest.mark.parametrize(
        "app",
        [
            {},
            {"app_id": "x", "app_type": "Other"},
            {"app_id": "x", "colour": "red"},
            {"app_id": "x", "password": 5},
            {"app_id": "x", "graph_permissions": "User.Read.All"},
            {"app_id": "x", "tenant": "nowhere"},
        ],
    )
    async def test_wrong_app(self, teams: Any, app: dict[str, Any]) -> None:
        """A wrong description is refused."""
        assert "error" in await teams.control("teams/apps", app)


class TestPeople:
    async def test_new_mail(self, teams: Any) -> None:
        """A renamed person is found by the new e-mail and no longer by the old one."""
        person = await teams.person(0)
        changes = {"person": person["id"], "email": "renamed@contoso.example", "upn": "renamed@contoso.example"}
        await teams.control("teams/people", changes, "PATCH")
        found = await teams.control("teams/people?person=renamed@contoso.example", method="GET")
        lost = await teams.control(f"teams/people?person={person['email']}", method="GET")

        assert person["id"] == found["people"][0]["id"]
        assert found["people"][0]["proxy_addresses"] == ["SMTP:renamed@contoso.example"]
        assert "error" in lost

    async def test_new_person(self, teams: Any) -> None:
        """A person can be added, with any of the oddities."""
        body = {"email": "new@contoso.example", "other_mails": ["new@private.example"], "guest": True}
        person = await teams.control("teams/people", body)

        assert (person["index"], person["guest"], person["other_mails"]) == (200, True, ["new@private.example"])

    @pytest.mark.parametrize("changes", [{"block": "x"}, {"colour": "red"}, {"enabled": 1}, {"email": 5}])
    async def test_wrong_change(self, teams: Any, changes: dict[str, Any]) -> None:
        """A wrong change is refused and changes nothing."""
        person = await teams.person(0)
        answer = await teams.control("teams/people", {"person": person["id"], **changes}, "PATCH")

        assert "error" in answer
        assert person == await teams.person(0)
