"""The simulated token endpoint and key documents."""

from typing import Any

import jwt
import pytest

from simulator.clock import ManualClock
from simulator.teams.apps import DEFAULT_APP_ID, DEFAULT_MULTI_TENANT_APP_ID
from simulator.teams.people import tenant_id
from simulator.world import SimulatorConfig

GRAPH_SCOPE = "https://graph.microsoft.com/.default"


class TestTokens:
    async def test_carries_what_a_resource_needs(self, teams: Any) -> None:
        """A bot token is RS256, signed by a published key, and names audience, app, tenant and expiry."""
        answer = await teams.ask_token()
        keys = jwt.PyJWKSet.from_dict((await teams.call("GET", f"{teams.url}/{teams.tenant}/discovery/v2.0/keys")).json)
        token = answer.json["access_token"]
        key = next(key for key in keys.keys if key.key_id == jwt.get_unverified_header(token)["kid"])
        claims = jwt.decode(token, key.key, algorithms=["RS256"], audience="https://api.botframework.com")

        assert answer.status == 200
        assert answer.json["token_type"] == "Bearer"
        assert (DEFAULT_APP_ID, teams.tenant) == (claims["appid"], claims["tid"])
        assert answer.json["expires_in"] == claims["exp"] - claims["iat"] == 3599

    async def test_lifetime_is_a_setting(self, teams: Any) -> None:
        """The lifetime of tokens can be changed while the simulator runs."""
        await teams.control("settings", {"teams_token_lifetime": 60})

        assert (await teams.ask_token()).json["expires_in"] == 60

    async def test_graph_token_has_roles(self, teams: Any) -> None:
        """A Graph token carries the app's permissions and the customer's tenant."""
        token = (await teams.ask_token(scope=GRAPH_SCOPE)).json["access_token"]
        claims = jwt.decode(token, options={"verify_signature": False})

        assert claims["aud"] == "https://graph.microsoft.com"
        assert "User.Read.All" in claims["roles"]

    async def test_domain_names_a_tenant(self, teams: Any) -> None:
        """A verified domain works as an authority, as an id does."""
        assert (await teams.ask_token("contoso.example")).status == 200

    async def test_multi_tenant_app_asks_botframework(self, teams: Any) -> None:
        """A multi-tenant app gets bot tokens from botframework.com and Graph tokens from each customer."""
        bot = await teams.ask_token("botframework.com", client_id=DEFAULT_MULTI_TENANT_APP_ID)
        graph = await teams.ask_token(tenant_id(1), client_id=DEFAULT_MULTI_TENANT_APP_ID, scope=GRAPH_SCOPE)

        assert (bot.status, graph.status) == (200, 200)


REFUSALS = [
    pytest.param(None, {"client_secret": "wrong"}, 401, "invalid_client", 7000215, id="wrong secret"),
    pytest.param(None, {"client_secret": ""}, 401, "invalid_client", 7000216, id="no secret"),
    pytest.param(None, {"client_id": "nobody"}, 400, "unauthorized_client", 700016, id="unknown app"),
    pytest.param("00000000-0000-4000-8000-0000000000ff", {}, 400, "invalid_request", 90002, id="unknown tenant"),
    pytest.param(tenant_id(1), {}, 400, "unauthorized_client", 700016, id="single-tenant app abroad"),
    pytest.param("botframework.com", {}, 400, "unauthorized_client", 700016, id="single-tenant at botframework.com"),
    pytest.param(
        None,
        {"client_id": DEFAULT_MULTI_TENANT_APP_ID},
        400,
        "unauthorized_client",
        700016,
        id="multi-tenant bot token elsewhere",
    ),
    pytest.param(
        "botframework.com",
        {"client_id": DEFAULT_MULTI_TENANT_APP_ID, "scope": GRAPH_SCOPE},
        400,
        "unauthorized_client",
        700016,
        id="Graph at botframework.com",
    ),
    pytest.param(None, {"scope": "https://api.botframework.com"}, 400, "invalid_scope", 1002012, id="no .default"),
    pytest.param(None, {"scope": "https://evil.test/.default"}, 400, "invalid_resource", 500011, id="unknown resource"),
    pytest.param(None, {"scope": ""}, 400, "invalid_request", 900144, id="no scope"),
    pytest.param(None, {"grant_type": "password"}, 400, "unsupported_grant_type", 70003, id="other grant"),
]


