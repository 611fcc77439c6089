"""S02: our bot token goes to permitted connectors only."""

from __future__ import annotations

import pytest

from adapters.teams.service_urls import ServiceUrls

URLS = ServiceUrls(
    [
        "https://smba.trafficmanager.net",
        "https://proxy.example/teams",
    ]
)


class TestPermitted:
    @pytest.mark.parametrize(
        "url",
        [
            "https://smba.trafficmanager.net",
            "https://smba.trafficmanager.net/",
            "https://smba.trafficmanager.net/emea/",
            "https://smba.trafficmanager.net/emea/7e000000-0000-4000-8000-00000000000a/",
            "https://SMBA.TrafficManager.net/amer/",
            "https://proxy.example/teams",
            "https://proxy.example/teams/emea/",
        ],
    )
    def test_at_or_below_an_entry(self, url: str) -> None:
        """The entry itself and whole path segments below it are permitted."""
        assert URLS.permits(url)


class TestRefused:
    @pytest.mark.parametrize(
        "url",
        [
            "",
            "smba.trafficmanager.net",
            "//smba.trafficmanager.net/",
            "http://smba.trafficmanager.net/",
            "ftp://smba.trafficmanager.net/",
            "HTTPS://smba.trafficmanager.net/",
            "https://smba.trafficmanager.net.evil.test/",
            "https://evil.test/smba.trafficmanager.net/",
            "https://evilsmba.trafficmanager.net/",
            "https://trafficmanager.net/",
            "https://smba.trafficmanager.net./",
            "https://smba.trafficmanager.net:443/",
            "https://smba.trafficmanager.net:8443/",
            "https://smba.trafficmanager.net@evil.test/",
            "https://user:pass@smba.trafficmanager.net/",
            "https://evil.test#@smba.trafficmanager.net/",
            "https://evil.test?smba.trafficmanager.net/",
            "https://evil.test\\@smba.trafficmanager.net/",
            "https://smba.trafficmanager.net\\.evil.test/",
            "https://smba.trafficmanager.net%2eevil.test/",
            "https://smba.trafficmanager.net%00.evil.test/",
            "https://smba.trafficmanager.net/emea?x=1",
            "https://smba.trafficmanager.net/emea#x",
            "https://smba.trafficmanager.net/%2e%2e/",
            "https://smba.trafficmanager.net/../x",
            "https://smba.trafficmanager.net//evil.test/",
            "https://smba.trafficmanager.net /",
            " https://smba.trafficmanager.net/",
            "https://smba.trafficmanager.net/\r\nHost: evil.test",
            "https://smba.trafficmanager.net/\n",
            "https://ѕmba.trafficmanager.net/",
            "https://smba。trafficmanager。net/",
            "https://ｓmba.trafficmanager.net/",
            "https://xn--mba-rxc.trafficmanager.net/",
            "https://smba.trafficmanager.net:４４３/",
            "https://proxy.example/",
            "https://proxy.example/teams-evil/",
            "https://proxy.example/teamsx",
            "https://proxy.example/x/teams/",
            "https://proxy.example/teams/../admin",
            "https://127.0.0.1/",
            "https://[::1]/",
            "https://2130706433/",
            "https://smba.trafficmanager.net/" + "a" * 600,
        ],
    )
    def test_everything_else(self, url: str) -> None:
        """No other scheme, host, port or path, and no spelling that two readers could understand differently."""
        assert not URLS.permits(url)


class TestEntries:
    @pytest.mark.parametrize(
        "entry", ["http://127.0.0.1:9", "https://host:8443", "https://a@b", "https://h?x", "host", "https://h/../x"]
    )
    def test_dangerous_entries_are_refused(self, entry: str) -> None:
        """`http:` and ports are entries only where the dangerous option is set; the rest never."""
        with pytest.raises(ValueError, match="cannot be allowed"):
            ServiceUrls([entry])

    def test_local_entries_with_the_dangerous_option(self) -> None:
        """A local simulator is permitted on its own port, and on no other."""
        urls = ServiceUrls(["http://127.0.0.1:9000/teams", "http://[::1]:9000"], allow_http=True)

        assert urls.permits("http://127.0.0.1:9000/teams/tenant/")
        assert urls.permits("http://[::1]:9000/")
        assert not urls.permits("http://127.0.0.1:9001/teams/")
        assert not urls.permits("http://127.0.0.1/teams/")
