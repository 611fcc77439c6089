"""The simulated catalogue and installs through Graph."""

from typing import Any

import pytest

from simulator.teams.apps import DEFAULT_APP_ID, DEFAULT_MULTI_TENANT_APP_ID


def _error(answer: Any) -> tuple[int, str]:
    return answer.status, answer.json["error"]["code"]


async def _app(teams: Any, **changes: object) -> dict[str, Any]:
    """The default app after changes to its registration."""
    app: dict[str, Any] = await teams.control("teams/apps", {"app_id": DEFAULT_APP_ID, **changes})
    teams.tokens.clear()
    return app


def _bind(app: dict[str, Any]) -> dict[str, str]:
    place = f"https://graph.microsoft.com/v1.0/appCatalogs/teamsApps/{app['catalog_app_id']}"
    return {"teamsApp@odata.bind": place}


async def _installs(teams: Any, index: int) -> str:
    return f"users/{(await teams.person(index))['id']}/teamwork/installedApps"


class TestCatalog:
    async def test_external_id(self, teams: Any) -> None:
        """The manifest id leads to the catalogue id."""
        app = await _app(teams)
        found = await teams.graph("GET", f"appCatalogs/teamsApps?$filter=externalId eq '{app['manifest_id']}'")
        nothing = await teams.graph("GET", "appCatalogs/teamsApps?$filter=externalId eq 'x'")

        assert [app["catalog_app_id"]] == [each["id"] for each in found.json["value"]]
        assert nothing.json["value"] == []

    async def test_permission(self, teams: Any) -> None:
        """The catalogue needs its own permission."""
        await _app(teams, graph_permissions=["User.Read.All"])

        assert _error(await teams.graph("GET", "appCatalogs/teamsApps")) == (403, "Authorization_RequestDenied")