class TestRefusals:
    @pytest.mark.parametrize(("authority", "form", "status", "error", "number"), REFUSALS)
    async def test_tells_why(
        self, teams: Any, authority: str | None, form: dict[str, str], status: int, error: str, number: int
    ) -> None:
        """A refused token request has Entra's status, error, number and text."""
        answer = await teams.ask_token(authority, **form)

        assert (status, error, [number]) == (answer.status, answer.json["error"], answer.json["error_codes"])
        assert answer.json["error_description"].startswith(f"AADSTS{number}: ")

    async def test_json_is_not_a_form(self, teams: Any) -> None:
        """The token endpoint reads forms only."""
        answer = await teams.call("POST", f"{teams.url}/{teams.tenant}/oauth2/v2.0/token", json={"grant_type": "x"})

        assert (answer.status, answer.json["error"]) == (400, "invalid_request")

    async def test_consent_is_per_tenant(self, teams: Any) -> None:
        """Without an admin's consent a tenant gives no Graph token."""
        app = {"app_id": "c0000000-0000-4000-8000-000000000001", "app_type": "MultiTenant"}
        await teams.control("teams/apps", {**app, "consented_tenants": [tenant_id(0)]})
        here = await teams.ask_token(tenant_id(0), client_id=app["app_id"], scope=GRAPH_SCOPE)
        there = await teams.ask_token(tenant_id(1), client_id=app["app_id"], scope=GRAPH_SCOPE)

        assert (here.status, there.status) == (200, 400)

    async def test_fault_replaces_the_token(self, teams: Any) -> None:
        """A fault on the token endpoint answers in Entra's shape."""
        await teams.control("faults", {"platform": "entra", "operation": "token", "code": "invalid_client", "times": 1})
        refused, issued = await teams.ask_token(), await teams.ask_token()

        assert (refused.status, refused.json["error"]) == (401, "invalid_client")
        assert issued.status == 200


class TestExpiry:
    async def test_expired_token_is_refused(self, serving: Any) -> None:
        """A token is worth nothing once its time is over."""
        clock = ManualClock()
        async with serving(SimulatorConfig(), clock) as teams:
            chat = await teams.installed(0)
            before = await teams.bot("GET", f"conversations/{chat['id']}/members")
            clock.advance(3600)
            after = await teams.bot("GET", f"conversations/{chat['id']}/members")

        assert (before.status, after.status) == (200, 401)

    async def test_revoked_tokens_are_refused(self, teams: Any) -> None:
        """All tokens can be made invalid at once; new ones work."""
        chat = await teams.installed(0)
        await teams.token()
        await teams.control("teams/tokens/revoke")
        refused = await teams.bot("GET", f"conversations/{chat['id']}/members")
        teams.tokens.clear()
        renewed = await teams.bot("GET", f"conversations/{chat['id']}/members")

        assert (refused.status, renewed.status) == (401, 200)


class TestKeys:
    async def test_metadata_leads_to_endorsed_keys(self, teams: Any) -> None:
        """The metadata names issuer and key document; the first key is endorsed for Teams, the last one is not."""
        metadata = (await teams.call("GET", f"{teams.url}/v1/.well-known/openidconfiguration")).json
        keys = (await teams.call("GET", metadata["jwks_uri"])).json["keys"]

        assert metadata["issuer"] == "https://api.botframework.com"
        assert "msteams" in keys[0]["endorsements"]
        assert "msteams" not in keys[-1]["endorsements"]

    async def test_roll_over(self, teams: Any) -> None:
        """A roll-over brings a new key and keeps the old one published unless told otherwise."""
        url = f"{teams.url}/v1/.well-known/keys"
        before = (await teams.call("GET", url)).json["keys"]
        first = await teams.control("teams/keys/roll", {})
        second = await teams.control("teams/keys/roll", {"keep_old": False})

        assert before[0]["kid"] in first["published"]
        assert first["kid"] not in second["published"]
        assert second["kid"] in second["published"]

    async def test_key_set_can_be_down(self, teams: Any) -> None:
        """A fault can take the key document, or the metadata, out of service."""
        await teams.control("faults", {"platform": "entra", "operation": "keys", "status": 503, "times": 1})
        url = f"{teams.url}/v1/.well-known/keys"
        statuses = [(await teams.call("GET", url)).status for _ in range(2)]

        assert statuses == [503, 200]
