"""The endpoints: presets for each cloud, single overrides, and what is too dangerous without saying so."""

from __future__ import annotations

from pathlib import Path

import pytest

from settings import ResolvedEndpoints, SettingsError, load

BASE = {"HERALD_STORAGE__URL": "sqlite:///h.db", "HERALD_STORAGE__ENCRYPTION_KEY": "0123456789abcdefghijklmnopqrstuv"}


def resolved(**keys: str) -> ResolvedEndpoints:
    environ = {f"HERALD_ENDPOINTS__{key.upper()}": value for key, value in keys.items()}
    return load(None, BASE | environ).endpoints.resolved()


class TestPresets:
    def test_public(self) -> None:
        """Without settings the commercial clouds are used."""
        expected = ResolvedEndpoints(
            slack_api="https://slack.com/api/",
            slack_authorize="https://slack.com/oauth/v2/authorize",
            entra_login="https://login.microsoftonline.com",
            bot_openid="https://login.botframework.com/v1/.well-known/openidconfiguration",
            bot_issuer="https://api.botframework.com",
            multi_tenant_login="botframework.com",
            graph="https://graph.microsoft.com",
            graph_audience="https://graph.microsoft.com",
            teams_service_urls=(
                "https://smba.trafficmanager.net",
                "https://smba.onyx.prod.teams.trafficmanager.net",
            ),
            teams_default_service_url="https://smba.trafficmanager.net/teams/",
            allow_http=False,
        )

        assert expected == resolved()

    @pytest.mark.parametrize(
        ("cloud", "login", "issuer", "graph", "service"),
        [
            (
                "gcc",
                "microsoftonline.com",
                "botframework.com",
                "graph.microsoft.com",
                "smba.infra.gcc.teams.microsoft.com",
            ),
            (
                "gcc-high",
                "microsoftonline.us",
                "botframework.us",
                "graph.microsoft.us",
                "smba.infra.gov.teams.microsoft.us",
            ),
            (
                "dod",
                "microsoftonline.us",
                "botframework.us",
                "dod-graph.microsoft.us",
                "smba.infra.dod.teams.microsoft.us",
            ),
            (
                "china",
                "partner.microsoftonline.cn",
                "botframework.azure.cn",
                "microsoftgraph.chinacloudapi.cn",
                "frontend.botapi.msg.infra.teams.microsoftonline.cn",
            ),
        ],
    )
    def test_clouds(self, cloud: str, login: str, issuer: str, graph: str, service: str) -> None:
        """Each cloud has its own login, issuer, Graph and connector hosts."""
        found = resolved(cloud=cloud)

        assert (f"https://login.{login}", f"https://api.{issuer}", f"https://{graph}", (f"https://{service}",)) == (
            found.entra_login,
            found.bot_issuer,
            found.graph,
            found.teams_service_urls,
        )

    def test_china_has_no_default(self) -> None:
        """China's connector address is learned from inbound events only."""
        assert resolved(cloud="china").teams_default_service_url is None

    def test_gov_slack(self) -> None:
        """GovSlack is an instance of its own."""
        found = resolved(slack_cloud="gov")

        assert (
            found.slack_api,
            found.slack_authorize,
        ) == ("https://slack-gov.com/api/", "https://slack-gov.com/oauth/v2/authorize")

    def test_unknown_cloud(self) -> None:
        """A cloud that does not exist is refused with those that do."""
        with pytest.raises(SettingsError, match="'public', 'gcc'"):
            resolved(cloud="moon")


class TestOverrides:
    @pytest.mark.parametrize("given", ["https://s.example/api", "https://s.example/api/"])
    def test_slack_api(self, given: str) -> None:
        """Slack's API address always ends with a slash."""
        assert resolved(slack_api=given).slack_api == "https://s.example/api/"

    @pytest.mark.parametrize("given", ["https://g.example", "https://g.example/", "https://g.example/v1.0/"])
    def test_graph(self, given: str) -> None:
        """Graph's address is kept without version; its audience stays the cloud's."""
        found = resolved(graph=given)

        assert (found.graph, found.graph_audience) == ("https://g.example", "https://graph.microsoft.com")

    def test_own_connectors_replace_the_default(self) -> None:
        """With other connectors the preset's default address, which they do not cover, is dropped."""
        found = resolved(teams_service_urls='["https://c.example/x"]')

        assert (found.teams_service_urls, found.teams_default_service_url) == (("https://c.example/x",), None)

    def test_default_below_allowed(self) -> None:
        """A default address that no allowed one covers by whole path segments is refused."""
        with pytest.raises(SettingsError, match="must lie below one of teams_service_urls"):
            resolved(teams_service_urls='["https://c.example/x"]', teams_default_service_url="https://c.example/xy")

    def test_own_default(self) -> None:
        """A default address ends with a slash."""
        found = resolved(
            teams_service_urls='["https://c.example"]', teams_default_service_url="https://c.example/teams"
        )

        assert found.teams_default_service_url == "https://c.example/teams/"


class TestDanger:
    @pytest.mark.parametrize("key", ["slack_api", "slack_authorize", "entra_login", "bot_openid", "graph"])
    @pytest.mark.parametrize(
        "url",
        ["http://h.example", "https://h.example:8443", "https://u@h.example", "https://h.example?x", "https:///x", "h"],
    )
    def test_refused(self, key: str, url: str) -> None:
        """http, ports, users, queries and missing hosts are refused for every address."""
        with pytest.raises(SettingsError, match=f"endpoints.{key}: "):
            resolved(**{key: url})

    def test_service_urls_are_checked(self) -> None:
        """The allow-list is checked like every other address."""
        with pytest.raises(SettingsError, match=r"endpoints\.teams_service_urls: must begin with https://"):
            resolved(teams_service_urls='["http://h.example"]')

    def test_allowed(self) -> None:
        """With the dangerous switch, http and ports are taken; users still are not."""
        found = resolved(dangerously_allow_http_endpoints="true", graph="http://localhost:5/v1.0")

        assert (found.graph, found.allow_http) == ("http://localhost:5", True)
        with pytest.raises(SettingsError, match="must not hold a user"):
            resolved(dangerously_allow_http_endpoints="true", graph="http://u@localhost:5")

    def test_place_in_the_file(self, tmp_path: Path) -> None:
        """The switch works wherever it stands in the table."""
        path = tmp_path / "h.toml"
        path.write_text('[endpoints]\ngraph = "http://localhost:5"\ndangerously_allow_http_endpoints = true\n')

        assert load(path, BASE).endpoints.resolved().graph == "http://localhost:5"