class TestInstall:
    async def test_install_then_chat_then_send(self, teams: Any) -> None:
        """After 201 the installation is found, its chat id is a conversation, and the bot hears of it."""
        app = await _app(teams)
        place = await _installs(teams, 0)
        created = await teams.graph("POST", place, _bind(app))
        query = f"?$expand=teamsApp&$filter=teamsApp/id eq '{app['catalog_app_id']}'"
        listed = (await teams.graph("GET", place + query)).json["value"]
        chat = (await teams.graph("GET", f"{place}/{listed[0]['id']}/chat")).json
        body = {"type": "message", "text": "Hello"}
        sent = await teams.bot("POST", f"conversations/{chat['id']}/activities", body)

        assert (created.status, created.json) == (201, "")
        assert [app["manifest_id"]] == [each["teamsApp"]["externalId"] for each in listed]
        assert chat["chatType"] == "oneOnOne"
        assert sent.status == 201

    async def test_bot_hears_of_it(self, teams: Any, bot: Any) -> None:
        """An install through Graph and its removal reach the messaging endpoint."""
        app = await _app(teams, messaging_endpoint=bot.url)
        place = await _installs(teams, 0)
        await teams.graph("POST", place, _bind(app))
        await teams.control("teams/settle")
        listed = (await teams.graph("GET", place)).json["value"]
        removed = await teams.graph("DELETE", f"{place}/{listed[0]['id']}")
        await teams.control("teams/settle")
        kinds = [(each["type"], each.get("action")) for each in bot.activities]

        assert removed.status == 204
        assert kinds == [
            ("installationUpdate", "add"),
            ("conversationUpdate", None),
            ("installationUpdate", "remove"),
            ("conversationUpdate", None),
        ]

    async def test_twice(self, teams: Any) -> None:
        """A second install is a conflict."""
        app = await _app(teams)
        place = await _installs(teams, 0)
        await teams.graph("POST", place, _bind(app))

        assert _error(await teams.graph("POST", place, _bind(app))) == (409, "Conflict")

    async def test_not_in_the_catalog(self, teams: Any) -> None:
        """An app that is not in the catalogue is not found."""
        app = await _app(teams, in_catalog=False)

        assert _error(await teams.graph("POST", await _installs(teams, 0), _bind(app))) == (404, "NotFound")

    async def test_unknown_person(self, teams: Any) -> None:
        """Nobody of that id: 404."""
        answer = await teams.graph("POST", "users/nobody/teamwork/installedApps", _bind(await _app(teams)))

        assert _error(answer) == (404, "Request_ResourceNotFound")

    @pytest.mark.parametrize("body", [None, {}, {"teamsApp@odata.bind": "x"}, []])
    async def test_wrong_body(self, teams: Any, body: object) -> None:
        """Without a proper binding it is a bad request."""
        assert _error(await teams.graph("POST", await _installs(teams, 0), body)) == (400, "BadRequest")

    async def test_policy_blocks(self, teams: Any) -> None:
        """A permission policy, a guest and a disabled account are forbidden, in another way than a permission."""
        app = await _app(teams)
        person = await teams.person(0)
        await teams.control("teams/people", {"person": person["id"], "install_allowed": False}, "PATCH")
        answers = [await teams.graph("POST", await _installs(teams, index), _bind(app)) for index in (0, 97, 98)]

        assert [_error(answer) for answer in answers] == [(403, "Forbidden")] * 3

    async def test_missing_permission(self, teams: Any) -> None:
        """Without an install permission Graph says which roles it misses."""
        app = await _app(teams, graph_permissions=["User.Read.All"])
        place = await _installs(teams, 0)
        answers = [await teams.graph("POST", place, _bind(app)), await teams.graph("GET", place)]

        assert [_error(answer) for answer in answers] == [(403, "Forbidden")] * 2
        assert all("Missing role permissions" in answer.json["error"]["message"] for answer in answers)

    async def test_self_means_own_app(self, teams: Any) -> None:
        """A Self permission installs and sees the caller's own app only."""
        other = await teams.control("teams/apps", {"app_id": DEFAULT_MULTI_TENANT_APP_ID})
        person = await teams.person(0)
        place = {"app_id": other["app_id"], "person": person["id"], "notify": False}
        await teams.control("teams/installs", place)
        denied = await teams.graph("POST", await _installs(teams, 1), _bind(other))
        listed = (await teams.graph("GET", await _installs(teams, 0))).json["value"]

        assert _error(denied) == (403, "Forbidden")
        assert "is not allowed to manage" in denied.json["error"]["message"]
        assert listed == []

    async def test_consent(self, teams: Any) -> None:
        """An app with resource-specific permissions needs the AndConsent permission."""
        app = await _app(teams, requires_consent=True)
        refused = await teams.graph("POST", await _installs(teams, 0), _bind(app))
        consent = "TeamsAppInstallation.ReadWriteAndConsentSelfForUser.All"
        app = await _app(teams, graph_permissions=[consent])
        allowed = await teams.graph("POST", await _installs(teams, 0), _bind(app))

        assert _error(refused) == (403, "Forbidden")
        assert allowed.status == 201

    async def test_unknown_installation(self, teams: Any) -> None:
        """An installation that is not there is not found, by whatever id."""
        place = await _installs(teams, 0)
        answers = [await teams.graph("GET", f"{place}/{name}/chat") for name in ("x", "%25%25", "YWI=")]

        assert [_error(answer) for answer in answers] == [(404, "NotFound")] * 3

    async def test_thirty_a_second(self, limited: Any, clock: Any) -> None:
        """Thirty installs a second pass, the next one waits."""
        app = await _app(limited)
        places = [await _installs(limited, index) for index in range(31)]
        statuses = [(await limited.graph("POST", place, _bind(app))).status for place in places]
        clock.advance(1)
        again = await limited.graph("POST", places[30], _bind(app))

        assert [*[201] * 30, 429] == statuses
        assert again.status == 201
